/* cursor.c: CursorCore, a position in a table that is moved step by step. */
#include "keelkv.h"

typedef struct Cursor {
    PyObject_HEAD
    Txn *txn; /* NULL when the cursor is closed */
    kv_cursor *handle;
    Codec codec;
} Cursor;

static int cursor_traverse(Cursor *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->txn);
    return keelkv_codec_traverse(&self->codec, visit, arg);
}

static int cursor_clear(Cursor *self)
{
    kv_cursor *handle = self->handle;

    self->handle = NULL;
    kv_cursor_close(handle); /* ignored if the transaction has ended */
    Py_CLEAR(self->txn);
    keelkv_codec_clear(&self->codec);
    return 0;
}

static void cursor_dealloc(Cursor *self)
{
    PyObject_GC_UnTrack(self);
    cursor_clear(self);
    keelkv_free((PyObject *)self);
}

PyObject *keelkv_cursor_new(Entries *entries, PyObject *const *args)
{
    kv_range range;
    Input inputs[3];
    kv_txn *handle;
    kv_status status;
    Cursor *self = (Cursor *)keelkv_new(keelkv_cursor_type, NULL, NULL);

    if (self == NULL)
        return NULL;
    if (keelkv_range(args, &range, inputs) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if ((handle = keelkv_entries_handle(entries)) == NULL)
        goto failed;
    keelkv_codec_copy(&self->codec, &entries->codec);
    status = kv_cursor_open(handle, entries->table, &range, &self->handle);
    if (status != KV_OK) {
        keelkv_raise(status, entries->txn->db->path);
        goto failed;
    }
    self->txn = (Txn *)Py_NewRef((PyObject *)entries->txn);
    keelkv_range_release(inputs);
    return (PyObject *)self;
failed:
    keelkv_range_release(inputs);
    Py_DECREF(self);
    return NULL;
}

static kv_cursor *open_cursor(Cursor *self)
{
    if (self->txn == NULL) {
        keelkv_raise_closed("the cursor is closed; open another one");
        return NULL;
    }
    return keelkv_txn_handle(self->txn) != NULL ? self->handle : NULL;
}

/* The entry that a call answered, or None. */
static PyObject *entry(Cursor *self, kv_status status, kv_slice k, kv_slice v)
{
    PyObject *key, *value;

    if (status == KV_NOTFOUND)
        Py_RETURN_NONE;
    if (status != KV_OK)
        return keelkv_raise(status, self->txn->db->path);
    key = keelkv_bytes(k);
    value = keelkv_bytes(v);
    return keelkv_pair(&self->codec, key, value);
}

#define STEP(name)                                                         \
    static PyObject *cursor_##name(Cursor *self, PyObject *Py_UNUSED(ignored)) \
    {                                                                      \
        kv_slice k = {NULL, 0}, v = {NULL, 0};                             \
        kv_cursor *cursor = open_cursor(self);                             \
        kv_status status;                                                  \
                                                                           \
        if (cursor == NULL)                                                \
            return NULL;                                                   \
        status = kv_cursor_##name(cursor, &k, &v);                         \
        return entry(self, status, k, v);                                  \
    }

STEP(first)
STEP(last)
STEP(next)
STEP(prev)
STEP(get)
STEP(random)

static PyObject *cursor_seek(Cursor *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_slice k = {NULL, 0}, v = {NULL, 0};
    Input input;
    uint32_t how = KV_SEEK_GE;
    PyObject *answer = NULL;
    kv_cursor *cursor;

    if (keelkv_arity("seek", nargs, 1, 2) < 0 || (nargs == 2 && keelkv_u32(args[1], &how) < 0) ||
        keelkv_input_key(&self->codec, args[0], &input) < 0)
        return NULL;
    if ((cursor = open_cursor(self)) != NULL) {
        kv_status status = kv_cursor_seek(cursor, input.data, input.len, how, &k, &v);
        answer = entry(self, status, k, v);
    }
    keelkv_input_release(&input);
    return answer;
}

static PyObject *cursor_nth(Cursor *self, PyObject *number)
{
    kv_slice k = {NULL, 0}, v = {NULL, 0};
    uint64_t n = 0;
    kv_cursor *cursor;
    kv_status status;

    if (keelkv_u64(number, &n) < 0 || (cursor = open_cursor(self)) == NULL)
        return NULL;
    status = kv_cursor_nth(cursor, n, &k, &v);
    return entry(self, status, k, v);
}

static PyObject *cursor_percentile(Cursor *self, PyObject *number)
{
    kv_slice k = {NULL, 0}, v = {NULL, 0};
    double percent = PyFloat_AsDouble(number);
    kv_cursor *cursor;
    kv_status status;

    if ((percent == -1.0 && PyErr_Occurred()) || (cursor = open_cursor(self)) == NULL)
        return NULL;
    status = kv_cursor_percentile(cursor, percent, &k, &v);
    return entry(self, status, k, v);
}

static PyObject *cursor_number(Cursor *self, kv_status (*ask)(kv_cursor *cursor, uint64_t *number))
{
    uint64_t number = 0;
    kv_cursor *cursor = open_cursor(self);
    kv_status status;

    if (cursor == NULL)
        return NULL;
    status = ask(cursor, &number);
    return status != KV_OK ? keelkv_raise(status, self->txn->db->path) : PyLong_FromUnsignedLongLong(number);
}

static PyObject *cursor_count(Cursor *self, PyObject *Py_UNUSED(ignored))
{
    return cursor_number(self, kv_cursor_count);
}

static PyObject *cursor_rank(Cursor *self, PyObject *Py_UNUSED(ignored))
{
    return cursor_number(self, kv_cursor_rank);
}

/* Both answer whether the cursor stood on an entry. */
static PyObject *written(Cursor *self, kv_status status)
{
    if (status != KV_OK && status != KV_NOTFOUND)
        return keelkv_raise(status, self->txn->db->path);
    return PyBool_FromLong(status == KV_OK);
}

static PyObject *cursor_put(Cursor *self, PyObject *value)
{
    Input input;
    PyObject *answer = NULL;
    kv_cursor *cursor;

    if (keelkv_input_value(&self->codec, value, &input) < 0)
        return NULL;
    if ((cursor = open_cursor(self)) != NULL) {
        self->txn->changes++;
        answer = written(self, kv_cursor_put(cursor, input.data, input.len));
    }
    keelkv_input_release(&input);
    return answer;
}

static PyObject *cursor_delete(Cursor *self, PyObject *Py_UNUSED(ignored))
{
    kv_cursor *cursor = open_cursor(self);

    if (cursor == NULL)
        return NULL;
    self->txn->changes++;
    return written(self, kv_cursor_delete(cursor));
}

static PyObject *cursor_close(Cursor *self, PyObject *Py_UNUSED(ignored))
{
    cursor_clear(self);
    Py_RETURN_NONE;
}

static PyMethodDef cursor_methods[] = {
    {"first", (PyCFunction)cursor_first, METH_NOARGS,
        "first($self, /)\n--\n\nMoves to the first entry and returns it; None if there is none."},
    {"last", (PyCFunction)cursor_last, METH_NOARGS,
        "last($self, /)\n--\n\nMoves to the last entry and returns it; None if there is none."},
    {"next", (PyCFunction)cursor_next, METH_NOARGS,
        "next($self, /)\n--\n\nMoves to the next entry and returns it, at first to the first; None at the end."},
    {"prev", (PyCFunction)cursor_prev, METH_NOARGS,
        "prev($self, /)\n--\n\nMoves to the previous entry and returns it; None at the beginning."},
    {"get", (PyCFunction)cursor_get, METH_NOARGS,
        "get($self, /)\n--\n\nThe entry on which the cursor stands; None if it stands on none."},
    {"random", (PyCFunction)cursor_random, METH_NOARGS,
        "random($self, /)\n--\n\nMoves to a random entry and returns it; None if there is none."},
    {"seek", (PyCFunction)(void (*)(void))cursor_seek, METH_FASTCALL,
        "seek($self, key, how=33, /)\n--\n\nMoves to a key, or to its neighbour with SEEK_GE, SEEK_GT, "
        "SEEK_LE or SEEK_LT, and returns the entry or None."},
    {"nth", (PyCFunction)cursor_nth, METH_O,
        "nth($self, number, /)\n--\n\nMoves to entry number `number` of the range, counted from "
        "0, and returns it; None if there are fewer."},
    {"percentile", (PyCFunction)cursor_percentile, METH_O,
        "percentile($self, percent, /)\n--\n\nMoves to the entry at a percentile from 0 to 100 and "
        "returns it; None if there is none."},
    {"count", (PyCFunction)cursor_count, METH_NOARGS,
        "count($self, /)\n--\n\nHow many entries the range has."},
    {"rank", (PyCFunction)cursor_rank, METH_NOARGS,
        "rank($self, /)\n--\n\nHow many entries of the range are before the current one."},
    {"put", (PyCFunction)cursor_put, METH_O,
        "put($self, value, /)\n--\n\nReplaces the value of the current entry, and tells whether "
        "the cursor stood on one."},
    {"delete", (PyCFunction)cursor_delete, METH_NOARGS,
        "delete($self, /)\n--\n\nDeletes the current entry, and tells whether the cursor stood on one."},
    {"close", (PyCFunction)cursor_close, METH_NOARGS,
        "close($self, /)\n--\n\nCloses the cursor, which its transaction does as well."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cursor_slots[] = {
    {Py_tp_dealloc, cursor_dealloc},
    {Py_tp_traverse, cursor_traverse},
    {Py_tp_clear, cursor_clear},
    {Py_tp_methods, cursor_methods},
    {0, NULL},
};

PyType_Spec keelkv_cursor_spec = {
    .name = "keelkv.Cursor",
    .basicsize = sizeof(Cursor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = cursor_slots,
};
