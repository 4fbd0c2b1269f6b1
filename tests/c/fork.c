/*
 * Fork: a child ends in every way, closes what it inherited, opens for itself, or just stays; while the parent reads,
 * writes, or commits on another thread. Nothing of it may disturb the parent or keep others out.
 */
#include "children.h"

#include <dlfcn.h>
#include <pthread.h>

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

int main(void)
{
#ifdef __GLIBC__
    during_the_first_open();
#endif
    ends_in_every_way();
    opens_for_itself();
    stays();
    outlives_its_parent();
    while_threads_work();
    DONE;
}
