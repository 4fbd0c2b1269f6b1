/* buffer.c: a retained value, which memoryviews show for as long as they live, whatever ended meanwhile. */
#include "keelkv.h"

typedef struct Buffer {
    PyObject_HEAD
    kv_buf *handle;
    kv_slice value;
} Buffer;

PyObject *keelkv_view(Entries *entries, PyObject *key)
{
    Input input;
    kv_txn *handle;
    kv_status status;
    PyObject *view = NULL;
    Buffer *self;

    if (keelkv_input_key(&entries->codec, key, &input) < 0)
        return NULL;
    self = (Buffer *)keelkv_new(keelkv_buffer_type, NULL, NULL);
    if (self != NULL && (handle = keelkv_entries_handle(entries)) != NULL) {
        status = kv_get_buf(handle, entries->table, input.data, input.len, &self->value, &self->handle);
        if (status == KV_OK)
            view = PyMemoryView_FromObject((PyObject *)self);
        else if (status == KV_NOTFOUND)
            keelkv_raise_key(key);
        else
            keelkv_raise(status, entries->txn->db->path);
    }
    Py_XDECREF((PyObject *)self);
    keelkv_input_release(&input);
    return view;
}

static int buffer_get(Buffer *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, (void *)self->value.data, (Py_ssize_t)self->value.len, 1, flags);
}

static void buffer_dealloc(Buffer *self)
{
    kv_buf_release(self->handle);
    keelkv_free((PyObject *)self);
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {0, NULL},
};

PyType_Spec keelkv_buffer_spec = {
    .name = "keelkv._keelkv.Buffer",
    .basicsize = sizeof(Buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};
