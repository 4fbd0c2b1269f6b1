/* module.c: the module keelkv._keelkv: its types and functions. */
#include "keelkv.h"

PyTypeObject *keelkv_database_type;
PyTypeObject *keelkv_txn_type;
PyTypeObject *keelkv_entries_type;
PyTypeObject *keelkv_transaction_type;
PyTypeObject *keelkv_cursor_type;
PyTypeObject *keelkv_scan_type;
PyTypeObject *keelkv_buffer_type;
PyTypeObject *keelkv_writer_type;

static PyObject *version(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString(kv_version());
}

static PyMethodDef functions[] = {
    {"version", version, METH_NOARGS, "The version of libkv."},
    {"figure_names", keelkv_figure_names, METH_NOARGS, "The fields of each struct of figures, in their order."},
    {"salvage", (PyCFunction)(void (*)(void))keelkv_salvage, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "keelkv._keelkv",
    .m_doc = "libkv for CPython: what keelkv is made from.",
    .m_size = -1, /* one interpreter: types and exceptions are global */
    .m_methods = functions,
};

/* Makes a type, with a base or (NULL) without one. */
static int add_type(PyObject *module, PyTypeObject **type, PyType_Spec *spec, PyTypeObject *base, const char *name)
{
    *type = (PyTypeObject *)PyType_FromSpecWithBases(spec, (PyObject *)base);
    return *type == NULL ? -1 : PyModule_AddObjectRef(module, name, (PyObject *)*type);
}

/* The number of Python's main thread, where it runs signal handlers. */
static int find_main_thread(void)
{
    PyObject *threading = PyImport_ImportModule("threading"), *thread = NULL, *ident = NULL;

    if (threading != NULL && (thread = PyObject_CallMethod(threading, "main_thread", NULL)) != NULL &&
        (ident = PyObject_GetAttrString(thread, "ident")) != NULL)
        keelkv_main_thread = PyLong_AsUnsignedLong(ident);
    Py_XDECREF(threading);
    Py_XDECREF(thread);
    Py_XDECREF(ident);
    return PyErr_Occurred() ? -1 : 0;
}

PyMODINIT_FUNC PyInit__keelkv(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (module == NULL)
        return NULL;
    if (keelkv_errors_init() < 0 || find_main_thread() < 0 ||
        add_type(module, &keelkv_database_type, &keelkv_database_spec, NULL, "DatabaseCore") < 0 ||
        add_type(module, &keelkv_txn_type, &keelkv_txn_spec, NULL, "TxnCore") < 0 ||
        add_type(module, &keelkv_entries_type, &keelkv_entries_spec, NULL, "EntriesCore") < 0 ||
        add_type(module, &keelkv_transaction_type, &keelkv_transaction_spec, keelkv_entries_type, "TransactionCore") <
            0 ||
        add_type(module, &keelkv_cursor_type, &keelkv_cursor_spec, NULL, "CursorCore") < 0 ||
        add_type(module, &keelkv_scan_type, &keelkv_scan_spec, NULL, "Scan") < 0 ||
        add_type(module, &keelkv_buffer_type, &keelkv_buffer_spec, NULL, "Buffer") < 0 ||
        add_type(module, &keelkv_writer_type, &keelkv_writer_spec, NULL, "WriterCore") < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
