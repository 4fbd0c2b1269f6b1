/*
 * kv.h: an embedded, transactional, ordered key-value store in one file.
 *
 * Keys and values are bytes; keys are kept in the order of memcmp. One file holds any number of tables. Any number of
 * threads and processes use it at once: readers see a snapshot and never wait; writers take turns; a commit is durable
 * when it returns (unless asked otherwise) and whole or absent after a crash. The library needs no configuration, no
 * server and no map size to choose, and it starts no thread. Link with -lkv (pkg-config --libs kv).
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
 * Conventions, valid for every function unless it says otherwise:
 *
 *  1. Status. Calls answer KV_OK or a negative number: answers that programs expect (-1 to -19), usage errors (from
 *     -20 down), errors of the environment (-40), of the contents of the file (-60), and bugs (-90).
 *     kv_error_message() has the words for the last one on this thread. Errors of the environment, errors of the
 *     contents, and bugs can leave a call on a write transaction half done. They spoil the transaction then: later
 *     calls answer KV_TXN_FAILED, and it can only be aborted. Answers and usage errors never spoil it.
 *  2. Outputs are written last, and only if the call answers KV_OK. After a failure, an output that is a handle is
 *     NULL. The pointer to an output may be NULL only if the function says so.
 *  3. Bytes go in as (pointer, length), where (NULL, 0) is the empty string, and come out as a kv_slice, whose data is
 *     never NULL for something found, also when it is empty. A length beyond the limits below answers KV_TOO_BIG before
 *     a byte is read; NULL with another length answers KV_INVALID. The message names the argument.
 *  4. Lifetimes. A value is valid until its transaction ends, and in a write transaction until the next write. A key
 *     from a cursor is valid until the next call on that cursor. Whatever is valid may be given to any call as input,
 *     to each step of a batch as well, and so may the bytes of kv_reserve() to the next call.
 *  5. Handles (kv_db, kv_txn, kv_cursor, kv_writer, kv_buf) are numbers in the shape of a pointer: never dereference
 *     them. A handle that is NULL, closed or foreign answers KV_BAD_HANDLE and does no harm. Handles are all that a
 *     program has to release, in any order. A function that ends work (kv_close, kv_txn_commit, kv_writer_finish)
 *     releases its handle whatever it answers, with one exception: after KV_BUSY from kv_close() or kv_txn_commit()
 *     nothing was done. kv_txn_abort() after a commit is harmless. What belongs to a handle ends with it.
 *  6. Threads. Any threads may use a kv_db or a kv_buf at once. Any threads may use a read transaction at once through
 *     functions that take a `const kv_txn *`. Everything else is used by one thread at a time, not always the same one;
 *     a second one is told KV_BUSY. After fork(), handles of the parent answer KV_FORKED in the child. A thread may be
 *     cancelled (pthread_cancel), but never inside a call or a callback: that is finished first. Threads with
 *     asynchronous cancellation must disable it themselves. Calls may be made while a thread ends, in the destructors
 *     of its thread-specific data.
 *  7. Structs that may grow begin with their size: start from KV_..._INIT, or pass NULL for all defaults. Zero is
 *     always the default. Unknown flags answer KV_INVALID.
 *  8. Loops. A call that reaches the end answers KV_NOTFOUND, and a call that fails answers something else. A loop must
 *     tell the two apart, or it shows a damaged table as a short one. KV_EACH does.
 *  9. Callbacks run on the thread of the call, and only during it; one that returns anything but 0 ends the call with
 *     KV_CANCELLED. They may use the library, but cannot end or move what is in use below them: kv_txn_commit(),
 *     kv_txn_abort() and kv_txn_refresh() on it, and kv_close() on any database, answer KV_BUSY (kv_txn_abort() stores
 *     it) and do nothing, so end it after the call. They must not wait for another thread that does so, and they must
 *     return: a longjmp() out of one leaves what was in use in use for ever, and a C++ exception that leaves one ends
 *     the process.
 * 10. Memory. A call that cannot have the memory it needs answers KV_NO_MEMORY. It has changed nothing in the database,
 *     but may have spoiled its write transaction (1), and a handle that it ends has ended (5). No call ends the process:
 *     for that the library keeps a reserve of 16 MiB of address space, which is touched only when the system refuses
 *     memory. While it is being used up, calls answer KV_NO_MEMORY at once and spoil nothing, and those that end something work.
 *     One case is out of its hands: where the library was loaded by dlopen(), glibc allocates a thread's storage for it
 *     when the thread first needs it, and ends the process if there is no memory for that. Programs that are linked
 *     with the library get this storage when the thread is made.
 *
 * Limits: a key has at most 2 MiB, a value 2^38 bytes (256 GiB) if the disk has room, a table name 512 bytes, a note
 * 1024 bytes, an array 2^31 - 1 elements, the bytes of an input batch 2^32 - 1.
 *
 * Generated from capi/ by `make header`; what is not generated is in include/kv.h.in. Do not edit.
 */
#ifndef KV_H
#define KV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version of this header; kv_version() returns that of the library. */
#define KV_VERSION "0.1.0"
#define KV_VERSION_MAJOR 0
#define KV_VERSION_MINOR 1
#define KV_VERSION_PATCH 0
/** major * 1000000 + minor * 1000 + patch */
#define KV_VERSION_NUMBER (KV_VERSION_MAJOR * 1000000 + KV_VERSION_MINOR * 1000 + KV_VERSION_PATCH)

#ifndef KV_API
#define KV_API
#endif

/* Put in front of functions whose answer must not be ignored. */
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

/** kv_range.flags: keys greater than or equal to `from`. */
#define KV_RANGE_FROM 0x100000
/** kv_range.flags: keys greater than `from`. */
#define KV_RANGE_AFTER 0x200000
/** kv_range.flags: keys less than `to`. */
#define KV_RANGE_BEFORE 0x400000
/** kv_range.flags: keys less than or equal to `to`. */
#define KV_RANGE_THROUGH 0x800000
/** kv_range.flags: keys that begin with `prefix`. */
#define KV_RANGE_PREFIX 0x1000000
/** kv_range.flags: from the greatest key down: first is the greatest, next goes down. */
#define KV_RANGE_REVERSE 0x2000000
/** "None" where a number is expected: no page, no table, no place in the file. */
#define KV_NONE UINT64_MAX

/**
 * Number of a table: the same in every transaction and every process, and for ever; a dropped table's number is not
 * given again. Below 2^53.
 */
typedef uint64_t kv_table;

/**
 * Bytes. As a result: data is never NULL for something that was found, also when it is empty. As an input, (NULL, 0) is
 * the empty string.
 */
typedef struct kv_slice {
    /** First byte. */
    const void *data;
    /** Number of bytes. */
    size_t len;
} kv_slice;

/**
 * A range of keys. The flags say which fields count, and they combine: a prefix with a bound is a page within the
 * prefix. Bytes in a field without its flag are KV_INVALID, so that a forgotten flag (or an empty string that happens
 * to be NULL) never means "everything". NULL instead of a range means the whole table, upwards. Copied by every call.
 */
typedef struct kv_range {
    /** KV_RANGE_... flags. */
    uint32_t flags;
    /** Zero. */
    uint32_t reserved;
    /** Lower bound, with KV_RANGE_FROM or KV_RANGE_AFTER. */
    kv_slice from;
    /** Upper bound, with KV_RANGE_BEFORE or KV_RANGE_THROUGH. */
    kv_slice to;
    /** Beginning of the keys, with KV_RANGE_PREFIX. */
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

/** What every call answers: KV_OK or one of the negative numbers below. */
typedef int32_t kv_status;

/** Detail of a thread's last failure, filled by kv_error_detail(). */
typedef struct kv_error {
    /** sizeof(kv_error), set by the caller. */
    uint32_t struct_size;
    /** The status that was answered; KV_OK if no call of this thread failed yet. */
    kv_status status;
    /**
     * errno of the system call that failed, with KV_IO, KV_NO_SPACE, KV_ACCESS, KV_NO_FILE and every other status; 0 if
     * no system call failed.
     */
    int32_t sys_errno;
    /** Zero. */
    uint32_t reserved;
    /** Page that is damaged, KV_NONE if no page is to blame. */
    uint64_t page;
    /** Table in question, KV_NONE if unknown. */
    uint64_t table;
    /** After KV_TOO_SMALL: bytes that are needed. Otherwise 0. */
    uint64_t needed;
    /** Name of the function that failed, "" if none did. Static. */
    const char *function;
    /** What kv_error_message() returns; valid as long as that. */
    const char *message;
} kv_error;

#define KV_ERROR_INIT \
    {sizeof(kv_error), 0, 0, 0, 0, 0, 0, NULL, NULL}

/** Done. */
#define KV_OK 0
/** Answer: no such entry, no entry there, or the end of the range. */
#define KV_NOTFOUND (-1)
/** Answer: the key, name or file exists already. */
#define KV_EXISTS (-2)
/** Answer: no table of this name or number (dropped, never created, or of another database). */
#define KV_NO_TABLE (-3)
/** Answer: another commit changed what was read. Reserved: no function of this version answers it. */
#define KV_CONFLICT (-4)
/** Answer: the wait is over, or the handle is in use by another call. */
#define KV_BUSY (-5)
/** Answer: the value is not the expected one. Reserved: no function of this version answers it. */
#define KV_MISMATCH (-6)
/** Answer: the buffer is too small; kv_error_detail() tells the bytes needed. */
#define KV_TOO_SMALL (-7)
/** Answer: KV_APPEND of a key that is not behind the last one. */
#define KV_ORDER (-8)
/** Answer: a callback or kv_interrupt() asked to stop. */
#define KV_CANCELLED (-9)
/** Usage: an argument that no database could make right. */
#define KV_INVALID (-20)
/** Usage: a handle that is NULL, closed, foreign or of another kind. */
#define KV_BAD_HANDLE (-21)
/** Usage: a write through a read transaction, a read-only database or a read-only table. */
#define KV_READ_ONLY (-22)
/** Usage: commit while a child (an unfinished writer) was open; all was aborted. */
#define KV_CHILD_OPEN (-23)
/** Usage: an earlier failure spoiled this transaction; abort it. */
#define KV_TXN_FAILED (-24)
/** Usage: key, value or name beyond its limit. */
#define KV_TOO_BIG (-25)
/** Usage: the value is of another type. Reserved: no function of this version answers it. */
#define KV_WRONG_TYPE (-26)
/** Usage: this thread waits for a lock that it holds itself. */
#define KV_DEADLOCK (-27)
/** Usage: the handle was opened before fork(); open again in the child. */
#define KV_FORKED (-28)

/**
 * Usage: not possible in this build, or for this table: a newer version made it, so this one only reads it. Nothing was
 * changed, and the transaction goes on.
 */
#define KV_UNSUPPORTED (-29)

/** Environment: the operating system answered an error; kv_error_detail() has its errno. */
#define KV_IO (-40)
/** Environment: disk, quota or file size limit is full; the database is as before. */
#define KV_NO_SPACE (-41)
/** Environment: memory could not be allocated. */
#define KV_NO_MEMORY (-42)
/** Environment: permission denied. */
#define KV_ACCESS (-43)
/** Environment: the file does not exist. */
#define KV_NO_FILE (-44)
/** Environment: the file system gives no locks. */
#define KV_NO_LOCKS (-45)
/** Environment: a limit of this build or process is reached. */
#define KV_LIMIT (-46)
/** Environment: an earlier sync failed; close every handle of the database and open again. */
#define KV_POISONED (-47)
/** Environment: the commit may or may not survive; close and open again to learn which. */
#define KV_IN_DOUBT (-48)
/** Contents: bytes on disk are not what was written. */
#define KV_CORRUPT (-60)
/** Contents: the file is something else. */
#define KV_NOT_A_DATABASE (-61)
/** Contents: made by a newer version of the library. */
#define KV_TOO_NEW (-62)
/** Contents: made by a version too old to be read. */
#define KV_TOO_OLD (-63)
/** Contents: made against another base. Reserved: no function of this version answers it. */
#define KV_WRONG_BASE (-64)
/** Internal: a bug in the library, caught; please report the message. */
#define KV_PANIC (-90)

/**
 * Message about the last call on this thread that did not answer KV_OK, in one line:
 * `PATH: what happened [at page P] [in table "NAME" (number N)]; what to do next`.
 *
 * PATH is the absolute path of the file in question: of the database, or of the file that is opened, written or saved from.
 * It is missing where no file is in question or where the handle is not open. Names, keys and paths are printable: line
 * breaks and the like are shown as \n, \t, \0 or \u{1b}, bytes that are no UTF-8 as \xNN, and a backslash as two. Of long
 * ones only a part is shown. The words may change in later versions; programs look at the status and at kv_error_detail().
 * KV_NOTFOUND has no message of its own, since it happens in loops.
 *
 * Bindings whose tasks move between threads must read it before they give up the thread.
 *
 * @return Text valid until the next call of this library on this thread; never NULL; "done" if nothing failed yet.
 */
KV_API const char *kv_error_message(void);

/**
 * Detail about the last call on this thread that did not answer KV_OK.
 *
 * @param detail  Its struct_size is set by the caller; the rest is filled.
 * @return KV_OK; KV_INVALID if detail is NULL or its struct_size is not plausible.
 */
KV_API kv_status kv_error_detail(kv_error *detail);

/**
 * Name of a status: "KV_NOTFOUND".
 *
 * @return Static text, never NULL; "KV_?" for a number this version does not know.
 */
KV_API const char *kv_status_name(kv_status status);

/**
 * A status in words, without any detail: "not found".
 *
 * @return Static text, never NULL; "unknown status" for a number this version does not know.
 */
KV_API const char *kv_strerror(kv_status status);

/**
 * Version of the library at run time, "major.minor.patch".
 *
 * Compare with KV_VERSION, the version of the header a program was compiled with.
 *
 * @return Static text.
 */
KV_API const char *kv_version(void);

/**
 * Version of the library at run time as a number: major * 1000000 + minor * 1000 + patch.
 *
 * @return As KV_VERSION_NUMBER.
 */
KV_API uint32_t kv_version_number(void);

/** @} */

/* ==== Database ================================================================================================ */

/** @defgroup kv_database Database
 * @{ */

/** Durability: the database's; of a database: KV_DURABILITY_FULL. */
#define KV_DURABILITY_DEFAULT 0
/** Durability: a commit is visible and acknowledged once it is durable. */
#define KV_DURABILITY_FULL 64

/**
 * Durability: a commit is visible at once and survives a killed process; it becomes durable by kv_sync(), by a later full
 * commit, by kv_close(), or when up to 3 MiB or 256 commits wait. A power cut may take the last ones, never consistency.
 */
#define KV_DURABILITY_LAZY 65

/** Verification: KV_VERIFY_ONCE. */
#define KV_VERIFY_DEFAULT 0
/** Verification: each page against its checksum when it is first touched after it was written. */
#define KV_VERIFY_ONCE 72
/** Verification: on every access. */
#define KV_VERIFY_ALWAYS 73
/** Verification: never, except by kv_check(). */
#define KV_VERIFY_NEVER 74
/** Open flag: the file must be there already, else KV_NO_FILE. */
#define KV_OPEN_EXISTING 0x1000
/** Open flag: there must be no such file yet, else KV_EXISTS. */
#define KV_OPEN_NEW 0x2000
/** Open flag: never write; the file may be read-only. Implies KV_OPEN_EXISTING. */
#define KV_OPEN_READ_ONLY 0x4000
/** Open flag: keep everything in memory; the path may be NULL and is ignored. */
#define KV_OPEN_MEMORY 0x8000

/** An open database. Any thread may use it. */
typedef struct kv_db kv_db;

/** A reader, filled by kv_reader_at(); start from KV_READER_INFO_INIT. */
typedef struct kv_reader_info {
    /** sizeof(kv_reader_info), set by KV_READER_INFO_INIT. */
    uint32_t struct_size;
    /** Number of its process. */
    uint32_t pid;
    /** Commit that it sees. */
    uint64_t commit;
    /** Milliseconds since it began, or was last refreshed. */
    uint64_t age_ms;
    /** Pages kept for it that nobody else needs, as far as this process knows: it learns them when it writes. */
    uint64_t kept_pages;
} kv_reader_info;

#define KV_READER_INFO_INIT \
    {sizeof(kv_reader_info), 0, 0, 0, 0}

/**
 * Is told of a reader, of whatever process, that has not ended for long while newer commits were made: once for each
 * such reader and handle, on a thread that begins a write transaction through the handle, before it waits. What it
 * answers is ignored. It must not close the database.
 */
typedef void (*kv_reader_fn)(void *ctx, const kv_reader_info *reader);

/** How to open a database; start from KV_OPTIONS_INIT. Zero is the default everywhere. */
typedef struct kv_options {
    /** sizeof(kv_options), set by KV_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_OPEN_... flags. */
    uint32_t flags;
    /** Bytes of a page of a new file: 4096 (default), 8192, 16384, 32768 or 65536. Of a present file: ignored. */
    uint32_t page_size;
    /** KV_DURABILITY_...: of transactions that do not say otherwise. */
    uint32_t durability;
    /** KV_VERIFY_...: when pages are verified. */
    uint32_t verify;
    /** Zero. */
    uint32_t reserved;
    /**
     * Milliseconds that kv_txn_begin() waits for the write transaction of another: 0 or less = for ever. Other waits
     * for processes that hold a lock and do nothing with it end after this time, too, and by themselves otherwise:
     * kv_open() waits 10 s at most, and a commit 60 s for another process that should sync and is stopped. (The first
     * handle of a file in a process decides about commits.)
     */
    int64_t wait_ms;
    /**
     * Bytes of edits that a write transaction collects before it applies them; 0 = a 32nd of the
     * memory (what the machine has, or what its control group leaves the process), 16 to 512 MiB.
     */
    uint64_t write_memory;
    /** Is told of readers that hold back space for long; NULL = nobody is. */
    kv_reader_fn stale_reader;
    /** Handed to stale_reader. */
    void *stale_reader_ctx;
    /** Age in milliseconds from which a reader of an old commit is reported; 0 = a minute. */
    uint64_t stale_reader_ms;
} kv_options;

#define KV_OPTIONS_INIT \
    {sizeof(kv_options), 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0}

/**
 * Opens a database, and creates it if there is none (unless KV_OPEN_EXISTING or KV_OPEN_READ_ONLY).
 *
 * Any number of processes may have it open at once. A process may open the same file several times; its handles then
 * share one environment. While a file is open, NAME-shm lies beside it, which holds nothing that would be missed.
 * A new file gets the permissions that the process's umask leaves of 0666; NAME-shm gets group and permissions of the
 * database, and is never a link. Who may write the database must be trusted by all who open it.
 * Opening after a crash repairs nothing by guessing: it finds the last complete commit.
 * An empty file becomes a database, as if it were not there; with KV_OPEN_EXISTING or KV_OPEN_READ_ONLY it is refused,
 * because a file that was cut may be empty. A link that leads nowhere is followed, except with KV_OPEN_NEW.
 * Messages name the file, and the process or the limit that stands in the way.
 *
 * @param path     File name, in the encoding of the file system; NULL only with KV_OPEN_MEMORY.
 * @param options  NULL = all defaults. Copied.
 * @param db       Gets the handle, to be closed by kv_close(); NULL after a failure.
 * @return KV_OK; KV_NO_FILE, KV_EXISTS (see the flags); KV_BUSY (a process has it alone, since NAME-shm could not be
 *         made, or reads it without permission to write, or is of another version; or the file is mounted by itself);
 *         KV_POISONED (a sync failed, and not every process has closed it yet); KV_ACCESS; KV_NOT_A_DATABASE,
 *         KV_TOO_NEW, KV_TOO_OLD, KV_CORRUPT (what is in the file); KV_NO_LOCKS (network file systems without locks);
 *         KV_IO, KV_NO_SPACE, KV_NO_MEMORY; KV_LIMIT (too many handles); KV_INVALID (options).
 */
KV_API KV_MUST_CHECK kv_status kv_open(const char *path, const kv_options *options, kv_db **db);

/**
 * Closes a database. Lazy commits become durable here, so look at the status.
 *
 * Calls in flight on other threads are waited for; those that wait for the write transaction answer KV_CANCELLED. Write
 * transactions of this handle are aborted. Its read transactions answer KV_BAD_HANDLE from now on, but bytes they
 * returned stay valid until kv_txn_abort() releases them.
 *
 * @param db  Released whatever is answered, except after KV_BUSY. NULL is KV_OK.
 * @return KV_OK; KV_BAD_HANDLE; KV_FORKED; KV_BUSY (called inside a callback of the library: nothing was done);
 *         KV_IN_DOUBT, KV_POISONED, KV_NO_LOCKS (lazy commits did not become durable).
 */
KV_API kv_status kv_close(kv_db *db);

/**
 * Ends every wait for the write transaction or for a newer commit (kv_wait_commit) through this handle; those calls
 * answer KV_CANCELLED. To interrupt only some of them, let those wait through a second handle of the database. This
 * function may be called on any thread, but not in a signal handler, because it takes a lock to wake those who wait. A
 * handle that is not open is ignored.
 */
KV_API void kv_interrupt(kv_db *db);

/**
 * Makes every commit durable.
 *
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_IN_DOUBT, KV_POISONED (a sync failed); KV_NO_LOCKS.
 */
KV_API KV_MUST_CHECK kv_status kv_sync(kv_db *db);

/**
 * Answers the newest commits, whoever made them.
 *
 * @param visible  Gets the newest commit that a reader sees; may be NULL.
 * @param durable  Gets the newest commit that survives a power cut; may be NULL.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_newest_commit(kv_db *db, uint64_t *visible, uint64_t *durable);

/**
 * Reads one value in a transaction of its own, into a buffer of the caller.
 *
 * @param buffer  Gets the value; may be NULL if size is 0.
 * @param size    Bytes of the buffer.
 * @param len     Gets the length of the value, also after KV_TOO_SMALL; may be NULL.
 * @return KV_OK; KV_NOTFOUND; KV_TOO_SMALL (nothing was copied); KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key); KV_BAD_HANDLE,
 *         KV_FORKED; KV_CORRUPT, KV_IO; KV_LIMIT (too many readers); KV_POISONED.
 */
KV_API kv_status kv_db_get(kv_db *db, kv_table table, const void *key, size_t klen, void *buffer, size_t size,
    size_t *len);

/**
 * Puts one entry in a transaction of its own.
 *
 * @param flags  0 or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
 * @return KV_OK; what kv_put(), kv_txn_begin() with KV_WRITE and kv_txn_commit() answer; never KV_CHILD_OPEN,
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_db_put(kv_db *db, kv_table table, const void *key, size_t klen, const void *value, size_t vlen,
    uint32_t flags);

/**
 * Deletes one entry in a transaction of its own.
 *
 * @param flags  0 or KV_BLIND.
 * @return KV_OK; KV_NOTFOUND (nothing was written); what kv_delete(), kv_txn_begin() with KV_WRITE and kv_txn_commit()
 *         answer; never KV_CHILD_OPEN, KV_TXN_FAILED.
 */
KV_API kv_status kv_db_delete(kv_db *db, kv_table table, const void *key, size_t klen, uint32_t flags);

/** @} */

/* ==== Transactions ============================================================================================ */

/** @defgroup kv_transactions Transactions
 * @{ */

/** Kind of transaction: reads one snapshot; never waits and is never waited for. */
#define KV_READ 16
/** Kind of transaction: reads and writes; one at a time. */
#define KV_WRITE 17
/** kv_txn_options.flags: if another write transaction is open, answer KV_BUSY at once. */
#define KV_TXN_NOWAIT 0x10000

/**
 * A transaction. One that reads may be used by any threads at once through functions that take `const kv_txn *`; one
 * that writes by one thread at a time, not bound to a thread.
 */
typedef struct kv_txn kv_txn;

/**
 * How to begin a transaction; start from KV_TXN_OPTIONS_INIT. Zero is the default everywhere. For readers nothing of it
 * counts yet.
 */
typedef struct kv_txn_options {
    /** sizeof(kv_txn_options), set by KV_TXN_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_TXN_... flags. */
    uint32_t flags;
    /** KV_DURABILITY_...: of the commit. */
    uint32_t durability;
    /** Zero. */
    uint32_t reserved;
    /** Milliseconds to wait for another write transaction to end: 0 = as the database was opened, less = for ever. */
    int64_t wait_ms;
    /** Bytes of edits that are collected before they are applied; 0 = as the database was opened. */
    uint64_t write_memory;
} kv_txn_options;

#define KV_TXN_OPTIONS_INIT \
    {sizeof(kv_txn_options), 0, 0, 0, 0, 0}

/**
 * Begins a transaction.
 *
 * A reader sees the newest commit and goes on seeing exactly that. A writer sees it too, and what it writes itself; it
 * waits until no other write transaction of the file is open.
 *
 * @param kind     KV_READ or KV_WRITE.
 * @param options  NULL = all defaults. Copied.
 * @param txn      Gets the handle, to be ended by kv_txn_commit() or kv_txn_abort(); NULL after a failure.
 * @return KV_OK; KV_BUSY (the wait is over); KV_CANCELLED (kv_interrupt, kv_close); KV_DEADLOCK (this thread used the open
 *         write transaction last, so it would wait for itself); KV_READ_ONLY; KV_LIMIT (too many readers or handles);
 *         KV_POISONED; KV_IO, KV_NO_SPACE (it writes first if a crash left torn commits); KV_NO_LOCKS; KV_INVALID;
 *         KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_txn_begin(kv_db *db, uint32_t kind, const kv_txn_options *options, kv_txn **txn);

/**
 * Commits and ends a transaction. Ends a reader, too.
 *
 * Cursors of the transaction are closed. If a writer (kv_writer_open) is neither finished nor closed, nothing is committed.
 *
 * @param txn        Released whatever is answered, except after KV_BUSY.
 * @param commit_id  Gets the number of the commit (a transaction that changed nothing: of the one it read); may be NULL.
 * @return KV_OK: visible, and durable if that is its durability; KV_CHILD_OPEN, KV_TXN_FAILED (aborted); KV_NO_SPACE,
 *         KV_IO, KV_CORRUPT, KV_NO_LOCKS, KV_NO_MEMORY (aborted, the database is as before); KV_IN_DOUBT (may or may not
 *         survive), KV_POISONED; KV_PANIC (nothing was committed); KV_BUSY (inside a callback of a call that reads it:
 *         nothing was done); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_txn_commit(kv_txn *txn, uint64_t *commit_id);

/**
 * Commits and ends a transaction without waiting until it is durable.
 *
 * A commit with KV_DURABILITY_FULL is seen by nobody, not even by the one who made it, before it is durable; one with
 * KV_DURABILITY_LAZY is visible at once. No thread works behind the caller's back: the commit becomes durable by
 * kv_wait_durable(), by any later full commit or kv_sync(), or by kv_close(), so that one sync can serve many commits.
 *
 * @param txn        Released whatever is answered, except after KV_BUSY.
 * @param commit_id  Gets the number to hand to kv_wait_durable(); may be NULL.
 * @return As kv_txn_commit().
 */
KV_API KV_MUST_CHECK kv_status kv_txn_commit_async(kv_txn *txn, uint64_t *commit_id);

/**
 * Ends a transaction and undoes what it wrote. Its cursors and writers are closed, bytes it returned are no longer valid.
 *
 * A handle that is NULL or ended already is ignored, so that one exit path serves success and failure. Inside a callback of
 * a call that reads the transaction nothing is done, and kv_error_detail() tells KV_BUSY.
 */
KV_API void kv_txn_abort(kv_txn *txn);

/**
 * Moves a read transaction to the newest commit. Its cursors stay at their keys; bytes it returned are no longer valid.
 *
 * @return KV_OK; KV_BUSY (another call uses the transaction or a cursor of it, or buffers of kv_get_buf() still hold
 *         this snapshot); KV_INVALID (a write transaction); KV_POISONED, KV_IO, KV_LIMIT (it goes on with
 *         its commit, or with one that was made during the call); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_txn_refresh(kv_txn *txn);

/**
 * Number of the commit a transaction reads; of a writer: the one it builds upon.
 *
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_BUSY (a writer in use by another thread); KV_INVALID (id is NULL);
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_txn_id(const kv_txn *txn, uint64_t *id);

/** @} */

/* ==== Waiting ================================================================================================= */

/** @defgroup kv_waiting Waiting
 * @{ */

/**
 * Waits until a commit survives a power cut: the sequel of kv_txn_commit_async(), and of lazy commits.
 *
 * If no sync is under way the calling thread does it, for everything committed until then in all processes.
 *
 * @param id  Number of the commit.
 * @param ms  0: only looks. Anything else waits until the sync is done, which cannot be broken off.
 * @return KV_OK: durable; KV_BUSY (ms is 0: not yet); KV_INVALID (no commit has this number yet); KV_IN_DOUBT,
 *         KV_POISONED; KV_NO_LOCKS; KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_wait_durable(kv_db *db, uint64_t id, int64_t ms);

/**
 * Waits until a commit newer than one is visible, whoever makes it, in whatever process.
 *
 * @param after   Number of a commit, as kv_txn_id(), kv_newest_commit() or this function answered it.
 * @param ms      Milliseconds: 0 only looks, a negative number waits for ever.
 * @param newest  Gets the number of the newest visible commit; may be NULL.
 * @return KV_OK; KV_BUSY (time over); KV_CANCELLED (kv_interrupt, kv_close); KV_POISONED; KV_BAD_HANDLE, KV_FORKED.
 */
KV_API KV_MUST_CHECK kv_status kv_wait_commit(kv_db *db, uint64_t after, int64_t ms, uint64_t *newest);

/** @} */

/* ==== Tables ================================================================================================== */

/** @defgroup kv_tables Tables
 * @{ */

/** kv_table_options.flags: there must be no table of this name yet, else KV_EXISTS. */
#define KV_TABLE_NEW 0x20000

/** How to create a table; start from KV_TABLE_OPTIONS_INIT. */
typedef struct kv_table_options {
    /** sizeof(kv_table_options), set by KV_TABLE_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_TABLE_... flags. */
    uint32_t flags;
} kv_table_options;

#define KV_TABLE_OPTIONS_INIT \
    {sizeof(kv_table_options), 0}

/** The default table: it needs no name and always exists. */
#define KV_MAIN 0
/** Read-only list of the named tables, name -> number (8 bytes, little-endian): read it as any table. */
#define KV_TABLES 1

/**
 * Number of the table called `name`.
 *
 * @param name   1 to 512 bytes of any kind, of which the first is not 0.
 * @param table  Gets the number.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (name); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_table_open(const kv_txn *txn, const void *name, size_t len, kv_table *table);

/**
 * Creates a table, or opens a present one (unless KV_TABLE_NEW). It exists for others once the transaction is committed.
 *
 * @param name     1 to 512 bytes of any kind, of which the first is not 0.
 * @param options  NULL = all defaults. Copied.
 * @param table    Gets the number.
 * @return KV_OK; KV_EXISTS (with KV_TABLE_NEW); KV_INVALID; KV_TOO_BIG (name); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY (these spoil the transaction).
 */
KV_API kv_status kv_table_create(kv_txn *txn, const void *name, size_t len, const kv_table_options *options,
    kv_table *table);

/**
 * Gives a table another name; its number stays. A table that has this name already is dropped: replacing is atomic.
 *
 * @return KV_OK; KV_NO_TABLE; KV_INVALID (KV_MAIN has no name to change); otherwise as kv_table_create();
 *         never KV_EXISTS.
 */
KV_API kv_status kv_table_rename(kv_txn *txn, kv_table table, const void *name, size_t len);

/**
 * Removes every entry of a table, in time that does not depend on their sizes.
 *
 * @return KV_OK; KV_NO_TABLE; KV_READ_ONLY; KV_UNSUPPORTED (a newer version made the table); KV_BAD_HANDLE, KV_FORKED,
 *         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO.
 */
KV_API kv_status kv_table_clear(kv_txn *txn, kv_table table);

/**
 * Removes a table with all its entries. Its number is not given again.
 *
 * @return As kv_table_clear(); KV_INVALID for KV_MAIN, KV_READ_ONLY for KV_TABLES.
 */
KV_API kv_status kv_table_drop(kv_txn *txn, kv_table table);

/**
 * The name of a table. To list the tables, read KV_TABLES as any table: its keys are the names.
 *
 * @param name  Gets the bytes, valid until the transaction ends; empty for KV_MAIN and KV_TABLES, which have no name.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID (name is NULL); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_table_name(const kv_txn *txn, kv_table table, kv_slice *name);

/**
 * The note of a named table: bytes that the program attached to it (a schema, a version); empty at first.
 *
 * @param note  Gets the bytes, valid until the transaction ends.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID (note is NULL); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
 *         KV_TXN_FAILED.
 */
KV_API kv_status kv_table_note(const kv_txn *txn, kv_table table, kv_slice *note);

/**
 * Attaches a note to a table, in place of the one it has; an empty one removes it.
 *
 * @return KV_OK; KV_TOO_BIG; KV_INVALID (KV_MAIN has no note); otherwise as kv_table_clear().
 */
KV_API kv_status kv_table_set_note(kv_txn *txn, kv_table table, const void *note, size_t len);

/** @} */

/* ==== Entries ================================================================================================= */

/** @defgroup kv_entries Entries
 * @{ */

/** Put flag: only if there is no such key, else KV_EXISTS. */
#define KV_NO_OVERWRITE 0x100
/** Put flag: only if there is such a key, else KV_NOTFOUND. */
#define KV_NO_INSERT 0x200
/** Put flag: the key is greater than every key of the table, else KV_ORDER. */
#define KV_APPEND 0x400
/** Delete flag: do not ask whether the entry exists; the answer is KV_OK either way. */
#define KV_BLIND 0x800

/**
 * Reads the value of a key, in place.
 *
 * @param value  Gets the value: valid until the transaction ends, in a write transaction until its next write. NULL only
 *               asks whether the key is there, and never touches a long value.
 * @return KV_OK; KV_NOTFOUND; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key); KV_BAD_HANDLE, KV_FORKED; KV_BUSY (a write
 *         transaction in use by another thread); KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY.
 */
KV_API kv_status kv_get(const kv_txn *txn, kv_table table, const void *key, size_t klen, kv_slice *value);

/**
 * Copies the value of a key into a buffer of the caller.
 *
 * @param buffer  Gets the value; may be NULL if size is 0.
 * @param size    Bytes of the buffer.
 * @param len     Gets the length of the value, also after KV_TOO_SMALL; may be NULL.
 * @return As kv_get(); KV_TOO_SMALL (nothing was copied).
 */
KV_API kv_status kv_get_copy(const kv_txn *txn, kv_table table, const void *key, size_t klen, void *buffer,
    size_t size, size_t *len);

/**
 * Puts an entry. Key and value are copied before anything else, so they may be bytes that this library returned.
 *
 * @param flags  0: insert or replace; or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
 * @return KV_OK; KV_EXISTS, KV_NOTFOUND, KV_ORDER (as the flags say; nothing was written); KV_NO_TABLE; KV_READ_ONLY
 *         (a reader, or KV_TABLES); KV_UNSUPPORTED (a newer version made the table); KV_TOO_BIG; KV_INVALID;
 *         KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED; KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_NO_MEMORY (these spoil
 *         the transaction).
 */
KV_API kv_status kv_put(kv_txn *txn, kv_table table, const void *key, size_t klen, const void *value, size_t vlen,
    uint32_t flags);

/**
 * Puts an entry if there is none with this key; else answers KV_EXISTS and the value that is there.
 *
 * @param existing  After KV_EXISTS gets the present value, valid until the next write of the transaction; may be NULL.
 * @return As kv_put() with KV_NO_OVERWRITE.
 */
KV_API kv_status kv_insert(kv_txn *txn, kv_table table, const void *key, size_t klen, const void *value,
    size_t vlen, kv_slice *existing);

/**
 * Puts an entry and answers the value it replaces.
 *
 * @param flags  As for kv_put().
 * @param old    Gets the former value, valid until the next write of the transaction; its data is NULL if there was none.
 * @return As kv_put().
 */
KV_API kv_status kv_replace(kv_txn *txn, kv_table table, const void *key, size_t klen, const void *value,
    size_t vlen, uint32_t flags, kv_slice *old);

/**
 * Puts an entry of `vlen` zero bytes and answers where they lie, to be filled before the next call on this transaction. That
 * saves a copy of what is computed anyway.
 *
 * @param flags  As for kv_put().
 * @param data   Gets the address of vlen writable bytes; never NULL.
 * @return As kv_put().
 */
KV_API kv_status kv_reserve(kv_txn *txn, kv_table table, const void *key, size_t klen, size_t vlen, uint32_t flags,
    void **data);

/**
 * Deletes an entry.
 *
 * @param flags  0, or KV_BLIND: do not ask whether it exists.
 * @return KV_OK; KV_NOTFOUND (never with KV_BLIND); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API kv_status kv_delete(kv_txn *txn, kv_table table, const void *key, size_t klen, uint32_t flags);

/**
 * Deletes an entry and answers its value.
 *
 * @param value  Gets the value, valid until the next write of the transaction.
 * @return KV_OK; KV_NOTFOUND; otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API kv_status kv_take(kv_txn *txn, kv_table table, const void *key, size_t klen, kv_slice *value);

/**
 * Deletes the first entry of a range (with KV_RANGE_REVERSE the last) and answers it: the step of a queue.
 *
 * @param range  NULL = the whole table.
 * @param key    Gets the key, valid until the next write of the transaction; may be NULL.
 * @param value  Gets the value, valid as long; may be NULL.
 * @return KV_OK; KV_NOTFOUND (the range is empty); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API kv_status kv_take_first(kv_txn *txn, kv_table table, const kv_range *range, kv_slice *key, kv_slice *value);

/**
 * Deletes every entry of a range, in time that depends on the pages touched and not on the entries.
 *
 * @param range    With at least one bound or a prefix; for a whole table there is kv_table_clear().
 * @param deleted  Gets the number of entries deleted; may be NULL.
 * @return KV_OK (also if there was none); KV_INVALID (range without a bound); otherwise as kv_put(); never KV_NOTFOUND,
 *         KV_EXISTS, KV_ORDER.
 */
KV_API kv_status kv_delete_range(kv_txn *txn, kv_table table, const kv_range *range, uint64_t *deleted);

/** @} */

/* ==== Cursors and counting ==================================================================================== */

/** @defgroup kv_cursors Cursors and counting
 * @{ */

/** Seek: exactly this key. */
#define KV_SEEK_EQ 32
/** Seek: this key, or the next greater. */
#define KV_SEEK_GE 33
/** Seek: the next greater key. */
#define KV_SEEK_GT 34
/** Seek: this key, or the next less. */
#define KV_SEEK_LE 35
/** Seek: the next less key. */
#define KV_SEEK_LT 36

/** A place in a table. One thread at a time, not bound to a thread. */
typedef struct kv_cursor kv_cursor;

/**
 * Entries of the cursor's range, without moving it.
 *
 * @return KV_OK; KV_INVALID (count is NULL); otherwise as kv_cursor_first(); never KV_NOTFOUND.
 */
KV_API kv_status kv_cursor_count(kv_cursor *cursor, uint64_t *count);

/**
 * Entries of the range before the cursor's current one, in the cursor's direction: kv_cursor_nth() with this number
 * returns to it. Of a cursor that stands on no entry: those before the place where it stands.
 *
 * @return KV_OK; KV_INVALID (rank is NULL); otherwise as kv_cursor_first(); never KV_NOTFOUND.
 */
KV_API kv_status kv_cursor_rank(kv_cursor *cursor, uint64_t *rank);

/**
 * Entries within a range.
 *
 * @param range  NULL = the whole table.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (a bound); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED; KV_CORRUPT;
 *         KV_IO, KV_NO_SPACE (in a write transaction: what it has collected is applied first, and may be written).
 */
KV_API kv_status kv_count(const kv_txn *txn, kv_table table, const kv_range *range, uint64_t *count);

/**
 * Entries with keys less than `key`, which need not exist.
 *
 * @return As kv_count(); KV_TOO_BIG (key).
 */
KV_API kv_status kv_rank(const kv_txn *txn, kv_table table, const void *key, size_t klen, uint64_t *rank);

/**
 * Opens a cursor before the first entry of a range.
 *
 * Position: before the first entry at first, so a loop with KV_EACH sees them all; behind the last
 * after KV_NOTFOUND, and prev returns to it; between its neighbours after its entry was deleted (get answers KV_NOTFOUND,
 * next the successor, prev the predecessor). A cursor of a write transaction sees what the transaction writes.
 *
 * @param range   NULL = the whole table, upwards. Copied, its direction included.
 * @param cursor  Gets the handle, to be closed by kv_cursor_close(); the end of the transaction closes it, too. NULL after
 *                a failure.
 * @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (a bound); KV_LIMIT; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
 *         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY.
 */
KV_API kv_status kv_cursor_open(const kv_txn *txn, kv_table table, const kv_range *range, kv_cursor **cursor);

/** Closes a cursor. NULL, closed ones and those whose transaction has ended are ignored. */
KV_API void kv_cursor_close(kv_cursor *cursor);

/**
 * Moves to the first entry of the range (with KV_RANGE_REVERSE: the one with the greatest key).
 *
 * Valid for all kv_cursor_... calls with these outputs:
 *
 * @param key    Gets the key, valid until the next call on this cursor; may be NULL.
 * @param value  Gets the value, valid until the transaction ends, in a write transaction until its next write. NULL does
 *               not touch it, which for long values saves reading them.
 * @return KV_OK; KV_NOTFOUND (no entry there); KV_BAD_HANDLE (also: the transaction has ended), KV_FORKED; KV_BUSY (cursor
 *         or write transaction in use by another thread); KV_TXN_FAILED; KV_NO_TABLE (dropped meanwhile); KV_CORRUPT;
 *         KV_IO, KV_NO_SPACE (in a write transaction: what it has collected is applied first, and may be written);
 *         KV_NO_MEMORY.
 */
KV_API kv_status kv_cursor_first(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to the last entry of the range.
 *
 * @return As kv_cursor_first().
 */
KV_API kv_status kv_cursor_last(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to the next entry of the range, in its direction; before the first call: to the first.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND at the end.
 */
KV_API kv_status kv_cursor_next(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to the previous entry of the range.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND at the beginning.
 */
KV_API kv_status kv_cursor_prev(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Reads the current entry again.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND if the cursor stands on none (not moved yet, at an end, entry deleted).
 */
KV_API kv_status kv_cursor_get(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/**
 * Moves to an entry by its key. Without such an entry the cursor stands where it would be.
 *
 * @param seek_key  The key that is looked for; it may be one that this cursor returned.
 * @param how       KV_SEEK_...; greater and less are meant by key order also in a reverse range.
 * @return As kv_cursor_first(); KV_INVALID; KV_TOO_BIG (key).
 */
KV_API kv_status kv_cursor_seek(kv_cursor *cursor, const void *seek_key, size_t klen, uint32_t how, kv_slice *key,
    kv_slice *value);

/**
 * Replaces the value of the current entry.
 *
 * @param value  May be bytes that this library returned.
 * @return KV_OK; KV_NOTFOUND (the cursor stands on no entry); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
 */
KV_API kv_status kv_cursor_put(kv_cursor *cursor, const void *value, size_t vlen);

/**
 * Deletes the current entry; the cursor stays between its neighbours.
 *
 * @return KV_OK; KV_NOTFOUND (the cursor stands on no entry); otherwise as kv_put(); never KV_EXISTS, KV_ORDER,
 *         KV_INVALID, KV_TOO_BIG.
 */
KV_API kv_status kv_cursor_delete(kv_cursor *cursor);

/**
 * Moves to the n-th entry of the range, in time that grows with the height of the tree only.
 *
 * @param n  0 = the first in the cursor's direction.
 * @return As kv_cursor_first(); KV_NOTFOUND if there are fewer.
 */
KV_API kv_status kv_cursor_nth(kv_cursor *cursor, uint64_t n, kv_slice *key, kv_slice *value);

/**
 * Moves to the entry at a percentile of the range by the nearest-rank method: 50 is the median, 0 the first entry, 100
 * the last.
 *
 * @param percent  0 to 100.
 * @return As kv_cursor_first(); KV_NOTFOUND if the range is empty; KV_INVALID (percent).
 */
KV_API kv_status kv_cursor_percentile(kv_cursor *cursor, double percent, kv_slice *key, kv_slice *value);

/**
 * Moves to a random entry of the range, each equally likely.
 *
 * @return As kv_cursor_first(); KV_NOTFOUND if the range is empty.
 */
KV_API kv_status kv_cursor_random(kv_cursor *cursor, kv_slice *key, kv_slice *value);

/** @} */

/* ==== Batches ================================================================================================= */

/** @defgroup kv_batches Batches
 * @{ */

/** kv_op.op: put key and value; flags as for kv_put(). */
#define KV_OP_PUT 48
/** kv_op.op: delete key; flags as for kv_delete(). The value is ignored. */
#define KV_OP_DELETE 49
/** kv_batch.flags: an entry is its key alone; values are not touched. */
#define KV_BATCH_KEYS 0x40000
/** kv_batch.flags: an entry is its value alone. */
#define KV_BATCH_VALUES 0x80000
/** kv_batch.kinds: the string is there. */
#define KV_KIND_PRESENT 1
/** kv_batch.kinds: there is no such key; the string is empty. */
#define KV_KIND_ABSENT 0

/** One step of kv_write_batch(). */
typedef struct kv_op {
    /** KV_OP_... */
    uint32_t op;
    /** Flags of that operation. */
    uint32_t flags;
    /** The table. */
    kv_table table;
    /** The key. */
    kv_slice key;
    /** The value. */
    kv_slice value;
} kv_op;

/**
 * Many strings in one buffer: string i is bytes[ends[i-1]] up to ends[i] (string 0 begins at 0). An entry is a key and a
 * value behind it, two strings, unless the function or a flag says otherwise. Allocated once by the program and used again
 * and again; start from KV_BATCH_INIT.
 *
 * As a result, `count`, `used`, `needed` and `at_end` are filled. As an input, `count` entries are given, of which the
 * first `skip` are passed over, so that a call which stopped half-way can go on where it was.
 */
typedef struct kv_batch {
    /** sizeof(kv_batch), set by KV_BATCH_INIT; exactly this. */
    uint32_t struct_size;
    /** KV_BATCH_... flags. */
    uint32_t flags;
    /** The strings, one behind the other. */
    void *bytes;
    /** Bytes of room (at most 4 GiB - 1 are used). */
    size_t bytes_size;
    /** Where each string ends. */
    uint32_t *ends;
    /** Room in `ends`, in strings. */
    size_t ends_size;
    /** For kv_get_packed(): KV_KIND_... of each answer, with room for ends_size; may be NULL. */
    uint8_t *kinds;
    /** Entries wanted at most; 0 = as many as there is room for. */
    size_t limit;
    /** Entries in the batch. */
    size_t count;
    /** Bytes in the batch. */
    size_t used;
    /** After KV_TOO_SMALL: bytes of room that the next entry needs. */
    size_t needed;
    /** Result: 1 if nothing is left behind these entries. */
    uint32_t at_end;
    /** Input: entries to skip. */
    uint32_t skip;
} kv_batch;

#define KV_BATCH_INIT \
    {sizeof(kv_batch), 0, NULL, 0, NULL, 0, NULL, 0, 0, 0, 0, 0, 0}

/**
 * Reads the values of many keys at once, which is much faster than one after the other: while one is fetched from
 * memory, the next are looked for.
 *
 * @param keys    n keys in any order.
 * @param values  Gets n values in the order of the keys; the data of one that is not there is NULL. Valid as those of
 *                kv_get(). After a failure the first of them may have been written.
 * @param found   Gets how many are there; may be NULL.
 * @return KV_OK, also if none is there; KV_NO_SPACE; otherwise as kv_get(); never KV_NOTFOUND.
 */
KV_API kv_status kv_get_many(const kv_txn *txn, kv_table table, const kv_slice *keys, size_t n, kv_slice *values,
    size_t *found);

/**
 * Moves over the next entries and answers them, up to n at a time. The cursor stands on the last one.
 *
 * @param entries  Gets up to n entries. Their keys are valid until the next call on this cursor, their values as those of
 *                 kv_cursor_next(). After a failure the first of them may have been written.
 * @param got      Gets how many; less than n at the end of the range.
 * @return KV_OK; KV_NOTFOUND (at the end; got is 0); KV_INVALID (n is 0); otherwise as kv_cursor_first().
 */
KV_API kv_status kv_cursor_next_many(kv_cursor *cursor, kv_entry *entries, size_t n, size_t *got);

/**
 * Carries out puts and deletes of any tables, in their order. Stops at the first that does not answer KV_OK; those before
 * it stay done.
 *
 * @param ops   n operations.
 * @param done  Gets how many were carried out, also after a failure; may be NULL.
 * @return KV_OK; what kv_put() or kv_delete() answered for operation number `done`.
 */
KV_API kv_status kv_write_batch(kv_txn *txn, const kv_op *ops, size_t n, size_t *done);

/**
 * Fills a batch with the entries behind the cursor, as many as there is room for; the cursor stands on the last of them,
 * so that the next call goes on. `batch->at_end` is 1 if there is nothing behind them.
 *
 * @param batch  Gets entries: key, value, key, value ... (KV_BATCH_KEYS, KV_BATCH_VALUES: one string each).
 * @return KV_OK; KV_NOTFOUND (no entry is left; count is 0 and at_end 1); KV_TOO_SMALL (not one entry has room; `needed`
 *         tells the bytes, and `ends` needs room for its strings); KV_INVALID (batch); otherwise as kv_cursor_first().
 */
KV_API kv_status kv_cursor_fill(kv_cursor *cursor, kv_batch *batch);

/**
 * Fills a batch with the first entries of a range: open a cursor, kv_cursor_fill(), close, in one call. To go on, ask for
 * the range KV_RANGE_AFTER the last key.
 *
 * @param range  NULL = the whole table.
 * @return As kv_cursor_fill() and kv_cursor_open(); never KV_LIMIT.
 */
KV_API kv_status kv_scan(const kv_txn *txn, kv_table table, const kv_range *range, kv_batch *batch);

/**
 * Reads the values of many keys, packed in and out.
 *
 * @param keys    An input batch of keys (one string an entry).
 * @param values  Gets one string for each key, in their order, empty if there is none; `kinds`, if given, tells the two
 *                apart. Without room for all, `count` tells how many were answered and `at_end` is 0: call again with
 *                keys->skip advanced by it.
 * @return KV_OK; KV_TOO_SMALL (not one answer has room); KV_INVALID (batches); KV_NO_SPACE; otherwise as kv_get();
 *         never KV_NOTFOUND.
 */
KV_API kv_status kv_get_packed(const kv_txn *txn, kv_table table, const kv_batch *keys, kv_batch *values);

/**
 * Puts many entries, in their order. Stops at the first that does not answer KV_OK; those before it stay done.
 *
 * @param batch  An input batch of key, value, key, value ...
 * @param flags  As for kv_put().
 * @param done   Gets how many were put (not counting those skipped), also after a failure; may be NULL.
 * @return KV_OK; KV_INVALID (batch); what kv_put() answered for the entry that stopped it.
 */
KV_API kv_status kv_put_packed(kv_txn *txn, kv_table table, const kv_batch *batch, uint32_t flags, size_t *done);

/**
 * Deletes many entries, in their order. Stops at the first that does not answer KV_OK; those before it stay done.
 *
 * @param batch  An input batch of keys (one string an entry).
 * @param flags  As for kv_delete(); without KV_BLIND a key that is not there stops it with KV_NOTFOUND.
 * @param done   Gets how many were deleted (not counting those skipped), also after a failure; may be NULL.
 * @return KV_OK; KV_INVALID (batch); what kv_delete() answered for the entry that stopped it.
 */
KV_API kv_status kv_delete_packed(kv_txn *txn, kv_table table, const kv_batch *batch, uint32_t flags, size_t *done);

/** @} */

/* ==== Long values ============================================================================================= */

/** @defgroup kv_values Long values
 * @{ */

/** A long value being written in parts. One thread at a time. */
typedef struct kv_writer kv_writer;

/** What kv_stat_value() tells; start from KV_VALUE_STAT_INIT. */
typedef struct kv_value_stat {
    /** sizeof(kv_value_stat), set by KV_VALUE_STAT_INIT. */
    uint32_t struct_size;
    /** Pieces of the file it lies in; 0 = beside its key, or not written yet. */
    uint32_t extents;
    /** Bytes of the value. */
    uint64_t len;
} kv_value_stat;

#define KV_VALUE_STAT_INIT \
    {sizeof(kv_value_stat), 0, 0}

/** A contiguous piece of a value. */
typedef struct kv_extent {
    /** Its bytes, valid as a value of kv_get(). */
    const void *data;
    /** How many. */
    size_t len;
    /** Where they lie in the file; KV_NONE if they have no place of their own there. */
    uint64_t file_offset;
} kv_extent;

/**
 * Length and shape of a value, without touching the value.
 *
 * @param stat  Its struct_size is set by the caller; the rest is filled.
 * @return As kv_get().
 */
KV_API kv_status kv_stat_value(const kv_txn *txn, kv_table table, const void *key, size_t klen,
    kv_value_stat *stat);

/**
 * Reads a part of a value into a buffer of the caller. Only that part is read from disk and verified, so a value much
 * larger than memory can be read piece by piece; no handle is needed for it.
 *
 * @param offset  First byte wanted; at or behind the end nothing is read.
 * @param buffer  Gets the bytes.
 * @param size    Bytes wanted.
 * @param got     Gets how many were read: less than size at the end of the value.
 * @return As kv_get().
 */
KV_API kv_status kv_value_read(const kv_txn *txn, kv_table table, const void *key, size_t klen, uint64_t offset,
    void *buffer, size_t size, size_t *got);

/**
 * Where a value lies, as contiguous pieces: to hand it to writev, sendfile or a device without a copy. Answers from the
 * description of the value and does not touch a long value's bytes, so they are not verified either: kv_value_read()
 * and kv_get() do that.
 *
 * @param extents  Gets the pieces, in order.
 * @param size     Room for how many.
 * @param n        Gets how many there are, also after KV_TOO_SMALL. An empty value has none.
 * @return As kv_get(); KV_TOO_SMALL (nothing else was written).
 */
KV_API kv_status kv_value_extents(const kv_txn *txn, kv_table table, const void *key, size_t klen,
    kv_extent *extents, size_t size, size_t *n);

/**
 * Begins a value that is written in parts: of unknown length, or larger than memory. The entry appears when
 * kv_writer_finish() answers KV_OK; until then the transaction sees what was there before.
 *
 * Other calls on the transaction may come between the parts.
 *
 * @param size_hint  Expected length, 0 = unknown; a good guess lets the value lie in one piece.
 * @param flags      As for kv_put(); what they demand is looked at here and again by kv_writer_finish().
 * @param writer     Gets the handle, to be ended by kv_writer_finish() or kv_writer_close(); NULL after a failure.
 * @return As kv_put(); KV_LIMIT.
 */
KV_API kv_status kv_writer_open(kv_txn *txn, kv_table table, const void *key, size_t klen, uint64_t size_hint,
    uint32_t flags, kv_writer **writer);

/**
 * Appends bytes to the value.
 *
 * @return KV_OK; KV_TOO_BIG; KV_INVALID; KV_BAD_HANDLE, KV_FORKED; KV_BUSY (writer
 *         or transaction in use by another thread); KV_TXN_FAILED; KV_NO_SPACE, KV_IO, KV_NO_MEMORY (these spoil the
 *         transaction).
 */
KV_API kv_status kv_writer_write(kv_writer *writer, const void *data, size_t len);

/**
 * Puts the entry with the value written.
 *
 * @param writer  Released whatever is answered.
 * @return KV_OK; KV_EXISTS, KV_NOTFOUND, KV_ORDER (as the flags say; nothing was put); KV_NO_TABLE (dropped
 *         meanwhile); KV_CORRUPT; otherwise as kv_writer_write(); never KV_INVALID.
 */
KV_API kv_status kv_writer_finish(kv_writer *writer);

/**
 * Gives up a value that was not finished. NULL, finished writers and those whose transaction has ended are ignored.
 */
KV_API void kv_writer_close(kv_writer *writer);

/** @} */

/* ==== Retained values ========================================================================================= */

/** @defgroup kv_retained Retained values
 * @{ */

/** Bytes that outlive their transaction, with a count of references. Any thread may use it. */
typedef struct kv_buf kv_buf;

/**
 * Reads a value that shall outlive its transaction, and even kv_close(): until its buffer is released.
 *
 * Short values are copied. A long one of a read transaction is not: its buffer keeps the snapshot, as an open reader
 * would, so do not keep it for ever.
 *
 * @param value   Gets the bytes, valid until the last reference to the buffer is released.
 * @param buffer  Gets the handle, with one reference, for kv_buf_release(); NULL after a failure.
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
 * Takes a reference from a buffer; with the last one its bytes are no longer valid. NULL and released ones are ignored.
 */
KV_API void kv_buf_release(kv_buf *buffer);

/** @} */

/* ==== Maintenance ============================================================================================= */

/** @defgroup kv_maintenance Maintenance
 * @{ */

/**
 * kv_job_options.flags of kv_check(): also prove that every page of the file is exactly one of used, held, free or
 * bookkeeping. That can be said of the newest commit only, so that one is checked instead of the transaction's; an open
 * write transaction is waited for.
 */
#define KV_JOB_CHECK_SPACE 0x4000000

/**
 * kv_job_options.flags of kv_backup(): put the entries into a new database in order, full pages and no free ones,
 * instead of copying pages.
 */
#define KV_JOB_COMPACT 0x8000000

/** kv_job_options.flags of kv_backup(), kv_salvage(): replace a file that is there already. */
#define KV_JOB_OVERWRITE 0x10000000

/**
 * Is told the progress of a long job, on the thread that called it, at most every 100 ms and once at the end: pages
 * done, of at most how many. Answers 0 to go on; anything else ends the job with KV_CANCELLED.
 */
typedef int32_t (*kv_progress_fn)(void *ctx, uint64_t done, uint64_t total);

/** How a long job is done; start from KV_JOB_OPTIONS_INIT. */
typedef struct kv_job_options {
    /** sizeof(kv_job_options), set by KV_JOB_OPTIONS_INIT. */
    uint32_t struct_size;
    /** KV_JOB_... flags. */
    uint32_t flags;
    /** Is told the progress; may be NULL. */
    kv_progress_fn progress;
    /** Handed to progress. */
    void *ctx;
} kv_job_options;

#define KV_JOB_OPTIONS_INIT \
    {sizeof(kv_job_options), 0, NULL, NULL}

/** A fault that a check found; valid during the callback. */
typedef struct kv_fault {
    /** sizeof(kv_fault). */
    uint32_t struct_size;
    /** What kind of fault: KV_CORRUPT. */
    kv_status status;
    /** The page, or KV_NONE. */
    uint64_t page;
    /** The table, or KV_NONE. */
    uint64_t table;
    /** What is wrong, in words. */
    const char *message;
} kv_fault;

#define KV_FAULT_INIT \
    {sizeof(kv_fault), 0, 0, 0, NULL}

/**
 * Is told each fault, on the thread that called kv_check() or kv_salvage(). Answers 0 to go on; anything else ends the
 * job with KV_CANCELLED. It must not close the database.
 */
typedef int32_t (*kv_fault_fn)(void *ctx, const kv_fault *fault);

/** What kv_check() counted; start from KV_CHECK_REPORT_INIT. */
typedef struct kv_check_report {
    /** sizeof(kv_check_report), set by KV_CHECK_REPORT_INIT. */
    uint32_t struct_size;
    /**
     * The meta slots that cannot be read, or that are missing, a bit for each of the four (1 = the first): see
     * kv_db_stat. That is no fault, because another slot leads to the commit.
     */
    uint32_t lost_slots;
    /** The commit that was checked. */
    uint64_t commit;
    /** Tables, KV_MAIN included. */
    uint64_t tables;
    /** Entries of all tables. */
    uint64_t entries;
    /** Pages of the file. */
    uint64_t pages;
    /** Pages of trees. */
    uint64_t tree_pages;
    /** Pages of long values and keys. */
    uint64_t overflow_pages;
    /** Pages that nobody needs now, or soon. */
    uint64_t dead_pages;
    /** Faults found. */
    uint64_t faults;
} kv_check_report;

#define KV_CHECK_REPORT_INIT \
    {sizeof(kv_check_report), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Takes bytes of a stream, all of them. Answers 0, or an errno, which ends the job with KV_IO (or KV_NO_SPACE). */
typedef int32_t (*kv_write_fn)(void *ctx, const void *data, size_t len);

/** What kv_salvage() counted; start from KV_SALVAGE_REPORT_INIT. */
typedef struct kv_salvage_report {
    /** sizeof(kv_salvage_report), set by KV_SALVAGE_REPORT_INIT. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** The commit that was saved; 0 = not known, no slot of the file can be read. */
    uint64_t commit;
    /** Tables saved, KV_MAIN included. */
    uint64_t tables;
    /** Entries saved, the uncertain ones included. */
    uint64_t entries;
    /** Of them: found without a pointer that leads there. They may be older than what was lost, or deleted since. */
    uint64_t uncertain;
    /** Entries lost, as far as their number is known. */
    uint64_t lost_entries;
    /** Pages in use that could not be read or differ from their checksum. */
    uint64_t damaged_pages;
    /** Subtrees that could not be reached. */
    uint64_t lost_subtrees;
    /** Leaves that look right and were not used: nothing tells whether they are the newest. */
    uint64_t ambiguous_pages;
} kv_salvage_report;

#define KV_SALVAGE_REPORT_INIT \
    {sizeof(kv_salvage_report), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/**
 * Reads everything a snapshot reaches and verifies it: checksums, order of keys, counts, shapes of trees. Others read and
 * write meanwhile.
 *
 * @param txn       A read transaction.
 * @param options   KV_JOB_CHECK_SPACE, progress; NULL = all defaults.
 * @param on_fault  Is told each fault; may be NULL.
 * @param ctx       Handed to on_fault.
 * @param report    Filled after KV_OK and KV_CORRUPT; may be NULL. Its struct_size is set by the caller.
 * @return KV_OK: no fault; KV_CORRUPT: faults were found; KV_CANCELLED; with KV_JOB_CHECK_SPACE: KV_BUSY (the wait_ms of
 *         the database ended before the write transaction, or commits come too fast), KV_DEADLOCK (this thread has a
 *         write transaction open), KV_TOO_NEW (a newer version uses pages of the file for what this one does not know);
 *         KV_IO, KV_NO_MEMORY, KV_LIMIT, KV_POISONED; KV_INVALID (a write transaction); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_check(const kv_txn *txn, const kv_job_options *options, kv_fault_fn on_fault, void *ctx,
    kv_check_report *report);

/**
 * As kv_check(), of the newest commit, in a read transaction of its own.
 *
 * @return As kv_check() and kv_txn_begin() with KV_READ.
 */
KV_API kv_status kv_db_check(kv_db *db, const kv_job_options *options, kv_fault_fn on_fault, void *ctx,
    kv_check_report *report);

/**
 * Copies a snapshot into a new file, a database like any other, while others read and write. Every page is compared with
 * its checksum on the way. The file appears under its name when it is whole and durable; after a failure there is none.
 *
 * What is copied is the open file, whatever its path names by now. The copy has the same tables under the same numbers;
 * it is a database of its own and not the same one. To restore, put the copy where the database was while nobody has
 * either open.
 *
 * @param txn      A read transaction.
 * @param path     The new file; its directory must be there.
 * @param options  KV_JOB_COMPACT, KV_JOB_OVERWRITE, progress; NULL = all defaults.
 * @return KV_OK; KV_EXISTS (without KV_JOB_OVERWRITE); KV_CORRUPT: a page is damaged, kv_error_detail() tells which;
 *         KV_CANCELLED; KV_NO_FILE (the directory), KV_ACCESS, KV_NO_SPACE, KV_IO, KV_NO_LOCKS, KV_NO_MEMORY; KV_INVALID (a write
 *         transaction; the path is that of the database itself); KV_BUSY (a write transaction in use by another
 *         thread); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_backup(const kv_txn *txn, const char *path, const kv_job_options *options);

/**
 * As kv_backup(), of the newest commit, in a read transaction of its own.
 *
 * @return As kv_backup() and kv_txn_begin() with KV_READ; never KV_BUSY.
 */
KV_API kv_status kv_db_backup(kv_db *db, const char *path, const kv_job_options *options);

/**
 * As kv_backup(), but hands the copy to a function, from its first byte to its last: for pipes, sockets, compressors.
 * The bytes in a file are the database; who writes them must also make them durable. What the snapshot does not use
 * comes as zeros. With KV_JOB_COMPACT the copy is made in a temporary file first.
 *
 * @param txn      A read transaction.
 * @param write    Takes the bytes; kv_fd_write() writes them to a descriptor.
 * @param ctx      Handed to write.
 * @param options  KV_JOB_COMPACT, progress; NULL = all defaults.
 * @return As kv_backup(); KV_IO, KV_NO_SPACE with the errno that write answered; never KV_EXISTS.
 */
KV_API kv_status kv_backup_stream(const kv_txn *txn, kv_write_fn write, void *ctx, const kv_job_options *options);

/**
 * Writes bytes to a file descriptor, all of them: a kv_write_fn whose ctx is an `int *`.
 *
 * @return 0, or an errno.
 */
KV_API int32_t kv_fd_write(void *ctx, const void *data, size_t len);

/**
 * Saves what can be read of a damaged database into a new one, and tells what is lost.
 *
 * The damaged file is only read; it need not be possible to open it, nor to lock it. Its newest readable commit is walked
 * and damage stepped over. Only where that leaves gaps, leaves to which nothing leads are looked for in the whole file
 * and used if they can be told from older versions; those entries are counted as uncertain. Values whose checksum differs
 * are never saved. Tables keep their numbers; one whose name is lost is called "lost-" and its number.
 *
 * @param damaged   The damaged file.
 * @param target    The new file, which appears when it is whole and durable.
 * @param options   KV_JOB_OVERWRITE, progress; NULL = all defaults.
 * @param on_fault  Is told what is lost or doubtful: page, table, and in words how many entries and which keys; may be
 *                  NULL.
 * @param ctx       Handed to on_fault.
 * @param report    Filled after KV_OK; may be NULL. Its struct_size is set by the caller.
 * @return KV_OK: look at the report; KV_NO_FILE, KV_ACCESS; KV_NOT_A_DATABASE (nothing in it looks like one), KV_TOO_NEW,
 *         KV_TOO_OLD; KV_EXISTS (the target, without KV_JOB_OVERWRITE); KV_CANCELLED; KV_NO_SPACE, KV_IO, KV_NO_MEMORY;
 *         KV_NO_LOCKS; KV_INVALID.
 */
KV_API kv_status kv_salvage(const char *damaged, const char *target, const kv_job_options *options,
    kv_fault_fn on_fault, void *ctx, kv_salvage_report *report);

/** @} */

/* ==== Statistics ============================================================================================== */

/** @defgroup kv_statistics Statistics
 * @{ */

/** Figures of a database file, filled by kv_stat_db(); start from KV_DB_STAT_INIT. */
typedef struct kv_db_stat {
    /** sizeof(kv_db_stat), set by KV_DB_STAT_INIT. */
    uint32_t struct_size;
    /** Bytes of a page. */
    uint32_t page_size;
    /** Pages of the file at the newest commit; times page_size: its bytes. */
    uint64_t pages;
    /** Pages that nobody needs, as far as known without reading all bookkeeping. */
    uint64_t free_pages;
    /** Pages that died but are still seen by a reader or needed until the next sync, as far as known. */
    uint64_t pending_pages;
    /** Newest commit that a reader sees. */
    uint64_t visible;
    /** Newest commit that survives a power cut. */
    uint64_t durable;
    /** Oldest commit held by a reader; `visible` if there is none. */
    uint64_t oldest;
    /** Readers. */
    uint32_t readers;
    /** Incomplete commits that were discarded when this handle opened the file after a crash. */
    uint32_t discarded;
    /**
     * The commit that opening this handle found: the newest whole one then. If `discarded` is not 0, what it fell back to.
     */
    uint64_t opened_commit;
    /** Nanoseconds that opening this handle took, recovery included. */
    uint64_t opening_ns;
    /**
     * 1 if the database had been closed properly when this handle opened it, or others had it open; 0 if the last process
     * was killed or the power failed, or if a meta slot could not be read, so that nobody knows. It stays 0 for later
     * handles until a commit is made and the database is closed.
     */
    uint32_t closed_properly;
    /**
     * The meta slots that could not be read when this handle opened the file, or that were missing, a bit for each of the
     * four (1 = the first); 0 = none. One that a crash tore is among them. Any other was damaged: nothing is lost, but
     * one copy less leads to the newest commit. The next commits write it anew.
     */
    uint32_t lost_slots;
    /**
     * Process that has the write transaction open at this moment, 0 if none has: its number (pid) as it sees itself.
     */
    uint32_t writer;
    /** Zero. */
    uint32_t reserved;
    /** Milliseconds since that process began this write transaction. */
    uint64_t writer_ms;
} kv_db_stat;

#define KV_DB_STAT_INIT \
    {sizeof(kv_db_stat), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Which database a handle stands for, filled by kv_db_identity(); start from KV_IDENTITY_INIT. */
typedef struct kv_identity {
    /** sizeof(kv_identity), set by KV_IDENTITY_INIT. */
    uint32_t struct_size;
    /** Version of the file format. */
    uint32_t format_version;
    /** UUID of the file. A copy made by kv_backup() has one of its own. */
    uint8_t uuid[16];
    /** Absolute path under which this handle was opened, valid until kv_close(); "" for a database in memory. */
    const char *path;
} kv_identity;

#define KV_IDENTITY_INIT \
    {sizeof(kv_identity), 0, {0}, NULL}

/** Figures of a table, filled by kv_stat_table(); start from KV_TABLE_STAT_INIT. */
typedef struct kv_table_stat {
    /** sizeof(kv_table_stat), set by KV_TABLE_STAT_INIT. */
    uint32_t struct_size;
    /** Levels of the tree; 0 = the table is empty. */
    uint32_t height;
    /** Entries of the table. */
    uint64_t entries;
    /** Branch pages: of the table, or of the level. */
    uint64_t branch_pages;
    /** Leaf pages: of the table, or of the level. */
    uint64_t leaf_pages;
    /** Pages of long values and keys; 0 when a level is asked for. */
    uint64_t overflow_pages;
    /** Children or entries in the pages of the level; 0 when the table is asked for. */
    uint64_t items;
    /** Bytes used in these branch and leaf pages. */
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
    /** The commit it reads; of a writer: the one it builds upon. */
    uint64_t id;
    /** Edits collected and not yet applied. */
    uint64_t edits;
    /** Bytes of them. */
    uint64_t edit_bytes;
    /** Pages it has made so far. */
    uint64_t private_pages;
} kv_txn_stat;

#define KV_TXN_STAT_INIT \
    {sizeof(kv_txn_stat), 0, 0, 0, 0, 0}

/**
 * Figures of the file and its readers.
 *
 * @param stat  Its struct_size is set by the caller; the rest is filled.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_INVALID (struct_size).
 */
KV_API kv_status kv_stat_db(kv_db *db, kv_db_stat *stat);

/**
 * Tells which database a handle stands for.
 *
 * @param identity  Its struct_size is set by the caller; the rest is filled.
 * @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_INVALID (struct_size).
 */
KV_API kv_status kv_db_identity(kv_db *db, kv_identity *identity);

/**
 * One of the readers that hold commits, in whatever process, the oldest snapshot first: read transactions, and buffers
 * of kv_get_buf().
 *
 * Readers come and go meanwhile, so a loop over the indexes is a picture, not an inventory. A process that died has no
 * readers.
 *
 * @param index  From 0 up.
 * @param info   Its struct_size is set by the caller; the rest is filled.
 * @return KV_OK; KV_NOTFOUND (there are not so many); KV_INVALID (struct_size); KV_BAD_HANDLE, KV_FORKED.
 */
KV_API kv_status kv_reader_at(kv_db *db, uint32_t index, kv_reader_info *info);

/**
 * Figures of a table, or of one level of its tree. Reads the branch pages of the table.
 *
 * @param level  0 = the whole table; 1 = its leaves, up to `height` = its root.
 * @param stat   Its struct_size is set by the caller; the rest is filled.
 * @return KV_OK; KV_NOTFOUND (no such level); KV_NO_TABLE; KV_INVALID; KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED;
 *         KV_CORRUPT, KV_IO, KV_NO_SPACE.
 */
KV_API kv_status kv_stat_table(const kv_txn *txn, kv_table table, uint32_t level, kv_table_stat *stat);

/**
 * Figures of a transaction.
 *
 * @param stat  Its struct_size is set by the caller; the rest is filled.
 * @return KV_OK; KV_INVALID; KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED.
 */
KV_API kv_status kv_stat_txn(const kv_txn *txn, kv_txn_stat *stat);

/** @} */

/* ==== Macros ================================================================================================== */

/** @defgroup kv_macros Macros
 * @{ */

/** A C string where a function takes a pointer and a length: kv_put(txn, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0). */
#define KV_STR(text) (text), strlen(text)

/**
 * The initial value of a range of all keys that begin with some bytes, which are given as a pointer and a length:
 * kv_range users = KV_PREFIX(KV_STR("user/"));
 */
#define KV_PREFIX(...) \
    {KV_RANGE_PREFIX, 0, {NULL, 0}, {NULL, 0}, {__VA_ARGS__}}

/**
 * A loop over the entries that lie ahead of a cursor. Behind the loop, `status` is KV_OK if the loop came to the end of
 * the range or was left with `break`, and otherwise it is the failure that ended the loop:
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
