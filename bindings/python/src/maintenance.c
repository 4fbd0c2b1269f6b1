/*
 * maintenance.c: checks, backups, compaction and salvage, which run without the GIL and take it back for their
 * callbacks.
 */
#include "keelkv.h"

#include <errno.h>

/* What the callbacks of a job need. An exception that one raises stays set on the thread and is raised at the end. */
typedef struct Job {
    PyThreadState *thread; /* of the caller, while the GIL is released */
    PyObject *progress;    /* called with (done, total); NULL = nobody */
    PyObject *on_fault;    /* called with (status, page, table, message, kind); NULL = nobody */
    PyObject *write;       /* called with the bytes of a backup; NULL = nobody */
} Job;

/* Takes the reference of a callback's result. One that is true ends the job, and so does an exception. */
static int32_t verdict(PyObject *result)
{
    int stop = result == NULL ? 1 : PyObject_IsTrue(result);

    Py_XDECREF(result);
    if (stop == 0 && PyErr_CheckSignals() < 0)
        stop = 1;
    return stop != 0;
}

static int32_t on_progress(void *ctx, uint64_t done, uint64_t total)
{
    Job *job = ctx;
    int32_t stop;
    PyObject *result;

    PyEval_RestoreThread(job->thread);
    result = job->progress == NULL ? Py_NewRef(Py_None)
                                   : PyObject_CallFunction(job->progress, "KK", (unsigned long long)done,
                                         (unsigned long long)total);
    stop = verdict(result);
    job->thread = PyEval_SaveThread();
    return stop;
}

static int32_t on_fault(void *ctx, const kv_fault *fault)
{
    Job *job = ctx;
    int32_t stop;
    PyObject *message, *result = NULL;

    if (job->on_fault == NULL)
        return 0;
    PyEval_RestoreThread(job->thread);
    message = PyUnicode_DecodeUTF8(fault->message, (Py_ssize_t)strlen(fault->message), "replace");
    if (message != NULL) {
        result = PyObject_CallFunction(job->on_fault, "iKKOI", (int)fault->status, (unsigned long long)fault->page,
            (unsigned long long)fault->table, message, (unsigned int)fault->kind);
        Py_DECREF(message);
    }
    stop = verdict(result);
    job->thread = PyEval_SaveThread();
    return stop;
}

static int32_t on_write(void *ctx, const void *data, size_t len)
{
    Job *job = ctx;
    PyObject *bytes, *result = NULL;
    int32_t errnum;

    PyEval_RestoreThread(job->thread);
    if ((bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)len)) != NULL) {
        result = PyObject_CallFunctionObjArgs(job->write, bytes, NULL);
        Py_DECREF(bytes);
    }
    Py_XDECREF(result);
    errnum = result == NULL || PyErr_CheckSignals() < 0 ? EIO : 0; /* the exception says more */
    job->thread = PyEval_SaveThread();
    return errnum;
}

static PyObject *callable(PyObject *object)
{
    return object == Py_None ? NULL : object;
}

/* (flags, progress, on_fault) -> the figures of the report, of which the first is the number of faults */
PyObject *keelkv_check(kv_db *db, kv_txn *txn, PyObject *path, PyObject *const *args)
{
    Job job = {NULL, callable(args[1]), callable(args[2]), NULL};
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    kv_check_report r = KV_CHECK_REPORT_INIT;
    kv_status status;

    if (keelkv_u32(args[0], &options.flags) < 0)
        return NULL;
    options.progress = on_progress; /* always, as it is where signals are noticed */
    options.ctx = &job;
    job.thread = PyEval_SaveThread();
    status = txn != NULL ? kv_check(txn, &options, on_fault, &job, &r) : kv_db_check(db, &options, on_fault, &job, &r);
    PyEval_RestoreThread(job.thread);
    if (PyErr_Occurred())
        return NULL;
    /* A fault that was found is what a check is for; one that it did not count is a failure. */
    if (status != KV_OK && !(status == KV_CORRUPT && r.faults > 0))
        return keelkv_raise(status, path);
    return keelkv_figures(&r, keelkv_check_figures);
}

/* (stay, punch, progress) -> the figures of the report */
PyObject *keelkv_compact(kv_db *db, PyObject *path, PyObject *const *args)
{
    Job job = {NULL, callable(args[2]), NULL, NULL};
    kv_compact_options options = KV_COMPACT_OPTIONS_INIT;
    kv_compact_report r = KV_COMPACT_REPORT_INIT;
    kv_status status;

    if (keelkv_u32(args[0], &options.stay) < 0 || keelkv_u32(args[1], &options.punch) < 0)
        return NULL;
    options.progress = on_progress;
    options.ctx = &job;
    job.thread = PyEval_SaveThread();
    status = kv_compact(db, &options, &r);
    PyEval_RestoreThread(job.thread);
    if (PyErr_Occurred())
        return NULL;
    if (status != KV_OK)
        return keelkv_raise(status, path);
    return keelkv_figures(&r, keelkv_compact_figures);
}

/* (target, flags, progress, name of the target) */
PyObject *keelkv_backup(kv_db *db, kv_txn *txn, PyObject *const *args)
{
    Job job = {NULL, callable(args[2]), NULL, NULL};
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    const char *target = PyBytes_AsString(args[0]);
    kv_status status;

    if (target == NULL || keelkv_u32(args[1], &options.flags) < 0)
        return NULL;
    options.progress = on_progress;
    options.ctx = &job;
    job.thread = PyEval_SaveThread();
    status = txn != NULL ? kv_backup(txn, target, &options) : kv_db_backup(db, target, &options);
    PyEval_RestoreThread(job.thread);
    if (PyErr_Occurred())
        return NULL;
    if (status != KV_OK)
        return keelkv_raise(status, args[3]);
    Py_RETURN_NONE;
}

/* (write, flags, progress) */
PyObject *keelkv_backup_stream(kv_txn *txn, PyObject *path, PyObject *const *args)
{
    Job job = {NULL, callable(args[2]), NULL, args[0]};
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    kv_status status;

    if (keelkv_u32(args[1], &options.flags) < 0)
        return NULL;
    options.progress = on_progress;
    options.ctx = &job;
    job.thread = PyEval_SaveThread();
    status = kv_backup_stream(txn, on_write, &job, &options);
    PyEval_RestoreThread(job.thread);
    if (PyErr_Occurred())
        return NULL;
    if (status != KV_OK)
        return keelkv_raise(status, path);
    Py_RETURN_NONE;
}

/* (damaged, target, flags, progress, on_fault, name of the target) -> counts */
PyObject *keelkv_salvage(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Job job = {NULL, NULL, NULL, NULL};
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    kv_salvage_report r = KV_SALVAGE_REPORT_INIT;
    const char *damaged, *target;
    kv_status status;

    if (keelkv_arity("salvage", nargs, 6, 6) < 0 || (damaged = PyBytes_AsString(args[0])) == NULL ||
        (target = PyBytes_AsString(args[1])) == NULL || keelkv_u32(args[2], &options.flags) < 0)
        return NULL;
    job.progress = callable(args[3]);
    job.on_fault = callable(args[4]);
    options.progress = on_progress;
    options.ctx = &job;
    job.thread = PyEval_SaveThread();
    status = kv_salvage(damaged, target, &options, on_fault, &job, &r);
    PyEval_RestoreThread(job.thread);
    if (PyErr_Occurred())
        return NULL;
    if (status != KV_OK)
        return keelkv_raise(status, args[5]);
    return keelkv_figures(&r, keelkv_salvage_figures);
}
