/*
 * begun.c: TransactionCore, the main table of a transaction that begins with it and ends with its block. In C, because
 * programs begin a read transaction for a single get.
 */
#include "keelkv.h"

/* (db, kind, flags, durability, wait_ms, write_memory, snapshot, commit, time): as TxnCore, which is made here.
 * (txn): a nested one, which has begun. */
static int transaction_init(Entries *self, PyObject *args, PyObject *Py_UNUSED(kwds))
{
    Database *db;
    PyObject *txn;

    if (self->txn != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this transaction was begun already; begin another one");
        return -1;
    }
    if (PyTuple_Size(args) == 1 && PyObject_TypeCheck(PyTuple_GetItem(args, 0), keelkv_txn_type))
        txn = Py_NewRef(PyTuple_GetItem(args, 0));
    else if ((txn = PyObject_Call((PyObject *)keelkv_txn_type, args, NULL)) == NULL)
        return -1;
    db = ((Txn *)txn)->db;
    self->txn = (Txn *)txn;
    self->table = KV_MAIN;
    keelkv_codec_copy(&self->codec, &db->codec);
    return 0;
}

static PyObject *transaction_enter(Entries *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef((PyObject *)self);
}

static PyObject *transaction_exit(Entries *self, PyObject *const *args, Py_ssize_t nargs)
{
    Txn *txn = self->txn;
    PyObject *ended = NULL;

    if (keelkv_arity("__exit__", nargs, 3, 3) < 0)
        return NULL;
    if (txn == NULL)
        return keelkv_raise_closed("this transaction was not begun; use Database.read() or Database.write()");
    Py_INCREF((PyObject *)txn);
    if (args[0] != Py_None || !txn->write)
        ended = keelkv_txn_abort(txn);
    else if (txn->handle == NULL)
        ended = Py_NewRef(Py_None); /* ended within the block by the program, which knows whether it was committed */
    else
        ended = keelkv_txn_finish(txn, 1);
    Py_DECREF((PyObject *)txn);
    if (ended == NULL)
        return NULL;
    Py_DECREF(ended);
    Py_RETURN_NONE;
}

static PyMethodDef transaction_methods[] = {
    {"__enter__", (PyCFunction)transaction_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))transaction_exit, METH_FASTCALL,
        "Commits, or aborts after an exception."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot transaction_slots[] = {
    {Py_tp_init, transaction_init},
    {Py_tp_methods, transaction_methods},
    {0, NULL},
};

PyType_Spec keelkv_transaction_spec = {
    .name = "keelkv._keelkv.TransactionCore",
    .basicsize = sizeof(Entries),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = transaction_slots,
};
