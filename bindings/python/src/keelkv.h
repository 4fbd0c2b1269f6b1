/*
 * keelkv.h: what the files of the extension share: the objects, inputs, errors.
 *
 * Three rules keep every object harmless, whatever a program does with it:
 *
 *  1. Bytes of the library are copied before anything else can run: between a call that returns bytes and the copy
 *     there is no call that may run Python code and no release of the GIL. Objects that the garbage collector tracks
 *     are made before the call or after the copy, because making one may collect, and collecting runs code.
 *  2. Whoever ends a transaction or closes a database takes the handle out of its object before the GIL is released,
 *     so that no other thread can ask for bytes that are about to go.
 *  3. Inputs are converted first, since a codec is Python code that may end the transaction. Only then the transaction
 *     is looked at.
 */
#ifndef KEELKV_H
#define KEELKV_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#include <Python.h>

#include <kv.h>

/* How objects of the program become bytes and back. Each is a callable, or NULL where bytes stay bytes. */
typedef struct Codec {
    PyObject *key_encode;
    PyObject *key_decode;
    PyObject *value_encode;
    PyObject *value_decode;
} Codec;

/* A database. `handle` is NULL before it is opened and after it is closed. */
typedef struct Database {
    PyObject_HEAD
    kv_db *handle;
    int64_t wait_ms; /* for other write transactions; -1 = for ever */
    PyObject *path;  /* what errors call the file: str, or NULL */
    Codec codec;
} Database;

/* A transaction. `handle` is NULL when it has ended. */
typedef struct Txn {
    PyObject_HEAD
    kv_txn *handle;
    Database *db;
    struct Txn *outer; /* in which it is nested, or NULL */
    int write;
    uint64_t changes; /* counts writes, so that iterators notice them */
} Txn;

/* One table as one transaction sees it. */
typedef struct Entries {
    PyObject_HEAD
    Txn *txn; /* NULL until __init__ */
    kv_table table;
    Codec codec;
} Entries;

/* Bytes that came as an argument, and what keeps them in memory: they are those of an object that nobody can change. */
typedef struct Input {
    const void *data;
    size_t len;
    PyObject *owner; /* a reference that is released, or NULL where the caller has one */
} Input;

extern PyTypeObject *keelkv_database_type;
extern PyTypeObject *keelkv_txn_type;
extern PyTypeObject *keelkv_entries_type;
extern PyTypeObject *keelkv_transaction_type;
extern PyTypeObject *keelkv_cursor_type;
extern PyTypeObject *keelkv_scan_type;
extern PyTypeObject *keelkv_buffer_type;
extern PyTypeObject *keelkv_writer_type;

/* A field of a struct of figures, in a table that one without a name ends. */
typedef struct Figure {
    const char *name;
    size_t offset;
    size_t size;
} Figure;

/* ---- errors.c ---- */

/* Fetches keelkv._errors. Returns -1 with an exception. */
int keelkv_errors_init(void);
/* Raises what belongs to a status that a call on this thread has just returned. `path` may be NULL. Returns NULL. */
PyObject *keelkv_raise(kv_status status, PyObject *path);
/* What a call returns that had this status: None, a number, or the values of a struct; or NULL with what was raised. */
PyObject *keelkv_none(kv_status status, PyObject *path);
PyObject *keelkv_number(kv_status status, PyObject *path, uint64_t number);
PyObject *keelkv_figures_of(kv_status status, PyObject *path, const void *object, const Figure *figures);
/* Raises NotFoundError with the key that was asked for. Returns NULL. */
PyObject *keelkv_raise_key(PyObject *key);
/* Raises BadHandleError with a text of our own. Returns NULL. */
PyObject *keelkv_raise_closed(const char *what);

/* ---- changes.c ---- */

/* Methods of a transaction: (before, table, flags, from, to, prefix), and (before, table) for the last one. */
PyObject *keelkv_txn_diff(Txn *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *keelkv_txn_snapshot_ranges(Txn *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *keelkv_txn_diff_count(Txn *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *keelkv_txn_same(Txn *self, PyObject *args);

/* ---- figures.c ---- */

extern const Figure keelkv_db_stat_figures[], keelkv_reader_figures[], keelkv_table_stat_figures[],
    keelkv_txn_stat_figures[], keelkv_check_figures[], keelkv_compact_figures[], keelkv_salvage_figures[];
/* The values of a struct as a tuple. */
PyObject *keelkv_figures(const void *object, const Figure *figures);
/* The names of the figures of each struct: a dict of tuples. */
PyObject *keelkv_figure_names(PyObject *module, PyObject *ignored);

/* ---- input.c ---- */

/* Takes the codec of a tuple of four callables or None; `object` may be None. Returns -1 with an exception. */
int keelkv_codec_set(Codec *codec, PyObject *object);
void keelkv_codec_copy(Codec *to, const Codec *from);
void keelkv_codec_clear(Codec *codec);
/* A new reference to what keelkv_codec_set() takes. */
PyObject *keelkv_codec_get(const Codec *codec);
int keelkv_codec_traverse(const Codec *codec, visitproc visit, void *arg);

/* Converts a key or a value. Returns -1 with an exception, and then nothing is to be released. */
int keelkv_input_key(const Codec *codec, PyObject *object, Input *input);
int keelkv_input_value(const Codec *codec, PyObject *object, Input *input);
/* Takes bytes as they are, or None as no bytes. */
int keelkv_input_bytes(PyObject *object, Input *input);
void keelkv_input_release(Input *input);

PyObject *keelkv_bytes(kv_slice slice);
/* Decode what keelkv_bytes() made and take its reference. NULL stays NULL. */
PyObject *keelkv_decode_key(const Codec *codec, PyObject *bytes);
PyObject *keelkv_decode_value(const Codec *codec, PyObject *bytes);
/* A tuple of a decoded key and value; takes both references. */
PyObject *keelkv_pair(const Codec *codec, PyObject *key, PyObject *value);

/* The range of the arguments (flags, from, to, prefix), which inputs[0..2] keep in memory. */
int keelkv_range(PyObject *const *args, kv_range *range, Input inputs[3]);
void keelkv_range_release(Input inputs[3]);

/* An argument as an unsigned number. Returns -1 with an exception. */
int keelkv_u32(PyObject *object, uint32_t *number);
int keelkv_u64(PyObject *object, uint64_t *number);
/* Fails unless a method got between `least` and `most` arguments. */
int keelkv_arity(const char *name, Py_ssize_t given, Py_ssize_t least, Py_ssize_t most);

/* ---- snapshots.c: methods of a transaction ---- */

PyObject *keelkv_txn_snapshot_create(Txn *self, PyObject *args);
PyObject *keelkv_txn_snapshot_rename(Txn *self, PyObject *args);
PyObject *keelkv_txn_snapshot_drop(Txn *self, PyObject *args);
PyObject *keelkv_txn_snapshot_release(Txn *self, PyObject *args);
PyObject *keelkv_txn_snapshot_keep(Txn *self, PyObject *args);
PyObject *keelkv_txn_snapshot_thin(Txn *self, PyObject *args);
PyObject *keelkv_txn_stat_snapshot(Txn *self, PyObject *args);
PyObject *keelkv_txn_revert(Txn *self, PyObject *args);
PyObject *keelkv_txn_set_history(Txn *self, PyObject *numbers);
PyObject *keelkv_txn_history(Txn *self, PyObject *ignored);

/* ---- savepoints.c: methods of a transaction ---- */

PyObject *keelkv_txn_savepoint_create(Txn *self, PyObject *ignored);
PyObject *keelkv_txn_savepoint_rollback(Txn *self, PyObject *number);
PyObject *keelkv_txn_savepoint_release(Txn *self, PyObject *number);
PyObject *keelkv_txn_nest(Txn *self, PyObject *ignored);

/* ---- the objects ---- */

/* Allocates an object of a type with every field zero. */
PyObject *keelkv_new(PyTypeObject *type, PyObject *args, PyObject *kwds);
/* Frees the memory of an object of one of our types or of a class made from one. */
void keelkv_free(PyObject *self);

/* The thread on which Python runs signal handlers, whose waits they can interrupt. */
extern unsigned long keelkv_main_thread;

/*
 * Begins a write transaction, and waits for others without the GIL. Returns -1 if a signal handler raised an exception
 * meanwhile. Changes options->wait_ms, where less than 0 means for ever.
 */
int keelkv_begin_write(kv_db *db, kv_txn_options *options, kv_txn **handle, kv_status *status);

/* The handle of an open transaction, or NULL with an exception. */
kv_txn *keelkv_txn_handle(Txn *txn);
kv_txn *keelkv_entries_handle(Entries *entries);
/* The same for a call that writes: iterators will notice. */
kv_txn *keelkv_entries_writable(Entries *entries);

/* What a call returns that has changed a transaction: None, or NULL with what was raised. Iterators will notice. */
PyObject *keelkv_txn_changed(Txn *txn, kv_status status);
/* Commits, or commits without waiting until the commit is durable. The number of the commit, or NULL. */
PyObject *keelkv_txn_finish(Txn *txn, int durable);
PyObject *keelkv_txn_abort(Txn *txn);

PyObject *keelkv_scan_new(Entries *entries, PyObject *const *args);
PyObject *keelkv_cursor_new(Entries *entries, PyObject *const *args);
PyObject *keelkv_writer_new(Entries *entries, PyObject *const *args);
PyObject *keelkv_view(Entries *entries, PyObject *key);
/* Puts an entry. Returns -1 with an exception. */
int keelkv_store(Entries *entries, PyObject *key, PyObject *value, uint32_t flags);
PyObject *keelkv_get_many(Entries *entries, PyObject *keys);
PyObject *keelkv_put_many(Entries *entries, PyObject *const *args);

/* ---- maintenance.c: methods of databases and transactions ---- */

PyObject *keelkv_check(kv_db *db, kv_txn *txn, PyObject *path, PyObject *const *args);
PyObject *keelkv_compact(kv_db *db, PyObject *path, PyObject *const *args);
PyObject *keelkv_backup(kv_db *db, kv_txn *txn, PyObject *const *args);
PyObject *keelkv_backup_stream(kv_txn *txn, PyObject *path, PyObject *const *args);
PyObject *keelkv_salvage(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

extern PyType_Spec keelkv_database_spec, keelkv_txn_spec, keelkv_entries_spec, keelkv_transaction_spec,
    keelkv_cursor_spec, keelkv_scan_spec, keelkv_buffer_spec, keelkv_writer_spec;

#endif
