/* transaction.c: TxnCore, a transaction: its beginning and end, and the tables that it sees. */
#include "keelkv.h"

/* Milliseconds after which the main thread looks whether a signal has come. */
#define SIGNALS_MS 100

unsigned long keelkv_main_thread;

static int txn_traverse(Txn *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->db);
    Py_VISIT(self->outer);
    return 0;
}

/* Takes the handle, which nobody gets any more. Iterators will notice, those of the outer transaction as well. */
static kv_txn *take_handle(Txn *self)
{
    kv_txn *handle = self->handle;

    self->handle = NULL;
    self->changes++;
    if (self->outer != NULL)
        self->outer->changes++;
    return handle;
}

static void abort_handle(Txn *self)
{
    kv_txn *handle;

    if (self->handle == NULL)
        return;
    handle = take_handle(self);
    Py_BEGIN_ALLOW_THREADS
    kv_txn_abort(handle);
    Py_END_ALLOW_THREADS
}

static int txn_clear(Txn *self)
{
    abort_handle(self);
    Py_CLEAR(self->db);
    Py_CLEAR(self->outer);
    return 0;
}

static void txn_dealloc(Txn *self)
{
    PyObject_GC_UnTrack(self);
    txn_clear(self);
    keelkv_free((PyObject *)self);
}

/* Whether the transaction in which this one is nested has ended, and this one with it. */
static int outer_ended(const Txn *self)
{
    const Txn *outer;

    for (outer = self->outer; outer != NULL; outer = outer->outer)
        if (outer->handle == NULL)
            return 1;
    return 0;
}

kv_txn *keelkv_txn_handle(Txn *self)
{
    if (self->handle == NULL)
        keelkv_raise_closed("the transaction has ended; begin another one");
    else if (outer_ended(self))
        keelkv_raise_closed("the transaction has ended with the one in which it was nested; begin another one");
    else if (self->db == NULL || self->db->handle == NULL)
        keelkv_raise_closed("the database of this transaction is closed; open it again with keelkv.open()");
    else
        return self->handle;
    return NULL;
}

int keelkv_begin_write(kv_db *db, kv_txn_options *options, kv_txn **handle, kv_status *status)
{
    int64_t left = options->wait_ms;
    int listens = PyThread_get_thread_ident() == keelkv_main_thread && !(options->flags & KV_TXN_NOWAIT);

    for (;;) {
        if (listens)
            options->wait_ms = left < 0 || left > SIGNALS_MS ? SIGNALS_MS : left;
        Py_BEGIN_ALLOW_THREADS
        *status = kv_txn_begin(db, KV_WRITE, options, handle);
        Py_END_ALLOW_THREADS
        if (*status != KV_BUSY || !listens)
            return 0;
        if (left >= 0 && (left -= options->wait_ms) <= 0)
            return 0;
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

static int txn_init(Txn *self, PyObject *args, PyObject *Py_UNUSED(kwds))
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    unsigned int kind, flags = 0, durability = 0;
    long long wait_ms = -1;
    unsigned long long write_memory = 0, commit = 0, time = 0;
    const char *snapshot = NULL;
    Py_ssize_t snapshot_len = 0;
    Database *db;
    kv_txn *handle = NULL;
    kv_status status;

    if (!PyArg_ParseTuple(args, "O!I|IILKz#KK", keelkv_database_type, &db, &kind, &flags, &durability, &wait_ms,
            &write_memory, &snapshot, &snapshot_len, &commit, &time))
        return -1;
    if (self->db != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this transaction was begun already; begin another one");
        return -1;
    }
    if (db->handle == NULL) {
        keelkv_raise_closed("the database is closed; open it again with keelkv.open()");
        return -1;
    }
    options.flags = flags;
    options.durability = durability;
    options.wait_ms = wait_ms;
    options.write_memory = write_memory;
    options.snapshot.data = snapshot;
    options.snapshot.len = (size_t)snapshot_len;
    options.commit = commit;
    options.time = time;
    self->db = (Database *)Py_NewRef((PyObject *)db);
    if (kind == KV_WRITE) {
        if (keelkv_begin_write(db->handle, &options, &handle, &status) < 0)
            return -1;
    } else {
        status = kv_txn_begin(db->handle, kind, &options, &handle);
    }
    if (status != KV_OK) {
        keelkv_raise(status, db->path);
        return -1;
    }
    self->write = kind == KV_WRITE;
    self->handle = handle;
    return 0;
}

/* ---- the end ---- */

PyObject *keelkv_txn_finish(Txn *self, int durable)
{
    kv_txn *handle = keelkv_txn_handle(self);
    uint64_t id = 0;
    kv_status status;

    if (handle == NULL)
        return NULL;
    take_handle(self);
    Py_BEGIN_ALLOW_THREADS
    status = durable ? kv_txn_commit(handle, &id) : kv_txn_commit_async(handle, &id);
    Py_END_ALLOW_THREADS
    if (status == KV_BUSY)
        self->handle = handle; /* nothing was done */
    return keelkv_number(status, self->db->path, id);
}

static PyObject *txn_commit(Txn *self, PyObject *Py_UNUSED(ignored))
{
    return keelkv_txn_finish(self, 1);
}

static PyObject *txn_commit_async(Txn *self, PyObject *Py_UNUSED(ignored))
{
    return keelkv_txn_finish(self, 0);
}

PyObject *keelkv_txn_abort(Txn *self)
{
    kv_txn *handle = self->handle;
    uint64_t id;
    kv_status status;

    abort_handle(self);
    /* In a callback of a call that uses the transaction or one nested in it, kv_txn_abort() does nothing. */
    if (handle != NULL && self->db->handle != NULL) {
        status = kv_txn_id(handle, &id);
        if (status == KV_OK || status == KV_CHILD_OPEN)
            self->handle = handle;
    }
    Py_RETURN_NONE;
}

static PyObject *txn_abort(Txn *self, PyObject *Py_UNUSED(ignored))
{
    return keelkv_txn_abort(self);
}

static PyObject *txn_refresh(Txn *self, PyObject *Py_UNUSED(ignored))
{
    kv_txn *handle = keelkv_txn_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_txn_refresh(handle);
    if (status != KV_OK)
        return keelkv_raise(status, self->db->path);
    self->changes++;
    Py_RETURN_NONE;
}

static PyObject *txn_id(Txn *self, PyObject *Py_UNUSED(ignored))
{
    kv_txn *handle = keelkv_txn_handle(self);
    uint64_t id = 0;
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_txn_id(handle, &id);
    return keelkv_number(status, self->db->path, id);
}

static PyObject *txn_stat(Txn *self, PyObject *Py_UNUSED(ignored))
{
    kv_txn_stat s = KV_TXN_STAT_INIT;
    kv_txn *handle = keelkv_txn_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_stat_txn(handle, &s);
    return keelkv_figures_of(status, self->db->path, &s, keelkv_txn_stat_figures);
}

/* ---- tables ---- */

PyObject *keelkv_txn_changed(Txn *self, kv_status status)
{
    self->changes++;
    return keelkv_none(status, self->db->path);
}

static PyObject *txn_table_open(Txn *self, PyObject *args)
{
    const char *name;
    Py_ssize_t len;
    kv_table table = 0;
    kv_txn *handle;
    kv_status status;

    if (!PyArg_ParseTuple(args, "y#", &name, &len) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    status = kv_table_open(handle, name, (size_t)len, &table);
    return keelkv_number(status, self->db->path, table);
}

static PyObject *txn_table_create(Txn *self, PyObject *args)
{
    kv_table_options options = KV_TABLE_OPTIONS_INIT;
    const char *name;
    Py_ssize_t len;
    unsigned int flags;
    kv_table table = 0;
    kv_txn *handle;
    kv_status status;

    if (!PyArg_ParseTuple(args, "y#I", &name, &len, &flags) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    options.flags = flags;
    self->changes++;
    status = kv_table_create(handle, name, (size_t)len, &options, &table);
    return keelkv_number(status, self->db->path, table);
}

/* (table, text): gives a table a name or a note. */
static PyObject *table_gets(Txn *self, PyObject *args,
    kv_status (*give)(kv_txn *txn, kv_table table, const void *text, size_t len))
{
    const char *text;
    Py_ssize_t len;
    unsigned long long table;
    kv_txn *handle;

    if (!PyArg_ParseTuple(args, "Ky#", &table, &text, &len) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, give(handle, table, text, (size_t)len));
}

static PyObject *txn_table_rename(Txn *self, PyObject *args)
{
    return table_gets(self, args, kv_table_rename);
}

static PyObject *txn_table_set_note(Txn *self, PyObject *args)
{
    return table_gets(self, args, kv_table_set_note);
}

static PyObject *table_loses(Txn *self, PyObject *number, kv_status (*take)(kv_txn *txn, kv_table table))
{
    kv_table table = 0;
    kv_txn *handle;

    if (keelkv_u64(number, &table) < 0 || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, take(handle, table));
}

static PyObject *txn_table_clear(Txn *self, PyObject *number)
{
    return table_loses(self, number, kv_table_clear);
}

static PyObject *txn_table_drop(Txn *self, PyObject *number)
{
    return table_loses(self, number, kv_table_drop);
}

static PyObject *txn_table_text(Txn *self, PyObject *number,
    kv_status (*ask)(const kv_txn *txn, kv_table table, kv_slice *text))
{
    kv_table table = 0;
    kv_slice text;
    kv_txn *handle;
    kv_status status;

    if (keelkv_u64(number, &table) < 0 || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    status = ask(handle, table, &text);
    return status != KV_OK ? keelkv_raise(status, self->db->path) : keelkv_bytes(text);
}

static PyObject *txn_table_name(Txn *self, PyObject *number)
{
    return txn_table_text(self, number, kv_table_name);
}

static PyObject *txn_table_note(Txn *self, PyObject *number)
{
    return txn_table_text(self, number, kv_table_note);
}

static PyObject *txn_stat_table(Txn *self, PyObject *args)
{
    kv_table_stat s = KV_TABLE_STAT_INIT;
    unsigned long long table;
    unsigned int level;
    kv_txn *handle;
    kv_status status;

    if (!PyArg_ParseTuple(args, "KI", &table, &level) || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    status = kv_stat_table(handle, table, level, &s);
    return keelkv_figures_of(status, self->db->path, &s, keelkv_table_stat_figures);
}

/* ---- maintenance ---- */

static PyObject *txn_check(Txn *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_txn *handle = keelkv_txn_handle(self);
    if (handle == NULL || keelkv_arity("_check", nargs, 3, 3) < 0)
        return NULL;
    return keelkv_check(NULL, handle, self->db->path, args);
}

static PyObject *txn_backup(Txn *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_txn *handle = keelkv_txn_handle(self);
    if (handle == NULL || keelkv_arity("_backup", nargs, 4, 4) < 0)
        return NULL;
    return keelkv_backup(NULL, handle, args);
}

static PyObject *txn_backup_stream(Txn *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_txn *handle = keelkv_txn_handle(self);
    if (handle == NULL || keelkv_arity("_backup_stream", nargs, 3, 3) < 0)
        return NULL;
    return keelkv_backup_stream(handle, self->db->path, args);
}

static PyObject *txn_ended(Txn *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->handle == NULL || self->db->handle == NULL || outer_ended(self));
}

static PyObject *txn_writes(Txn *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->write);
}

static PyMethodDef txn_methods[] = {
    {"commit", (PyCFunction)txn_commit, METH_NOARGS, NULL},
    {"commit_async", (PyCFunction)txn_commit_async, METH_NOARGS, NULL},
    {"abort", (PyCFunction)txn_abort, METH_NOARGS, NULL},
    {"refresh", (PyCFunction)txn_refresh, METH_NOARGS, NULL},
    {"id", (PyCFunction)txn_id, METH_NOARGS, NULL},
    {"stat", (PyCFunction)txn_stat, METH_NOARGS, NULL},
    {"table_open", (PyCFunction)txn_table_open, METH_VARARGS, NULL},
    {"table_create", (PyCFunction)txn_table_create, METH_VARARGS, NULL},
    {"table_rename", (PyCFunction)txn_table_rename, METH_VARARGS, NULL},
    {"table_clear", (PyCFunction)txn_table_clear, METH_O, NULL},
    {"table_drop", (PyCFunction)txn_table_drop, METH_O, NULL},
    {"table_name", (PyCFunction)txn_table_name, METH_O, NULL},
    {"table_note", (PyCFunction)txn_table_note, METH_O, NULL},
    {"table_set_note", (PyCFunction)txn_table_set_note, METH_VARARGS, NULL},
    {"stat_table", (PyCFunction)txn_stat_table, METH_VARARGS, NULL},
    {"snapshot_create", (PyCFunction)keelkv_txn_snapshot_create, METH_VARARGS, NULL},
    {"snapshot_rename", (PyCFunction)keelkv_txn_snapshot_rename, METH_VARARGS, NULL},
    {"snapshot_drop", (PyCFunction)keelkv_txn_snapshot_drop, METH_VARARGS, NULL},
    {"snapshot_keep", (PyCFunction)keelkv_txn_snapshot_keep, METH_VARARGS, NULL},
    {"snapshot_release", (PyCFunction)keelkv_txn_snapshot_release, METH_VARARGS, NULL},
    {"snapshot_ranges", (PyCFunction)(void (*)(void))keelkv_txn_snapshot_ranges, METH_FASTCALL, NULL},
    {"revert", (PyCFunction)keelkv_txn_revert, METH_VARARGS, NULL},
    {"savepoint_create", (PyCFunction)keelkv_txn_savepoint_create, METH_NOARGS, NULL},
    {"savepoint_rollback", (PyCFunction)keelkv_txn_savepoint_rollback, METH_O, NULL},
    {"savepoint_release", (PyCFunction)keelkv_txn_savepoint_release, METH_O, NULL},
    {"nest", (PyCFunction)keelkv_txn_nest, METH_NOARGS, NULL},
    {"diff", (PyCFunction)(void (*)(void))keelkv_txn_diff, METH_FASTCALL, NULL},
    {"diff_count", (PyCFunction)(void (*)(void))keelkv_txn_diff_count, METH_FASTCALL, NULL},
    {"same", (PyCFunction)keelkv_txn_same, METH_VARARGS, NULL},
    {"stat_snapshot", (PyCFunction)keelkv_txn_stat_snapshot, METH_VARARGS, NULL},
    {"set_history", (PyCFunction)keelkv_txn_set_history, METH_O, NULL},
    {"history", (PyCFunction)keelkv_txn_history, METH_NOARGS, NULL},
    {"snapshot_thin", (PyCFunction)keelkv_txn_snapshot_thin, METH_VARARGS, NULL},
    {"check", (PyCFunction)(void (*)(void))txn_check, METH_FASTCALL, NULL},
    {"backup", (PyCFunction)(void (*)(void))txn_backup, METH_FASTCALL, NULL},
    {"backup_stream", (PyCFunction)(void (*)(void))txn_backup_stream, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef txn_getset[] = {
    {"ended", (getter)txn_ended, NULL, NULL, NULL},
    {"writes", (getter)txn_writes, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot txn_slots[] = {
    {Py_tp_new, keelkv_new},
    {Py_tp_init, txn_init},
    {Py_tp_dealloc, txn_dealloc},
    {Py_tp_traverse, txn_traverse},
    {Py_tp_clear, txn_clear},
    {Py_tp_methods, txn_methods},
    {Py_tp_getset, txn_getset},
    {0, NULL},
};

PyType_Spec keelkv_txn_spec = {
    .name = "keelkv._keelkv.TxnCore",
    .basicsize = sizeof(Txn),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = txn_slots,
};
