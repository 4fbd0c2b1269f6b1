/* changes.c: what two transactions have different. */
#include "keelkv.h"

/* How many changes are handed out together, unless their bytes are many. */
#define MOST_CHANGES 256
#define MOST_CHANGED_BYTES (1 << 16)

/* The transaction that an argument is; NULL with an exception if it is none, or has ended. */
static kv_txn *other_handle(PyObject *object)
{
    if (!PyObject_TypeCheck(object, keelkv_txn_type)) {
        PyErr_SetString(PyExc_TypeError, "what is compared with is another transaction");
        return NULL;
    }
    return keelkv_txn_handle((Txn *)object);
}

/* (kind, key, value before, value after). All bytes are copied before anything is made that may run code. */
static PyObject *change_tuple(const kv_change *change)
{
    PyObject *key = keelkv_bytes(change->key);
    PyObject *before = change->kind == KV_CHANGE_ADDED ? Py_NewRef(Py_None) : keelkv_bytes(change->before);
    PyObject *after = change->kind == KV_CHANGE_REMOVED ? Py_NewRef(Py_None) : keelkv_bytes(change->after);

    if (key == NULL || before == NULL || after == NULL) {
        Py_XDECREF(key);
        Py_XDECREF(before);
        Py_XDECREF(after);
        return NULL;
    }
    return Py_BuildValue("INNN", change->kind, key, before, after);
}

/*
 * (before, table, flags, from, to, prefix): the first changes of a range since another transaction, and whether there
 * are no more. Each call is a difference of its own: to open one costs no more than to go to a key.
 */
PyObject *keelkv_txn_diff(Txn *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_change change = KV_CHANGE_INIT;
    PyObject *list = NULL;
    kv_diff *diff = NULL;
    size_t bytes = 0;
    Input inputs[3];
    kv_range range;
    kv_txn *handle, *before;
    kv_status status;
    uint64_t table;

    if (keelkv_arity("diff", nargs, 6, 6) < 0 || keelkv_u64(args[1], &table) < 0 ||
        keelkv_range(args + 2, &range, inputs) < 0)
        return NULL;
    if ((list = PyList_New(0)) == NULL || (handle = keelkv_txn_handle(self)) == NULL ||
        (before = other_handle(args[0])) == NULL) {
        keelkv_range_release(inputs);
        Py_XDECREF(list);
        return NULL;
    }
    status = kv_diff_open(before, handle, table, &range, &diff);
    keelkv_range_release(inputs);
    while (status == KV_OK && PyList_Size(list) < MOST_CHANGES && bytes < MOST_CHANGED_BYTES) {
        PyObject *item;
        if ((status = kv_diff_next(diff, &change)) != KV_OK)
            break;
        item = change_tuple(&change);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_XDECREF(item);
            kv_diff_close(diff);
            Py_DECREF(list);
            return NULL;
        }
        Py_DECREF(item);
        bytes += change.key.len + change.before.len + change.after.len;
    }
    if (status != KV_OK && status != KV_NOTFOUND && PyList_Size(list) == 0) {
        keelkv_raise(status, self->db->path);
        kv_diff_close(diff);
        Py_DECREF(list);
        return NULL;
    }
    kv_diff_close(diff); /* what was found before a failure is handed out, and the next call meets that */
    return Py_BuildValue("NN", list, PyBool_FromLong(status == KV_NOTFOUND));
}

/* (before, table, flags, from, to, prefix): how many keys were added, removed and changed. */
PyObject *keelkv_txn_diff_count(Txn *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    kv_txn *handle, *before;
    kv_status status;
    Input inputs[3];
    kv_range range;
    uint64_t table;

    if (keelkv_arity("diff_count", nargs, 6, 6) < 0 ||
        keelkv_u64(args[1], &table) < 0 || keelkv_range(args + 2, &range, inputs) < 0)
        return NULL;
    if ((handle = keelkv_txn_handle(self)) == NULL || (before = other_handle(args[0])) == NULL) {
        keelkv_range_release(inputs);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS /* it may read much */
    status = kv_diff_count(before, handle, table, &range, &counts);
    Py_END_ALLOW_THREADS
    keelkv_range_release(inputs);
    if (status != KV_OK)
        return keelkv_raise(status, self->db->path);
    return Py_BuildValue("KKK", (unsigned long long)counts.added, (unsigned long long)counts.removed,
        (unsigned long long)counts.changed);
}

static int32_t add_range(void *ctx, const kv_range *range)
{
    PyObject *low = keelkv_bytes(range->from), *pair = NULL;
    int failed = -1;

    if (low != NULL && (range->flags & KV_RANGE_BEFORE))
        pair = Py_BuildValue("NN", low, keelkv_bytes(range->to));
    else if (low != NULL)
        pair = Py_BuildValue("NO", low, Py_None);
    if (pair != NULL)
        failed = PyList_Append(ctx, pair);
    Py_XDECREF(pair);
    return failed != 0;
}

/* (name, table, flags, from, to, prefix): the bounds of the ranges that may have changed since a snapshot or mark. */
PyObject *keelkv_txn_snapshot_ranges(Txn *self, PyObject *const *args, Py_ssize_t nargs)
{
    kv_txn *handle;
    kv_status status;
    Input inputs[3];
    kv_range range;
    uint64_t table;
    PyObject *ranges;
    char *name;
    Py_ssize_t len;

    if (keelkv_arity("snapshot_ranges", nargs, 6, 6) < 0 || PyBytes_AsStringAndSize(args[0], &name, &len) < 0 ||
        keelkv_u64(args[1], &table) < 0 || keelkv_range(args + 2, &range, inputs) < 0)
        return NULL;
    if ((handle = keelkv_txn_handle(self)) == NULL || (ranges = PyList_New(0)) == NULL) {
        keelkv_range_release(inputs);
        return NULL;
    }
    status = kv_snapshot_ranges(handle, name, (size_t)len, table, &range, add_range, ranges);
    keelkv_range_release(inputs);
    if (status == KV_OK)
        return ranges;
    Py_DECREF(ranges);
    return PyErr_Occurred() ? NULL : keelkv_raise(status, self->db->path);
}

/* (before, table): whether the two are known to be the same. */
PyObject *keelkv_txn_same(Txn *self, PyObject *args)
{
    unsigned long long table;
    kv_txn *handle, *before;
    kv_status status;
    int32_t same = 0;
    PyObject *other;

    if (!PyArg_ParseTuple(args, "OK", &other, &table) || (handle = keelkv_txn_handle(self)) == NULL ||
        (before = other_handle(other)) == NULL)
        return NULL;
    status = kv_same(before, handle, table, &same);
    if (status != KV_OK)
        return keelkv_raise(status, self->db->path);
    return PyBool_FromLong(same);
}
