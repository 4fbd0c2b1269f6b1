/* many.c: many entries of a table at once: gets that wait for memory together, and puts from an iterable. */
#include "keelkv.h"

/* The values of a sequence of keys, with None for those that do not exist. */
PyObject *keelkv_get_many(Entries *self, PyObject *keys)
{
    PyObject *items = PySequence_Tuple(keys), *values = NULL;
    Py_ssize_t n = 0, made = 0;
    Input *inputs = NULL;
    kv_slice *slices = NULL;
    kv_txn *handle;
    kv_status status;

    if (items == NULL)
        return NULL;
    n = PyTuple_Size(items);
    /* The list is made first: making an object that is collected may run code. */
    values = PyList_New(n);
    inputs = PyMem_Calloc((size_t)n + 1, sizeof(*inputs));
    slices = PyMem_Calloc(2 * (size_t)n + 1, sizeof(*slices));
    if (values == NULL || inputs == NULL || slices == NULL) {
        if (values != NULL)
            PyErr_NoMemory();
        goto failed;
    }
    for (; made < n; made++) {
        PyObject *key = PyTuple_GetItem(items, made);
        if (key == NULL || keelkv_input_key(&self->codec, key, &inputs[made]) < 0)
            goto failed;
        slices[made].data = inputs[made].data;
        slices[made].len = inputs[made].len;
    }
    if ((handle = keelkv_entries_handle(self)) == NULL)
        goto failed;
    status = kv_get_many(handle, self->table, slices, (size_t)n, slices + n, NULL);
    if (status != KV_OK) {
        keelkv_raise(status, self->txn->db->path);
        goto failed;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *value = slices[n + i].data == NULL ? Py_NewRef(Py_None) : keelkv_bytes(slices[n + i]);
        if (value == NULL)
            goto failed;
        PyList_SetItem(values, i, value);
    }
    for (Py_ssize_t i = 0; self->codec.value_decode != NULL && i < n; i++) {
        PyObject *value = PyList_GetItem(values, i);
        if (value == NULL)
            goto failed;
        if (value == Py_None)
            continue;
        value = keelkv_decode_value(&self->codec, Py_NewRef(value));
        if (value == NULL)
            goto failed;
        PyList_SetItem(values, i, value);
    }
    goto done;
failed:
    Py_CLEAR(values);
done:
    for (Py_ssize_t i = 0; i < made; i++)
        keelkv_input_release(&inputs[i]);
    PyMem_Free(inputs);
    PyMem_Free(slices);
    Py_DECREF(items);
    return values;
}

/* An item as a tuple of a key and a value. Text and bytes are refused: the two characters of "ab" are no pair. */
static PyObject *pair_of(PyObject *item)
{
    PyObject *pair, *kind;

    if (PyTuple_Check(item))
        pair = Py_NewRef(item);
    else if (!PyUnicode_Check(item) && !PyBytes_Check(item) && !PyByteArray_Check(item) &&
             (PySequence_Check(item) || PyIter_Check(item)))
        pair = PySequence_Tuple(item);
    else {
        if ((kind = PyType_GetName(Py_TYPE(item))) != NULL)
            PyErr_Format(
                PyExc_TypeError, "an item is a pair of a key and a value, and this is %U: %.80R", kind, item);
        Py_XDECREF(kind);
        return NULL;
    }
    if (pair != NULL && PyTuple_Size(pair) != 2) {
        PyErr_Format(
            PyExc_ValueError, "an item is a pair of a key and a value, and this has %zd parts", PyTuple_Size(pair));
        Py_CLEAR(pair);
    }
    return pair;
}

/* Puts the pairs of an iterable and answers their number: (pairs, flags). */
PyObject *keelkv_put_many(Entries *self, PyObject *const *args)
{
    PyObject *iterator, *item;
    uint32_t flags = 0;
    unsigned long long done = 0;
    int failed = 0;

    if (keelkv_u32(args[1], &flags) < 0 || (iterator = PyObject_GetIter(args[0])) == NULL)
        return NULL;
    while (!failed && (item = PyIter_Next(iterator)) != NULL) {
        PyObject *pair = pair_of(item);
        failed = pair == NULL ||
                 keelkv_store(self, PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1), flags) < 0;
        done += !failed;
        Py_XDECREF(pair);
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(done);
}
