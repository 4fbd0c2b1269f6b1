/*
 * errors.c: statuses of the library become exceptions, whose classes are those of keelkv._errors, or the result that a
 * call has besides.
 */
#include "keelkv.h"

static PyObject *from_status; /* from_status(status, message, errno, page, table, needed, path) -> exception */
static PyObject *not_found;   /* the class NotFoundError */
static PyObject *bad_handle;  /* the class BadHandleError */

int keelkv_errors_init(void)
{
    PyObject *errors = PyImport_ImportModule("keelkv._errors");
    if (errors == NULL)
        return -1;
    from_status = PyObject_GetAttrString(errors, "from_status");
    not_found = PyObject_GetAttrString(errors, "NotFoundError");
    bad_handle = PyObject_GetAttrString(errors, "BadHandleError");
    Py_DECREF(errors);
    return from_status != NULL && not_found != NULL && bad_handle != NULL ? 0 : -1;
}

PyObject *keelkv_raise(kv_status status, PyObject *path)
{
    kv_error detail = KV_ERROR_INIT;
    PyObject *message, *error;

    if (PyErr_Occurred())
        return NULL; /* a callback raised it, which says more than KV_CANCELLED */
    if (kv_error_detail(&detail) != KV_OK || detail.status != status || detail.message == NULL) {
        /* KV_NOTFOUND, for example, has no message of its own. */
        detail.sys_errno = 0;
        detail.page = detail.table = KV_NONE;
        detail.needed = 0;
        detail.message = kv_strerror(status);
    }
    message = PyUnicode_DecodeUTF8(detail.message, (Py_ssize_t)strlen(detail.message), "replace");
    if (message == NULL)
        return NULL;
    error = PyObject_CallFunction(from_status, "iOiKKKO", (int)status, message, (int)detail.sys_errno,
        (unsigned long long)detail.page, (unsigned long long)detail.table, (unsigned long long)detail.needed,
        path != NULL ? path : Py_None);
    Py_DECREF(message);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *keelkv_none(kv_status status, PyObject *path)
{
    if (status != KV_OK)
        return keelkv_raise(status, path);
    Py_RETURN_NONE;
}

PyObject *keelkv_number(kv_status status, PyObject *path, uint64_t number)
{
    return status != KV_OK ? keelkv_raise(status, path) : PyLong_FromUnsignedLongLong(number);
}

PyObject *keelkv_figures_of(kv_status status, PyObject *path, const void *object, const Figure *figures)
{
    return status != KV_OK ? keelkv_raise(status, path) : keelkv_figures(object, figures);
}

PyObject *keelkv_raise_key(PyObject *key)
{
    /* Not PyErr_SetObject(class, key): a key that is a tuple would become several arguments. */
    PyObject *error = PyObject_CallFunctionObjArgs(not_found, key, NULL);
    if (error != NULL) {
        PyErr_SetObject(not_found, error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *keelkv_raise_closed(const char *what)
{
    PyErr_SetString(bad_handle, what);
    return NULL;
}
