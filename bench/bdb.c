/*
 * Berkeley DB behind plain functions. Its own interface is a struct of functions whose layout only its header knows,
 * so the benchmark loads this instead; the Makefile compiles it where the header is (libdb5.3-dev). Every function
 * answers 0, DB_NOTFOUND as 1, or an error of the library.
 */
#include <db.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct bdb {
    DB_ENV *env;
    DB *db;
};

/* A thread's transaction, and the room that answers are copied into. */
struct session {
    struct bdb *bdb;
    DB_TXN *txn;
    DBC *cursor;
    DBT key, value;
};

enum { FIRST, LAST, NEXT, PREVIOUS, FROM };

#define TRY(call) do { int code_ = (call); if (code_ != 0) return code_; } while (0)

const char *bench_bdb_version(void)
{
    return db_version(NULL, NULL, NULL);
}

const char *bench_bdb_error(int code)
{
    return db_strerror(code);
}

int bench_bdb_open(const char *dir, uint64_t cache, struct bdb **out)
{
    struct bdb *bdb = calloc(1, sizeof *bdb);

    if (bdb == NULL) return DB_NOTFOUND;
    TRY(db_env_create(&bdb->env, 0));
    TRY(bdb->env->set_cachesize(bdb->env, (u_int32_t)(cache >> 30), (u_int32_t)(cache & ((1u << 30) - 1)), 1));
    /* One transaction changes every page of a database, and each is a lock; not where memory is scarce. */
    TRY(bdb->env->set_lk_max_locks(bdb->env, cache < 256u << 20 ? 20000 : 2000000));
    TRY(bdb->env->set_lk_max_objects(bdb->env, cache < 256u << 20 ? 20000 : 2000000));
    TRY(bdb->env->set_lk_detect(bdb->env, DB_LOCK_DEFAULT));
    TRY(bdb->env->set_lg_bsize(bdb->env, 2u << 20));
    TRY(bdb->env->set_lg_max(bdb->env, 16u << 20));
    TRY(bdb->env->log_set_config(bdb->env, DB_LOG_AUTO_REMOVE, 1));
    TRY(bdb->env->open(bdb->env, dir, DB_CREATE | DB_PRIVATE | DB_THREAD | DB_RECOVER | DB_INIT_TXN | DB_INIT_LOG
        | DB_INIT_LOCK | DB_INIT_MPOOL, 0644));
    TRY(db_create(&bdb->db, bdb->env, 0));
    TRY(bdb->db->set_pagesize(bdb->db, 4096));
    TRY(bdb->db->open(bdb->db, NULL, "data.db", NULL, DB_BTREE, DB_CREATE | DB_THREAD | DB_AUTO_COMMIT
        | DB_MULTIVERSION, 0644));
    *out = bdb;
    return 0;
}

int bench_bdb_checkpoint(struct bdb *bdb)
{
    return bdb->env->txn_checkpoint(bdb->env, 0, 0, 0);
}

int bench_bdb_close(struct bdb *bdb)
{
    TRY(bench_bdb_checkpoint(bdb));
    TRY(bdb->db->close(bdb->db, 0));
    TRY(bdb->env->close(bdb->env, 0));
    free(bdb);
    return 0;
}

struct session *bench_bdb_session(struct bdb *bdb)
{
    struct session *session = calloc(1, sizeof *session);

    if (session == NULL) abort();
    session->bdb = bdb;
    session->key.flags = session->value.flags = DB_DBT_USERMEM;
    return session;
}

void bench_bdb_session_close(struct session *session)
{
    free(session->key.data);
    free(session->value.data);
    free(session);
}

/* Room for an answer that did not fit. */
static void grow(DBT *dbt)
{
    if (dbt->size > dbt->ulen) {
        dbt->ulen = dbt->size + dbt->size / 2;
        dbt->data = realloc(dbt->data, dbt->ulen);
        if (dbt->data == NULL) abort();
    }
}

static DBT given(const void *data, size_t len)
{
    DBT dbt;

    memset(&dbt, 0, sizeof dbt);
    dbt.data = (void *)data;
    dbt.size = (u_int32_t)len;
    return dbt;
}

int bench_bdb_begin(struct session *session, int writes)
{
    DB_ENV *env = session->bdb->env;

    return env->txn_begin(env, NULL, &session->txn, writes ? 0 : DB_TXN_SNAPSHOT);
}

int bench_bdb_end(struct session *session, int durable)
{
    DB_TXN *txn = session->txn;

    if (session->cursor != NULL) TRY(session->cursor->close(session->cursor));
    session->cursor = NULL;
    session->txn = NULL;
    return txn->commit(txn, durable ? DB_TXN_SYNC : DB_TXN_WRITE_NOSYNC);
}

int bench_bdb_get(struct session *session, const void *key, size_t klen, int writes, const void **value, size_t *vlen)
{
    DB *db = session->bdb->db;
    DBT wanted = given(key, klen);
    int code;

    while ((code = db->get(db, session->txn, &wanted, &session->value, writes ? DB_RMW : 0)) == DB_BUFFER_SMALL)
        grow(&session->value);
    *value = session->value.data;
    *vlen = session->value.size;
    return code == DB_NOTFOUND ? 1 : code;
}

int bench_bdb_put(struct session *session, const void *key, size_t klen, const void *value, size_t vlen)
{
    DB *db = session->bdb->db;
    DBT k = given(key, klen), v = given(value, vlen);

    return db->put(db, session->txn, &k, &v, 0);
}

int bench_bdb_delete(struct session *session, const void *key, size_t klen)
{
    DB *db = session->bdb->db;
    DBT k = given(key, klen);
    int code = db->del(db, session->txn, &k, 0);

    return code == DB_NOTFOUND ? 1 : code;
}

/* Moves the cursor; FROM to the first key that is not less than `from`. `keys`: without the value. */
int bench_bdb_move(struct session *session, int how, int keys, const void *from, size_t flen, const void **key,
    size_t *klen, const void **value, size_t *vlen)
{
    static const u_int32_t flags[] = {DB_FIRST, DB_LAST, DB_NEXT, DB_PREV, DB_SET_RANGE};
    DB *db = session->bdb->db;
    DBT nothing;
    int code;

    memset(&nothing, 0, sizeof nothing);
    nothing.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL;
    if (session->cursor == NULL) TRY(db->cursor(db, session->txn, &session->cursor, 0));
    do {
        if (how == FROM) {
            session->key.size = (u_int32_t)flen;
            grow(&session->key);
            memcpy(session->key.data, from, flen);
        }
        code = session->cursor->get(session->cursor, &session->key, keys ? &nothing : &session->value, flags[how]);
        if (code == DB_BUFFER_SMALL) {
            grow(&session->key);
            grow(&session->value);
        }
    } while (code == DB_BUFFER_SMALL);
    *key = session->key.data;
    *klen = session->key.size;
    *value = session->value.data;
    *vlen = keys ? 0 : session->value.size;
    return code == DB_NOTFOUND ? 1 : code;
}

/* Deletes the entry that the cursor stands on. */
int bench_bdb_delete_here(struct session *session)
{
    return session->cursor->del(session->cursor, 0);
}

/* Gives the entry that the cursor stands on another value. */
int bench_bdb_put_here(struct session *session, const void *value, size_t vlen)
{
    DBT nothing = given(NULL, 0), v = given(value, vlen);

    return session->cursor->put(session->cursor, &nothing, &v, DB_CURRENT);
}
