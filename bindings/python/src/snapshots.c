/*
 * snapshots.c: methods of a transaction that make, rename, keep and drop snapshots, tell of them, go back to what one
 * has, and set the policy by which commits record them.
 */
#include "keelkv.h"

PyObject *keelkv_txn_snapshot_create(Txn *self, PyObject *args)
{
    kv_snapshot_options options = KV_SNAPSHOT_OPTIONS_INIT;
    const char *name, *note;
    Py_ssize_t len, note_len;
    unsigned int flags;
    kv_txn *handle;
    kv_status status;

    if (!PyArg_ParseTuple(args, "y#Iy#", &name, &len, &flags, &note, &note_len) ||
        (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    options.flags = flags;
    options.note.data = note;
    options.note.len = (size_t)note_len;
    Py_BEGIN_ALLOW_THREADS /* of a read transaction, it waits for a writer and for the disk */
    status = kv_snapshot_create(handle, name, (size_t)len, &options);
    Py_END_ALLOW_THREADS
    return keelkv_txn_changed(self, status);
}

PyObject *keelkv_txn_snapshot_rename(Txn *self, PyObject *args)
{
    const char *name, *to;
    Py_ssize_t len, to_len;
    kv_txn *handle;

    if (!PyArg_ParseTuple(args, "y#y#", &name, &len, &to, &to_len) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, kv_snapshot_rename(handle, name, (size_t)len, to, (size_t)to_len));
}

/* Does with a snapshot what needs no more than its name. */
static PyObject *with_name(Txn *self, PyObject *args, kv_status (*call)(kv_txn *txn, const void *name, size_t len))
{
    const char *name;
    Py_ssize_t len;
    kv_txn *handle;

    if (!PyArg_ParseTuple(args, "y#", &name, &len) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, call(handle, name, (size_t)len));
}

PyObject *keelkv_txn_snapshot_drop(Txn *self, PyObject *args)
{
    return with_name(self, args, kv_snapshot_drop);
}

PyObject *keelkv_txn_snapshot_release(Txn *self, PyObject *args)
{
    return with_name(self, args, kv_snapshot_release);
}

PyObject *keelkv_txn_snapshot_keep(Txn *self, PyObject *args)
{
    const char *name;
    Py_ssize_t len;
    unsigned int keep;
    kv_txn *handle;

    if (!PyArg_ParseTuple(args, "y#I", &name, &len, &keep) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, kv_snapshot_keep(handle, name, (size_t)len, keep));
}

/* (source, table): source is the transaction whose state is gone back to. */
PyObject *keelkv_txn_revert(Txn *self, PyObject *args)
{
    unsigned long long table;
    uint64_t changed = 0;
    kv_txn *handle, *from;
    kv_status status;
    Txn *source;

    if (!PyArg_ParseTuple(args, "O!K", keelkv_txn_type, &source, &table) ||
        (handle = keelkv_txn_handle(self)) == NULL || (from = keelkv_txn_handle(source)) == NULL)
        return NULL;
    self->changes++;
    Py_BEGIN_ALLOW_THREADS /* it may read and write much */
    status = kv_revert(handle, from, table, &changed);
    Py_END_ALLOW_THREADS
    return keelkv_number(status, self->db->path, changed);
}

/* The fields of kv_snapshot_stat, in their order. */
PyObject *keelkv_txn_stat_snapshot(Txn *self, PyObject *args)
{
    kv_snapshot_stat s = KV_SNAPSHOT_STAT_INIT;
    const char *name;
    Py_ssize_t len;
    kv_txn *handle;
    kv_status status;

    if (!PyArg_ParseTuple(args, "y#", &name, &len) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    status = kv_stat_snapshot(handle, name, (size_t)len, &s);
    if (status != KV_OK)
        return keelkv_raise(status, self->db->path);
    return Py_BuildValue("IKKy#KKNN", s.flags, (unsigned long long)s.commit, (unsigned long long)s.time,
        (const char *)s.guid, (Py_ssize_t)sizeof s.guid, (unsigned long long)s.file_pages,
        (unsigned long long)s.used_pages, keelkv_bytes(s.note), PyBool_FromLong(s.automatic != 0));
}

/* A retention from its numbers, in their order. */
static int retention_of(PyObject *numbers, kv_retention *r)
{
    unsigned long long pages;

    if (!PyArg_ParseTuple(numbers, "IIIIIIIK", &r->interval, &r->last, &r->hourly, &r->daily, &r->weekly, &r->monthly,
            &r->yield_after, &pages))
        return 0;
    r->yield_pages = pages;
    return 1;
}

PyObject *keelkv_txn_set_history(Txn *self, PyObject *numbers)
{
    kv_retention policy = KV_RETENTION_INIT;
    kv_txn *handle;

    if ((numbers != Py_None && !retention_of(numbers, &policy)) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, kv_history(handle, numbers == Py_None ? NULL : &policy));
}

PyObject *keelkv_txn_history(Txn *self, PyObject *Py_UNUSED(ignored))
{
    kv_retention r = KV_RETENTION_INIT;
    kv_txn *handle = keelkv_txn_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_stat_history(handle, &r);
    if (status == KV_NOTFOUND)
        Py_RETURN_NONE;
    if (status != KV_OK)
        return keelkv_raise(status, self->db->path);
    return Py_BuildValue("IIIIIIIK", r.interval, r.last, r.hourly, r.daily, r.weekly, r.monthly, r.yield_after,
        (unsigned long long)r.yield_pages);
}

PyObject *keelkv_txn_snapshot_thin(Txn *self, PyObject *args)
{
    kv_retention retention = KV_RETENTION_INIT;
    const char *prefix;
    Py_ssize_t len;
    PyObject *numbers;
    uint64_t dropped = 0;
    kv_txn *handle;
    kv_status status;

    if (!PyArg_ParseTuple(args, "y#O!", &prefix, &len, &PyTuple_Type, &numbers) || !retention_of(numbers, &retention) ||
        (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    status = kv_snapshot_thin(handle, prefix, (size_t)len, &retention, &dropped);
    return keelkv_number(status, self->db->path, dropped);
}
