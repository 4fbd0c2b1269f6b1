/* writer.c: WriterCore, a value that is written in parts. */
#include "keelkv.h"

/* Parts from this length on are written without the GIL, as they go to the file at once. */
#define LONG_PART 65536

typedef struct Writer {
    PyObject_HEAD
    Txn *txn; /* NULL when the writer is finished or closed */
    kv_writer *handle;
} Writer;

static int writer_traverse(Writer *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->txn);
    return 0;
}

static int writer_clear(Writer *self)
{
    kv_writer *handle = self->handle;

    self->handle = NULL;
    kv_writer_close(handle); /* ignored if it was finished, or if the transaction has ended */
    Py_CLEAR(self->txn);
    return 0;
}

static void writer_dealloc(Writer *self)
{
    PyObject_GC_UnTrack(self);
    writer_clear(self);
    keelkv_free((PyObject *)self);
}

/* (key, size_hint, flags) */
PyObject *keelkv_writer_new(Entries *entries, PyObject *const *args)
{
    Input key;
    uint64_t size_hint = 0;
    uint32_t flags = 0;
    kv_txn *handle;
    kv_status status;
    Writer *self;

    if (keelkv_u64(args[1], &size_hint) < 0 || keelkv_u32(args[2], &flags) < 0)
        return NULL;
    if ((self = (Writer *)keelkv_new(keelkv_writer_type, NULL, NULL)) == NULL)
        return NULL;
    if (keelkv_input_key(&entries->codec, args[0], &key) < 0) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    if ((handle = keelkv_entries_writable(entries)) != NULL) {
        status = kv_writer_open(handle, entries->table, key.data, key.len, size_hint, flags, &self->handle);
        if (status == KV_OK)
            self->txn = (Txn *)Py_NewRef((PyObject *)entries->txn);
        else if (status == KV_NOTFOUND)
            keelkv_raise_key(args[0]);
        else
            keelkv_raise(status, entries->txn->db->path);
    }
    keelkv_input_release(&key);
    if (self->txn == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static kv_writer *open_writer(Writer *self)
{
    if (self->txn == NULL) {
        keelkv_raise_closed("the writer is finished or closed; open another one");
        return NULL;
    }
    return keelkv_txn_handle(self->txn) != NULL ? self->handle : NULL;
}

static PyObject *writer_write(Writer *self, PyObject *data)
{
    Codec none = {NULL, NULL, NULL, NULL};
    Input part;
    PyObject *answer = NULL;
    kv_writer *handle;
    kv_status status;

    if (keelkv_input_value(&none, data, &part) < 0)
        return NULL;
    if ((handle = open_writer(self)) != NULL) {
        /* Another thread may close the writer while the GIL is away. */
        PyObject *txn = Py_NewRef((PyObject *)self->txn);
        if (part.len < LONG_PART) {
            status = kv_writer_write(handle, part.data, part.len);
        } else {
            Py_BEGIN_ALLOW_THREADS
            status = kv_writer_write(handle, part.data, part.len);
            Py_END_ALLOW_THREADS
        }
        answer = status == KV_OK ? PyLong_FromSize_t(part.len) : keelkv_raise(status, ((Txn *)txn)->db->path);
        Py_DECREF(txn);
    }
    keelkv_input_release(&part);
    return answer;
}

static PyObject *writer_finish(Writer *self, PyObject *Py_UNUSED(ignored))
{
    kv_writer *handle = open_writer(self);
    Txn *txn = self->txn;
    PyObject *answer = NULL;
    kv_status status;

    if (handle == NULL)
        return NULL;
    self->handle = NULL;
    self->txn = NULL;
    txn->changes++;
    status = kv_writer_finish(handle);
    answer = status == KV_OK ? Py_NewRef(Py_None) : keelkv_raise(status, txn->db->path);
    Py_DECREF((PyObject *)txn);
    return answer;
}

static PyObject *writer_close(Writer *self, PyObject *Py_UNUSED(ignored))
{
    writer_clear(self);
    Py_RETURN_NONE;
}

static PyObject *writer_closed(Writer *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->txn == NULL);
}

static PyObject *writer_enter(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *writer_exit(Writer *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (keelkv_arity("__exit__", nargs, 3, 3) < 0)
        return NULL;
    if (args[0] != Py_None || self->txn == NULL)
        return writer_close(self, NULL);
    return writer_finish(self, NULL);
}

static PyMethodDef writer_methods[] = {
    {"write", (PyCFunction)writer_write, METH_O,
        "write($self, data, /)\n--\n\nAppends bytes to the value and returns their number."},
    {"finish", (PyCFunction)writer_finish, METH_NOARGS,
        "finish($self, /)\n--\n\nPuts the entry with the value that was written."},
    {"close", (PyCFunction)writer_close, METH_NOARGS,
        "close($self, /)\n--\n\nGives up a value that was not finished."},
    {"__enter__", (PyCFunction)writer_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))writer_exit, METH_FASTCALL,
        "Finishes the value, or gives it up after an exception."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef writer_getset[] = {
    {"closed", (getter)writer_closed, NULL, "Whether the writer is finished or closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_dealloc, writer_dealloc},
    {Py_tp_traverse, writer_traverse},
    {Py_tp_clear, writer_clear},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, writer_getset},
    {0, NULL},
};

PyType_Spec keelkv_writer_spec = {
    .name = "keelkv.Writer",
    .basicsize = sizeof(Writer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = writer_slots,
};
