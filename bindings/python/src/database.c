/* database.c: DatabaseCore, an open database, with reads and writes of single entries in transactions of their own. */
#include "keelkv.h"

/* A value up to this length is copied once, from a buffer on the stack. */
#define SHORT_VALUE 4096

static int database_traverse(Database *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->path);
    return keelkv_codec_traverse(&self->codec, visit, arg);
}

static int database_clear(Database *self)
{
    Py_CLEAR(self->path);
    keelkv_codec_clear(&self->codec);
    return 0;
}

/* Closes the handle. After KV_BUSY the database is still open. */
static kv_status close_handle(Database *self)
{
    kv_db *handle = self->handle;
    kv_status status;

    if (handle == NULL)
        return KV_OK;
    self->handle = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = kv_close(handle);
    Py_END_ALLOW_THREADS
    if (status == KV_BUSY)
        self->handle = handle;
    /* What a parent opened is not open here, so there was nothing to close. */
    return status == KV_FORKED ? KV_OK : status;
}

static void database_dealloc(Database *self)
{
    PyObject_GC_UnTrack(self);
    if (self->handle != NULL) {
        PyObject *type, *value, *traceback;
        kv_status status;

        PyErr_Fetch(&type, &value, &traceback);
        /* In a callback of the library nothing can be closed. The handle stays then, and the process closes it. */
        status = close_handle(self);
        if (status != KV_OK) {
            keelkv_raise(status, self->path);
            PyErr_WriteUnraisable(NULL);
        }
        PyErr_Restore(type, value, traceback);
    }
    database_clear(self);
    keelkv_free((PyObject *)self);
}

/* The handle of an open database, or NULL with an exception. */
static kv_db *open_handle(Database *self)
{
    if (self->handle == NULL)
        keelkv_raise_closed("the database is closed; open it again with keelkv.open()");
    return self->handle;
}

/* ---- opening and closing ---- */

static PyObject *database_open(Database *self, PyObject *args)
{
    kv_options options = KV_OPTIONS_INIT;
    const char *path;
    unsigned int flags, page_size, durability, verify;
    long long wait_ms;
    unsigned long long write_memory;
    PyObject *name, *codec, *former;
    kv_db *handle = NULL;
    kv_status status;

    if (!PyArg_ParseTuple(args, "yIIIILKOO", &path, &flags, &page_size, &durability, &verify, &wait_ms, &write_memory,
            &name, &codec))
        return NULL;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this object has a database open already; make another one");
        return NULL;
    }
    if (keelkv_codec_set(&self->codec, codec) < 0)
        return NULL;
    former = self->path;
    self->path = Py_NewRef(name);
    Py_XDECREF(former);
    options.flags = flags;
    options.page_size = page_size;
    options.durability = durability;
    options.verify = verify;
    options.wait_ms = wait_ms;
    self->wait_ms = wait_ms > 0 ? wait_ms : -1;
    options.write_memory = write_memory;
    Py_BEGIN_ALLOW_THREADS
    status = kv_open(path, &options, &handle);
    Py_END_ALLOW_THREADS
    if (status != KV_OK)
        return keelkv_raise(status, self->path);
    if (self->handle != NULL) { /* another thread was faster */
        Py_BEGIN_ALLOW_THREADS
        (void)!kv_close(handle);
        Py_END_ALLOW_THREADS
        PyErr_SetString(PyExc_RuntimeError, "this object has a database open already; make another one");
        return NULL;
    }
    self->handle = handle;
    Py_RETURN_NONE;
}

static PyObject *database_close(Database *self, PyObject *Py_UNUSED(ignored))
{
    return keelkv_none(close_handle(self), self->path);
}

static PyObject *database_interrupt(Database *self, PyObject *Py_UNUSED(ignored))
{
    kv_interrupt(self->handle);
    Py_RETURN_NONE;
}

static PyObject *database_closed(Database *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->handle == NULL);
}

/* ---- commits ---- */

static PyObject *database_reclaim(Database *self, PyObject *Py_UNUSED(ignored))
{
    kv_db *handle = open_handle(self);
    uint64_t freed = 0;
    kv_status status;

    if (handle == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = kv_reclaim(handle, &freed);
    Py_END_ALLOW_THREADS
    return keelkv_number(status, self->path, freed);
}

static PyObject *database_snapshot_cost(Database *self, PyObject *args)
{
    kv_db *handle = open_handle(self);
    const char *first, *last;
    Py_ssize_t first_len, last_len;
    uint64_t pages = 0;
    kv_status status;

    if (handle == NULL || !PyArg_ParseTuple(args, "y#y#", &first, &first_len, &last, &last_len))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = kv_snapshot_cost(handle, first, (size_t)first_len, last, (size_t)last_len, &pages);
    Py_END_ALLOW_THREADS
    return keelkv_number(status, self->path, pages);
}

static PyObject *database_sync(Database *self, PyObject *Py_UNUSED(ignored))
{
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = kv_sync(handle);
    Py_END_ALLOW_THREADS
    return keelkv_none(status, self->path);
}

static PyObject *database_newest(Database *self, PyObject *Py_UNUSED(ignored))
{
    uint64_t visible = 0, durable = 0;
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_newest_commit(handle, &visible, &durable);
    if (status != KV_OK)
        return keelkv_raise(status, self->path);
    return Py_BuildValue("KK", (unsigned long long)visible, (unsigned long long)durable);
}

static PyObject *database_wait_durable(Database *self, PyObject *args)
{
    unsigned long long id;
    long long ms;
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL || !PyArg_ParseTuple(args, "KL", &id, &ms))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = kv_wait_durable(handle, id, ms);
    Py_END_ALLOW_THREADS
    return keelkv_none(status, self->path);
}

static PyObject *database_wait_commit(Database *self, PyObject *args)
{
    unsigned long long after;
    long long ms;
    uint64_t newest = 0;
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL || !PyArg_ParseTuple(args, "KL", &after, &ms))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = kv_wait_commit(handle, after, ms, &newest);
    Py_END_ALLOW_THREADS
    return keelkv_number(status, self->path, newest);
}

/* ---- single entries ---- */

/* The value of a key as bytes; NULL without an exception if it does not exist. `status` tells of the last call. */
static PyObject *database_lookup(Database *self, PyObject *key)
{
    char buffer[SHORT_VALUE];
    Input input;
    size_t len = 0;
    PyObject *value = NULL;
    kv_db *handle;
    kv_status status;

    if (keelkv_input_key(&self->codec, key, &input) < 0)
        return NULL;
    if ((handle = open_handle(self)) == NULL)
        goto done;
    status = kv_db_get(handle, KV_MAIN, input.data, input.len, buffer, sizeof(buffer), &len);
    if (status == KV_OK)
        value = PyBytes_FromStringAndSize(buffer, (Py_ssize_t)len);
    /* Somebody may make the value longer between two calls. */
    while (status == KV_TOO_SMALL) {
        size_t room = len;
        Py_XDECREF(value);
        value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
        if (value == NULL)
            goto done;
        status = kv_db_get(handle, KV_MAIN, input.data, input.len, PyBytes_AsString(value), room, &len);
        if (status == KV_OK && len < room) {
            PyObject *shorter = PyBytes_FromStringAndSize(PyBytes_AsString(value), (Py_ssize_t)len);
            Py_DECREF(value);
            value = shorter;
        }
    }
    if (status != KV_OK) {
        Py_CLEAR(value);
        if (status != KV_NOTFOUND)
            keelkv_raise(status, self->path);
    }
done:
    keelkv_input_release(&input);
    return keelkv_decode_value(&self->codec, value);
}

static PyObject *database_subscript(Database *self, PyObject *key)
{
    PyObject *value = database_lookup(self, key);
    return value != NULL || PyErr_Occurred() ? value : keelkv_raise_key(key);
}

static PyObject *database_get(Database *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *value, *otherwise = Py_None;

    if (kwnames != NULL && PyTuple_Size(kwnames) == 1 && nargs == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GetItem(kwnames, 0), "default") == 0)
        nargs = 2;
    else if (kwnames != NULL && PyTuple_Size(kwnames) != 0) {
        PyErr_SetString(PyExc_TypeError, "get() takes a key and a default");
        return NULL;
    }
    if (keelkv_arity("get", nargs, 1, 2) < 0)
        return NULL;
    if (nargs == 2)
        otherwise = args[1];
    value = database_lookup(self, args[0]);
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(otherwise);
}

static int database_contains(Database *self, PyObject *key)
{
    Input input;
    kv_db *handle;
    kv_status status = KV_OK;
    int failed = 0;

    if (keelkv_input_key(&self->codec, key, &input) < 0)
        return -1;
    if ((handle = open_handle(self)) == NULL)
        failed = 1;
    else if ((status = kv_db_get(handle, KV_MAIN, input.data, input.len, NULL, 0, NULL)) != KV_OK &&
             status != KV_NOTFOUND && status != KV_TOO_SMALL) {
        keelkv_raise(status, self->path);
        failed = 1;
    }
    keelkv_input_release(&input);
    return failed ? -1 : status != KV_NOTFOUND;
}

/* Puts an entry, or deletes it if `value` is NULL, in a write transaction of its own. -1: a signal handler raised. */
static int database_write(Database *self, const Input *key, const Input *value, uint32_t flags, kv_status *status)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn = NULL;

    options.wait_ms = self->wait_ms;
    if (keelkv_begin_write(self->handle, &options, &txn, status) < 0)
        return -1;
    if (*status != KV_OK)
        return 0;
    Py_BEGIN_ALLOW_THREADS
    *status = value != NULL ? kv_put(txn, KV_MAIN, key->data, key->len, value->data, value->len, flags)
                            : kv_delete(txn, KV_MAIN, key->data, key->len, 0);
    if (*status == KV_OK)
        *status = kv_txn_commit(txn, NULL);
    else
        kv_txn_abort(txn);
    Py_END_ALLOW_THREADS
    return 0;
}

static int database_store(Database *self, PyObject *key, PyObject *value, uint32_t flags)
{
    Input k, v;
    kv_status status = KV_OK;
    int failed = -1;

    if (keelkv_input_key(&self->codec, key, &k) < 0)
        return -1;
    if (value != NULL && keelkv_input_value(&self->codec, value, &v) < 0) {
        keelkv_input_release(&k);
        return -1;
    }
    if (open_handle(self) == NULL || database_write(self, &k, value != NULL ? &v : NULL, flags, &status) < 0)
        goto done;
    if (status == KV_NOTFOUND)
        keelkv_raise_key(key);
    else if (status != KV_OK)
        keelkv_raise(status, self->path);
    else
        failed = 0;
done:
    keelkv_input_release(&k);
    if (value != NULL)
        keelkv_input_release(&v);
    return failed;
}

static int database_ass_subscript(Database *self, PyObject *key, PyObject *value)
{
    return database_store(self, key, value, 0);
}

static PyObject *database_put(Database *self, PyObject *const *args, Py_ssize_t nargs)
{
    uint32_t flags = 0;

    if (keelkv_arity("_put", nargs, 3, 3) < 0 || keelkv_u32(args[2], &flags) < 0 ||
        database_store(self, args[0], args[1], flags) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- figures and maintenance ---- */

static PyObject *database_stat(Database *self, PyObject *Py_UNUSED(ignored))
{
    kv_db_stat s = KV_DB_STAT_INIT;
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_stat_db(handle, &s);
    return keelkv_figures_of(status, self->path, &s, keelkv_db_stat_figures);
}

static PyObject *database_identity(Database *self, PyObject *Py_UNUSED(ignored))
{
    kv_identity identity = KV_IDENTITY_INIT;
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL)
        return NULL;
    status = kv_db_identity(handle, &identity);
    if (status != KV_OK)
        return keelkv_raise(status, self->path);
    return Py_BuildValue("Iy#y", identity.format_version, (char *)identity.uuid, (Py_ssize_t)sizeof(identity.uuid),
        identity.path);
}

static PyObject *database_reader_at(Database *self, PyObject *index)
{
    kv_reader_info r = KV_READER_INFO_INIT;
    uint32_t i = 0;
    kv_db *handle = open_handle(self);
    kv_status status;

    if (handle == NULL || keelkv_u32(index, &i) < 0)
        return NULL;
    status = kv_reader_at(handle, i, &r);
    if (status == KV_NOTFOUND)
        Py_RETURN_NONE;
    return keelkv_figures_of(status, self->path, &r, keelkv_reader_figures);
}

static PyObject *database_check(Database *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_db *handle = open_handle(self);
    if (handle == NULL || keelkv_arity("_check", nargs, 3, 3) < 0)
        return NULL;
    return keelkv_check(handle, NULL, self->path, args);
}

static PyObject *database_compact(Database *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_db *handle = open_handle(self);
    if (handle == NULL || keelkv_arity("_compact", nargs, 3, 3) < 0)
        return NULL;
    return keelkv_compact(handle, self->path, args);
}

static PyObject *database_backup(Database *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_db *handle = open_handle(self);
    if (handle == NULL || keelkv_arity("_backup", nargs, 4, 4) < 0)
        return NULL;
    return keelkv_backup(handle, NULL, args);
}

static PyMethodDef database_methods[] = {
    {"_open", (PyCFunction)database_open, METH_VARARGS, NULL},
    {"_close", (PyCFunction)database_close, METH_NOARGS, NULL},
    {"_interrupt", (PyCFunction)database_interrupt, METH_NOARGS, NULL},
    {"_sync", (PyCFunction)database_sync, METH_NOARGS, NULL},
    {"_reclaim", (PyCFunction)database_reclaim, METH_NOARGS, NULL},
    {"_snapshot_cost", (PyCFunction)database_snapshot_cost, METH_VARARGS, NULL},
    {"_newest", (PyCFunction)database_newest, METH_NOARGS, NULL},
    {"_wait_durable", (PyCFunction)database_wait_durable, METH_VARARGS, NULL},
    {"_wait_commit", (PyCFunction)database_wait_commit, METH_VARARGS, NULL},
    {"get", (PyCFunction)(void (*)(void))database_get, METH_FASTCALL | METH_KEYWORDS,
        "get($self, key, default=None, /)\n--\n\nThe value of a key, or the default."},
    {"_put", (PyCFunction)(void (*)(void))database_put, METH_FASTCALL, NULL},
    {"_stat", (PyCFunction)database_stat, METH_NOARGS, NULL},
    {"_identity", (PyCFunction)database_identity, METH_NOARGS, NULL},
    {"_reader_at", (PyCFunction)database_reader_at, METH_O, NULL},
    {"_check", (PyCFunction)(void (*)(void))database_check, METH_FASTCALL, NULL},
    {"_compact", (PyCFunction)(void (*)(void))database_compact, METH_FASTCALL, NULL},
    {"_backup", (PyCFunction)(void (*)(void))database_backup, METH_FASTCALL, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef database_getset[] = {
    {"closed", (getter)database_closed, NULL, "Whether the database is closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot database_slots[] = {
    {Py_tp_new, keelkv_new},
    {Py_tp_dealloc, database_dealloc},
    {Py_tp_traverse, database_traverse},
    {Py_tp_clear, database_clear},
    {Py_tp_methods, database_methods},
    {Py_tp_getset, database_getset},
    {Py_mp_subscript, database_subscript},
    {Py_mp_ass_subscript, database_ass_subscript},
    {Py_sq_contains, database_contains},
    {0, NULL},
};

PyType_Spec keelkv_database_spec = {
    .name = "keelkv._keelkv.DatabaseCore",
    .basicsize = sizeof(Database),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = database_slots,
};
