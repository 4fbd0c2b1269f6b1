/* savepoints.c: going back within a write transaction, and transactions that are nested in it. */
#include "keelkv.h"

PyObject *keelkv_txn_savepoint_create(Txn *self, PyObject *Py_UNUSED(ignored))
{
    kv_txn *handle = keelkv_txn_handle(self);
    uint64_t number = 0;
    kv_status status;

    if (handle == NULL)
        return NULL;
    self->changes++;
    status = kv_savepoint_create(handle, &number);
    return keelkv_number(status, self->db->path, number);
}

static PyObject *with_number(Txn *self, PyObject *object, kv_status (*call)(kv_txn *txn, uint64_t savepoint))
{
    uint64_t number = 0;
    kv_txn *handle;

    if (keelkv_u64(object, &number) < 0 || (handle = keelkv_txn_handle(self)) == NULL)
        return NULL;
    return keelkv_txn_changed(self, call(handle, number));
}

PyObject *keelkv_txn_savepoint_rollback(Txn *self, PyObject *number)
{
    return with_number(self, number, kv_savepoint_rollback);
}

PyObject *keelkv_txn_savepoint_release(Txn *self, PyObject *number)
{
    return with_number(self, number, kv_savepoint_release);
}

/* A nested transaction keeps the outer one, which would be aborted if it were collected. */
PyObject *keelkv_txn_nest(Txn *self, PyObject *Py_UNUSED(ignored))
{
    Txn *nested = (Txn *)keelkv_new(keelkv_txn_type, NULL, NULL);
    kv_txn *handle;
    kv_status status;

    if (nested == NULL)
        return NULL;
    if ((handle = keelkv_txn_handle(self)) == NULL) {
        Py_DECREF((PyObject *)nested);
        return NULL;
    }
    nested->db = (Database *)Py_NewRef((PyObject *)self->db);
    nested->outer = (Txn *)Py_NewRef((PyObject *)self);
    nested->write = 1;
    self->changes++;
    status = kv_txn_nest(handle, &nested->handle);
    if (status != KV_OK) {
        keelkv_raise(status, self->db->path);
        Py_DECREF((PyObject *)nested);
        return NULL;
    }
    return (PyObject *)nested;
}
