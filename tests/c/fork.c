/*
 * Fork: a child ends in every way, closes what it inherited, opens for itself, or just stays; while the parent reads,
 * writes, or commits on another thread. Nothing of it may disturb the parent or keep others out.
 */
#include "check.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PATH "fork.kv"

#ifdef __GLIBC__
/* What pthread_atfork calls. While `held_up` is set, a thread stays in it until that is no longer set. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object);

static int held_up, is_inside;

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object)
{
    int (*real)(void (*)(void), void (*)(void), void (*)(void), void *);
    void *found = dlsym(RTLD_NEXT, "__register_atfork");
    memcpy(&real, &found, sizeof real);
    while (__atomic_load_n(&held_up, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&is_inside, 1, __ATOMIC_SEQ_CST);
        usleep(1000);
    }
    return real(prepare, parent, child, object);
}
#endif

/* A child that hangs must not hang the test. */
static pid_t start(void)
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(30);
    }
    return child;
}

static void ended(pid_t child, int signalled)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (signalled != 0) {
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signalled);
    } else {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static uint64_t number(const kv_txn *txn, const char *key)
{
    kv_slice value;
    uint64_t n = 0;
    kv_status status = kv_get(txn, KV_MAIN, key, strlen(key), &value);
    if (status == KV_NOTFOUND) return 0;
    CHECK(status == KV_OK && value.len == sizeof n);
    memcpy(&n, value.data, sizeof n);
    return n;
}

static void count(kv_txn *txn, const char *key)
{
    uint64_t n = number(txn, key) + 1;
    OK(kv_put(txn, KV_MAIN, key, strlen(key), &n, sizeof n, 0));
}

static kv_db *again(void)
{
    kv_db *db = NULL;
    kv_options options = KV_OPTIONS_INIT;
    options.flags = KV_OPEN_EXISTING;
    OK(kv_open(PATH, &options, &db));
    return db;
}

static kv_status try_seat(kv_db *db, kv_txn **txn)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    options.flags = KV_TXN_NOWAIT;
    return kv_txn_begin(db, KV_WRITE, &options, txn);
}

/* What another process gets now: KV_OK if it could commit, KV_BUSY if the write lock is taken. */
static kv_status other(const char *key)
{
    pid_t child = start();
    int status;
    if (child == 0) {
        kv_db *db = again();
        kv_txn *txn;
        kv_status got = try_seat(db, &txn);
        if (got == KV_OK) {
            count(txn, key);
            commit(txn);
        }
        OK(kv_close(db));
        _exit(got == KV_OK ? 0 : got == KV_BUSY ? 40 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 40);
    return WEXITSTATUS(status) == 0 ? KV_OK : KV_BUSY;
}

#ifdef __GLIBC__
static void *opens_and_closes(void *unused)
{
    kv_db *db = NULL;
    kv_options options = KV_OPTIONS_INIT;
    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &db));
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    OK(kv_close(db));
    return unused;
}

/* A child is made while another thread is in the first kv_open of the process: it can open for itself all the same. */
static void during_the_first_open(void)
{
    pid_t child = start(), grandchild;
    pthread_t thread;
    if (child == 0) {
        held_up = 1;
        CHECK(pthread_create(&thread, NULL, opens_and_closes, NULL) == 0);
        while (!__atomic_load_n(&is_inside, __ATOMIC_SEQ_CST)) usleep(1000);
        grandchild = start();
        if (grandchild == 0) {
            alarm(10);
            held_up = 0;
            opens_and_closes(NULL);
            _exit(0);
        }
        ended(grandchild, 0);
        __atomic_store_n(&held_up, 0, __ATOMIC_SEQ_CST);
        CHECK(pthread_join(thread, NULL) == 0);
        _exit(0);
    }
    ended(child, 0);
}
#endif

/* The ways of a child to end; the parent goes on in the middle of a read and a write transaction. */
static void ends_in_every_way(void)
{
    kv_db *db = fresh(PATH);
    int way;
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    for (way = 0; way < 6; way++) {
        kv_txn *reader = begin(db, KV_READ), *writer = begin(db, KV_WRITE);
        kv_db_stat before = KV_DB_STAT_INIT, after = KV_DB_STAT_INIT;
        kv_slice value;
        pid_t child;
        count(writer, "ours");
        OK(kv_stat_db(db, &before));
        child = start();
        if (child == 0) {
            switch (way) {
            case 0:
                _exit(0);
            case 1:
                exit(0); /* with everything a library may have left to do at exit */
            case 2:
                raise(SIGKILL);
                break;
            case 3: /* as a program that cleans up */
                kv_txn_abort(reader);
                kv_txn_abort(writer);
                IS(kv_close(db), KV_FORKED);
                exit(0);
            case 4: /* as one that would commit */
                IS(kv_txn_commit(writer, NULL), KV_FORKED);
                IS(kv_sync(db), KV_FORKED);
                exit(0);
            default:
                execlp("true", "true", (char *)NULL);
                _exit(1);
            }
        }
        ended(child, way == 2 ? SIGKILL : 0);
        OK(kv_stat_db(db, &after));
        CHECK(before.readers == after.readers && after.readers >= 1);
        CHECK(other("theirs") == KV_BUSY); /* the write lock is still ours */
        OK(kv_get(reader, KV_MAIN, S("k"), &value));
        CHECK(same(value, "v"));
        count(writer, "ours");
        commit(writer);
        kv_txn_abort(reader);
        CHECK(other("theirs") == KV_OK);
        reader = begin(db, KV_READ);
        CHECK(number(reader, "ours") == 2 * (uint64_t)(way + 1));
        CHECK(number(reader, "theirs") == (uint64_t)(way + 1));
        kv_txn_abort(reader);
    }
    OK(kv_close(db));
}

/* A child opens the file for itself while the parent has it open and writes. */
static void opens_for_itself(void)
{
    kv_db *db = fresh(PATH);
    kv_txn *writer, *reader;
    int to_child[2], to_parent[2];
    char byte = 'x';
    pid_t child;
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    writer = begin(db, KV_WRITE);
    count(writer, "ours");
    child = start();
    if (child == 0) {
        kv_db *own = again();
        kv_txn *txn;
        IS(kv_txn_commit(writer, NULL), KV_FORKED);
        IS(try_seat(own, &txn), KV_BUSY);
        txn = begin(own, KV_READ);
        CHECK(number(txn, "ours") == 0);
        CHECK(write(to_parent[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1);
        CHECK(number(txn, "ours") == 0); /* its snapshot is what it was */
        OK(kv_txn_refresh(txn));
        CHECK(number(txn, "ours") == 1);
        kv_txn_abort(txn);
        txn = begin(own, KV_WRITE);
        CHECK(number(txn, "ours") == 1);
        count(txn, "theirs");
        commit(txn);
        CHECK(write(to_parent[1], &byte, 1) == 1);
        OK(kv_close(own));
        exit(0);
    }
    CHECK(read(to_parent[0], &byte, 1) == 1);
    commit(writer);
    CHECK(write(to_child[1], &byte, 1) == 1 && read(to_parent[0], &byte, 1) == 1);
    reader = begin(db, KV_READ);
    CHECK(number(reader, "theirs") == 1);
    kv_txn_abort(reader);
    ended(child, 0);
    writer = begin(db, KV_WRITE);
    count(writer, "ours");
    commit(writer);
    OK(kv_close(db));
    close(to_child[0]), close(to_child[1]), close(to_parent[0]), close(to_parent[1]);
}

/* A parent is killed while it reads and writes, and its child lives on: what the parent had locked is free at once, for
 * others and for the child itself. */
static void outlives_its_parent(void)
{
    int told[2], leaves[2];
    char byte = 'x';
    kv_db *db = fresh(PATH);
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_txn *reader;
    pid_t parent;
    OK(kv_close(db));
    CHECK(pipe(told) == 0 && pipe(leaves) == 0);
    parent = start();
    if (parent == 0) {
        kv_txn *writer;
        close(leaves[1]);
        db = again();
        reader = begin(db, KV_READ);
        writer = begin(db, KV_WRITE);
        count(writer, "lost");
        if (start() == 0) {
            /* It has lost its descriptors by now, and does nothing until the test says so. */
            CHECK(write(told[1], &byte, 1) == 1 && read(leaves[0], &byte, 1) == 0);
            db = again();
            writer = begin(db, KV_WRITE);
            count(writer, "orphans");
            commit(writer);
            OK(kv_close(db));
            CHECK(write(told[1], &byte, 1) == 1);
            _exit(0);
        }
        for (;;) pause();
    }
    CHECK(read(told[0], &byte, 1) == 1);
    CHECK(kill(parent, SIGKILL) == 0);
    ended(parent, SIGKILL);
    db = again();
    OK(kv_stat_db(db, &stat));
    CHECK(stat.readers == 0);
    CHECK(other("theirs") == KV_OK);
    close(leaves[1]);
    CHECK(read(told[0], &byte, 1) == 1);
    reader = begin(db, KV_READ);
    CHECK(number(reader, "theirs") == 1 && number(reader, "orphans") == 1 && number(reader, "lost") == 0);
    kv_txn_abort(reader);
    OK(kv_close(db));
    close(leaves[0]), close(told[0]), close(told[1]);
}

/* A child that does nothing keeps none of the locks: the parent and others must go on. */
static void stays(void)
{
    kv_db *db = fresh(PATH);
    kv_txn *writer = begin(db, KV_WRITE), *reader;
    pid_t idle;
    count(writer, "ours");
    idle = start();
    if (idle == 0) {
        alarm(0);
        for (;;) pause();
    }
    commit(writer);
    CHECK(other("theirs") == KV_OK);
    writer = begin(db, KV_WRITE);
    count(writer, "ours");
    kv_txn_abort(writer);
    CHECK(other("theirs") == KV_OK);
    OK(kv_close(db));
    CHECK(other("theirs") == KV_OK); /* the parent has closed, the child has not */
    db = again();
    CHECK(other("theirs") == KV_OK);
    reader = begin(db, KV_READ);
    CHECK(number(reader, "ours") == 1 && number(reader, "theirs") == 4);
    kv_txn_abort(reader);
    OK(kv_close(db));
    CHECK(kill(idle, SIGKILL) == 0);
    ended(idle, SIGKILL);
    CHECK(other("theirs") == KV_OK);
}

static volatile int stop;

static void *commits(void *argument)
{
    kv_db *db = argument;
    uint64_t *done = calloc(1, sizeof *done);
    while (!stop) {
        kv_txn *txn = begin(db, KV_WRITE);
        count(txn, "ours");
        if (*done % 3 == 2) {
            kv_txn_abort(txn);
            txn = begin(db, KV_WRITE);
            count(txn, "ours");
        }
        commit(txn);
        *done += 1;
    }
    return done;
}

static void *opens(void *argument)
{
    (void)argument;
    while (!stop) {
        kv_db *db = again();
        kv_txn *txn = begin(db, KV_READ);
        (void)number(txn, "ours");
        kv_txn_abort(txn);
        OK(kv_close(db));
    }
    return NULL;
}

/* Threads commit, open and close while children are made that open, write and leave. */
static void while_threads_work(void)
{
    kv_db *db = fresh(PATH);
    pthread_t writer, opener;
    void *done;
    uint64_t ours;
    kv_txn *reader;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    int i, children = quick() ? 5 : 60;
    stop = 0;
    CHECK(pthread_create(&writer, NULL, commits, db) == 0);
    CHECK(pthread_create(&opener, NULL, opens, NULL) == 0);
    for (i = 0; i < children; i++) {
        pid_t child = start();
        if (child == 0) {
            kv_db *own = again();
            kv_txn *txn = begin(own, KV_WRITE);
            count(txn, "theirs");
            commit(txn);
            OK(kv_close(own));
            if (i % 2 == 0) exit(0);
            _exit(0);
        }
        ended(child, 0);
    }
    stop = 1;
    CHECK(pthread_join(writer, &done) == 0 && pthread_join(opener, NULL) == 0);
    ours = *(uint64_t *)done;
    free(done);
    reader = begin(db, KV_READ);
    CHECK(number(reader, "ours") == ours);
    CHECK(number(reader, "theirs") == (uint64_t)children);
    OK(kv_check(reader, NULL, NULL, NULL, &report));
    kv_txn_abort(reader);
    OK(kv_close(db));
}

/* ---- children that are made past the handlers of fork() --------------------------------------------------------- */

/* The system call itself. A child that hangs must not hang the test. */
static pid_t start_past_handlers(void)
{
    pid_t child;
    fflush(NULL);
#ifdef __s390x__
    child = (pid_t)syscall(SYS_clone, 0L, (long)SIGCHLD, 0L, 0L, 0L);
#else
    child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
#endif
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(30);
    }
    return child;
}

/* Whether the system wipes pages in such a child, by which the library notices it. An emulator may only say so. */
static int pages_are_wiped(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t child;
    CHECK(page != MAP_FAILED);
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) return 0;
    *page = 1;
    child = start_past_handlers();
    if (child == 0) _exit(*page);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && munmap(page, 4096) == 0);
    return WEXITSTATUS(status) == 0;
}

static char big[300000];

/* What a transaction does in the child before it is committed. */
enum { NOTHING, COUNTS, CLEARS, PUTS_LONG, PUTS_MANY, READS, MAKES_TABLE, WAYS };

/* The answer of a call for which the child's copy of its parent's memory can be enough. */
static void forked_or_ok(kv_status status)
{
    if (status != KV_OK) IS(status, KV_FORKED);
}

static void use_in_child(kv_txn *txn, int way, int is_in_memory)
{
    uint64_t n;
    kv_status status = KV_OK;
    kv_table table;
    uint32_t i;
    switch (way) {
    case COUNTS:
        for (i = 0; i < 2; i++)
            if (is_in_memory)
                forked_or_ok(kv_count(txn, KV_MAIN, NULL, &n));
            else
                IS(kv_count(txn, KV_MAIN, NULL, &n), KV_FORKED);
        break;
    case CLEARS:
        IS(kv_table_clear(txn, KV_MAIN), KV_FORKED);
        break;
    case PUTS_LONG:
        IS(kv_put(txn, KV_MAIN, S("long"), big, sizeof big, 0), KV_FORKED);
        IS(kv_put(txn, KV_MAIN, S("long"), big, 50000, 0), KV_FORKED);
        break;
    case PUTS_MANY:
        for (i = 0; i < 2000 && status == KV_OK; i++) status = kv_put(txn, KV_MAIN, &i, sizeof i, big, 900, 0);
        if (is_in_memory)
            IS(status, KV_FORKED);
        else
            OK(status); /* All of it is collected. */
        break;
    case READS:
        forked_or_ok(kv_get(txn, KV_MAIN, S("k"), NULL));
        break;
    case MAKES_TABLE:
        forked_or_ok(kv_table_create(txn, S("new"), NULL, &table));
        break;
    default:
        break;
    }
}

/* Every other function that takes the database. */
static void refused_in_child(kv_db *db, kv_txn *reader)
{
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_identity identity = KV_IDENTITY_INIT;
    kv_reader_info info = KV_READER_INFO_INIT;
    kv_txn *txn;
    kv_slice value;
    uint64_t id;
    IS(kv_newest_commit(db, &id, NULL), KV_FORKED);
    IS(kv_stat_db(db, &stat), KV_FORKED);
    IS(kv_db_identity(db, &identity), KV_FORKED);
    IS(kv_reader_at(db, 0, &info), KV_FORKED);
    IS(kv_wait_commit(db, 0, 0, &id), KV_FORKED);
    IS(kv_wait_durable(db, 1, 0), KV_FORKED);
    IS(kv_sync(db), KV_FORKED);
    IS(kv_txn_begin(db, KV_READ, NULL, &txn), KV_FORKED);
    IS(try_seat(db, &txn), KV_FORKED);
    IS(kv_db_get(db, KV_MAIN, S("k"), NULL, 0, NULL), KV_FORKED);
    IS(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0), KV_FORKED);
    IS(kv_db_delete(db, KV_MAIN, S("k"), KV_BLIND), KV_FORKED);
    IS(kv_db_check(db, NULL, NULL, NULL, NULL), KV_FORKED);
    IS(kv_db_backup(db, "copy", NULL), KV_FORKED);
    IS(kv_check(reader, NULL, NULL, NULL, NULL), KV_FORKED);
    IS(kv_backup(reader, "copy", NULL), KV_FORKED);
    IS(kv_backup_stream(reader, kv_fd_write, NULL, NULL), KV_FORKED);
    IS(kv_get(reader, KV_MAIN, S("k"), &value), KV_FORKED);
    IS(kv_txn_refresh(reader), KV_FORKED);
    kv_interrupt(db);
    kv_txn_abort(reader);
    IS(kv_close(db), KV_FORKED);
}

/* Begins a transaction whose commit waits for no sync. */
static kv_txn *begin_lazy(kv_db *db)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn = NULL;
    options.durability = KV_DURABILITY_LAZY;
    OK(kv_txn_begin(db, KV_WRITE, &options, &txn));
    return txn;
}

/* Puts until the disk is full or all are there, and deletes some again if it is full. Returns whether it was. */
static int fill(kv_db *db, uint32_t most)
{
    uint32_t i, k;
    for (i = 0; i < most; i += 50) {
        kv_txn *txn = begin_lazy(db);
        kv_status status = KV_OK;
        for (k = i; k < i + 50 && status == KV_OK; k++) status = kv_put(txn, KV_MAIN, &k, sizeof k, big, 3000, 0);
        if (status == KV_OK)
            status = kv_txn_commit(txn, NULL);
        else
            kv_txn_abort(txn);
        if (status == KV_OK) continue;
        IS(status, KV_NO_SPACE);
        CHECK(i >= 300);
        for (k = 0; k < 100; k++) {
            txn = begin_lazy(db);
            OK(kv_delete(txn, KV_MAIN, &k, sizeof k, 0));
            commit(txn);
        }
        return 1;
    }
    return 0;
}

/*
 * One child of a process that has a transaction open, of which pages are built already if there is little `write_memory`:
 * nothing that it does with what it inherited looks like damage, or changes anything.
 */
static void past_handlers(int is_full, int way, uint64_t write_memory)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_db *db = fresh(PATH);
    kv_txn *reader, *writer;
    kv_status status;
    pid_t child;
    uint32_t i;
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    CHECK(fill(db, is_full ? 100000 : 100) == is_full);
    reader = begin(db, KV_READ);
    options.write_memory = write_memory;
    OK(kv_txn_begin(db, KV_WRITE, &options, &writer));
    for (i = 0, status = KV_OK; i < 60 && status == KV_OK; i++)
        status = kv_put(writer, KV_MAIN, &i, sizeof i, big, 700, 0);
    OK(status);
    child = start_past_handlers();
    if (child == 0) {
        use_in_child(writer, way, write_memory != 0);
        IS(kv_txn_commit(writer, NULL), KV_FORKED);
        refused_in_child(db, reader);
        _exit(0);
    }
    ended(child, 0);
    commit(writer);
    kv_txn_abort(reader);
    OK(kv_db_check(db, NULL, NULL, NULL, &report));
    OK(kv_close(db));
}

static void made_past_the_handlers(void)
{
    struct rlimit limit;
    int is_full, way;
    pid_t child;
    if (!pages_are_wiped()) {
        printf("SKIPPED: children made past the handlers of fork(): no pages are wiped in them here\n");
        return;
    }
    /* The limit takes the place of a full disk, and ends with the child. */
    for (is_full = 0; is_full < 2; is_full++) {
        child = start();
        if (child == 0) {
            limit.rlim_cur = limit.rlim_max = 4 << 20;
            CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
            for (way = 0; way < WAYS; way++) {
                past_handlers(is_full, way, 0);
                past_handlers(is_full, way, 4096);
            }
            _exit(0);
        }
        ended(child, 0);
    }
}

int main(void)
{
#ifdef __GLIBC__
    during_the_first_open();
#endif
    made_past_the_handlers();
    ends_in_every_way();
    opens_for_itself();
    stays();
    outlives_its_parent();
    while_threads_work();
    DONE;
}
