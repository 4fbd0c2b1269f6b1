/*
 * kv.h: an embedded, transactional, ordered key-value store in one file.
 *
 * Keys and values are bytes, and keys are kept in the order of memcmp(). One file holds any number of tables. Any
 * number of threads and many processes use it at once: read transactions see a snapshot and never wait, and write
 * transactions take turns. A commit is durable when it returns (unless asked otherwise), and whole or absent after a
 * crash. The library needs no configuration, no server and no size to choose in advance, and it starts no thread.
 * Link with -lkv (pkg-config --libs kv).
 *
 *     #include <kv.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         kv_db *db = NULL;
 *         kv_txn *txn = NULL;
 *         kv_slice value;
 *
 *         if (kv_open("fruit.kv", NULL, &db) != KV_OK) goto failed;
 *         if (kv_txn_begin(db, KV_WRITE, NULL, &txn) != KV_OK) goto failed;
 *         if (kv_put(txn, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0) != KV_OK) goto failed;
 *         if (kv_txn_commit(txn, NULL) != KV_OK) goto failed;
 *
 *         if (kv_txn_begin(db, KV_READ, NULL, &txn) != KV_OK) goto failed;
 *         if (kv_get(txn, KV_MAIN, KV_STR("apple"), &value) != KV_OK) goto failed;
 *         printf("apple is %.*s\n", (int)value.len, (const char *)value.data);
 *         kv_txn_abort(txn);
 *         return kv_close(db) == KV_OK ? 0 : 1;
 *     failed:
 *         fprintf(stderr, "%s\n", kv_error_message());
 *         kv_txn_abort(txn);
 *         kv_close(db);
 *         return 1;
 *     }
 *
 * KV_STR gives a string as a pointer and its length.
 *
 * Words. A table maps keys to values; the one called KV_MAIN always exists. A commit is a state of the whole database
 * and has a number; later commits have greater numbers. It is visible when a new read transaction sees it, and
 * durable when it survives a power cut. A reader sees one commit, its snapshot: it is a read transaction, or a buffer
 * of kv_get_buf() that keeps the snapshot of one. A named snapshot is a state that is kept until somebody drops it,
 * whoever reads it (kv_snapshot_create()). A write is a call that may change the database: it puts, deletes, changes
 * tables or snapshots, writes a part of a long value, makes, forgets or goes back to a savepoint, or nests a
 * transaction. A page is the unit of the file, of 4096 bytes if nothing else was chosen.
 *
 * Conventions, valid for every function unless it says otherwise:
 *
 *  1. Status. Functions return KV_OK (0) or a negative number. The numbers are of these kinds: expected (-1 to -19),
 *     usage errors (-20 to -39), errors of the environment (-40 to -59), errors of the contents of the file (-60 to
 *     -79), and bugs in the library (-90). kv_error_message() describes the last one on this thread. KV_NO_MEMORY
 *     (see 10) and KV_PANIC can come from nearly every function, whether or not its comment names them, and so can
 *     KV_CHILD_OPEN from a call on a write transaction, or on a cursor or a difference of it, while another one is
 *     nested in it (kv_txn_nest). Errors of the environment or the contents, and bugs, can leave a call on a write
 *     transaction half done. They spoil the transaction then: later calls return KV_TXN_FAILED, and it can only be
 *     aborted or go back to a savepoint (kv_savepoint_rollback). Expected statuses and usage errors never spoil it.
 *  2. Outputs are written last, and only if the function returns KV_OK. After a failure, an output that is a handle
 *     is NULL. The pointer to an output may be NULL only if the function says so; elsewhere, NULL returns KV_INVALID.
 *  3. Bytes go in as a pointer and a length, where (NULL, 0) is the empty string, and come out as a kv_slice, whose
 *     data is never NULL for something that was found, even if it is empty. Lengths and sizes are in bytes. A length
 *     beyond the limits below returns KV_TOO_BIG before a byte is read, and NULL with a length other than 0 returns
 *     KV_INVALID; the message names the argument. A function keeps no pointer to its inputs. Keys are compared as
 *     bytes, so write a number big-endian, and numbers are in order: uint32_t key = htonl(n); is such a key of 4 bytes
 *     (with <arpa/inet.h>), and htobe64() of <endian.h> makes one of 8 bytes.
 *  4. Lifetimes. A value is valid until its transaction ends or is refreshed, and in a write transaction only until
 *     the next write. A key from a cursor or a difference is valid until the next call on that. Bytes that are valid
 *     may be the input of any call, even of the one that ends their lifetime, and of each step of a batch. So may the
 *     bytes of kv_reserve() be the input of the next call.
 *  5. Handles (kv_db, kv_txn, kv_cursor, kv_diff, kv_writer, kv_buf) are numbers in the shape of a pointer: never
 *     dereference them. A handle that is NULL, closed or foreign returns KV_BAD_HANDLE and does no harm. Handles are
 *     all that a program has to release, and it may release them in any order. Cursors and writers end with their
 *     transaction, and a difference ends with the first of its two. A function that ends work (kv_close, kv_txn_commit,
 *     kv_txn_commit_async, kv_writer_finish) releases its handle whatever it returns, with one exception: after KV_BUSY
 *     from kv_close(), kv_txn_commit() or kv_txn_commit_async(), nothing was done. kv_txn_abort() after a commit is
 *     harmless.
 *  6. Threads. Any number of threads may use a kv_db or a kv_buf at once, and a read transaction through functions
 *     that take a `const kv_txn *`. Everything else is used by one thread at a time, though not always by the same
 *     one: while one thread uses it, a call of another returns KV_BUSY. A function that closes a handle or ends a
 *     transaction, however, waits for the calls of other threads on it. After fork(), handles of the parent return
 *     KV_FORKED in the child. A thread may be cancelled (pthread_cancel), but never inside a call or a callback: that
 *     is finished first. Threads with asynchronous cancellation must disable it themselves. Functions may be called
 *     while a thread ends, in the destructors of its thread-specific data. A thread with 64 KiB of stack can make every
 *     call; what callbacks need comes on top of that.
 *  7. Structs that may grow begin with their size: start from KV_..._INIT, which sets it. A pointer to options may be
 *     NULL for all defaults, and 0 is the default of every field of options. Fields called `reserved` must stay 0.
 *     Flags that a function does not take, or that exclude each other, return KV_INVALID. In C99, initial values can
 *     also stand in a call, as in kv_open("fruit.kv", &(kv_options)KV_OPTIONS_INIT, &db), and for a range
 *     &(kv_range)KV_PREFIX(KV_STR("user/")). C++ has no such literals: there, a variable comes first, as in
 *     kv_options options = KV_OPTIONS_INIT;
 *  8. Loops. A call that reaches the end returns KV_NOTFOUND, and a call that fails returns something else. A loop
 *     must tell the two apart, or it shows a damaged table as a short one. KV_EACH does.
 *  9. Callbacks run on the thread of the call, and only during it. They return 0 to go on; anything else ends the
 *     call, with KV_CANCELLED unless the callback's type says otherwise. They may use the library, but they cannot
 *     end or move what the call is using: kv_txn_commit(), kv_txn_commit_async(), kv_txn_abort() and kv_txn_refresh()
 *     of its transaction, and kv_close() of any database, do nothing and return KV_BUSY (which kv_error_detail()
 *     tells after kv_txn_abort()); call them when the call has returned. Callbacks must not wait for another thread
 *     that calls one of these, and they must return: a longjmp() out of a callback leaves what was in use in use for
 *     ever, and a C++ exception that leaves it ends the process.
 * 10. Memory. A function that cannot have the memory it needs returns KV_NO_MEMORY. It has changed nothing in the
 *     database, but it may have spoiled its write transaction (see 1), and a handle that it ends has ended (see 5).
 *     No call ends the process: for that, the library keeps a reserve of 16 MiB of address space, which is touched
 *     only when the system refuses memory. While more than 1 MiB of it is in use and the system still refuses memory,
 *     functions return KV_NO_MEMORY at once and spoil nothing, except those that end something, which work. One case
 *     is out of its hands: if the library was loaded by dlopen(), glibc allocates a thread's storage for it when the
 *     thread first needs it, and ends the process if there is no memory for that. In programs that are linked with
 *     the library, a thread gets this storage when it is made.
 * 11. Disks that fail. A file is read through a memory map. Where the disk does not give a page that is not in memory
 *     (a bad sector, a file that another program has cut short, a file system in a network that is gone), the system
 *     sends SIGBUS to the thread that reads, which may be inside a call or at a value in place. No status can tell
 *     this. The signal ends the process; what was acknowledged is not lost with it. A handler may say what happened and
 *     end the process (_exit), but it must not return into a call nor leave one by longjmp(). Only kv_salvage() reads
 *     without the map: it steps over what the disk does not give, and saves the rest. Writes and syncs that fail return
 *     a status.
 *
 * Waits. A read transaction waits for nobody. These calls can wait:
 *
 *  | who waits                | for what                          | how long                           | then        |
 *  |--------------------------|-----------------------------------|------------------------------------|-------------|
 *  | a writer (a)             | another write transaction         | wait_ms, or for ever if that is 0  | KV_BUSY     |
 *  | kv_wait_commit() (a)     | a newer commit                    | ms, or for ever if that is < 0     | KV_BUSY     |
 *  | kv_open()                | a process that opens, recovers or | 10 s, or wait_ms if that is less   | KV_BUSY     |
 *  |                          | leaves the file                   |                                    |             |
 *  | whoever needs a sync (b) | the disk                          | as long as it takes                |             |
 *  | the same                 | another process that syncs        | as long as it takes, but 10 min    | KV_IN_DOUBT |
 *  |                          |                                   | if nothing becomes durable         |             |
 *  | the same                 | another process that has the      | wait_ms, but at least 1 s (10 s if | KV_IN_DOUBT |
 *  |                          | right to sync and does not sync   | it cannot be seen); if 0, 60 s     |             |
 *  | what ends a handle       | calls of other threads on it      | as long as they last               |             |
 *
 * (a) A writer is kv_txn_begin() with KV_WRITE, kv_db_put(), kv_db_delete(), kv_snapshot_create() of a read
 * transaction, kv_reclaim(), kv_compact(), kv_snapshot_cost(), and kv_check() and kv_db_check() with
 * KV_JOB_CHECK_SPACE. kv_interrupt() ends these waits, and so does kv_close() on another thread; they return
 * KV_CANCELLED. KV_TXN_NOWAIT does not wait at all. Nothing ends the other waits early.
 *
 * (b) kv_txn_commit(), kv_db_put(), kv_db_delete(), kv_sync(), kv_wait_durable(), kv_close(), kv_reclaim(),
 * kv_compact() and kv_snapshot_create() of a read transaction need a sync if not everything is durable. Lazy commits
 * and kv_txn_commit_async() need one only if much is not durable yet, and kv_txn_begin() with KV_WRITE only if the disk
 * is full. Here, wait_ms is that of kv_options.
 *
 * What 0 means as a time differs: in kv_options, for ever; in kv_txn_options, as in kv_options of the database; in
 * arguments (kv_wait_commit, kv_wait_durable), only look.
 *
 * Limits: a key has at most 2 MiB, a value 2^38 bytes (256 GiB) if the disk has room, the name of a table or a
 * snapshot 512 bytes, a note 1024 bytes, an array 2^31 - 1 elements, the buffer of an input batch 2^32 - 1 bytes.
 *
 * Generated from capi/ by `make header`; what is not generated is in include/kv.h.in. Do not edit.
 */
#ifndef KV_H
#define KV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version of this header, "major.minor.patch"; kv_version() returns that of the library. */
#define KV_VERSION "0.1.0"
#define KV_VERSION_MAJOR 0
#define KV_VERSION_MINOR 1
#define KV_VERSION_PATCH 0
/** The version of this header as a number: major * 1000000 + minor * 1000 + patch */
#define KV_VERSION_NUMBER (KV_VERSION_MAJOR * 1000000 + KV_VERSION_MINOR * 1000 + KV_VERSION_PATCH)

#ifndef KV_API
#define KV_API
#endif

/* Stands in front of functions whose status must not be ignored. */
#if defined(__GNUC__) || defined(__clang__)
#define KV_MUST_CHECK __attribute__((warn_unused_result))
#else
#define KV_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ==== Basics: bytes, ranges, entries ========================================================================== */

/** @defgroup kv_basics Basics: bytes, ranges, entries
 * @{ */

/** kv_range.flags: only keys greater than or equal to `from`. */
#define KV_RANGE_FROM 0x100000
/** kv_range.flags: only keys greater than `from`. */
#define KV_RANGE_AFTER 0x200000
/** kv_range.flags: only keys less than `to`. */
#define KV_RANGE_BEFORE 0x400000
/** kv_range.flags: only keys less than or equal to `to`. */
#define KV_RANGE_THROUGH 0x800000
/** kv_range.flags: only keys that begin with `prefix`. */
#define KV_RANGE_PREFIX 0x1000000

/**
 * kv_range.flags: from the greatest key down. The first entry is the one with the greatest key; the next has a lesser
 * one.
 */
#define KV_RANGE_REVERSE 0x2000000

/** "None" where a number is expected: no page, no table, no place in the file. */
#define KV_NONE UINT64_MAX

/**
 * The number of a table. It is the same in every transaction and in every process, and it never changes. The number of
 * a dropped table is not given to another one. Numbers are below 2^53.
 */
typedef uint64_t kv_table;

/**
 * Bytes. In a result, data is never NULL for something that was found, even if it is empty. As an input, (NULL, 0) is
 * the empty string.
 */
typedef struct kv_slice {
    /** The first byte. */
    const void *data;
    /** Length in bytes. */
    size_t len;
} kv_slice;

/**
 * A range of keys; start from KV_RANGE_INIT, which is the whole table in ascending order, as is NULL instead of a
 * range. The flags say which of the fields count, and they can be combined: a prefix with a bound is a part of what
 * has the prefix. Bytes in a field without its flag return KV_INVALID, so that a forgotten flag never means
 * "everything". Every call copies the range.
 */
typedef struct kv_range {
    /** KV_RANGE_... flags. */
    uint32_t flags;
    /** Zero. */
    uint32_t reserved;
    /** The lower bound, with KV_RANGE_FROM or KV_RANGE_AFTER. */
    kv_slice from;
    /** The upper bound, with KV_RANGE_BEFORE or KV_RANGE_THROUGH. */
    kv_slice to;
    /** What the keys begin with, with KV_RANGE_PREFIX. */
    kv_slice prefix;
} kv_range;

#define KV_RANGE_INIT \
    {0, 0, {NULL, 0}, {NULL, 0}, {NULL, 0}}

/** A key and its value. */
typedef struct kv_entry {
    /** The key. */
    kv_slice key;
    /** The value. */
    kv_slice value;
} kv_entry;

/** @} */

/* ==== Errors and version ====================================================================================== */

/** @defgroup kv_errors Errors and version
 * @{ */

/** What a function returns: KV_OK or one of the negative numbers below. */
typedef int32_t kv_status;

/** What is known of a thread's last failure, filled by kv_error_detail(); start from KV_ERROR_INIT. */
typedef struct kv_error {
    /** sizeof(kv_error), set by KV_ERROR_INIT. */
    uint32_t struct_size;
    /** The status that was returned; KV_OK if no call on this thread has failed yet. */
    kv_status status;
    /** The errno of the system call that failed, whatever the status is; 0 if no system call failed. */
    int32_t sys_errno;
    /** Zero. */
    uint32_t reserved;
    /**
     * Number of the damaged page; KV_NONE if there is none or it is not known. Of a long value, each piece of at most
     * 1 MiB has one checksum, so the number is that of the first page of the damaged piece.
     */
    uint64_t page;
    /**
     * Number of the table in question: the one that the damaged page belongs to, that has the key or the name which
     * must not be there (KV_EXISTS, KV_ORDER), or that was looked for by its number (KV_NO_TABLE). KV_NONE otherwise,
     * if it is not known, and for a table that was looked for by its name.
     */
    uint64_t table;
    /** After KV_TOO_SMALL: how many bytes are needed. Otherwise 0. */
    uint64_t needed;
    /** Name of the function that failed, "" if none did. Static text. */
    const char *function;
    /** What kv_error_message() returns, valid as long as that. */
    const char *message;
} kv_error;

#define KV_ERROR_INIT \
    {sizeof(kv_error), 0, 0, 0, 0, 0, 0, NULL, NULL}

/** Success. */
#define KV_OK 0
/** Expected: there is no such entry, no entry at this place, no further one in the range, or no such snapshot. */
#define KV_NOTFOUND (-1)
/** Expected: the key, name or file exists already. */
#define KV_EXISTS (-2)
/** Expected: there is no table of this name or number (dropped, never created, or of another database). */
#define KV_NO_TABLE (-3)
/** Expected: another commit changed what was read. Reserved: no function of this version returns it. */
#define KV_CONFLICT (-4)
/** Expected: the time to wait is over, or another call is using the handle. */
#define KV_BUSY (-5)
/** Expected: the value is not the expected one. Reserved: no function of this version returns it. */
#define KV_MISMATCH (-6)
/** Expected: the buffer is too small; kv_error_detail() tells how many bytes are needed. */
#define KV_TOO_SMALL (-7)
/** Expected: with KV_APPEND, the key is not greater than every key of the table. */
#define KV_ORDER (-8)
/** Expected: a callback, kv_interrupt() or kv_close() ended the call. */
#define KV_CANCELLED (-9)
/** Usage: an argument is wrong, whatever the database contains. */
#define KV_INVALID (-20)
/** Usage: the handle is NULL, closed, foreign or of another kind. */
#define KV_BAD_HANDLE (-21)
/** Usage: a write through a read transaction, to a read-only database or to a read-only table. */
#define KV_READ_ONLY (-22)

/**
 * Usage: a kv_writer or a nested transaction was open when its transaction was committed, and the transaction was
 * aborted; or a transaction was used in which a nested one is open, which changes nothing.
 */
#define KV_CHILD_OPEN (-23)

/** Usage: an earlier failure spoiled this transaction; abort it, or go back to a savepoint. */
#define KV_TXN_FAILED (-24)
/** Usage: a key, value, name, note, array or batch is beyond its limit. */
#define KV_TOO_BIG (-25)
/** Usage: the value is of another type. Reserved: no function of this version returns it. */
#define KV_WRONG_TYPE (-26)
/** Usage: this thread would wait for a write transaction of its own. */
#define KV_DEADLOCK (-27)
/** Usage: the handle was opened before fork(); open the database again in the child. */
#define KV_FORKED (-28)

/**
 * Usage: not possible in this build, or not for this table, which a newer version made and this one can only read.
 * Nothing was changed, and the transaction goes on.
 */
#define KV_UNSUPPORTED (-29)

/** Environment: the operating system returned an error; kv_error_detail() has its errno. */
#define KV_IO (-40)
/** Environment: the disk or a quota is full, or a file size limit is reached; the database is as before. */
#define KV_NO_SPACE (-41)
/** Environment: memory could not be allocated. */
#define KV_NO_MEMORY (-42)
/** Environment: permission denied. */
#define KV_ACCESS (-43)
/** Environment: the file does not exist. */
#define KV_NO_FILE (-44)
/** Environment: the file system does not provide the locks that are needed. */
#define KV_NO_LOCKS (-45)

/**
 * Environment: a limit of this build or process is reached: handles, readers, or the addresses that a file can grow
 * into.
 */
#define KV_LIMIT (-46)

/** Environment: an earlier sync failed; close every handle of the database and open it again. */
#define KV_POISONED (-47)
/** Environment: the commit may or may not survive; close the database and open it again to learn which. */
#define KV_IN_DOUBT (-48)
/** Contents: bytes in the file are not what was written. */
#define KV_CORRUPT (-60)
/** Contents: the file is something else. */
#define KV_NOT_A_DATABASE (-61)
/** Contents: a newer version of the library made the file. */
#define KV_TOO_NEW (-62)
/** Contents: a version of the library made the file that is too old to be read. */
#define KV_TOO_OLD (-63)
/** Contents: made against another base. Reserved: no function of this version returns it. */
#define KV_WRONG_BASE (-64)
/** Internal: a bug in the library, which was caught; please report the message. */
#define KV_PANIC (-90)

/**
 * Describes the last call on this thread that did not return KV_OK, in one line: `PATH: what happened [at page P] [in
 * table "NAME" (number N)]; what to do next`.
 *
 * PATH is the absolute path of the file in question: the database, or the file that is opened, copied to or salvaged.
 * It is missing if no file is in question or if the handle is not open. Names, keys and paths are printable: line
 * breaks and the like are shown as \n, \t, \0 or \u{1b}, bytes that are not UTF-8 as \xNN, and a backslash as two; of
 * long ones only a part is shown. The words may change in later versions, so programs look at the status and at
 * kv_error_detail(). KV_NOTFOUND has no message of its own, because it happens in loops, unless a snapshot was not
 * found.
 *
 * Bindings whose tasks move between threads must read the message before they give up the thread.
 *
 * @return Text that is valid until the next call of this library on this thread. Never NULL; "done" if no call has
 *         failed yet.
 */
KV_API const char *kv_error_message(void);

/**
 * Tells what is known of the last call on this thread that did not return KV_OK. A failure of this function itself is
 * not stored.
 *
 * @param detail  Receives the detail; start from KV_ERROR_INIT.
 * @return KV_OK; KV_INVALID (detail is NULL, or its struct_size is not set).
 */
KV_API kv_status kv_error_detail(kv_error *detail);

/**
 * Returns the name of a status, such as "KV_NOTFOUND".
 *
 * @return Static text, never NULL; "KV_?" for a number that this version does not know.
 */
KV_API const char *kv_status_name(kv_status status);

/**
 * Returns a status in words and without any detail, such as "not found".
 *
 * @return Static text, never NULL; "unknown status" for a number that this version does not know.
 */
KV_API const char *kv_strerror(kv_status status);

/**
 * Returns the version of the library at run time, "major.minor.patch". KV_VERSION is the version of the header that a
 * program was compiled with.
 *
 * @return Static text, never NULL.
 */
KV_API const char *kv_version(void);

/**
 * Returns the version of the library at run time as a number, as KV_VERSION_NUMBER is that of the header.
 *
 * @return major * 1000000 + minor * 1000 + patch.
 */
KV_API uint32_t kv_version_number(void);

/** @} */

/* ==== Database ================================================================================================ */

/** @defgroup kv_database Database
 * @{ */

/** Durability: of a transaction, as the database was opened; of a database, KV_DURABILITY_FULL. */
#define KV_DURABILITY_DEFAULT 0
/** Durability: a commit becomes visible when it is durable, and kv_txn_commit() returns then. */
#define KV_DURABILITY_FULL 64

/**
 * Durability: a commit is visible at once and survives a killed process. It becomes durable by kv_sync(), by
 * kv_wait_durable(), by a later full commit, by kv_close(), or by a later lazy commit when much waits: more than 256
 * commits, or more than a quarter of the database (at least 256 pages, at most 3 MiB). A power cut may take the newest
 * lazy commits, but never an older one without the newer ones.
 */
#define KV_DURABILITY_LAZY 65

/** Verification: KV_VERIFY_ONCE. */
#define KV_VERIFY_DEFAULT 0
/** Verification: each page is compared with its checksum when it is first touched after it was written. */
#define KV_VERIFY_ONCE 72
/** Verification: each page is compared with its checksum on every access. */
#define KV_VERIFY_ALWAYS 73
/** Verification: pages are compared with their checksums only by kv_check() and kv_backup(). */
#define KV_VERIFY_NEVER 74
/** Open flag: the file must exist, or kv_open() returns KV_NO_FILE. */
#define KV_OPEN_EXISTING 0x1000
/** Open flag: the file must not exist yet, or kv_open() returns KV_EXISTS. */
#define KV_OPEN_NEW 0x2000
/** Open flag: the database is never written, so the file may be read-only. Implies KV_OPEN_EXISTING. */
#define KV_OPEN_READ_ONLY 0x4000

/**
 * Open flag: the database is in memory only, and empty when it is opened. The path is ignored and may be NULL.
 * Excludes KV_OPEN_EXISTING and KV_OPEN_READ_ONLY.
 */
#define KV_OPEN_MEMORY 0x8000

/** An open database. Any number of threads may use it at once. */
typedef struct kv_db kv_db;

/** A reader, filled by kv_reader_at(); start from KV_READER_INFO_INIT. */
typedef struct kv_reader_info {
    /** sizeof(kv_reader_info), set by KV_READER_INFO_INIT. */
    uint32_t struct_size;
    /** Its process id. */
    uint32_t pid;
    /** The commit that it sees. */
    uint64_t commit;
    /** Milliseconds since it began, or since kv_txn_refresh() moved it to this commit. */
    uint64_t age_ms;
    /**
     * Pages that are kept for this reader alone, as far as this process knows, which learns of them when it writes; 0
     * while it writes.
     */
    uint64_t kept_pages;
} kv_reader_info;

#define KV_READER_INFO_INIT \
    {sizeof(kv_reader_info), 0, 0, 0, 0}

/**
 * Called for a reader of any process that has been open for long while newer commits were made. Each such reader is
 * reported once to each handle, on a thread that begins a write transaction through the handle, before it waits. The
 * callback returns nothing and so cannot end that call.
 */
typedef void (*kv_reader_fn)(void *ctx, const kv_reader_info *reader);

/** How to open a database; start from KV_OPTIONS_INIT. */
typedef struct kv_options {
    /** sizeof(kv_options), set by KV_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_OPEN_... flags; 0 = open the file, and create it if it does not exist. */
    uint32_t flags;
    /** Bytes of a page of a new file: 4096, 8192, 16384, 32768 or 65536; 0 = 4096. Ignored for a file that exists. */
    uint32_t page_size;
    /** KV_DURABILITY_...: of transactions that do not choose their own; 0 = KV_DURABILITY_FULL. */
    uint32_t durability;
    /** KV_VERIFY_...: when pages are verified; 0 = KV_VERIFY_ONCE. */
    uint32_t verify;
    /** Zero. */
    uint32_t reserved;
    /**
     * Milliseconds that kv_txn_begin() waits for another write transaction to end; 0 or less = for ever. Not to wait
     * at all is KV_TXN_NOWAIT.
     *
     * It also bounds how long kv_open(), commits and syncs wait for a process that holds a lock and does nothing with
     * it, because it is stopped for example: see the table of waits at the head. For commits and syncs, the handle
     * that opened the file first in its process decides.
     */
    int64_t wait_ms;
    /**
     * Bytes of edits that a write transaction collects before it applies them to its pages; 0 = a 32nd of the memory
     * that the machine has, or that its control group leaves the process, but at least 16 MiB and at most 512 MiB.
     */
    uint64_t write_memory;
    /** Called for readers that hold back space for long; NULL = none. */
    kv_reader_fn stale_reader;
    /** Handed to stale_reader as ctx. */
    void *stale_reader_ctx;
    /** Age in milliseconds from which a reader of an old commit is reported; 0 = 60,000. */
    uint64_t stale_reader_ms;
} kv_options;

#define KV_OPTIONS_INIT \
    {sizeof(kv_options), 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0}

/**
 * Opens a database, and creates it if it does not exist (unless KV_OPEN_EXISTING or KV_OPEN_READ_ONLY is set).
 *
 * Any number of threads and up to 1024 processes may have it open at once. A process may open the same file several
 * times. While a file is open, a file NAME-shm lies beside it, with which nothing is lost. After a crash, nothing is
 * repaired by guessing: the newest complete commit is found.
 *
 * A new file gets the permissions that the process's umask leaves of 0666. NAME-shm gets the group and the permissions
 * of the database and is never a link. All who open a database must trust those who may write it.
 *
 * A handle stands for the file and not for its name. A file that is renamed or removed while it is open is used on,
 * and what is written to a removed one is gone with the last handle. kv_backup() still copies it. Another file may
 * take the name, and is another database. While a renamed file is open, other processes that open it by its new name
 * get KV_BUSY, because NAME-shm does not lie there. Do not write into an open file by other means, do not cut it, and
 * do not replace its contents; to restore a copy, close the file everywhere first.
 *
 * An empty file becomes a database, as if it did not exist. With KV_OPEN_EXISTING or KV_OPEN_READ_ONLY it is refused,
 * because it may be a database that was cut. A link that leads nowhere is followed, except with KV_OPEN_NEW. Messages
 * name the file, and the process or the limit that stands in the way.
 *
 * @param path     Name of the file, in the encoding of the file system. NULL only with KV_OPEN_MEMORY.
 * @param options  NULL = all defaults. Copied.
 * @param db       Receives the handle, which kv_close() releases.
 * @return KV_OK; KV_NO_FILE, KV_EXISTS (see the flags); KV_BUSY (another process has the database alone, because
 *         NAME-shm could not be made, or reads it without permission to write, or is of another version; or the file
 *         is mounted by itself); KV_POISONED (a sync failed, and not every process has closed the database since);
 *         KV_ACCESS; KV_NOT_A_DATABASE, KV_TOO_NEW, KV_TOO_OLD, KV_CORRUPT (what is in the file); KV_NO_LOCKS (a
 *         network file system without locks); KV_IO, KV_NO_SPACE, KV_NO_MEMORY; KV_LIMIT (too many handles);
 *         KV_INVALID (options).
 */
KV_API KV_MUST_CHECK kv_status kv_open(const char *path, const kv_options *options, kv_db **db);

/**
 * Closes a database. Lazy commits become durable here, so look at the status.
 *
 * Its write transactions are aborted. Its read transactions return KV_BAD_HANDLE from now on, but bytes that they
 * returned stay valid until kv_txn_abort() releases them. Calls of other threads on the handle are waited for, and
 * those that wait for something return KV_CANCELLED.
 *
 * A read transaction that is not released, or a buffer of kv_get_buf() that keeps a snapshot, keeps the file open
 * until it is released or the process ends: the descriptor, NAME-shm and the snapshot stay, and the pages of the
 * snapshot are not reused. Nothing is lost by that, but the file then counts as not closed properly
 * (kv_db_stat.closed_properly).
 *
 * @param db  Released whatever is returned, except after KV_BUSY. NULL returns KV_OK.
 * @return KV_OK; KV_BAD_HANDLE; KV_FORKED; KV_BUSY (called in a callback of the library: nothing was done);
 *         KV_IN_DOUBT, KV_POISONED, KV_NO_LOCKS (lazy commits did not become durable).
 */
KV_API kv_status kv_close(kv_db *db);

/**
 * Ends every wait through this handle for a write transaction to end or for a newer commit. Calls that wait so, such
 * as kv_txn_begin(), kv_db_put() and kv_wait_commit(), return KV_CANCELLED. A handle that is not open is ignored.
 *
 * Any thread may call this function, but not a signal handler, because it takes a lock to wake those who wait. To
 * interrupt only some waits, let those be made through a second handle of the database.
 */
KV_API void kv_interrupt(kv_db *db);

/**
 * Makes every commit durable that was made before the call, by any process.
 *
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_IN_DOUBT, KV_POISONED (a sync failed); KV_NO_LOCKS.
 */
KV_API KV_MUST_CHECK kv_status kv_sync(kv_db *db);

/**
 * Tells the newest commits, whichever process made them.
 *
 * @param visible  Receives the number of the newest visible commit; may be NULL.
 * @param durable  Receives the number of the newest durable commit; may be NULL.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_newest_commit(kv_db *db, uint64_t *visible, uint64_t *durable);

/**
 * Copies one value into a buffer of the caller, in a read transaction of its own.
 *
 * @param buffer  Receives the value; may be NULL if size is 0.
 * @param size    Bytes of the buffer.
 * @param len     Receives the length of the value in bytes, also after KV_TOO_SMALL; may be NULL.
 * @return KV_OK; KV_NOTFOUND; KV_TOO_SMALL (nothing was copied); KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key);
 *         KV_BAD_HANDLE, KV_FORKED; KV_CORRUPT, KV_IO; KV_LIMIT (too many readers); KV_POISONED.
 */
KV_API kv_status kv_db_get(kv_db *db, kv_table table, const void *key, size_t klen, void *buffer, size_t size,
    size_t *len);

/**
 * Puts one entry, in a write transaction of its own, which is committed.
 *
 * @param flags  0 or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
 * @return KV_OK; what kv_put(), kv_txn_begin() with KV_WRITE and kv_txn_commit() return; never KV_CHILD_OPEN,
 *         KV_TXN_FAILED.
 */
KV_API KV_MUST_CHECK kv_status kv_db_put(kv_db *db, kv_table table, const void *key, size_t klen, const void *value,
    size_t vlen, uint32_t flags);

/**
 * Deletes one entry, in a write transaction of its own, which is committed.
 *
 * @param flags  0 or KV_BLIND.
 * @return KV_OK; KV_NOTFOUND (nothing was written); what kv_delete(), kv_txn_begin() with KV_WRITE and kv_txn_commit()
 *         return; never KV_CHILD_OPEN, KV_TXN_FAILED.
 */
KV_API KV_MUST_CHECK kv_status kv_db_delete(kv_db *db, kv_table table, const void *key, size_t klen,
    uint32_t flags);

/** @} */

/* ==== Transactions ============================================================================================ */

/** @defgroup kv_transactions Transactions
 * @{ */

/** Kind of transaction: it reads one snapshot. It never waits for others, and others never wait for it. */
#define KV_READ 16
/** Kind of transaction: it reads and writes. Only one of a database is open at a time. */
#define KV_WRITE 17
/** kv_txn_options.flags: if another write transaction is open, kv_txn_begin() returns KV_BUSY at once. */
#define KV_TXN_NOWAIT 0x10000

/**
 * A transaction. Any number of threads may use a read transaction at once, through functions that take a
 * `const kv_txn *`. A write transaction is used by one thread at a time, though not always by the same one.
 */
typedef struct kv_txn kv_txn;

/**
 * How to begin a transaction; start from KV_TXN_OPTIONS_INIT. The last three are for read transactions, and at most
 * one of them can be given; the others change nothing about read transactions.
 */
typedef struct kv_txn_options {
    /** sizeof(kv_txn_options), set by KV_TXN_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_TXN_... flags; 0 = none. */
    uint32_t flags;
    /** KV_DURABILITY_...: of the commit; 0 = as the database was opened. */
    uint32_t durability;
    /** Zero. */
    uint32_t reserved;
    /**
     * Milliseconds to wait for another write transaction to end; 0 = as the database was opened, less than 0 = for
     * ever. Not to wait at all is KV_TXN_NOWAIT.
     */
    int64_t wait_ms;
    /** Bytes of edits that are collected before they are applied; 0 = as the database was opened. */
    uint64_t write_memory;
    /**
     * With KV_READ, the name of a snapshot (kv_snapshot_create()): the transaction sees that state. {NULL, 0} = none.
     * An empty name that is not NULL is KV_INVALID, since no snapshot has it, and so is that of a mark, whose state is
     * not kept (kv_snapshot_ranges()).
     */
    kv_slice snapshot;
    /**
     * With KV_READ, the number of a commit: the transaction sees the newest state that is no newer, of those that are
     * kept: the newest of all, and those of snapshots. 0 = none.
     */
    uint64_t commit;
    /**
     * With KV_READ, a time in nanoseconds since 1970 (UTC): the transaction sees the newest state that is no later, of
     * those that are kept. 0 = none.
     */
    uint64_t time;
} kv_txn_options;

#define KV_TXN_OPTIONS_INIT \
    {sizeof(kv_txn_options), 0, 0, 0, 0, 0, {NULL, 0}, 0, 0}

/**
 * Begins a transaction.
 *
 * A read transaction sees the newest visible commit, or the earlier one that the options ask for, and goes on seeing
 * exactly that. A write transaction sees the newest commit and what it writes itself. It waits until no other write
 * transaction of the database is open, in any process. If the disk is full and few pages are free, beginning one first
 * makes pages free that only wait for a sync: it syncs, and makes and syncs a commit that changes nothing.
 *
 * @param kind     KV_READ or KV_WRITE.
 * @param options  NULL = all defaults. Copied.
 * @param txn      Receives the handle, which kv_txn_commit(), kv_txn_commit_async() or kv_txn_abort() releases.
 * @return KV_OK; KV_BUSY (the time to wait is over); KV_CANCELLED (kv_interrupt, kv_close); KV_DEADLOCK (this thread
 *         was the last to use the open write transaction, so it would wait for itself); KV_READ_ONLY; KV_LIMIT (too
 *         many readers or handles); KV_POISONED; KV_IO, KV_NO_SPACE (it writes first if a crash left torn commits);
 *         KV_NO_LOCKS; KV_NOTFOUND (no snapshot has the name, or none is as old as the commit or the time); KV_TOO_BIG
 *         (the name), KV_CORRUPT (the list of snapshots); KV_INVALID; KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_txn_begin(kv_db *db, uint32_t kind, const kv_txn_options *options, kv_txn **txn);

/**
 * Commits a transaction and ends it. It ends a read transaction as well, which has nothing to commit.
 *
 * The cursors of the transaction are closed, and bytes that it returned are no longer valid. If a kv_writer of the
 * transaction is neither finished nor closed, nothing is committed.
 *
 * @param txn        Released whatever is returned, except after KV_BUSY.
 * @param commit_id  Receives the number of the commit; of a transaction that changed nothing, the number of the one
 *                   that it read. May be NULL.
 * @return KV_OK: the commit is visible, and durable if that is its durability; KV_CHILD_OPEN, KV_TXN_FAILED (the
 *         transaction was aborted); KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_NO_LOCKS, KV_NO_MEMORY, KV_LIMIT (the
 *         transaction was aborted, and the database is as before); KV_IN_DOUBT (the commit may or may not survive),
 *         KV_POISONED; KV_PANIC (nothing was committed); KV_BUSY (called in a callback of a call that reads the
 *         transaction: nothing was done); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_txn_commit(kv_txn *txn, uint64_t *commit_id);

/**
 * Commits a transaction and ends it, without waiting until the commit is durable.
 *
 * A commit with KV_DURABILITY_FULL is visible to nobody, not even to the one who made it, before it is durable. One
 * with KV_DURABILITY_LAZY is visible at once, unless one with KV_DURABILITY_FULL on which it builds is not durable
 * yet. No thread works behind the caller's back: the commit becomes durable by kv_wait_durable(), by a later full
 * commit, by kv_sync() or by kv_close(), so that one sync can serve many commits.
 *
 * @param txn        Released whatever is returned, except after KV_BUSY.
 * @param commit_id  Receives the number of the commit, for kv_wait_durable(); may be NULL.
 * @return As kv_txn_commit().
 */
KV_API KV_MUST_CHECK kv_status kv_txn_commit_async(kv_txn *txn, uint64_t *commit_id);

/**
 * Ends a transaction and undoes what it wrote. Its cursors and writers are closed, and bytes that it returned are no
 * longer valid.
 *
 * A handle that is NULL or ended already is ignored, so that one exit path serves success and failure. In a callback
 * of a call that reads the transaction, nothing is done, and kv_error_detail() tells KV_BUSY.
 */
KV_API void kv_txn_abort(kv_txn *txn);

/**
 * Moves a read transaction to the newest visible commit, also one that sees an earlier state. Its cursors stay at
 * their keys. Bytes that it returned are no longer valid.
 *
 * @return KV_OK; KV_BUSY (another call uses the transaction or a cursor of it, or buffers of kv_get_buf() still keep
 *         this snapshot); KV_INVALID (a write transaction); KV_POISONED, KV_IO, KV_LIMIT (the transaction goes on with
 *         its commit, or with one that was made during the call); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_txn_refresh(kv_txn *txn);

/**
 * Tells which commit a transaction reads; of a write transaction, the one that it builds upon.
 *
 * @param id  Receives the number of the commit.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_BUSY (a write transaction in use by another thread); KV_INVALID (id is
 *         NULL); KV_TXN_FAILED.
 */
KV_API kv_status kv_txn_id(const kv_txn *txn, uint64_t *id);

/** @} */

/* ==== Savepoints and nested transactions ====================================================================== */

/** @defgroup kv_savepoints Savepoints and nested transactions
 * @{ */

/**
 * Makes a savepoint of a write transaction as it is, to which kv_savepoint_rollback() goes back.
 *
 * There may be any number of savepoints. The end of the transaction ends them. A savepoint applies the edits that were
 * collected, as counting does, and its cost grows with the number of tables that the transaction has used. If many
 * pages were changed before it, it writes them to the file. What is changed afterwards takes a copy of each page
 * concerned, once for each savepoint, and these copies stay in memory, as do some 150 bytes for each of these tables.
 * Bytes that the transaction returned are no longer valid.
 *
 * @param savepoint  Receives its number, which is not 0, and which no other savepoint of this process has.
 * @return KV_OK; KV_INVALID (a kv_writer of the transaction is open); KV_READ_ONLY (a read transaction); KV_CHILD_OPEN
 *         (a nested transaction is open); KV_NO_MEMORY, KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_LIMIT (the transaction has
 *         failed); KV_TXN_FAILED; KV_BUSY, KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_savepoint_create(kv_txn *txn, uint64_t *savepoint);

/**
 * Goes back to a savepoint: everything that the transaction wrote since is undone, and later savepoints are gone. The
 * savepoint itself stays, and can be gone back to again.
 *
 * A transaction that has failed since (KV_TXN_FAILED), by a full disk for instance, goes on; only after KV_PANIC it
 * cannot. Cursors stay at their keys. Bytes that the transaction returned are no longer valid. A kv_writer that was
 * opened since has nothing to write any more, and is closed by kv_writer_close() or with the transaction.
 *
 * @param savepoint  From kv_savepoint_create().
 * @return KV_OK; KV_INVALID (the transaction has no such savepoint, or it was made outside this nested transaction);
 *         KV_READ_ONLY, KV_CHILD_OPEN; KV_NO_MEMORY (nothing was undone; to abort needs none); KV_TXN_FAILED (after
 *         KV_PANIC); KV_BUSY, KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_savepoint_rollback(kv_txn *txn, uint64_t savepoint);

/**
 * Forgets a savepoint and all later ones. What was written since stays written, and the memory that they took is free.
 * Bytes that the transaction returned are no longer valid.
 *
 * @param savepoint  From kv_savepoint_create().
 * @return KV_OK; KV_INVALID, KV_READ_ONLY, KV_CHILD_OPEN as kv_savepoint_rollback(); KV_TXN_FAILED (the transaction
 *         can only go back or be aborted); KV_BUSY, KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_savepoint_release(kv_txn *txn, uint64_t savepoint);

/**
 * Begins a transaction within a write transaction. kv_txn_commit() makes what it wrote part of the outer transaction,
 * and kv_txn_abort() undoes it; neither touches the file, and the commit of the outermost transaction is the one that
 * counts.
 *
 * The nested transaction sees what the outer one has written, and is used like any write transaction; others may be
 * nested in it, to any depth. While it is open, the outer transaction and its cursors can only be ended and closed:
 * every other call on them is KV_CHILD_OPEN. To abort the outer transaction aborts the nested one, whose handle is
 * released; to commit it is KV_CHILD_OPEN, and aborts both. If the nested transaction fails, by a full disk for
 * instance, the outer one goes on without it; only where memory has run out, the commit of the outer one may answer
 * KV_NO_MEMORY as well. To nest one costs what kv_savepoint_create() does. The two may be used on different threads.
 *
 * The commit of a nested transaction has no number: kv_txn_commit() tells the number of the commit on which the
 * outermost one builds.
 *
 * @param outer   A write transaction, in which no kv_writer is open. Bytes that it returned are no longer valid.
 * @param nested  Receives the handle, which kv_txn_commit() or kv_txn_abort() releases.
 * @return KV_OK; what kv_savepoint_create() returns; KV_LIMIT (too many handles).
 */
KV_API KV_MUST_CHECK kv_status kv_txn_nest(kv_txn *outer, kv_txn **nested);

/** @} */

/* ==== Waiting ================================================================================================= */

/** @defgroup kv_waiting Waiting
 * @{ */

/**
 * Waits until a commit is durable, after kv_txn_commit_async() or a lazy commit.
 *
 * If no sync is under way, the calling thread syncs everything that was committed until then, in all processes.
 *
 * @param id    Number of the commit.
 * @param wait  0 only looks. Anything else waits until the commit is durable. This is no number of milliseconds: a
 *              sync cannot be broken off, so the wait has no other end.
 * @return KV_OK: the commit is durable; KV_BUSY (`wait` is 0 and it is not durable yet); KV_INVALID (no commit has
 *         this number yet); KV_IN_DOUBT, KV_POISONED; KV_NO_LOCKS; KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_wait_durable(kv_db *db, uint64_t id, int64_t wait);

/**
 * Waits until a commit that is newer than a given one is visible, whichever process makes it.
 *
 * @param after   Number of a commit, from kv_txn_id(), kv_newest_commit() or this function for example.
 * @param ms      Milliseconds to wait: 0 only looks (and is not "for ever", as it is in kv_options.wait_ms), less
 *                than 0 = for ever.
 * @param newest  Receives the number of the newest visible commit; may be NULL.
 * @return KV_OK; KV_BUSY (the time to wait is over); KV_CANCELLED (kv_interrupt, kv_close); KV_POISONED;
 *         KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_wait_commit(kv_db *db, uint64_t after, int64_t ms, uint64_t *newest);

/** @} */

/* ==== Tables ================================================================================================== */

/** @defgroup kv_tables Tables
 * @{ */

/** kv_table_options.flags: there must be no table of this name yet, or kv_table_create() returns KV_EXISTS. */
#define KV_TABLE_NEW 0x20000

/** How to create a table; start from KV_TABLE_OPTIONS_INIT. */
typedef struct kv_table_options {
    /** sizeof(kv_table_options), set by KV_TABLE_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_TABLE_... flags; 0 = open the table if it exists. */
    uint32_t flags;
} kv_table_options;

#define KV_TABLE_OPTIONS_INIT \
    {sizeof(kv_table_options), 0}

/** The main table: it needs no name and always exists. */
#define KV_MAIN 0
/** The read-only list of the named tables: name -> number (8 bytes, little-endian). It is read like any table. */
#define KV_TABLES 1

/**
 * Finds the number of the table that has a name. There is nothing to close.
 *
 * @param name   1 to 512 bytes of any kind, the first of which is not 0.
 * @param len    Bytes of the name.
 * @param table  Receives the number.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (name); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_table_open(const kv_txn *txn, const void *name, size_t len, kv_table *table);

/**
 * Creates a table, or finds the one that has this name already (unless KV_TABLE_NEW is set). Others see the table when
 * the transaction is committed.
 *
 * @param name     1 to 512 bytes of any kind, the first of which is not 0.
 * @param len      Bytes of the name.
 * @param options  NULL = all defaults. Copied.
 * @param table    Receives the number.
 * @return KV_OK; KV_EXISTS (with KV_TABLE_NEW); KV_INVALID; KV_TOO_BIG (name); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY (these can spoil the transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_table_create(kv_txn *txn, const void *name, size_t len,
    const kv_table_options *options, kv_table *table);

/**
 * Gives a table another name; its number stays. If another table has this name already, it is dropped, so that a table
 * can be replaced by another one in one step.
 *
 * @param name  1 to 512 bytes of any kind, the first of which is not 0.
 * @param len   Bytes of the name.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID (KV_MAIN has no name to change); otherwise as kv_table_create(); never
 *         KV_EXISTS.
 */
KV_API KV_MUST_CHECK kv_status kv_table_rename(kv_txn *txn, kv_table table, const void *name, size_t len);

/**
 * Deletes every entry of a table. The time grows with the number of pages of its tree, and not with the sizes of its
 * values; leaf pages are read only if the table has long keys or values.
 *
 * @return KV_OK; KV_NO_TABLE; KV_READ_ONLY; KV_UNSUPPORTED (a newer version made the table); KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO.
 */
KV_API KV_MUST_CHECK kv_status kv_table_clear(kv_txn *txn, kv_table table);

/**
 * Drops a table with all its entries, which are deleted as by kv_table_clear(). The number of the table is not given
 * to another one.
 *
 * @return As kv_table_clear(); KV_INVALID (KV_MAIN), KV_READ_ONLY (KV_TABLES).
 */
KV_API KV_MUST_CHECK kv_status kv_table_drop(kv_txn *txn, kv_table table);

/**
 * Tells the name of a table. To list all tables, read KV_TABLES, whose keys are the names.
 *
 * @param name  Receives the name, valid until the transaction ends or is refreshed, also after writes; empty for
 *              KV_MAIN and KV_TABLES, which have none.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID (name is NULL); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_table_name(const kv_txn *txn, kv_table table, kv_slice *name);

/**
 * Tells the note of a table: bytes that the program attached to it, such as a schema or a version. It is empty at
 * first.
 *
 * @param note  Receives the note, valid until the transaction ends or is refreshed, also after writes.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID (note is NULL); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_table_note(const kv_txn *txn, kv_table table, kv_slice *note);

/**
 * Attaches a note to a table, in place of the one that it has.
 *
 * @param note  0 to 1024 bytes; an empty note is the same as none.
 * @param len   Bytes of the note.
 * @return KV_OK; KV_TOO_BIG; KV_INVALID (KV_MAIN has no note); otherwise as kv_table_clear().
 */
KV_API KV_MUST_CHECK kv_status kv_table_set_note(kv_txn *txn, kv_table table, const void *note, size_t len);

/** @} */

/* ==== Entries ================================================================================================= */

/** @defgroup kv_entries Entries
 * @{ */

/** Put flag: only if the key does not exist, or the call returns KV_EXISTS. */
#define KV_NO_OVERWRITE 0x100
/** Put flag: only if the key exists, or the call returns KV_NOTFOUND. */
#define KV_NO_INSERT 0x200
/** Put flag: only if the key is greater than every key of the table, or the call returns KV_ORDER. */
#define KV_APPEND 0x400
/** Delete flag: do not look whether the entry exists; the call returns KV_OK either way. */
#define KV_BLIND 0x800

/**
 * Reads the value of a key in place, without a copy.
 *
 * @param value  Receives the value, valid until the transaction ends or is refreshed, and in a write transaction only
 *               until its next write. NULL only asks whether the key exists, and never reads a long value.
 * @return KV_OK; KV_NOTFOUND; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key); KV_BAD_HANDLE, KV_FORKED; KV_BUSY (a write
 *         transaction in use by another thread); KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY.
 */
KV_API kv_status kv_get(const kv_txn *txn, kv_table table, const void *key, size_t klen, kv_slice *value);

/**
 * Copies the value of a key into a buffer of the caller.
 *
 * @param buffer  Receives the value; may be NULL if size is 0.
 * @param size    Bytes of the buffer.
 * @param len     Receives the length of the value in bytes, also after KV_TOO_SMALL; may be NULL.
 * @return As kv_get(); KV_TOO_SMALL (nothing was copied).
 */
KV_API kv_status kv_get_copy(const kv_txn *txn, kv_table table, const void *key, size_t klen, void *buffer,
    size_t size, size_t *len);

/**
 * Puts an entry: inserts it, or replaces the value if the key exists.
 *
 * @param flags  0, or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
 * @return KV_OK; KV_EXISTS, KV_NOTFOUND, KV_ORDER (as the flags say; nothing was written); KV_NO_TABLE; KV_READ_ONLY
 *         (a read transaction, or KV_TABLES); KV_UNSUPPORTED (a newer version made the table); KV_TOO_BIG; KV_INVALID;
 *         KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED; KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_NO_MEMORY, KV_LIMIT
 *         (the file cannot grow further; these can spoil the transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_put(kv_txn *txn, kv_table table, const void *key, size_t klen, const void *value,
    size_t vlen, uint32_t flags);

/**
 * Puts an entry if its key does not exist; otherwise returns KV_EXISTS and hands out the value that is there.
 *
 * @param existing  Receives the value that is there after KV_EXISTS, valid until the next write or the end of the
 *                  transaction; may be NULL.
 * @return As kv_put() with KV_NO_OVERWRITE.
 */
KV_API KV_MUST_CHECK kv_status kv_insert(kv_txn *txn, kv_table table, const void *key, size_t klen,
    const void *value, size_t vlen, kv_slice *existing);

/**
 * Puts an entry and hands out the value that it replaces.
 *
 * @param flags  As for kv_put().
 * @param old    Receives the former value, valid until the next write or the end of the transaction; its data is NULL
 *               if there was none.
 * @return As kv_put().
 */
KV_API KV_MUST_CHECK kv_status kv_replace(kv_txn *txn, kv_table table, const void *key, size_t klen,
    const void *value, size_t vlen, uint32_t flags, kv_slice *old);

/**
 * Puts an entry whose value is `vlen` zero bytes, and tells where they lie, so that the caller can fill them before
 * the next call on this transaction. That saves a copy of a value that is computed anyway.
 *
 * @param vlen   Bytes of the value.
 * @param flags  As for kv_put().
 * @param data   Receives the address of vlen writable bytes, never NULL; valid until the next call on this
 *               transaction.
 * @return As kv_put().
 */
KV_API KV_MUST_CHECK kv_status kv_reserve(kv_txn *txn, kv_table table, const void *key, size_t klen, size_t vlen,
    uint32_t flags, void **data);

/**
 * Deletes an entry.
 *
 * @param flags  0, or KV_BLIND.
 * @return KV_OK; KV_NOTFOUND (without KV_BLIND); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API KV_MUST_CHECK kv_status kv_delete(kv_txn *txn, kv_table table, const void *key, size_t klen, uint32_t flags);

/**
 * Deletes an entry and hands out its value.
 *
 * @param value  Receives the value, valid until the next write or the end of the transaction.
 * @return KV_OK; KV_NOTFOUND; otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API KV_MUST_CHECK kv_status kv_take(kv_txn *txn, kv_table table, const void *key, size_t klen, kv_slice *value);

/**
 * Deletes the first entry of a range (with KV_RANGE_REVERSE, the one with the greatest key) and hands it out: the step
 * of a queue.
 *
 * @param range  NULL = the whole table.
 * @param key    Receives the key, valid until the next write or the end of the transaction; may be NULL.
 * @param value  Receives the value, valid as long as the key; may be NULL.
 * @return KV_OK; KV_NOTFOUND (the range is empty); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API KV_MUST_CHECK kv_status kv_take_first(kv_txn *txn, kv_table table, const kv_range *range, kv_slice *key,
    kv_slice *value);

/**
 * Deletes every entry of a range. The time grows with the number of pages in the range, and not with the number or the
 * sizes of its entries; leaf pages that lie wholly within it are read only if the table has long keys or values.
 *
 * @param range    With at least one bound or a prefix. For a whole table there is kv_table_clear().
 * @param deleted  Receives the number of entries that were deleted; may be NULL.
 * @return KV_OK (also if the range was empty); KV_INVALID (a range without a bound); otherwise as kv_put(); never
 *         KV_NOTFOUND, KV_EXISTS, KV_ORDER.
 */
KV_API KV_MUST_CHECK kv_status kv_delete_range(kv_txn *txn, kv_table table, const kv_range *range,
    uint64_t *deleted);

/** @} */

/* ==== Cursors and counting ==================================================================================== */

/** @defgroup kv_cursors Cursors and counting
 * @{ */

/** Seek: the entry with exactly this key. */
#define KV_SEEK_EQ 32
/** Seek: the entry with this key, or else with the next greater one. */
#define KV_SEEK_GE 33
/** Seek: the entry with the next greater key. */
#define KV_SEEK_GT 34
/** Seek: the entry with this key, or else with the next lesser one. */
#define KV_SEEK_LE 35
/** Seek: the entry with the next lesser key. */
#define KV_SEEK_LT 36

/** A position in a table. A cursor is used by one thread at a time, though not always by the same one. */
typedef struct kv_cursor kv_cursor;

/**
 * Opens a cursor before the first entry of a range.
 *
 * A new cursor stands before the first entry, so that a loop with KV_EACH sees them all. After the end was reached
 * (KV_NOTFOUND) it stands after the last entry, and kv_cursor_prev() moves to that. After its entry was deleted it
 * stands between the neighbours: kv_cursor_get() returns KV_NOTFOUND, kv_cursor_next() moves to the successor and
 * kv_cursor_prev() to the predecessor. A cursor of a write transaction sees what the transaction writes.
 *
 * After KV_CORRUPT, and after any other failure, the cursor stands where it stood before, and the next step meets the
 * same damage: no entry is left out unseen. (kv_cursor_next_many() and kv_cursor_fill() have then moved over entries
 * that they did not hand out. Go back to the last one that you have got by kv_cursor_seek(), and step from there.) In
 * a read transaction, this passes the damage, and tells how many entries lie in it:
 *
 *     kv_status past_damage(kv_cursor *cursor, uint64_t *lost, kv_slice *key, kv_slice *value)
 *     {
 *         uint64_t here;
 *         kv_status status = kv_cursor_rank(cursor, &here);
 *         *lost = 0;
 *         if (status != KV_OK) return status;
 *         if (kv_cursor_get(cursor, NULL, NULL) == KV_OK) here++;
 *         while ((status = kv_cursor_nth(cursor, here + *lost, key, value)) == KV_CORRUPT) ++*lost;
 *         return status;
 *     }
 *
 * @param range   NULL = the whole table, in ascending order. Copied, its direction included.
 * @param cursor  Receives the handle, which kv_cursor_close() releases, or the end of the transaction.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (a bound); KV_LIMIT; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
 *         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY.
 */
KV_API kv_status kv_cursor_open(const kv_txn *txn, kv_table table, const kv_range *range, kv_cursor **cursor);

/** Closes a cursor. One that is NULL or closed, or whose transaction has ended, is ignored. */
KV_API void kv_cursor_close(kv_cursor *cursor);

/**
 * Moves to the first entry of the range (with KV_RANGE_REVERSE, the one with the greatest key).
 *
 * What is said of the outputs here is valid for every kv_cursor_... function that has them:
 *
 * @param key    Receives the key, valid until the next call on this cursor; may be NULL.
 * @param value  Receives the value, valid until the transaction ends or is refreshed, and in a write transaction only
 *               until its next write. May be NULL, which saves reading a long value.
 * @return KV_OK; KV_NOTFOUND (there is no entry); KV_BAD_HANDLE (also if the transaction has ended), KV_FORKED;
 *         KV_BUSY (cursor or write transaction in use by another thread); KV_TXN_FAILED; KV_NO_TABLE (dropped
 *         meanwhile); KV_CORRUPT; KV_IO, KV_NO_SPACE, KV_LIMIT (in a write transaction: what it has collected is
 *         applied first, and may be written); KV_NO_MEMORY.
 */
KV_API kv_status kv_cursor_first(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to the last entry of the range, in the cursor's direction.
 *
 * @return As kv_cursor_first().
 */
KV_API kv_status kv_cursor_last(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to the next entry of the range, in the cursor's direction; a new cursor moves to the first.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND (the end of the range).
 */
KV_API kv_status kv_cursor_next(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to the previous entry of the range, in the cursor's direction.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND (the beginning of the range).
 */
KV_API kv_status kv_cursor_prev(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Reads the current entry again, without moving the cursor.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND (the cursor stands on no entry: it is new, at an end, or its entry was
 *         deleted).
 */
KV_API kv_status kv_cursor_get(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to an entry by its key. If there is no such entry, the cursor stands where it would be.
 *
 * @param seek_key  The key to look for, which may be one that this cursor returned.
 * @param klen      Bytes of seek_key.
 * @param how       KV_SEEK_...; greater and less are meant in the order of keys, also in a reverse range.
 * @return As kv_cursor_first(); KV_INVALID; KV_TOO_BIG (key).
 */
KV_API kv_status kv_cursor_seek(kv_cursor *cursor, const void *seek_key, size_t klen, uint32_t how, kv_slice *key,
    kv_slice *value);

/**
 * Replaces the value of the current entry.
 *
 * @return KV_OK; KV_NOTFOUND (the cursor stands on no entry); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API KV_MUST_CHECK kv_status kv_cursor_put(kv_cursor *cursor, const void *value, size_t vlen);

/**
 * Deletes the current entry. The cursor then stands between its neighbours.
 *
 * @return KV_OK; KV_NOTFOUND (the cursor stands on no entry); otherwise as kv_put(); never KV_EXISTS, KV_ORDER,
 *         KV_INVALID, KV_TOO_BIG.
 */
KV_API KV_MUST_CHECK kv_status kv_cursor_delete(kv_cursor *cursor);

/**
 * Moves to the n-th entry of the range, in time that grows only with the height of the tree.
 *
 * @param n  0 = the first entry in the cursor's direction.
 * @return As kv_cursor_first(); KV_NOTFOUND (there are fewer entries).
 */
KV_API kv_status kv_cursor_nth(kv_cursor *cursor, uint64_t n, kv_slice *key, kv_slice *value);

/**
 * Moves to the entry at a percentile of the range, by the nearest-rank method: 50 is the median, 0 the first entry,
 * 100 the last.
 *
 * @param percent  0 to 100.
 * @return As kv_cursor_first(); KV_NOTFOUND (the range is empty); KV_INVALID (percent).
 */
KV_API kv_status kv_cursor_percentile(kv_cursor *cursor, double percent, kv_slice *key, kv_slice *value);

/**
 * Moves to a random entry of the range, each of which is equally likely.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND (the range is empty).
 */
KV_API kv_status kv_cursor_random(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Counts the entries of the cursor's range, without moving the cursor.
 *
 * @param count  Receives the number of entries.
 * @return KV_OK; KV_INVALID (count is NULL); otherwise as kv_cursor_first(); never KV_NOTFOUND.
 */
KV_API kv_status kv_cursor_count(kv_cursor *cursor, uint64_t *count);

/**
 * Counts the entries of the range before the current one, in the cursor's direction; kv_cursor_nth() with this number
 * returns to the current entry. If the cursor stands on no entry, those before the place where it stands are counted.
 *
 * @param rank  Receives the number of entries.
 * @return KV_OK; KV_INVALID (rank is NULL); otherwise as kv_cursor_first(); never KV_NOTFOUND.
 */
KV_API kv_status kv_cursor_rank(kv_cursor *cursor, uint64_t *rank);

/**
 * Counts the entries of a range, in time that grows only with the height of the tree.
 *
 * @param range  NULL = the whole table.
 * @param count  Receives the number of entries.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (a bound); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED;
 *         KV_CORRUPT; KV_IO, KV_NO_SPACE, KV_LIMIT (in a write transaction: what it has collected is applied first,
 *         and may be written).
 */
KV_API kv_status kv_count(const kv_txn *txn, kv_table table, const kv_range *range, uint64_t *count);

/**
 * Counts the entries whose keys are less than `key`, which need not exist.
 *
 * @param rank  Receives the number of entries.
 * @return As kv_count(); KV_TOO_BIG (key).
 */
KV_API kv_status kv_rank(const kv_txn *txn, kv_table table, const void *key, size_t klen, uint64_t *rank);

/** @} */

/* ==== Batches ================================================================================================= */

/** @defgroup kv_batches Batches
 * @{ */

/** kv_op.op: put key and value; the flags are those of kv_put(). */
#define KV_OP_PUT 48
/** kv_op.op: delete the key; the flags are those of kv_delete(). The value is ignored. */
#define KV_OP_DELETE 49
/** kv_batch.flags: an entry is its key alone; values are not read. */
#define KV_BATCH_KEYS 0x40000
/** kv_batch.flags: an entry is its value alone. */
#define KV_BATCH_VALUES 0x80000
/** kv_batch.kinds: the key exists, and the string is what was asked for. */
#define KV_KIND_PRESENT 1
/** kv_batch.kinds: the key does not exist, and the string is empty. */
#define KV_KIND_ABSENT 0

/** One operation of kv_write_batch(). */
typedef struct kv_op {
    /** KV_OP_... */
    uint32_t op;
    /** Flags of that operation. */
    uint32_t flags;
    /** Number of the table. */
    kv_table table;
    /** The key. */
    kv_slice key;
    /** The value. */
    kv_slice value;
} kv_op;

/**
 * Many strings in one buffer: string i lies from bytes[ends[i-1]] up to bytes[ends[i]], and string 0 begins at
 * bytes[0]. An entry is two strings, a key and its value, unless the function or a flag says otherwise. The
 * program allocates the arrays once and uses them again and again; start from KV_BATCH_INIT.
 *
 * A function that fills a batch sets `count`, `used`, `needed` and `at_end`, also when it returns KV_NOTFOUND or
 * KV_TOO_SMALL. An input batch has no flags; its `count` entries are in `bytes` and `ends`, and the first `skip` of
 * them are passed over, so that a call that stopped half-way can be continued.
 */
typedef struct kv_batch {
    /** Exactly sizeof(kv_batch), set by KV_BATCH_INIT. */
    uint32_t struct_size;
    /** KV_BATCH_... flags; 0 in an input batch. */
    uint32_t flags;
    /** The strings, one after the other. */
    void *bytes;
    /** Bytes of room in `bytes`, of which at most 2^32 - 1 are used; an input batch must not have more. */
    size_t bytes_size;
    /** Where each string ends, in bytes from the beginning of `bytes`. */
    uint32_t *ends;
    /** Room in `ends`, in strings. */
    size_t ends_size;
    /**
     * KV_KIND_... of each string, with room for ends_size; used by kv_get_packed() and
     * kv_diff_fill(). May be NULL.
     */
    uint8_t *kinds;
    /** How many entries are wanted at most; 0 = as many as there is room for. */
    size_t limit;
    /** How many entries are in the batch. */
    size_t count;
    /** How many bytes are in the batch. */
    size_t used;
    /** Result: bytes that the next entry needs if there was no room for it; otherwise 0. */
    size_t needed;
    /**
     * Result: 1 if the end was reached. 0 if there may be more: there was no more room, or `limit` entries were found.
     */
    uint32_t at_end;
    /** Input: how many entries to pass over. */
    uint32_t skip;
} kv_batch;

#define KV_BATCH_INIT \
    {sizeof(kv_batch), 0, NULL, 0, NULL, 0, NULL, 0, 0, 0, 0, 0, 0}

/**
 * Reads the values of many keys at once. This is much faster than reading one after the other, because the next keys
 * are looked for while memory is waited for.
 *
 * @param keys    n keys in any order.
 * @param n       Number of keys.
 * @param values  Receives n values in the order of the keys, valid as those of kv_get(); the data of one that does not
 *                exist is NULL. After a failure, the first of them may have been written.
 * @param found   Receives how many of the keys exist; may be NULL.
 * @return KV_OK, also if none exists; KV_NO_SPACE, KV_LIMIT (in a write transaction, as kv_count); otherwise as
 *         kv_get(); never KV_NOTFOUND.
 */
KV_API kv_status kv_get_many(const kv_txn *txn, kv_table table, const kv_slice *keys, size_t n, kv_slice *values,
    size_t *found);

/**
 * Moves over the next entries and hands them out, up to n at a time. The cursor then stands on the last of them or,
 * if the range has fewer than n more, behind it, as after kv_cursor_next() has returned KV_NOTFOUND.
 *
 * @param entries  Receives up to n entries. Their keys are valid until the next call on this cursor, and their values
 *                 as those of kv_cursor_next(). After a failure, the first of them may have been written.
 * @param n        Room in `entries`, at least 1.
 * @param got      Receives how many entries there are: less than n at the end of the range.
 * @return KV_OK; KV_NOTFOUND (at the end; got is 0); KV_INVALID (n is 0); otherwise as kv_cursor_first().
 */
KV_API kv_status kv_cursor_next_many(kv_cursor *cursor, kv_entry *entries, size_t n, size_t *got);

/**
 * Carries out puts and deletes in any tables, in their order. It stops at the first that does not return KV_OK; those
 * before it stay done.
 *
 * @param ops   n operations.
 * @param n     Number of operations.
 * @param done  Receives how many were carried out, also after a failure; may be NULL.
 * @return KV_OK; what kv_put() or kv_delete() returned for operation number `done`, counted from 0.
 */
KV_API KV_MUST_CHECK kv_status kv_write_batch(kv_txn *txn, const kv_op *ops, size_t n, size_t *done);

/**
 * Fills a batch with the entries ahead of the cursor, as many as there is room for. The cursor then stands on the last
 * of them, so that the next call continues there, or behind it if `at_end` is 1.
 *
 * @param batch  Receives key, value, key, value ... (with KV_BATCH_KEYS or KV_BATCH_VALUES: one string for each
 *               entry).
 * @return KV_OK; KV_NOTFOUND (no entry is left; `count` is 0 and `at_end` 1); KV_TOO_SMALL (there is no room for a
 *         single entry: `needed` tells its bytes, and `ends` needs room for its strings); KV_INVALID (batch);
 *         otherwise as kv_cursor_first().
 */
KV_API kv_status kv_cursor_fill(kv_cursor *cursor, kv_batch *batch);

/**
 * Fills a batch with the first entries of a range: kv_cursor_open(), kv_cursor_fill() and kv_cursor_close() in one
 * call. To continue, ask for the range KV_RANGE_AFTER the last key (with KV_RANGE_REVERSE: KV_RANGE_BEFORE).
 *
 * @param range  NULL = the whole table.
 * @param batch  As for kv_cursor_fill().
 * @return As kv_cursor_fill() and kv_cursor_open().
 */
KV_API kv_status kv_scan(const kv_txn *txn, kv_table table, const kv_range *range, kv_batch *batch);

/**
 * Copies the values of many keys, packed in and out.
 *
 * @param keys    An input batch of keys (one string for each entry).
 * @param values  Receives one string for each key, in their order; it is empty if the key does not exist, and `kinds`,
 *                if it is given, tells whether it does. If there is no room for all, `at_end` is 0 and `count` tells
 *                how many keys were looked up: add it to keys->skip and call again.
 * @return KV_OK; KV_TOO_SMALL (there is no room for a single value); KV_INVALID (batches); KV_NO_SPACE, KV_LIMIT (in a
 *         write transaction, as kv_count); otherwise as kv_get(); never KV_NOTFOUND.
 */
KV_API kv_status kv_get_packed(const kv_txn *txn, kv_table table, const kv_batch *keys, kv_batch *values);

/**
 * Puts many entries, in their order. It stops at the first that does not return KV_OK; those before it stay done.
 *
 * @param batch  An input batch of key, value, key, value ...
 * @param flags  As for kv_put().
 * @param done   Receives how many entries were put, without those skipped, also after a failure; may be NULL.
 * @return KV_OK; KV_INVALID (batch); what kv_put() returned for the entry that stopped it.
 */
KV_API KV_MUST_CHECK kv_status kv_put_packed(kv_txn *txn, kv_table table, const kv_batch *batch, uint32_t flags,
    size_t *done);

/**
 * Deletes many entries, in their order. It stops at the first that does not return KV_OK; those before it stay done.
 *
 * @param batch  An input batch of keys (one string for each entry).
 * @param flags  As for kv_delete(). Without KV_BLIND, a key that does not exist stops it with KV_NOTFOUND.
 * @param done   Receives how many entries were deleted, without those skipped, also after a failure; may be NULL.
 * @return KV_OK; KV_INVALID (batch); what kv_delete() returned for the entry that stopped it.
 */
KV_API KV_MUST_CHECK kv_status kv_delete_packed(kv_txn *txn, kv_table table, const kv_batch *batch, uint32_t flags,
    size_t *done);

/** @} */

/* ==== Differences ============================================================================================= */

/** @defgroup kv_differences Differences
 * @{ */

/** kv_change.kind: only the later state has the key. */
#define KV_CHANGE_ADDED 1
/** kv_change.kind: only the earlier state has the key. */
#define KV_CHANGE_REMOVED 2
/** kv_change.kind: both states have the key, with different values. */
#define KV_CHANGE_CHANGED 3

/**
 * The difference of two states of a database. A kv_diff is used by one thread at a time, though not always by the same
 * one.
 */
typedef struct kv_diff kv_diff;

/** One change between two states, filled by kv_diff_next(); start from KV_CHANGE_INIT. */
typedef struct kv_change {
    /** sizeof(kv_change), set by KV_CHANGE_INIT. */
    uint32_t struct_size;
    /** KV_CHANGE_... */
    uint32_t kind;
    /** The key, valid until the next call on the kv_diff. */
    kv_slice key;
    /** The value before; (NULL, 0) if the key was added. Valid as a value of kv_get() in that transaction. */
    kv_slice before;
    /** The value after; (NULL, 0) if the key was removed. Valid as a value of kv_get() in that transaction. */
    kv_slice after;
} kv_change;

#define KV_CHANGE_INIT \
    {sizeof(kv_change), 0, {NULL, 0}, {NULL, 0}, {NULL, 0}}

/** How many keys differ between two states, filled by kv_diff_count(); start from KV_DIFF_COUNTS_INIT. */
typedef struct kv_diff_counts {
    /** sizeof(kv_diff_counts), set by KV_DIFF_COUNTS_INIT. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Keys that only the later state has. */
    uint64_t added;
    /** Keys that only the earlier state has. */
    uint64_t removed;
    /** Keys that both states have, with different values. */
    uint64_t changed;
} kv_diff_counts;

#define KV_DIFF_COUNTS_INIT \
    {sizeof(kv_diff_counts), 0, 0, 0, 0}

/**
 * Opens the difference of a table in two states: the keys that were added, removed and changed, in order.
 *
 * Only pages that differ are read, so the time depends on how much was changed and not on how large the table is. A
 * key whose value was written again as it was is no change. A loop over all changes:
 *
 *     kv_change change = KV_CHANGE_INIT;
 *     while ((status = kv_diff_next(diff, &change)) == KV_OK) use(&change);
 *     if (status != KV_NOTFOUND) return status;
 *
 * A table is found by its number: one that only one of the two states has is wholly added or removed. A table that was
 * dropped and created again under its name has another number, so ask for the number of the name in each transaction
 * (kv_table_open()), and for the difference of each. The difference of KV_TABLES tells which tables were created,
 * dropped and renamed. The list of snapshots is part of no earlier state: if `before` reads a snapshot and `after` the
 * newest commit, all of KV_SNAPSHOTS is added.
 *
 * A difference belongs to both transactions, and ends with the first of them that ends. If one of them is refreshed,
 * or writes, the difference goes on behind the last key that it gave, in the new state.
 *
 * @param before  The transaction that sees the earlier state. It may also see the later one: added and removed then
 *                change sides.
 * @param after   The transaction that sees the later state, of the same database. One of the two may be a write
 *                transaction, whose own writes count.
 * @param range   NULL = the whole table, in ascending order. Copied, its direction included.
 * @param diff    Receives the handle, which kv_diff_close() releases, or the end of one of the transactions.
 * @return KV_OK; KV_NO_TABLE (neither transaction has the table); KV_INVALID (also: transactions of different
 *         databases, or one write transaction twice); KV_TOO_BIG (a bound); KV_LIMIT; KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY.
 */
KV_API kv_status kv_diff_open(const kv_txn *before, const kv_txn *after, kv_table table, const kv_range *range,
    kv_diff **diff);

/** Closes a difference. One that is NULL or closed, or whose transaction has ended, is ignored. */
KV_API void kv_diff_close(kv_diff *diff);

/**
 * Goes to the next change. After KV_CORRUPT, and after any other failure, the next call goes to the same change, and
 * meets the same damage: no change is left out unseen. Damage in pages that are the same in both states is not met.
 *
 * @param change  Receives the change; start from KV_CHANGE_INIT.
 * @return KV_OK; KV_NOTFOUND (there is no further change); KV_INVALID (struct_size); KV_BAD_HANDLE (also if a
 *         transaction has ended), KV_FORKED; KV_BUSY (difference or write transaction in use by another thread);
 *         KV_TXN_FAILED; KV_NO_TABLE (dropped meanwhile in both); KV_CORRUPT; KV_IO, KV_NO_SPACE, KV_LIMIT (with a
 *         write transaction: what it has collected is applied first, and may be written); KV_NO_MEMORY.
 */
KV_API kv_status kv_diff_next(kv_diff *diff, kv_change *change);

/**
 * Fills a batch with the next changes, as many as there is room for.
 *
 * @param batch  Receives key, value before, value after, key ... with KV_KIND_ABSENT in `kinds` for a value that is
 *               not there, and otherwise KV_KIND_PRESENT. With KV_BATCH_VALUES: value before, value after. With
 *               KV_BATCH_KEYS: one string for each change, with KV_CHANGE_... in `kinds`; no value is read then,
 *               except for long ones that have to be compared.
 * @return KV_OK; KV_NOTFOUND (there is no further change; `count` is 0 and `at_end` 1); KV_TOO_SMALL (there is no room
 *         for a single change: `needed` tells its bytes, and `ends` needs room for its strings); KV_INVALID (batch);
 *         otherwise as kv_diff_next(). After a failure, no change is left out: those that were found before it were
 *         handed out by the call before.
 */
KV_API kv_status kv_diff_fill(kv_diff *diff, kv_batch *batch);

/**
 * Counts the changes of a table within a range. What only one of the two states has is counted without being read.
 *
 * @param range   NULL = the whole table. Its direction does not matter.
 * @param counts  Receives the numbers; start from KV_DIFF_COUNTS_INIT.
 * @return As kv_diff_open(); KV_INVALID (struct_size).
 */
KV_API kv_status kv_diff_count(const kv_txn *before, const kv_txn *after, kv_table table, const kv_range *range,
    kv_diff_counts *counts);

/**
 * Tells whether two states are known to be the same, by the roots of their trees and without reading any entry.
 *
 * @param table  The table that is compared, or KV_NONE for all tables.
 * @param same   Receives 1 if no entry differs. It receives 0 if pages differ; most likely entries do then, but they
 *               may have been written again as they were (kv_diff_count() tells).
 * @return As kv_diff_open(); never KV_TOO_BIG.
 */
KV_API kv_status kv_same(const kv_txn *before, const kv_txn *after, kv_table table, int32_t *same);

/** @} */

/* ==== Long values ============================================================================================= */

/** @defgroup kv_values Long values
 * @{ */

/**
 * A value that is being written in parts. A kv_writer is used by one thread at a time, though not always by the same
 * one.
 */
typedef struct kv_writer kv_writer;

/** Figures of a value, filled by kv_stat_value(); start from KV_VALUE_STAT_INIT. */
typedef struct kv_value_stat {
    /** sizeof(kv_value_stat), set by KV_VALUE_STAT_INIT. */
    uint32_t struct_size;
    /** Number of contiguous pieces of the file that hold it; 0 = it lies beside its key, or is not written yet. */
    uint32_t extents;
    /** Length of the value in bytes. */
    uint64_t len;
} kv_value_stat;

#define KV_VALUE_STAT_INIT \
    {sizeof(kv_value_stat), 0, 0}

/** A contiguous piece of a value. */
typedef struct kv_extent {
    /** Its bytes, valid as a value of kv_get(). */
    const void *data;
    /** Its length in bytes. */
    size_t len;
    /** Where it begins in the file, in bytes; KV_NONE if it has no place of its own there. */
    uint64_t file_offset;
} kv_extent;

/**
 * Tells the length and the shape of a value, without reading the value.
 *
 * @param stat  Receives the figures; start from KV_VALUE_STAT_INIT.
 * @return As kv_get().
 */
KV_API kv_status kv_stat_value(const kv_txn *txn, kv_table table, const void *key, size_t klen,
    kv_value_stat *stat);

/**
 * Copies a part of a value into a buffer of the caller. Only that part is read from disk and verified, so a value that
 * is much larger than memory can be read piece by piece.
 *
 * @param offset  The first byte that is wanted. At or beyond the end of the value, nothing is read.
 * @param buffer  Receives the bytes.
 * @param size    Number of bytes that are wanted.
 * @param got     Receives how many bytes were read: less than size at the end of the value.
 * @return As kv_get().
 */
KV_API kv_status kv_value_read(const kv_txn *txn, kv_table table, const void *key, size_t klen, uint64_t offset,
    void *buffer, size_t size, size_t *got);

/**
 * Tells where a value lies, as contiguous pieces, so that it can be handed to writev(), sendfile() or a device without
 * a copy. The bytes of a long value are not read, and so not verified either; kv_value_read() and kv_get() do that.
 *
 * @param extents  Receives the pieces, in order.
 * @param size     Room in `extents`, in pieces.
 * @param n        Receives how many pieces there are, also after KV_TOO_SMALL; 0 for an empty value.
 * @return As kv_get(); KV_TOO_SMALL (nothing but n was written).
 */
KV_API kv_status kv_value_extents(const kv_txn *txn, kv_table table, const void *key, size_t klen,
    kv_extent *extents, size_t size, size_t *n);

/**
 * Begins a value that is written in parts, because its length is not known or because it is larger than memory.
 *
 * The entry appears when kv_writer_finish() returns KV_OK; until then the transaction sees what was there before.
 * Other calls on the transaction may come between the parts.
 *
 * @param size_hint  Expected length in bytes; 0 = unknown. A good guess lets the value lie in one piece.
 * @param flags      As for kv_put(). What they demand is checked here and again by kv_writer_finish().
 * @param writer     Receives the handle, which kv_writer_finish() or kv_writer_close() releases.
 * @return As kv_put(); KV_LIMIT.
 */
KV_API KV_MUST_CHECK kv_status kv_writer_open(kv_txn *txn, kv_table table, const void *key, size_t klen,
    uint64_t size_hint, uint32_t flags, kv_writer **writer);

/**
 * Appends bytes to the value.
 *
 * @return KV_OK; KV_TOO_BIG; KV_INVALID; KV_BAD_HANDLE, KV_FORKED; KV_BUSY (writer or transaction in use by another
 *         thread); KV_TXN_FAILED; KV_NO_SPACE, KV_IO, KV_NO_MEMORY, KV_LIMIT (the file cannot grow further; these can
 *         spoil the transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_writer_write(kv_writer *writer, const void *data, size_t len);

/**
 * Puts the entry with the value that was written.
 *
 * @param writer  Released whatever is returned. After a failure, the value is given up.
 * @return KV_OK; KV_EXISTS, KV_NOTFOUND, KV_ORDER (as the flags say; nothing was put); KV_NO_TABLE (dropped
 *         meanwhile); KV_CORRUPT; otherwise as kv_writer_write(); never KV_INVALID.
 */
KV_API KV_MUST_CHECK kv_status kv_writer_finish(kv_writer *writer);

/**
 * Gives up a value that was not finished. A writer that is NULL or finished, or whose transaction has ended, is
 * ignored.
 */
KV_API void kv_writer_close(kv_writer *writer);

/** @} */

/* ==== Retained values ========================================================================================= */

/** @defgroup kv_retained Retained values
 * @{ */

/** Bytes that outlive their transaction, with a count of references. Any number of threads may use it at once. */
typedef struct kv_buf kv_buf;

/**
 * Reads a value that outlives its transaction, and even kv_close(), until its buffer is released.
 *
 * A value of at most 64 KiB is copied, and so is every value of a write transaction. A longer one of a read
 * transaction is not copied: its buffer keeps the snapshot, as an open read transaction would, so do not keep it for
 * ever.
 *
 * @param value   Receives the value, valid until the last reference to the buffer is released.
 * @param buffer  Receives the handle, with one reference, which kv_buf_release() takes.
 * @return As kv_get(); KV_LIMIT.
 */
KV_API kv_status kv_get_buf(const kv_txn *txn, kv_table table, const void *key, size_t klen, kv_slice *value,
    kv_buf **buffer);

/**
 * Adds a reference to a buffer: one more kv_buf_release() is needed.
 *
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_LIMIT (2^32 - 1 references).
 */
KV_API kv_status kv_buf_retain(kv_buf *buffer);

/**
 * Takes a reference from a buffer. With the last one, the buffer is released and its bytes are no longer valid. A
 * buffer that is NULL or released already is ignored.
 */
KV_API void kv_buf_release(kv_buf *buffer);

/** @} */

/* ==== Snapshots =============================================================================================== */

/** @defgroup kv_snapshots Snapshots
 * @{ */

/**
 * kv_snapshot_options.flags: a snapshot of this name is dropped, if there is one. Without the flag,
 * kv_snapshot_create() returns KV_EXISTS then.
 */
#define KV_SNAPSHOT_REPLACE 0x20000000

/**
 * kv_snapshot_options.flags and kv_snapshot_stat.flags: the snapshot cannot be dropped or replaced before
 * kv_snapshot_keep() takes this back.
 */
#define KV_SNAPSHOT_KEEP 0x40000000

/**
 * kv_snapshot_options.flags and kv_snapshot_stat.flags: it is a mark, which keeps nothing. It cannot be read, but
 * kv_snapshot_ranges() tells which ranges of keys have changed since. Excludes KV_SNAPSHOT_KEEP and KV_SNAPSHOT_YIELD.
 */
#define KV_SNAPSHOT_MARK 0x80000000

/**
 * kv_snapshot_options.flags and kv_snapshot_stat.flags: the snapshot becomes a mark when the policy of the file says
 * so (kv_retention.yield_after, yield_pages), but not while it has KV_SNAPSHOT_KEEP.
 */
#define KV_SNAPSHOT_YIELD 128

/** How to create a snapshot; start from KV_SNAPSHOT_OPTIONS_INIT. */
typedef struct kv_snapshot_options {
    /** sizeof(kv_snapshot_options), set by KV_SNAPSHOT_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_SNAPSHOT_... flags; 0 = none. */
    uint32_t flags;
    /** Bytes that the program attaches to the snapshot, at most 1024. */
    kv_slice note;
} kv_snapshot_options;

#define KV_SNAPSHOT_OPTIONS_INIT \
    {sizeof(kv_snapshot_options), 0, {NULL, 0}}

/** What is recorded of a snapshot, filled by kv_stat_snapshot(); start from KV_SNAPSHOT_STAT_INIT. */
typedef struct kv_snapshot_stat {
    /** sizeof(kv_snapshot_stat), set by KV_SNAPSHOT_STAT_INIT. */
    uint32_t struct_size;
    /** KV_SNAPSHOT_KEEP, KV_SNAPSHOT_YIELD, KV_SNAPSHOT_MARK. Later versions may have more flags. */
    uint32_t flags;
    /** Number of the commit whose state it is. */
    uint64_t commit;
    /** When that commit was made, in nanoseconds since 1970 (UTC). */
    uint64_t time;
    /**
     * What tells this state from every other, also in copies of the file. All snapshots of one commit have the same.
     */
    uint8_t guid[16];
    /**
     * Pages of the file at that commit. 0 of a mark, and before the transaction is committed that has created the
     * snapshot of itself.
     */
    uint64_t file_pages;
    /** Pages in use at that commit; 0 as well if it is not known, because the snapshot is of what a reader saw. */
    uint64_t used_pages;
    /** The bytes that were attached to it, valid as a value of kv_get(). */
    kv_slice note;
    /** 1 = a commit has recorded it by itself (kv_history()). */
    uint32_t automatic;
    /** 0. */
    uint32_t reserved;
} kv_snapshot_stat;

#define KV_SNAPSHOT_STAT_INIT \
    {sizeof(kv_snapshot_stat), 0, 0, 0, {0}, 0, 0, {NULL, 0}, 0, 0}

/**
 * Called by kv_snapshot_ranges() for each range in which something may have changed. The range has KV_RANGE_FROM, but
 * not if it begins with the least key of all, and KV_RANGE_BEFORE, but not if it goes on to the end of the table, and
 * nothing else; it can be handed to kv_cursor_open() and kv_delete_range(), and is valid until the function returns.
 * Returns 0 to go on; anything else ends the call with KV_CANCELLED.
 */
typedef int32_t (*kv_range_fn)(void *ctx, const kv_range *range);

/**
 * Which snapshots of a row stay, for kv_history() and kv_snapshot_thin(); start from KV_RETENTION_INIT.
 *
 * `last` keeps the newest ones. The other counts keep the newest of each of the last hours, days, weeks and months
 * that have one; those begin by UTC, and weeks with Monday. A snapshot stays if one of the counts keeps it. Hours and
 * days without a snapshot do not count, so that nothing goes because nobody has written for long.
 */
typedef struct kv_retention {
    /** sizeof(kv_retention), set by KV_RETENTION_INIT. */
    uint32_t struct_size;
    /**
     * For kv_history(): seconds from one snapshot to the next, at least 1; 0 = none are recorded, and the counts are
     * 0, because only yield_after or yield_pages is wanted.
     */
    uint32_t interval;
    /** How many of the newest stay; 0 = this count keeps none, as with those below. */
    uint32_t last;
    /** Of how many hours the newest stays. */
    uint32_t hourly;
    /** Of how many days the newest stays. */
    uint32_t daily;
    /** Of how many weeks the newest stays. */
    uint32_t weekly;
    /** Of how many months the newest stays. */
    uint32_t monthly;
    /**
     * For kv_history(): a snapshot with KV_SNAPSHOT_YIELD becomes a mark with the first commit for which its state is
     * so many seconds old, and not the newest any more; 0 = never. A clock that runs ahead makes marks too early.
     */
    uint32_t yield_after;
    /**
     * For kv_history(): the pages that all snapshots may keep. While they keep more, those with KV_SNAPSHOT_YIELD
     * become marks, the oldest first and the next when its pages were given back, to which commits see.
     * 0 = any number.
     */
    uint64_t yield_pages;
} kv_retention;

#define KV_RETENTION_INIT \
    {sizeof(kv_retention), 0, 0, 0, 0, 0, 0, 0, 0}

/**
 * The read-only list of the snapshots. It is read like any table: the keys are the names, and kv_stat_snapshot() tells
 * what a value says. Keys that begin with a byte 0 are the library's own, so a list of all names is that of
 * kv_range {KV_RANGE_FROM, from = "\1"}. Transactions that read a snapshot have no such table.
 */
#define KV_SNAPSHOTS 2

/**
 * Records a state of the database under a name: a named snapshot, which is what this chapter calls a snapshot. It is
 * kept until it is dropped, and can be read as long (kv_txn_options.snapshot).
 *
 * Creating a snapshot costs as much as putting an entry, however large the database is, and readers and writers are as
 * fast as before. The file grows by what later commits replace, because the snapshot still has it. There can be ten
 * thousand snapshots and more. They belong to the file: a copy that kv_backup() makes has none.
 *
 * In a write transaction, the snapshot is of what the transaction is about to commit, with all that it writes before
 * and after this call, and it exists from the commit on. Of a read transaction, it is what that sees. It is recorded
 * at once then, in a commit of its own: the call waits for the end of an open write transaction and is durable as the
 * database was opened.
 *
 * So a snapshot of the state before a change is not made in the transaction that makes the change. Make it of a read
 * transaction, or in a write transaction of its own that is committed before the other one begins:
 *
 *     kv_txn_begin(db, KV_READ, NULL, &txn);
 *     status = kv_snapshot_create(txn, KV_STR("before"), NULL);
 *     kv_txn_abort(txn);
 *
 * @param name     1 to 512 bytes of any kind, the first of which is not 0.
 * @param len      Bytes of the name.
 * @param options  KV_SNAPSHOT_REPLACE, KV_SNAPSHOT_KEEP, KV_SNAPSHOT_MARK, KV_SNAPSHOT_YIELD, a note; NULL = all
 *                 defaults. Copied. A snapshot that moves on with KV_SNAPSHOT_REPLACE cannot have KV_SNAPSHOT_KEEP,
 *                 which refuses that.
 * @return KV_OK; KV_EXISTS (without KV_SNAPSHOT_REPLACE); KV_INVALID (also with KV_SNAPSHOT_REPLACE, if the snapshot
 *         that would be dropped has KV_SNAPSHOT_KEEP; KV_SNAPSHOT_MARK beside KV_SNAPSHOT_KEEP or KV_SNAPSHOT_YIELD);
 *         KV_TOO_BIG (name, note); KV_BAD_HANDLE, KV_FORKED; KV_BUSY (also if the wait for a write transaction is
 *         over); KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (in a write transaction, these
 *         can spoil it); for a read transaction also KV_READ_ONLY, KV_DEADLOCK, KV_CANCELLED, KV_NO_LOCKS,
 *         KV_POISONED, KV_IN_DOUBT, as kv_db_put().
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_create(kv_txn *txn, const void *name, size_t len,
    const kv_snapshot_options *options);

/**
 * Gives a snapshot another name. If another snapshot has this name already, it is dropped, so that the newest of a row
 * of snapshots can be moved to its name in one step. An automatic one (kv_history()) is like others from then on.
 *
 * @param name    The name that the snapshot has.
 * @param len     Bytes of the name.
 * @param to      The name that it gets: 1 to 512 bytes of any kind, the first of which is not 0.
 * @param to_len  Bytes of the new name.
 * @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_INVALID (also if the snapshot that would be dropped has
 *         KV_SNAPSHOT_KEEP); KV_TOO_BIG (name); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED;
 *         KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (these can spoil the transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_rename(kv_txn *txn, const void *name, size_t len, const void *to,
    size_t to_len);

/**
 * Drops a snapshot. Transactions that read it go on. What it alone had is given back by later commits, a part each, as
 * soon as the drop is durable and nobody reads it any more; kv_reclaim() does not wait for those.
 *
 * @param name  The name of the snapshot.
 * @param len   Bytes of the name.
 * @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_INVALID (also if it has KV_SNAPSHOT_KEEP); otherwise as
 *         kv_snapshot_rename().
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_drop(kv_txn *txn, const void *name, size_t len);

/**
 * Makes a mark of a snapshot: its name, commit, time, GUID and note stay, and what it alone had is given back as by
 * kv_snapshot_drop(). A mark cannot be read, and keeps nothing; kv_snapshot_ranges() tells which ranges of keys have
 * changed since. What is a mark already stays one.
 *
 * @param name  The name of the snapshot.
 * @param len   Bytes of the name.
 * @return As kv_snapshot_drop().
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_release(kv_txn *txn, const void *name, size_t len);

/**
 * Says whether a snapshot has KV_SNAPSHOT_KEEP, so that dropping or replacing it is refused.
 *
 * @param name  The name of the snapshot.
 * @param len   Bytes of the name.
 * @param keep  1 = it is to be kept; 0 = it can be dropped.
 * @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_INVALID (keep is neither 0 nor 1; a mark); otherwise as
 *         kv_snapshot_rename().
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_keep(kv_txn *txn, const void *name, size_t len, uint32_t keep);

/**
 * Tells what is recorded of a snapshot.
 *
 * @param name  The name of the snapshot.
 * @param len   Bytes of the name.
 * @param stat  Receives what is recorded; start from KV_SNAPSHOT_STAT_INIT.
 * @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_NO_TABLE (the transaction itself reads a snapshot);
 *         KV_INVALID; KV_TOO_BIG (name); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO; KV_TXN_FAILED.
 */
KV_API kv_status kv_stat_snapshot(const kv_txn *txn, const void *name, size_t len, kv_snapshot_stat *stat);

/**
 * Tells how many pages dropping snapshots would give back: those from one to another, with all that are of commits
 * between theirs. It counts what no other snapshot and not the newest commit has; readers may still read it. With the
 * same name twice, it is what one snapshot alone keeps. Snapshots of one commit count as one.
 *
 * Only what is counted is read of what is kept for snapshots, so the figure does not cost more when there are more of
 * them. It is that of the newest commit, and takes a moment at which nobody writes, as kv_check() with
 * KV_JOB_CHECK_SPACE. So it belongs to the database and not to a transaction.
 *
 * @param first      The name of a snapshot.
 * @param first_len  Bytes of the name.
 * @param last       The name of another one, or the same.
 * @param last_len   Bytes of that name.
 * @param pages      Receives the number of pages.
 * @return KV_OK; KV_NOTFOUND (no snapshot has one of the names); KV_INVALID (also a mark); KV_TOO_BIG (name);
 *         KV_BUSY (as kv_check() with KV_JOB_CHECK_SPACE, so also before wait_ms is over), KV_CANCELLED, KV_DEADLOCK
 *         (as kv_txn_begin()); KV_TOO_NEW; KV_CORRUPT, KV_IO, KV_NO_LOCKS, KV_NO_MEMORY, KV_LIMIT, KV_POISONED;
 *         KV_READ_ONLY (somebody writes, for whom a database that was opened read-only cannot wait); KV_BAD_HANDLE,
 *         KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_cost(kv_db *db, const void *first, size_t first_len, const void *last,
    size_t last_len, uint64_t *pages);

/**
 * Gives back what dropped snapshots alone had: the pages are free for new data afterwards, as far as nobody reads them
 * any more. Without this call, later commits do it, a part each. It makes commits that change nothing and are
 * durable; other write transactions have their turns between them.
 *
 * @param freed  Receives how many pages no snapshot keeps any more; may be NULL. Readers may still see some of them,
 *               and where others write meanwhile, the number is only about right.
 * @return KV_OK; KV_BUSY, KV_CANCELLED, KV_DEADLOCK (as kv_txn_begin()); KV_READ_ONLY; KV_NO_SPACE, KV_IO, KV_CORRUPT,
 *         KV_NO_LOCKS, KV_NO_MEMORY, KV_LIMIT, KV_IN_DOUBT, KV_POISONED (what was given back before stays so);
 *         KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_reclaim(kv_db *db, uint64_t *freed);

/**
 * Tells in which ranges of keys of a table something may have changed since a snapshot or a mark, in ascending order.
 * Outside of them all keys and values are what they were; no two of the ranges touch. So whoever has the former state
 * gets the present one by deleting what he has in each range, and putting what the transaction has there.
 *
 * Nothing of the former state is needed, so a mark will do, which keeps nothing. Only branches are read that were
 * written since, and no entry. The ranges are as wide as the pages in which something has changed: some ten entries to
 * some hundred. kv_compact() counts as a change of what it moves. Where the former state is kept, kv_diff_open() tells
 * the single keys.
 *
 * A table that is empty now, or was created since, is one range. One that was dropped since is in no transaction: the
 * ranges of KV_TABLES tell between which names tables may have come, gone or been renamed.
 *
 * In a read transaction, the function may use it, but not end it. In a write transaction, its own writes count, and
 * the function cannot use it (KV_BUSY).
 *
 * @param txn    A transaction, which does not itself read a snapshot.
 * @param name   The name of the snapshot or mark.
 * @param len    Bytes of the name.
 * @param range  NULL = the whole table. What is outside of it is not told of; its direction does not matter.
 * @param tell   Gets the ranges.
 * @param ctx    Handed to tell.
 * @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_NO_TABLE (also if the transaction reads a snapshot);
 *         KV_CANCELLED (tell); KV_INVALID (also if tell is NULL); KV_TOO_BIG (name, a bound); KV_BAD_HANDLE,
 *         KV_FORKED, KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT.
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_ranges(const kv_txn *txn, const void *name, size_t len, kv_table table,
    const kv_range *range, kv_range_fn tell, void *ctx);

/**
 * Makes a table, or the whole database, what a read transaction sees: goes back to a snapshot, to a commit that is
 * kept, or to the state that a reader still has.
 *
 * The keys that differ are put and deleted in the write transaction as if the program did that. So this takes as long
 * as the changes took that are taken back, and not as long as the database is large; it counts when the transaction is
 * committed; and it is as well a commit that one can go back behind. What the write transaction has written itself is
 * taken back too. Long values are copied. Snapshots stay, also those of later states, and readers see what they saw.
 * There is one write transaction at a time, so no other one's changes are in the way: KV_CONFLICT is not answered.
 *
 *     kv_txn_options options = KV_TXN_OPTIONS_INIT;
 *     options.snapshot.data = "before", options.snapshot.len = 6;
 *     if ((status = kv_txn_begin(db, KV_READ, &options, &from)) != KV_OK) return status;
 *     if ((status = kv_txn_begin(db, KV_WRITE, NULL, &txn)) == KV_OK) {
 *         status = kv_revert(txn, from, KV_NONE, NULL);
 *         if (status == KV_OK) status = kv_txn_commit(txn, NULL);
 *         else kv_txn_abort(txn);
 *     }
 *     kv_txn_abort(from);
 *
 * A table is gone back to with its name and its note. It is found by its number: it is dropped if `from` does not have
 * it, and comes back under its number if it was dropped since. With KV_NONE, this is done with all tables.
 *
 * KV_NONE is everything here, and not nothing. A variable that a program sets to KV_NONE is still that after a
 * kv_table_open() that fails: check its status, or the whole database is gone back to.
 *
 * What there was before the call is kept by no snapshot of its own, so create one (kv_snapshot_create()) where the way
 * back may be wanted.
 *
 * @param from     The read transaction that sees the state, of the same database.
 * @param table    The table, or KV_NONE for all tables and their names.
 * @param changed  Receives how many keys were added, removed and changed, in all tables; may be NULL.
 * @return KV_OK; KV_NO_TABLE (neither transaction has the table); KV_EXISTS (another table has the name that this one
 *         would get back); KV_READ_ONLY (also KV_TABLES and KV_SNAPSHOTS); KV_INVALID (`from` is a write transaction,
 *         or of another database); KV_UNSUPPORTED (a table of a newer version differs); KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT (also if only `from` sees the page), KV_IO, KV_NO_SPACE, KV_NO_MEMORY,
 *         KV_LIMIT (these can spoil the transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_revert(kv_txn *txn, const kv_txn *from, kv_table table, uint64_t *changed);

/**
 * Has commits record snapshots by themselves from now on, or no more.
 *
 * The policy belongs to the file. From the commit of this transaction on, each commit of any process, when the newest
 * automatic snapshot is older than the interval, records one of what it commits, and drops those of the automatic ones
 * that do not stay, in the same commit. The name says when that was, as `auto/2026-11-30T12:00:00Z`. Snapshots that
 * programs have created, those that got another name, and those with KV_SNAPSHOT_KEEP are not dropped. While nobody
 * commits, nothing is recorded; a commit for which nothing is due costs what it did. A backup has no policy.
 *
 * With yield_after or yield_pages, commits also make marks of snapshots with KV_SNAPSHOT_YIELD: of one that is too
 * old, and of the oldest when snapshots keep too much. So what was forgotten does not make the file grow without end.
 *
 * While there is an automatic snapshot of a later time than now, because the clock was set back, none is dropped.
 *
 * The call replaces the policy as a whole. If fewer stay than before, the others are dropped with the next one that is
 * recorded. Those with KV_SNAPSHOT_KEEP count among those that stay. Without a policy, the automatic ones are dropped
 * as others are, and kv_snapshot_thin() with the prefix `auto/` drops all but one.
 *
 * A snapshot of the name that an automatic one would get is left alone, and none is recorded in that second. So
 * programs give names that do not begin with `auto/`.
 *
 * @param policy  The interval and what stays; NULL = commits record none from now on, and those that are there stay.
 * @return KV_OK; KV_INVALID (an interval of which nothing stays; counts without an interval; nothing at all);
 *         KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
 *         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (these can spoil the transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_history(kv_txn *txn, const kv_retention *policy);

/**
 * Tells by which policy commits record snapshots by themselves.
 *
 * @param policy  Receives the policy; start from KV_RETENTION_INIT.
 * @return KV_OK; KV_NOTFOUND (they record none); KV_NO_TABLE (the transaction itself reads a snapshot); KV_INVALID;
 *         KV_TOO_NEW (a newer version has set the policy, and this one does not follow it); KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_CORRUPT, KV_IO; KV_TXN_FAILED.
 */
KV_API kv_status kv_stat_history(const kv_txn *txn, kv_retention *policy);

/**
 * Drops the snapshots of a row that do not stay. Those with KV_SNAPSHOT_KEEP do, and count among those that stay.
 * Marks are left alone, and do not count.
 *
 * The row is all that the prefix fits, whoever has made it. With prefix_len 0 that is every snapshot of the file:
 * those of other programs, those of kv_history(), and one in which a follower of changes has recorded how far it is.
 *
 * @param prefix      What the names of the row begin with.
 * @param prefix_len  Bytes of it; 0 = all snapshots of the file.
 * @param retention   What stays; the interval does not count.
 * @param dropped     Receives how many snapshots were dropped; may be NULL.
 * @return KV_OK; KV_INVALID (also if nothing would stay); KV_TOO_BIG (prefix); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (these can spoil the
 *         transaction).
 */
KV_API KV_MUST_CHECK kv_status kv_snapshot_thin(kv_txn *txn, const void *prefix, size_t prefix_len,
    const kv_retention *retention, uint64_t *dropped);

/** @} */

/* ==== Maintenance ============================================================================================= */

/** @defgroup kv_maintenance Maintenance
 * @{ */

/**
 * kv_job_options.flags of kv_check(): also prove that every page of the file is exactly one of used, held, free or
 * bookkeeping. This can only be said of the newest commit, so that one is checked instead of the transaction's, and an
 * open write transaction is waited for.
 */
#define KV_JOB_CHECK_SPACE 0x4000000

/**
 * kv_job_options.flags of kv_backup() and kv_backup_stream(): put the entries into a new database in order, with full
 * pages and no free ones, instead of copying pages.
 */
#define KV_JOB_COMPACT 0x8000000

/**
 * kv_job_options.flags of kv_backup() and kv_salvage(): replace a file that exists already. A link to a file is
 * replaced itself; devices, pipes, directories and the like never are.
 */
#define KV_JOB_OVERWRITE 0x10000000

/** kv_fault.kind: bytes are not those that were written, or cannot be read. */
#define KV_FAULT_UNREADABLE 80
/** kv_fault.kind: bytes can be read, and what they say contradicts the format or other parts of the file. */
#define KV_FAULT_CONTRADICTION 81

/**
 * Called with the progress of a long job, at most every 100 ms and once at the end: how many pages are done, of at
 * most how many. Returns 0 to go on; anything else ends the job with KV_CANCELLED.
 */
typedef int32_t (*kv_progress_fn)(void *ctx, uint64_t done, uint64_t total);

/** How to do a long job; start from KV_JOB_OPTIONS_INIT. */
typedef struct kv_job_options {
    /** sizeof(kv_job_options), set by KV_JOB_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_JOB_... flags; 0 = none. */
    uint32_t flags;
    /** Called with the progress; NULL = nobody is told. */
    kv_progress_fn progress;
    /** Handed to progress. */
    void *ctx;
} kv_job_options;

#define KV_JOB_OPTIONS_INIT \
    {sizeof(kv_job_options), 0, NULL, NULL}

/** A fault that kv_check() or kv_salvage() found, valid during the callback. */
typedef struct kv_fault {
    /** sizeof(kv_fault), as the library has it. */
    uint32_t struct_size;
    /** KV_CORRUPT; `kind` says more. */
    kv_status status;
    /** Number of the page, or KV_NONE. */
    uint64_t page;
    /** Number of the table, or KV_NONE. */
    uint64_t table;
    /** What is wrong, in words. */
    const char *message;
    /** KV_FAULT_...: what kind of fault it is. Later versions may have more kinds. */
    uint32_t kind;
    /** 0. */
    uint32_t reserved;
} kv_fault;

#define KV_FAULT_INIT \
    {sizeof(kv_fault), 0, 0, 0, NULL, 0, 0}

/**
 * Called for each fault that kv_check() or kv_salvage() finds. Returns 0 to go on; anything else ends the job with
 * KV_CANCELLED.
 */
typedef int32_t (*kv_fault_fn)(void *ctx, const kv_fault *fault);

/** What kv_check() counted; start from KV_CHECK_REPORT_INIT. */
typedef struct kv_check_report {
    /** sizeof(kv_check_report), set by KV_CHECK_REPORT_INIT. */
    uint32_t struct_size;
    /**
     * The meta slots that are missing or cannot be read, as in kv_db_stat.lost_slots. They are no fault, because
     * another slot leads to the commit that was checked. But if kv_db_stat.closed_properly is 0 as well, a newer
     * commit may be lost with them.
     */
    uint32_t lost_slots;
    /** Number of the commit that was checked. */
    uint64_t commit;
    /** Number of tables, KV_MAIN included. */
    uint64_t tables;
    /** Number of entries of all tables. */
    uint64_t entries;
    /** Pages of the file. */
    uint64_t pages;
    /** Pages of trees. */
    uint64_t tree_pages;
    /** Pages of long values and keys. */
    uint64_t overflow_pages;
    /**
     * Pages that nobody needs now, or that nobody will need soon, and those that snapshots keep but that are not put
     * aside for them yet.
     */
    uint64_t dead_pages;
    /** Number of faults that were found. */
    uint64_t faults;
    /**
     * With KV_JOB_CHECK_SPACE: pages of which it is not known whether they are in use, because the pages that would
     * lead to them are damaged. They are no faults of their own.
     */
    uint64_t unaccounted_pages;
    /**
     * With KV_JOB_CHECK_SPACE: pages that are put aside for snapshots, which alone have them; not among the dead ones.
     */
    uint64_t parked_pages;
    /** With KV_JOB_CHECK_SPACE: number of the snapshots, all of which were checked. */
    uint64_t snapshots;
} kv_check_report;

#define KV_CHECK_REPORT_INIT \
    {sizeof(kv_check_report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/**
 * Takes the next bytes of a stream, all of them. Returns 0, or an errno, which ends the job with KV_IO (or
 * KV_NO_SPACE).
 */
typedef int32_t (*kv_write_fn)(void *ctx, const void *data, size_t len);

/** How kv_compact() gives space back; start from KV_COMPACT_OPTIONS_INIT. */
typedef struct kv_compact_options {
    /** sizeof(kv_compact_options), set by KV_COMPACT_OPTIONS_INIT. */
    uint32_t struct_size;
    /**
     * 1 = pages stay where they are, and only what is free at the end of the file already is cut off; 0 = what lives
     * at the end moves to free pages before it first.
     */
    uint32_t stay;
    /**
     * 1 = the room of free runs of 1 MiB and more that stay inside the file is given back to the file system, too. The
     * file is as long as without, and takes less of the disk; writing there again costs a little more. 0 = it is not.
     */
    uint32_t punch;
    /** 0. */
    uint32_t reserved;
    /**
     * Called with the progress: pages that are done, of those that are to be moved. No write lock is held meanwhile.
     * NULL = nobody is told.
     */
    kv_progress_fn progress;
    /** Handed to progress. */
    void *ctx;
} kv_compact_options;

#define KV_COMPACT_OPTIONS_INIT \
    {sizeof(kv_compact_options), 0, 0, 0, NULL, NULL}

/** What kv_compact() did, and what was in its way; start from KV_COMPACT_REPORT_INIT. */
typedef struct kv_compact_report {
    /** sizeof(kv_compact_report), set by KV_COMPACT_REPORT_INIT. */
    uint32_t struct_size;
    /** 0. */
    uint32_t reserved;
    /** Pages of the newest commit before. */
    uint64_t pages_before;
    /**
     * Pages of the newest commit afterwards. The file is longer if held_commit is in the way, and may be if others
     * made it shorter at the same time, again and again: another call cuts it then.
     */
    uint64_t pages_after;
    /** Pages that were moved. */
    uint64_t moved_pages;
    /** Bytes by which this process made the file shorter. */
    uint64_t cut_bytes;
    /**
     * Bytes of room inside the file that the file system got back. What had no room before does not count, but for a
     * database in memory, of which each call counts all that is free.
     */
    uint64_t punched_bytes;
    /** Dead pages that readers still see, or that wait for a sync, as far as is known. They stay where they are. */
    uint64_t pending_pages;
    /** Dead pages that snapshots keep. They stay where they are. */
    uint64_t parked_pages;
    /**
     * The commit of a reader that must end before the file can become as small as it might, as in
     * kv_reader_info.commit; 0 = no reader is in the way. Readers of older snapshots can be, however late they began.
     */
    uint64_t held_commit;
} kv_compact_report;

#define KV_COMPACT_REPORT_INIT \
    {sizeof(kv_compact_report), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** What kv_salvage() counted; start from KV_SALVAGE_REPORT_INIT. */
typedef struct kv_salvage_report {
    /** sizeof(kv_salvage_report), set by KV_SALVAGE_REPORT_INIT. */
    uint32_t struct_size;
    /**
     * The meta slots that are missing or cannot be read, as in kv_db_stat.lost_slots; 0 = none. If there is one, a
     * commit that is newer than `commit` may be lost with it, and what was saved may be complete and not the newest.
     */
    uint32_t lost_slots;
    /** Number of the commit that was saved; 0 = not known, because no slot of the file can be read. */
    uint64_t commit;
    /** Number of tables that were saved, KV_MAIN included. */
    uint64_t tables;
    /** Number of entries that were saved, including the uncertain ones. */
    uint64_t entries;
    /**
     * How many of them were found without a pointer that leads there. They may be older than what was lost, or deleted
     * since.
     */
    uint64_t uncertain;
    /** Number of entries that were lost, as far as it is known. */
    uint64_t lost_entries;
    /** Pages in use that could not be read or differ from their checksum. */
    uint64_t damaged_pages;
    /** Number of subtrees that could not be reached. */
    uint64_t lost_subtrees;
    /** Leaf pages that look right and were not used, because nothing tells whether they are the newest. */
    uint64_t ambiguous_pages;
} kv_salvage_report;

#define KV_SALVAGE_REPORT_INIT \
    {sizeof(kv_salvage_report), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/**
 * Reads everything that a snapshot reaches and verifies it: checksums, order of keys, counts, shapes of trees. Others
 * read and write meanwhile.
 *
 * @param txn       A read transaction.
 * @param options   KV_JOB_CHECK_SPACE, progress; NULL = all defaults.
 * @param on_fault  Called for each fault; may be NULL.
 * @param ctx       Handed to on_fault.
 * @param report    Filled after KV_OK and KV_CORRUPT; start from KV_CHECK_REPORT_INIT. May be NULL.
 * @return KV_OK: no fault was found; KV_CORRUPT: faults were found; KV_CANCELLED; with KV_JOB_CHECK_SPACE: KV_BUSY
 *         (the wait_ms of the database ended before the write transaction; or, also before wait_ms is over, each of
 *         1,000 commits was replaced by another one before it could be looked at), KV_DEADLOCK (this thread has a
 *         write transaction open), KV_TOO_NEW (a newer version uses pages of the file for what this one does not
 *         know); KV_IO, KV_NO_MEMORY, KV_LIMIT, KV_POISONED; KV_INVALID (a write transaction); KV_BAD_HANDLE,
 *         KV_FORKED.
 */
KV_API kv_status kv_check(const kv_txn *txn, const kv_job_options *options, kv_fault_fn on_fault, void *ctx,
    kv_check_report *report);

/**
 * Does as kv_check() with the newest visible commit, in a read transaction of its own.
 *
 * @return As kv_check() and kv_txn_begin() with KV_READ.
 */
KV_API kv_status kv_db_check(kv_db *db, const kv_job_options *options, kv_fault_fn on_fault, void *ctx,
    kv_check_report *report);

/**
 * Copies a snapshot into a new file, which is a database like any other, while others read and write. Every page is
 * compared with its checksum on the way. The file appears under its name when it is whole and durable; after a
 * failure there is no new file. The copy gets the permissions of the file that it replaces, or else those of the
 * database as far as the umask leaves them.
 *
 * What is copied is the open file, whatever its path names by now. The copy has the same tables under the same
 * numbers, but it is a database of its own and has another UUID. To restore it, put the copy where the database was,
 * while nobody has either of them open.
 *
 * @param txn      A read transaction.
 * @param path     The new file, in a directory that exists.
 * @param options  KV_JOB_COMPACT, KV_JOB_OVERWRITE, progress; NULL = all defaults.
 * @return KV_OK; KV_EXISTS (without KV_JOB_OVERWRITE); KV_CORRUPT: a page is damaged, kv_error_detail() tells which;
 *         KV_CANCELLED; KV_NO_FILE (the directory), KV_ACCESS, KV_NO_SPACE, KV_IO, KV_NO_LOCKS, KV_NO_MEMORY;
 *         KV_NOT_A_DATABASE (the path is that of a device, a pipe, a directory, the NAME-shm of a database or the
 *         like); KV_INVALID (a write transaction; the path is that of the database itself); KV_BUSY (a write
 *         transaction in use by another thread); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_backup(const kv_txn *txn, const char *path, const kv_job_options *options);

/**
 * Does as kv_backup() with the newest visible commit, in a read transaction of its own.
 *
 * @return As kv_backup() and kv_txn_begin() with KV_READ; never KV_BUSY.
 */
KV_API KV_MUST_CHECK kv_status kv_db_backup(kv_db *db, const char *path, const kv_job_options *options);

/**
 * Does as kv_backup(), but hands the copy to a function, from its first byte to its last: for pipes, sockets,
 * compressors.
 *
 * The bytes in a file are the database, and whoever writes them there must also make them durable. What the snapshot
 * does not use comes as zeros. With KV_JOB_COMPACT the copy is made in a temporary file first, which nobody but its
 * owner may read, in the directory that TMPDIR names (/tmp without it).
 *
 * @param txn      A read transaction.
 * @param write    Takes the bytes; kv_fd_write() writes them to a file descriptor.
 * @param ctx      Handed to write.
 * @param options  KV_JOB_COMPACT, progress; NULL = all defaults.
 * @return As kv_backup(); KV_IO, KV_NO_SPACE with the errno that write returned; never KV_EXISTS, KV_NOT_A_DATABASE.
 */
KV_API KV_MUST_CHECK kv_status kv_backup_stream(const kv_txn *txn, kv_write_fn write, void *ctx,
    const kv_job_options *options);

/**
 * Writes bytes to a file descriptor, all of them: a kv_write_fn whose ctx is an `int *` to the descriptor.
 *
 * @return 0, or an errno, which is EAGAIN if the descriptor does not block and takes no more.
 */
KV_API int32_t kv_fd_write(void *ctx, const void *data, size_t len);

/**
 * Makes the file smaller while it is in use: moves what lives at its end to free pages before it, and cuts the file
 * where its newest commit ends then. (A compact copy in another file is what kv_backup() makes with KV_JOB_COMPACT.)
 *
 * Others go on reading and writing, in all processes. The call first gives back what dropped snapshots have left
 * (kv_reclaim()). It makes commits that change nothing and are durable when it returns; other write transactions have
 * their turns between them. A step with the write lock takes some 0.1 ms, and longer where it moves a long value,
 * which it does as a whole. Beside others who write without a pause, one call may stop early; another one goes on.
 *
 * What readers and snapshots see stays where it is: the report tells how many pages that are. So do tables that only a
 * newer version can change, and long values for which no free run is long enough. The file is not cut below a reader
 * that sees a commit from before the pages moved: one that began before, or one of an older snapshot, however late it
 * began. held_commit names its commit then, and a later call does the rest when that reader has ended (kv_reader_at()
 * tells whose it is).
 *
 * What is written is what lives at the end of the file, and a twentieth more: about 0.7 MB for each MB that is given
 * back where two thirds of the file live, and 0.1 to 0.2 MB where little does. Nothing moves if the file would not
 * become shorter by a 64th of it. Where the disk has no room for what would move, what is free at the end is cut off
 * all the same. Without this call, a commit that finds an eighth of the file (1 MiB at least) free at its end cuts
 * that off by itself, but moves nothing.
 *
 * A write transaction that `progress` begins must have ended when it returns, because this call would wait for it.
 *
 * @param options  stay, punch, progress; NULL = all defaults.
 * @param report   Filled after KV_OK; start from KV_COMPACT_REPORT_INIT. May be NULL.
 * @return KV_OK: look at the report; KV_INVALID (stay or punch is neither 0 nor 1, the reserved field is not 0,
 *         struct_size); KV_CANCELLED (progress, or as kv_txn_begin()), KV_BUSY, KV_DEADLOCK (as kv_txn_begin());
 *         KV_READ_ONLY; KV_NO_SPACE (nothing could be given back), KV_IO, KV_CORRUPT, KV_NO_LOCKS, KV_NO_MEMORY,
 *         KV_LIMIT, KV_IN_DOUBT, KV_POISONED (the content is the same after each failure, and what was given back
 *         before stays so); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_compact(kv_db *db, const kv_compact_options *options, kv_compact_report *report);

/**
 * Saves what can be read of a damaged database into a new one, and tells what is lost.
 *
 * The damaged file is only read; it need not be possible to open it as a database, nor to lock it. Its newest readable
 * commit is read, and damage is stepped over, and so are sectors that the disk does not give, because the file is not
 * mapped for this (see 11 at the head). Only where that leaves gaps, the whole file is searched for leaf pages to
 * which nothing leads. They are used if they can be told from older versions, and their entries are counted as
 * uncertain. Values that differ from their checksum are never saved. Tables keep their numbers; one whose name is lost
 * is called "lost-" and its number.
 *
 * @param damaged   The damaged file.
 * @param target    The new file, which appears when it is whole and durable. Its permissions are as kv_backup() says.
 * @param options   KV_JOB_OVERWRITE, progress; NULL = all defaults.
 * @param on_fault  Called for what is lost or doubtful: page, table, and in words how many entries and which keys.
 *                  What is below a page that cannot be used is told when that is met, and again at the end, with what
 *                  was found of it elsewhere and what is lost. May be NULL.
 * @param ctx       Handed to on_fault.
 * @param report    Filled after KV_OK; start from KV_SALVAGE_REPORT_INIT. May be NULL.
 * @return KV_OK: look at the report; KV_NO_FILE, KV_ACCESS; KV_NOT_A_DATABASE (nothing in it looks like one, or the
 *         target is a device, a pipe, a directory, the NAME-shm of a database or the like), KV_TOO_NEW, KV_TOO_OLD;
 *         KV_EXISTS (the target, without KV_JOB_OVERWRITE); KV_CANCELLED; KV_NO_SPACE, KV_IO, KV_NO_MEMORY;
 *         KV_NO_LOCKS; KV_INVALID.
 */
KV_API KV_MUST_CHECK kv_status kv_salvage(const char *damaged, const char *target, const kv_job_options *options,
    kv_fault_fn on_fault, void *ctx, kv_salvage_report *report);

/** @} */

/* ==== Statistics ============================================================================================== */

/** @defgroup kv_statistics Statistics
 * @{ */

/** Figures of a database, filled by kv_stat_db(); start from KV_DB_STAT_INIT. */
typedef struct kv_db_stat {
    /** sizeof(kv_db_stat), set by KV_DB_STAT_INIT. */
    uint32_t struct_size;
    /** Bytes of a page. */
    uint32_t page_size;
    /** Pages of the file at the newest visible commit; times page_size, its bytes. */
    uint64_t pages;
    /** Pages that nobody needs, as far as it is known without reading all bookkeeping: none right after opening. */
    uint64_t free_pages;
    /** Pages that died but are still needed by a reader or until the next sync, as far as it is known. */
    uint64_t pending_pages;
    /** Number of the newest visible commit. */
    uint64_t visible;
    /** Number of the newest durable commit. */
    uint64_t durable;
    /** Number of the oldest commit that a reader sees; `visible` if there is no reader. */
    uint64_t oldest;
    /** Number of readers, in all processes. */
    uint32_t readers;
    /** Number of incomplete commits that were discarded when this handle opened the file after a crash. */
    uint32_t discarded;
    /**
     * Number of the commit that opening this handle found, which was the newest complete one then. If `discarded` is
     * not 0, it is the one that was fallen back to.
     */
    uint64_t opened_commit;
    /** Nanoseconds that opening this handle took, recovery included. */
    uint64_t opening_ns;
    /**
     * 1 if the database had been closed properly when this handle opened it, or if others had it open. 0 if the last
     * process was killed or the power failed, or if it is not known, because a meta slot is lost (below). It stays 0
     * for later handles until a commit is made and the database is closed.
     */
    uint32_t closed_properly;
    /**
     * The meta slots that were missing or could not be read when this handle opened the file, with a bit for each of
     * the four (1 = the first); 0 = none. Each slot is a place at the head of the file that leads to a commit. One
     * that a crash tore is among them; its commit was not finished. Any other was damaged. If it was that of the
     * newest commit, and the database was not closed after that (which makes a second one), this commit is lost, and
     * the one before it was opened: so whoever finds a lost slot looks for what is missing. A slot of zeros is told
     * where another slot shows that it was written; otherwise it looks as if it never was. The next commits write a
     * lost slot anew.
     */
    uint32_t lost_slots;
    /**
     * Id of the process that has the write transaction open at this moment, as that process sees it; 0 if none has.
     */
    uint32_t writer;
    /**
     * 1 if `free_pages`, `pending_pages` and `parked_pages` are of the newest visible commit. 0 if they are not,
     * because another process has committed since this one last wrote, or had the database open already when this one
     * opened it.
     */
    uint32_t dead_pages_known;
    /** Milliseconds since the process `writer` began the write transaction. */
    uint64_t writer_ms;
    /**
     * Pages that died but that snapshots still have, besides those of `pending_pages`, as far as it is known: those
     * that are put aside for snapshots in the file, and others that this process has met when it wrote. One that it
     * has not met yet is among `pending_pages`.
     */
    uint64_t parked_pages;
    /**
     * Pages that scans, differences and readers of long values announced since this process opened the file: the
     * system was told to read them ahead, because they did not seem to be in memory. One that is announced again after
     * it was read counts again. Checks and backups are not counted, which read all that they announce.
     */
    uint64_t announced_pages;
    /**
     * Those of `announced_pages` that were read afterwards, by whatever call of this process. If they are much fewer,
     * scans end soon after they began.
     */
    uint64_t announced_pages_used;
} kv_db_stat;

#define KV_DB_STAT_INIT \
    {sizeof(kv_db_stat), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Which database a handle stands for, filled by kv_db_identity(); start from KV_IDENTITY_INIT. */
typedef struct kv_identity {
    /** sizeof(kv_identity), set by KV_IDENTITY_INIT. */
    uint32_t struct_size;
    /** Version of the file format. */
    uint32_t format_version;
    /** UUID of the database. A copy made by kv_backup() has one of its own. */
    uint8_t uuid[16];
    /** Absolute path under which this handle opened the file, valid until kv_close(); "" for a database in memory. */
    const char *path;
} kv_identity;

#define KV_IDENTITY_INIT \
    {sizeof(kv_identity), 0, {0}, NULL}

/** Figures of a table, filled by kv_stat_table(); start from KV_TABLE_STAT_INIT. */
typedef struct kv_table_stat {
    /** sizeof(kv_table_stat), set by KV_TABLE_STAT_INIT. */
    uint32_t struct_size;
    /** Levels of the table's tree; 0 = the table is empty. */
    uint32_t height;
    /** Number of entries of the table. */
    uint64_t entries;
    /** Branch pages of the table, or of the level. */
    uint64_t branch_pages;
    /** Leaf pages of the table, or of the level. */
    uint64_t leaf_pages;
    /** Pages of long values and keys of the table; 0 for a level. */
    uint64_t overflow_pages;
    /** Number of children or entries in the pages of the level; 0 for the whole table. */
    uint64_t items;
    /** Bytes that are used in these branch and leaf pages. */
    uint64_t used_bytes;
} kv_table_stat;

#define KV_TABLE_STAT_INIT \
    {sizeof(kv_table_stat), 0, 0, 0, 0, 0, 0, 0}

/** Figures of a transaction, filled by kv_stat_txn(); start from KV_TXN_STAT_INIT. */
typedef struct kv_txn_stat {
    /** sizeof(kv_txn_stat), set by KV_TXN_STAT_INIT. */
    uint32_t struct_size;
    /** KV_READ or KV_WRITE. */
    uint32_t kind;
    /** Number of the commit that it reads; of a write transaction, the one that it builds upon. */
    uint64_t commit;
    /** Number of edits that are collected and not applied yet. */
    uint64_t edits;
    /** Bytes of these edits. */
    uint64_t edit_bytes;
    /** Pages that it has made so far. */
    uint64_t private_pages;
} kv_txn_stat;

#define KV_TXN_STAT_INIT \
    {sizeof(kv_txn_stat), 0, 0, 0, 0, 0}

/**
 * Tells figures of a database and its readers.
 *
 * @param stat  Receives the figures; start from KV_DB_STAT_INIT.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_INVALID (struct_size).
 */
KV_API kv_status kv_stat_db(kv_db *db, kv_db_stat *stat);

/**
 * Tells which database a handle stands for.
 *
 * @param identity  Receives the identity; start from KV_IDENTITY_INIT.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_INVALID (struct_size).
 */
KV_API kv_status kv_db_identity(kv_db *db, kv_identity *identity);

/**
 * Tells one of the readers of a database: the read transactions and the buffers of kv_get_buf() that keep commits, in
 * all processes, the one with the oldest commit first.
 *
 * Readers come and go meanwhile, so a loop over the indexes gives a picture and not an inventory. A process that died
 * has no readers.
 *
 * @param index  0 = the first.
 * @param info   Receives the reader; start from KV_READER_INFO_INIT.
 * @return KV_OK; KV_NOTFOUND (there are not so many); KV_INVALID (struct_size); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_reader_at(kv_db *db, uint32_t index, kv_reader_info *info);

/**
 * Tells figures of a table, or of one level of its tree. It reads every page of the tree, but not the long values; to
 * count the entries alone, kv_count() is much faster.
 *
 * @param level  0 = the whole table; 1 = its leaves, and so on up to `height` = its root.
 * @param stat   Receives the figures; start from KV_TABLE_STAT_INIT.
 * @return KV_OK; KV_NOTFOUND (no such level); KV_NO_TABLE; KV_INVALID; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
 *         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_LIMIT.
 */
KV_API kv_status kv_stat_table(const kv_txn *txn, kv_table table, uint32_t level, kv_table_stat *stat);

/**
 * Tells figures of a transaction.
 *
 * @param stat  Receives the figures; start from KV_TXN_STAT_INIT.
 * @return KV_OK; KV_INVALID; KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED.
 */
KV_API kv_status kv_stat_txn(const kv_txn *txn, kv_txn_stat *stat);

/** @} */

/* ==== Macros ================================================================================================== */

/** @defgroup kv_macros Macros
 * @{ */

/**
 * A C string where a function takes a pointer and a length: kv_put(txn, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0).
 * The argument is evaluated twice, so it must have no side effect: no KV_STR(next_name()) and no KV_STR(*p++).
 */
#define KV_STR(text) (text), strlen(text)

/**
 * The initial value of a range of all keys that begin with some bytes, which are given as a pointer and a length:
 * kv_range users = KV_PREFIX(KV_STR("user/"));
 */
#define KV_PREFIX(...) \
    {KV_RANGE_PREFIX, 0, {NULL, 0}, {NULL, 0}, {__VA_ARGS__}}

/**
 * A loop over the entries ahead of a cursor. After the loop, `status` is KV_OK if the loop came to the end of the range
 * or was left with `break`; otherwise it is the failure that ended the loop:
 *
 *     KV_EACH (status, cursor, &key, &value)
 *         use(key, value);
 *     if (status != KV_OK) goto failed;
 */
#define KV_EACH(status, cursor, key, value)                                \
    while (((status) = kv_cursor_next((cursor), (key), (value))) == KV_OK || \
           ((status) == KV_NOTFOUND && ((status) = KV_OK, 0)))

/** @} */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* KV_H */
