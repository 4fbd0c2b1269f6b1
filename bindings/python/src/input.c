/* input.c: arguments become bytes and numbers, and bytes of the library become objects. */
#include "keelkv.h"

/* ---- codecs ---- */

int keelkv_codec_set(Codec *codec, PyObject *object)
{
    PyObject *parts[4] = {NULL, NULL, NULL, NULL};
    Codec former = *codec;

    if (object != Py_None) {
        if (!PyTuple_Check(object) || PyTuple_Size(object) != 4) {
            PyErr_SetString(PyExc_TypeError, "a codec is None or a tuple of four callables");
            return -1;
        }
        for (Py_ssize_t i = 0; i < 4; i++) {
            PyObject *part = PyTuple_GetItem(object, i);
            if (part == NULL)
                return -1;
            parts[i] = part == Py_None ? NULL : part;
        }
    }
    codec->key_encode = Py_XNewRef(parts[0]);
    codec->key_decode = Py_XNewRef(parts[1]);
    codec->value_encode = Py_XNewRef(parts[2]);
    codec->value_decode = Py_XNewRef(parts[3]);
    keelkv_codec_clear(&former);
    return 0;
}

void keelkv_codec_copy(Codec *to, const Codec *from)
{
    to->key_encode = Py_XNewRef(from->key_encode);
    to->key_decode = Py_XNewRef(from->key_decode);
    to->value_encode = Py_XNewRef(from->value_encode);
    to->value_decode = Py_XNewRef(from->value_decode);
}

void keelkv_codec_clear(Codec *codec)
{
    Py_CLEAR(codec->key_encode);
    Py_CLEAR(codec->key_decode);
    Py_CLEAR(codec->value_encode);
    Py_CLEAR(codec->value_decode);
}

PyObject *keelkv_codec_get(const Codec *codec)
{
    PyObject *parts[4] = {codec->key_encode, codec->key_decode, codec->value_encode, codec->value_decode};

    if (parts[0] == NULL && parts[1] == NULL && parts[2] == NULL && parts[3] == NULL)
        Py_RETURN_NONE;
    for (int i = 0; i < 4; i++)
        if (parts[i] == NULL)
            parts[i] = Py_None;
    return PyTuple_Pack(4, parts[0], parts[1], parts[2], parts[3]);
}

int keelkv_codec_traverse(const Codec *codec, visitproc visit, void *arg)
{
    Py_VISIT(codec->key_encode);
    Py_VISIT(codec->key_decode);
    Py_VISIT(codec->value_encode);
    Py_VISIT(codec->value_decode);
    return 0;
}

/* ---- bytes in ---- */

static int plain(PyObject *object, Input *input, const char *what)
{
    input->owner = NULL;
    if (PyBytes_Check(object)) {
        input->data = PyBytes_AsString(object);
        input->len = (size_t)PyBytes_Size(object);
        return 0;
    }
    if (PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError,
            "a %s is bytes, and this one is str; encode it, or open the database with a codec: "
            "keelkv.open(path, %s=str)", what, what);
        return -1;
    }
    if (PySlice_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "a slice is no key; items(start=..., stop=...) has the entries of a range");
        return -1;
    }
    if (!PyObject_CheckBuffer(object)) {
        PyObject *kind = PyType_GetName(Py_TYPE(object));
        if (kind != NULL)
            PyErr_Format(PyExc_TypeError, "a %s is bytes, and this one is %U; encode it, or open the database with a "
                "codec: keelkv.open(path, %s=...)", what, kind, what);
        Py_XDECREF(kind);
        return -1;
    }
    /* Others may change what a buffer shows while the library sums it up and writes it. */
    if ((input->owner = PyBytes_FromObject(object)) == NULL)
        return -1;
    input->data = PyBytes_AsString(input->owner);
    input->len = (size_t)PyBytes_Size(input->owner);
    return 0;
}

static int encoded(PyObject *encode, PyObject *object, Input *input, const char *what)
{
    PyObject *bytes;

    if (encode == NULL)
        return plain(object, input, what);
    Py_INCREF(encode); /* its code may end the object that has the codec */
    bytes = PyObject_CallFunctionObjArgs(encode, object, NULL);
    Py_DECREF(encode);
    if (bytes == NULL)
        return -1;
    if (plain(bytes, input, what) < 0) {
        Py_DECREF(bytes);
        return -1;
    }
    if (input->owner == NULL)
        input->owner = bytes;
    else
        Py_DECREF(bytes); /* it was copied */
    return 0;
}

int keelkv_input_key(const Codec *codec, PyObject *object, Input *input)
{
    return encoded(codec->key_encode, object, input, "key");
}

int keelkv_input_value(const Codec *codec, PyObject *object, Input *input)
{
    return encoded(codec->value_encode, object, input, "value");
}

int keelkv_input_bytes(PyObject *object, Input *input)
{
    if (object != Py_None)
        return plain(object, input, "key");
    input->owner = NULL;
    input->data = NULL;
    input->len = 0;
    return 0;
}

void keelkv_input_release(Input *input)
{
    Py_CLEAR(input->owner);
}

/* ---- bytes out ---- */

PyObject *keelkv_bytes(kv_slice slice)
{
    return PyBytes_FromStringAndSize(slice.data, (Py_ssize_t)slice.len);
}

static PyObject *decoded(PyObject *decode, PyObject *bytes)
{
    PyObject *object;

    if (decode == NULL || bytes == NULL)
        return bytes;
    /* Its code may end the object that has the codec. */
    Py_INCREF(decode);
    object = PyObject_CallFunctionObjArgs(decode, bytes, NULL);
    Py_DECREF(decode);
    Py_DECREF(bytes);
    return object;
}

PyObject *keelkv_decode_key(const Codec *codec, PyObject *bytes)
{
    return decoded(codec->key_decode, bytes);
}

PyObject *keelkv_decode_value(const Codec *codec, PyObject *bytes)
{
    return decoded(codec->value_decode, bytes);
}

PyObject *keelkv_pair(const Codec *codec, PyObject *key, PyObject *value)
{
    /* Code of the decoder of keys may end the object that has the codec. */
    PyObject *value_decode = Py_XNewRef(codec->value_decode), *pair = NULL;

    if (key == NULL || value == NULL)
        goto done;
    key = decoded(codec->key_decode, key);
    value = key != NULL ? decoded(value_decode, value) : value;
    if (key == NULL || value == NULL || (pair = PyTuple_New(2)) == NULL)
        goto done;
    PyTuple_SetItem(pair, 0, key);
    PyTuple_SetItem(pair, 1, value);
    key = value = NULL;
done:
    Py_XDECREF(value_decode);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return pair;
}

/* ---- ranges and numbers ---- */

int keelkv_range(PyObject *const *args, kv_range *range, Input inputs[3])
{
    kv_range empty = KV_RANGE_INIT;
    kv_slice *slices[3] = {&range->from, &range->to, &range->prefix};

    *range = empty;
    if (keelkv_u32(args[0], &range->flags) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        if (keelkv_input_bytes(args[i + 1], &inputs[i]) < 0) {
            while (i-- > 0)
                keelkv_input_release(&inputs[i]);
            return -1;
        }
        slices[i]->data = inputs[i].data;
        slices[i]->len = inputs[i].len;
    }
    return 0;
}

void keelkv_range_release(Input inputs[3])
{
    for (int i = 0; i < 3; i++)
        keelkv_input_release(&inputs[i]);
}

int keelkv_u64(PyObject *object, uint64_t *number)
{
    unsigned long long n = PyLong_AsUnsignedLongLong(object);
    if (n == (unsigned long long)-1 && PyErr_Occurred())
        return -1;
    *number = n;
    return 0;
}

int keelkv_u32(PyObject *object, uint32_t *number)
{
    uint64_t n = 0;
    if (keelkv_u64(object, &n) < 0)
        return -1;
    if (n > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a number is too large");
        return -1;
    }
    *number = (uint32_t)n;
    return 0;
}

int keelkv_arity(const char *name, Py_ssize_t given, Py_ssize_t least, Py_ssize_t most)
{
    if (given >= least && given <= most)
        return 0;
    if (least == most)
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, and %zd were given", name, most, given);
    else
        PyErr_Format(
            PyExc_TypeError, "%s() takes %zd to %zd arguments, and %zd were given", name, least, most, given);
    return -1;
}

/* ---- objects ---- */

PyObject *keelkv_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    (void)args;
    (void)kwds;
    return alloc(type, 0);
}

void keelkv_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type); /* instances of a heap type keep it */
}
