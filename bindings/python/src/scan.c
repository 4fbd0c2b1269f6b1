/*
 * scan.c: the iterator over a range, which copies many entries at a time into a buffer of its own.
 *
 * The cursor stands on the last entry of the buffer. In a write transaction, entries may change while they are iterated
 * over. The iterator then forgets what is left in its buffer and goes on behind the last entry that it handed out, so
 * that it always shows what the transaction sees.
 */
#include "keelkv.h"

/* What an iterator hands out. */
enum { SCAN_ITEMS, SCAN_KEYS, SCAN_VALUES };

/* The first buffer is small, for those who look at a few entries. Each next one is larger, up to the last of these. */
#define FIRST_ENTRIES 32
#define FIRST_BYTES 4096
#define MOST_ENTRIES 1024
#define MOST_BYTES 65536

typedef struct Scan {
    PyObject_HEAD
    Txn *txn; /* NULL when the iterator is exhausted */
    kv_cursor *cursor;
    kv_batch batch;
    size_t index;     /* of the next string in the batch */
    uint32_t begin;   /* where that string begins */
    uint32_t key;     /* where the last key that was handed out begins, and its length */
    uint32_t key_len;
    uint64_t left;    /* entries to hand out at most */
    uint64_t changes; /* Txn.changes when the batch was filled */
    int what;         /* SCAN_... */
    int strings;      /* of an entry in the batch: 1 or 2 */
    int reverse;
    Codec codec;
} Scan;

static int scan_traverse(Scan *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->txn);
    return keelkv_codec_traverse(&self->codec, visit, arg);
}

/* Gives everything back; the iterator is exhausted then. */
static int scan_clear(Scan *self)
{
    kv_cursor *cursor = self->cursor;

    self->cursor = NULL;
    kv_cursor_close(cursor); /* ignored if the transaction has ended */
    PyMem_Free(self->batch.bytes);
    PyMem_Free(self->batch.ends);
    self->batch.bytes = NULL;
    self->batch.ends = NULL;
    self->batch.count = 0;
    self->index = 0;
    Py_CLEAR(self->txn);
    keelkv_codec_clear(&self->codec);
    return 0;
}

static void scan_dealloc(Scan *self)
{
    PyObject_GC_UnTrack(self);
    scan_clear(self);
    keelkv_free((PyObject *)self);
}

/* Gives the batch room for so many bytes and entries. What is in it is lost. */
static int room(Scan *self, size_t bytes, size_t entries)
{
    size_t strings = entries * (size_t)self->strings;

    if (self->batch.bytes_size < bytes) {
        PyMem_Free(self->batch.bytes);
        self->batch.bytes_size = 0;
        if ((self->batch.bytes = PyMem_Malloc(bytes)) == NULL)
            goto failed;
        self->batch.bytes_size = bytes;
    }
    if (self->batch.ends_size < strings) {
        PyMem_Free(self->batch.ends);
        self->batch.ends_size = 0;
        if ((self->batch.ends = PyMem_Malloc(strings * sizeof(uint32_t))) == NULL)
            goto failed;
        self->batch.ends_size = strings;
    }
    return 0;
failed:
    self->batch.count = 0;
    PyErr_NoMemory();
    return -1;
}

PyObject *keelkv_scan_new(Entries *entries, PyObject *const *args)
{
    kv_batch batch = KV_BATCH_INIT;
    kv_range range;
    Input inputs[3];
    uint32_t what = 0;
    uint64_t limit = 0;
    kv_txn *handle;
    kv_status status;
    Scan *self;

    /* (what, flags, from, to, prefix, limit) */
    if (keelkv_u32(args[0], &what) < 0 || keelkv_u64(args[5], &limit) < 0)
        return NULL;
    if ((self = (Scan *)keelkv_new(keelkv_scan_type, NULL, NULL)) == NULL)
        return NULL;
    self->batch = batch;
    if (keelkv_range(&args[1], &range, inputs) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if ((handle = keelkv_entries_handle(entries)) == NULL)
        goto failed;
    self->what = (int)what;
    self->reverse = (range.flags & KV_RANGE_REVERSE) != 0;
    self->left = limit;
    /* Values come with their keys, by which a place is found again. */
    self->strings = what == SCAN_KEYS ? 1 : 2;
    self->batch.flags = what == SCAN_KEYS ? KV_BATCH_KEYS : 0;
    keelkv_codec_copy(&self->codec, &entries->codec);
    status = kv_cursor_open(handle, entries->table, &range, &self->cursor);
    if (status != KV_OK) {
        keelkv_raise(status, entries->txn->db->path);
        goto failed;
    }
    self->txn = (Txn *)Py_NewRef((PyObject *)entries->txn);
    self->changes = self->txn->changes;
    keelkv_range_release(inputs);
    return (PyObject *)self;
failed:
    keelkv_range_release(inputs);
    Py_DECREF(self);
    return NULL;
}

/* Fills the batch with the next entries. 1: there are some; 0: there are none; -1: an exception. */
static int fill(Scan *self)
{
    size_t entries = self->batch.ends_size / (size_t)self->strings;
    size_t bytes = self->batch.bytes_size;
    int stale = self->changes != self->txn->changes;
    kv_status status;

    if (self->batch.at_end && !stale)
        return 0;
    if (stale && self->batch.count != 0) {
        status = kv_cursor_seek(self->cursor, (char *)self->batch.bytes + self->key, self->key_len,
            self->reverse ? KV_SEEK_GE : KV_SEEK_LE, NULL, NULL);
        if (status != KV_OK && status != KV_NOTFOUND)
            goto failed;
    }
    if (room(self, bytes == 0 ? FIRST_BYTES : bytes < MOST_BYTES ? MOST_BYTES : bytes,
            entries == 0 ? FIRST_ENTRIES : MOST_ENTRIES) < 0)
        return -1;
    self->index = 0;
    self->begin = 0;
    self->batch.limit = self->left < MOST_ENTRIES ? (size_t)self->left : 0;
    self->changes = self->txn->changes;
    while ((status = kv_cursor_fill(self->cursor, &self->batch)) == KV_TOO_SMALL) {
        if (self->batch.needed <= self->batch.bytes_size)
            break;
        if (room(self, self->batch.needed, 1) < 0)
            return -1;
    }
    if (status == KV_OK)
        return 1;
    self->batch.count = 0;
    if (status == KV_NOTFOUND)
        return 0;
failed:
    keelkv_raise(status, self->txn->db->path);
    return -1;
}

static PyObject *string(Scan *self)
{
    uint32_t begin = self->begin, end = self->batch.ends[self->index];

    self->index++;
    self->begin = end;
    return PyBytes_FromStringAndSize((char *)self->batch.bytes + begin, (Py_ssize_t)(end - begin));
}

static PyObject *scan_next(Scan *self)
{
    PyObject *key = NULL, *value = NULL;

    if (self->txn == NULL || self->left == 0)
        goto end;
    if (keelkv_txn_handle(self->txn) == NULL)
        return NULL;
    if (self->index >= self->batch.count * (size_t)self->strings || self->changes != self->txn->changes) {
        int found = fill(self);
        if (found < 0)
            return NULL;
        if (found == 0)
            goto end;
    }
    self->left--;
    /* Nothing below looks at the batch after an object was made that may be collected. */
    if (self->what == SCAN_ITEMS) {
        self->key = self->begin;
        key = string(self);
        self->key_len = self->begin - self->key;
        value = string(self);
        return keelkv_pair(&self->codec, key, value);
    }
    if (self->what == SCAN_KEYS) {
        self->key = self->begin;
        key = string(self);
        self->key_len = self->begin - self->key;
        return keelkv_decode_key(&self->codec, key);
    }
    self->key = self->begin;
    self->key_len = self->batch.ends[self->index] - self->begin;
    self->begin += self->key_len;
    self->index++;
    return keelkv_decode_value(&self->codec, string(self));
end:
    scan_clear(self);
    return NULL;
}

static PyObject *scan_self(PyObject *self)
{
    return Py_NewRef(self);
}

static PyType_Slot scan_slots[] = {
    {Py_tp_dealloc, scan_dealloc},
    {Py_tp_traverse, scan_traverse},
    {Py_tp_clear, scan_clear},
    {Py_tp_iter, scan_self},
    {Py_tp_iternext, scan_next},
    {0, NULL},
};

PyType_Spec keelkv_scan_spec = {
    .name = "keelkv._keelkv.Scan",
    .basicsize = sizeof(Scan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = scan_slots,
};
