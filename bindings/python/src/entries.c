/* entries.c: EntriesCore, one table as one transaction sees it: the mapping, single entries, counts. */
#include "keelkv.h"

static int entries_traverse(Entries *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->txn);
    return keelkv_codec_traverse(&self->codec, visit, arg);
}

static int entries_clear(Entries *self)
{
    Py_CLEAR(self->txn);
    keelkv_codec_clear(&self->codec);
    return 0;
}

static void entries_dealloc(Entries *self)
{
    PyObject_GC_UnTrack(self);
    entries_clear(self);
    keelkv_free((PyObject *)self);
}

static int entries_init(Entries *self, PyObject *args, PyObject *Py_UNUSED(kwds))
{
    PyObject *txn, *number, *codec, *former;
    kv_table table = 0;

    if (!PyArg_ParseTuple(args, "O!OO", keelkv_txn_type, &txn, &number, &codec) || keelkv_u64(number, &table) < 0 ||
        keelkv_codec_set(&self->codec, codec) < 0)
        return -1;
    former = (PyObject *)self->txn;
    self->txn = (Txn *)Py_NewRef(txn);
    self->table = table;
    Py_XDECREF(former);
    return 0;
}

kv_txn *keelkv_entries_handle(Entries *self)
{
    if (self->txn != NULL)
        return keelkv_txn_handle(self->txn);
    keelkv_raise_closed("this table was made without a transaction; get tables from Transaction.table()");
    return NULL;
}

kv_txn *keelkv_entries_writable(Entries *self)
{
    kv_txn *handle = keelkv_entries_handle(self);
    if (handle != NULL)
        self->txn->changes++;
    return handle;
}

/* For a status of a call that keelkv_entries_handle() went before. */
static PyObject *raise_status(Entries *self, kv_status status)
{
    return keelkv_raise(status, self->txn->db->path);
}

/* ---- reading ---- */

/* The bytes of a value; NULL without an exception if the key does not exist. */
static PyObject *lookup(Entries *self, PyObject *key)
{
    Input input;
    kv_slice slice;
    PyObject *value = NULL;
    kv_txn *handle;
    kv_status status;

    if (keelkv_input_key(&self->codec, key, &input) < 0)
        return NULL;
    if ((handle = keelkv_entries_handle(self)) != NULL) {
        status = kv_get(handle, self->table, input.data, input.len, &slice);
        if (status == KV_OK)
            value = keelkv_bytes(slice);
        else if (status != KV_NOTFOUND)
            raise_status(self, status);
    }
    keelkv_input_release(&input);
    return keelkv_decode_value(&self->codec, value);
}

static PyObject *entries_subscript(Entries *self, PyObject *key)
{
    PyObject *value = lookup(self, key);
    return value != NULL || PyErr_Occurred() ? value : keelkv_raise_key(key);
}

/* The second argument of a method with a key and an optional `default`; NULL with an exception. */
static PyObject *default_of(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
    PyObject *otherwise)
{
    Py_ssize_t named = kwnames != NULL ? PyTuple_Size(kwnames) : 0;

    if (nargs == 1 && named == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GetItem(kwnames, 0), "default") == 0)
        return args[1];
    if (named == 0 && nargs == 1)
        return otherwise;
    if (named == 0 && nargs == 2)
        return args[1];
    PyErr_Format(PyExc_TypeError, "%s() takes a key and a default", name);
    return NULL;
}

static PyObject *entries_get(Entries *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *value, *otherwise = default_of("get", args, nargs, kwnames, Py_None);

    if (otherwise == NULL)
        return NULL;
    value = lookup(self, args[0]);
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(otherwise);
}

static int entries_contains(Entries *self, PyObject *key)
{
    Input input;
    kv_txn *handle;
    kv_status status = KV_PANIC;

    if (keelkv_input_key(&self->codec, key, &input) < 0)
        return -1;
    if ((handle = keelkv_entries_handle(self)) != NULL) {
        status = kv_get(handle, self->table, input.data, input.len, NULL);
        if (status != KV_OK && status != KV_NOTFOUND)
            raise_status(self, status);
    }
    keelkv_input_release(&input);
    return status == KV_OK ? 1 : status == KV_NOTFOUND ? 0 : -1;
}

static Py_ssize_t entries_length(Entries *self)
{
    uint64_t count = 0;
    kv_txn *handle = keelkv_entries_handle(self);
    kv_status status;

    if (handle == NULL)
        return -1;
    status = kv_count(handle, self->table, NULL, &count);
    if (status != KV_OK) {
        raise_status(self, status);
        return -1;
    }
    return (Py_ssize_t)count;
}

static PyObject *entries_count(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_range range;
    Input inputs[3];
    uint64_t count = 0;
    PyObject *answer = NULL;
    kv_txn *handle;
    kv_status status;

    if (keelkv_arity("_count", nargs, 4, 4) < 0 || keelkv_range(args, &range, inputs) < 0)
        return NULL;
    if ((handle = keelkv_entries_handle(self)) != NULL) {
        status = kv_count(handle, self->table, &range, &count);
        answer = status == KV_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(self, status);
    }
    keelkv_range_release(inputs);
    return answer;
}

static PyObject *entries_rank(Entries *self, PyObject *key)
{
    Input input;
    uint64_t rank = 0;
    PyObject *answer = NULL;
    kv_txn *handle;
    kv_status status;

    if (keelkv_input_key(&self->codec, key, &input) < 0)
        return NULL;
    if ((handle = keelkv_entries_handle(self)) != NULL) {
        status = kv_rank(handle, self->table, input.data, input.len, &rank);
        answer = status == KV_OK ? PyLong_FromUnsignedLongLong(rank) : raise_status(self, status);
    }
    keelkv_input_release(&input);
    return answer;
}

/* The length of a value, or None. */
static PyObject *entries_value_len(Entries *self, PyObject *key)
{
    Input input;
    kv_value_stat stat = KV_VALUE_STAT_INIT;
    PyObject *answer = NULL;
    kv_txn *handle;
    kv_status status;

    if (keelkv_input_key(&self->codec, key, &input) < 0)
        return NULL;
    if ((handle = keelkv_entries_handle(self)) != NULL) {
        status = kv_stat_value(handle, self->table, input.data, input.len, &stat);
        answer = status == KV_OK         ? PyLong_FromUnsignedLongLong(stat.len)
                 : status == KV_NOTFOUND ? Py_NewRef(Py_None)
                                         : raise_status(self, status);
    }
    keelkv_input_release(&input);
    return answer;
}

/* A part of a value, or None: (key, offset, size). */
static PyObject *entries_value_read(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    Input input;
    uint64_t offset = 0, size = 0;
    size_t got = 0;
    PyObject *bytes, *answer = NULL;
    kv_txn *handle;
    kv_status status;

    if (keelkv_arity("_value_read", nargs, 3, 3) < 0 || keelkv_u64(args[1], &offset) < 0 ||
        keelkv_u64(args[2], &size) < 0)
        return NULL;
    if (size > (uint64_t)PY_SSIZE_T_MAX) {
        PyErr_SetString(PyExc_OverflowError, "the part of a value is larger than memory can be");
        return NULL;
    }
    /* Small sizes share one object, which must not be written to. */
    if ((bytes = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)size)) == NULL)
        return NULL;
    if (keelkv_input_key(&self->codec, args[0], &input) < 0)
        goto done;
    if ((handle = keelkv_entries_handle(self)) != NULL) {
        status = kv_value_read(handle, self->table, input.data, input.len, offset, PyByteArray_AsString(bytes),
            (size_t)size, &got);
        answer = status == KV_OK ? PyBytes_FromStringAndSize(PyByteArray_AsString(bytes), (Py_ssize_t)got)
                 : status == KV_NOTFOUND ? Py_NewRef(Py_None)
                                         : raise_status(self, status);
    }
    keelkv_input_release(&input);
done:
    Py_DECREF(bytes);
    return answer;
}

/* ---- writing ---- */

int keelkv_store(Entries *self, PyObject *key, PyObject *value, uint32_t flags)
{
    Input k, v;
    kv_txn *handle;
    kv_status status;
    int failed = -1;

    if (keelkv_input_key(&self->codec, key, &k) < 0)
        return -1;
    if (keelkv_input_value(&self->codec, value, &v) < 0) {
        keelkv_input_release(&k);
        return -1;
    }
    if ((handle = keelkv_entries_writable(self)) != NULL) {
        status = kv_put(handle, self->table, k.data, k.len, v.data, v.len, flags);
        if (status == KV_OK)
            failed = 0;
        else if (status == KV_NOTFOUND)
            keelkv_raise_key(key);
        else
            raise_status(self, status);
    }
    keelkv_input_release(&k);
    keelkv_input_release(&v);
    return failed;
}

/* 1: deleted; 0: there was no such key; -1: an exception. */
static int discard(Entries *self, PyObject *key, uint32_t flags)
{
    Input k;
    kv_txn *handle;
    kv_status status = KV_PANIC;

    if (keelkv_input_key(&self->codec, key, &k) < 0)
        return -1;
    if ((handle = keelkv_entries_writable(self)) != NULL) {
        status = kv_delete(handle, self->table, k.data, k.len, flags);
        if (status != KV_OK && status != KV_NOTFOUND)
            raise_status(self, status);
    }
    keelkv_input_release(&k);
    return status == KV_OK ? 1 : status == KV_NOTFOUND ? 0 : -1;
}

static int entries_ass_subscript(Entries *self, PyObject *key, PyObject *value)
{
    int deleted;

    if (value != NULL)
        return keelkv_store(self, key, value, 0);
    deleted = discard(self, key, 0);
    if (deleted == 0)
        keelkv_raise_key(key);
    return deleted == 1 ? 0 : -1;
}

static PyObject *entries_put(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    uint32_t flags = 0;

    if (keelkv_arity("put", nargs, 2, 3) < 0 || (nargs == 3 && keelkv_u32(args[2], &flags) < 0) ||
        keelkv_store(self, args[0], args[1], flags) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *entries_delete(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    uint32_t flags = 0;
    int deleted;

    if (keelkv_arity("delete", nargs, 1, 2) < 0 || (nargs == 2 && keelkv_u32(args[1], &flags) < 0) ||
        (deleted = discard(self, args[0], flags)) < 0)
        return NULL;
    return PyBool_FromLong(deleted);
}

/* Puts an entry and answers the value that it replaces or that keeps it out, or None: (key, value, insert). */
static PyObject *entries_swap(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    Input k, v;
    kv_slice former = {NULL, 0};
    PyObject *answer = NULL;
    kv_txn *handle;
    kv_status status;
    int insert;

    if (keelkv_arity("_swap", nargs, 3, 3) < 0 || (insert = PyObject_IsTrue(args[2])) < 0 ||
        keelkv_input_key(&self->codec, args[0], &k) < 0)
        return NULL;
    if (keelkv_input_value(&self->codec, args[1], &v) < 0) {
        keelkv_input_release(&k);
        return NULL;
    }
    if ((handle = keelkv_entries_writable(self)) != NULL) {
        status = insert ? kv_insert(handle, self->table, k.data, k.len, v.data, v.len, &former)
                        : kv_replace(handle, self->table, k.data, k.len, v.data, v.len, 0, &former);
        if (status != KV_OK && !(insert && status == KV_EXISTS))
            raise_status(self, status);
        else if (status == KV_OK && (insert || former.data == NULL))
            answer = Py_NewRef(Py_None);
        else
            answer = keelkv_bytes(former);
    }
    keelkv_input_release(&k);
    keelkv_input_release(&v);
    return answer == Py_None ? answer : keelkv_decode_value(&self->codec, answer);
}

static PyObject *entries_pop(Entries *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Input k;
    kv_slice slice;
    PyObject *missing, *value = NULL;
    kv_txn *handle;
    kv_status status = KV_PANIC;

    if (nargs == 1 && (kwnames == NULL || PyTuple_Size(kwnames) == 0))
        missing = NULL;
    else if ((missing = default_of("pop", args, nargs, kwnames, NULL)) == NULL)
        return NULL;
    if (keelkv_input_key(&self->codec, args[0], &k) < 0)
        return NULL;
    if ((handle = keelkv_entries_writable(self)) != NULL) {
        status = kv_take(handle, self->table, k.data, k.len, &slice);
        if (status == KV_OK)
            value = keelkv_bytes(slice);
        else if (status != KV_NOTFOUND)
            raise_status(self, status);
    }
    keelkv_input_release(&k);
    if (status == KV_NOTFOUND)
        return missing != NULL ? Py_NewRef(missing) : keelkv_raise_key(args[0]);
    return keelkv_decode_value(&self->codec, value);
}

/* Deletes the first entry of a range and answers it, or None. */
static PyObject *entries_take_first(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_range range;
    kv_slice k, v;
    Input inputs[3];
    PyObject *key = NULL, *value = NULL;
    kv_txn *handle;
    kv_status status = KV_PANIC;

    if (keelkv_arity("_take_first", nargs, 4, 4) < 0 || keelkv_range(args, &range, inputs) < 0)
        return NULL;
    if ((handle = keelkv_entries_writable(self)) != NULL) {
        status = kv_take_first(handle, self->table, &range, &k, &v);
        if (status == KV_OK) {
            key = keelkv_bytes(k);
            value = keelkv_bytes(v);
        } else if (status != KV_NOTFOUND) {
            raise_status(self, status);
        }
    }
    keelkv_range_release(inputs);
    if (status == KV_NOTFOUND)
        Py_RETURN_NONE;
    return keelkv_pair(&self->codec, key, value);
}

static PyObject *entries_delete_range(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_range range;
    Input inputs[3];
    uint64_t deleted = 0;
    PyObject *answer = NULL;
    kv_txn *handle;
    kv_status status;

    if (keelkv_arity("_delete_range", nargs, 4, 4) < 0 || keelkv_range(args, &range, inputs) < 0)
        return NULL;
    if ((handle = keelkv_entries_writable(self)) != NULL) {
        status = kv_delete_range(handle, self->table, &range, &deleted);
        answer = status == KV_OK ? PyLong_FromUnsignedLongLong(deleted) : raise_status(self, status);
    }
    keelkv_range_release(inputs);
    return answer;
}

/* ---- what other files have ---- */

static PyObject *entries_get_many(Entries *self, PyObject *keys)
{
    return keelkv_get_many(self, keys);
}

static PyObject *entries_put_many(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    return keelkv_arity("_put_many", nargs, 2, 2) < 0 ? NULL : keelkv_put_many(self, args);
}

static PyObject *entries_view(Entries *self, PyObject *key)
{
    return keelkv_view(self, key);
}

static PyObject *entries_scan(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    return keelkv_arity("_scan", nargs, 6, 6) < 0 ? NULL : keelkv_scan_new(self, args);
}

static PyObject *entries_cursor(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    return keelkv_arity("_cursor", nargs, 4, 4) < 0 ? NULL : keelkv_cursor_new(self, args);
}

static PyObject *entries_writer(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    return keelkv_arity("_writer", nargs, 3, 3) < 0 ? NULL : keelkv_writer_new(self, args);
}

static PyObject *entries_txn(Entries *self, void *Py_UNUSED(closure))
{
    return self->txn != NULL ? Py_NewRef((PyObject *)self->txn)
                             : keelkv_raise_closed("this table was made without a transaction");
}

static PyObject *entries_codec(Entries *self, void *Py_UNUSED(closure))
{
    return keelkv_codec_get(&self->codec);
}

static PyObject *entries_number(Entries *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(self->table);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef entries_methods[] = {
    {"get", FAST(entries_get), METH_FASTCALL | METH_KEYWORDS,
        "get($self, key, default=None)\n--\n\nThe value of a key, or the default."},
    {"put", FAST(entries_put), METH_FASTCALL,
        "put($self, key, value, flags=0, /)\n--\n\nPuts an entry; flags are NO_OVERWRITE, NO_INSERT or APPEND."},
    {"delete", FAST(entries_delete), METH_FASTCALL,
        "delete($self, key, flags=0, /)\n--\n\nDeletes an entry and tells whether there was one."},
    {"pop", FAST(entries_pop), METH_FASTCALL | METH_KEYWORDS,
        "Deletes an entry and returns its value, or the default if there is one."},
    {"get_many", (PyCFunction)entries_get_many, METH_O,
        "get_many($self, keys, /)\n--\n\nThe values of many keys, with None for those that do not exist."},
    {"view", (PyCFunction)entries_view, METH_O,
        "view($self, key, /)\n--\n\nA value as a memoryview that stays valid after the transaction."},
    {"_swap", FAST(entries_swap), METH_FASTCALL, NULL},
    {"_take_first", FAST(entries_take_first), METH_FASTCALL, NULL},
    {"_delete_range", FAST(entries_delete_range), METH_FASTCALL, NULL},
    {"_put_many", FAST(entries_put_many), METH_FASTCALL, NULL},
    {"_count", FAST(entries_count), METH_FASTCALL, NULL},
    {"_rank", (PyCFunction)entries_rank, METH_O, NULL},
    {"_value_len", (PyCFunction)entries_value_len, METH_O, NULL},
    {"_value_read", FAST(entries_value_read), METH_FASTCALL, NULL},
    {"_scan", FAST(entries_scan), METH_FASTCALL, NULL},
    {"_cursor", FAST(entries_cursor), METH_FASTCALL, NULL},
    {"_writer", FAST(entries_writer), METH_FASTCALL, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef entries_getset[] = {
    {"_txn", (getter)entries_txn, NULL, NULL, NULL},
    {"_number", (getter)entries_number, NULL, NULL, NULL},
    {"_codec", (getter)entries_codec, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot entries_slots[] = {
    {Py_tp_new, keelkv_new},
    {Py_tp_init, entries_init},
    {Py_tp_dealloc, entries_dealloc},
    {Py_tp_traverse, entries_traverse},
    {Py_tp_clear, entries_clear},
    {Py_tp_methods, entries_methods},
    {Py_tp_getset, entries_getset},
    {Py_mp_subscript, entries_subscript},
    {Py_mp_ass_subscript, entries_ass_subscript},
    {Py_mp_length, entries_length},
    {Py_sq_contains, entries_contains},
    {0, NULL},
};

PyType_Spec keelkv_entries_spec = {
    .name = "keelkv._keelkv.EntriesCore",
    .basicsize = sizeof(Entries),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = entries_slots,
};
