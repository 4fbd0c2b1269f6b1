/*
 * The change feed of examples-c/10_feed.c is killed again and again while another process writes, and its output is
 * then replayed: each line must fit what the lines before it have made, and all together must make what the database
 * has. A line that is missing, or there twice, does not fit, as every value is another one. Now and then the snapshot
 * of the feed becomes a mark while it is away, so that it gives ranges anew.
 */
#define main example_main
#include "../../examples-c/10_feed.c"
#undef main

#include "check.h"

#include <signal.h>
#include <sys/wait.h>

enum { TABLES = 4, KEYS = 2000, VALUE = 32 };

static const char *const table_names[TABLES] = {"", "one", "two", "three"};

/* What a replay has: for each table whether it is there, and values, "" for none. */
struct content {
    int is_there[TABLES];
    char values[TABLES][KEYS][VALUE];
};

static unsigned long long counter;

/* Some changes in one commit. Now and then a table goes, or comes. */
static void write_some(kv_db *db)
{
    kv_txn *txn = begin(db, KV_WRITE);
    int table, i;
    for (table = 0; table < TABLES; table++) {
        kv_table number = KV_MAIN;
        if (table > 0) {
            if (kv_table_open(txn, table_names[table], strlen(table_names[table]), &number) != KV_OK) {
                if (rand() % 4 != 0) continue;
                OK(kv_table_create(txn, table_names[table], strlen(table_names[table]), NULL, &number));
            } else if (rand() % 20 == 0) {
                OK(kv_table_drop(txn, number));
                if (rand() % 2 == 0) continue;
                OK(kv_table_create(txn, table_names[table], strlen(table_names[table]), NULL, &number));
            }
        }
        for (i = rand() % 4; i > 0; i--) {
            char key[16], value[VALUE];
            snprintf(key, sizeof key, "k%04d", rand() % KEYS);
            snprintf(value, sizeof value, "v%llu", ++counter);
            if (rand() % 3 == 0) OK(kv_delete(txn, number, key, strlen(key), KV_BLIND));
            else OK(kv_put(txn, number, key, strlen(key), value, strlen(value), 0));
        }
    }
    commit(txn);
}

/* Puts every key into the main table, so that it has more leaves than a few changes reach. */
static void fill(kv_db *db)
{
    kv_txn *txn = begin(db, KV_WRITE);
    int i;
    for (i = 0; i < KEYS; i++) {
        char key[16], value[VALUE];
        snprintf(key, sizeof key, "k%04d", i);
        snprintf(value, sizeof value, "v%llu", ++counter);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, strlen(value), 0));
    }
    commit(txn);
}

/* A process that follows; with `once`, until nothing is new. */
static pid_t followed(int once)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        follow("feed.kv", "feed.jsonl", "test", once);
        _exit(0);
    }
    return child;
}

/* A process that is to follow something that it must refuse. */
static void refuses(const char *database, const char *output, const char *name)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        follow(database, output, name, 1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* A member of a line as text; "" if it has none. */
static const char *member_of(const char *line, const char *name, char *room)
{
    char search[32];
    const char *at;
    size_t len = 0;
    snprintf(search, sizeof search, "\"%s\":\"", name);
    at = strstr(line, search);
    room[0] = 0;
    if (at == NULL) return room;
    at += strlen(search);
    while (at[len] != '"') len++;
    CHECK(len < VALUE);
    memcpy(room, at, len);
    room[len] = 0;
    return room;
}

static int table_of(const char *name)
{
    int table;
    for (table = 0; table < TABLES; table++)
        if (strcmp(table_names[table], name) == 0) return table;
    CHECK(0);
    return 0;
}

static int ranges, kept_keys;

/* Whether a key lies within the bounds of a line. */
static int is_within(const char *line, const char *key)
{
    char bound[VALUE];
    if (strcmp(member_of(line, "low", bound), key) > 0) return 0;
    return strstr(line, "\"high\":") == NULL || strcmp(key, member_of(line, "high", bound)) < 0;
}

static void apply(struct content *content, const char *line)
{
    char name[VALUE], change[VALUE], key[VALUE], before[VALUE], after[VALUE];
    int table = table_of(member_of(line, "table", name)), i;
    char *value;
    member_of(line, "change", change);
    if (strcmp(change, "range") == 0) {
        CHECK(content->is_there[table]);
        for (i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "k%04d", i);
            if (is_within(line, key)) content->values[table][i][0] = 0;
            else kept_keys += content->values[table][i][0] != 0;
        }
        ranges++;
        return;
    }
    if (strcmp(change, "tables") == 0) {
        for (table = 1; table < TABLES; table++)
            if (is_within(line, table_names[table])) {
                content->is_there[table] = 0;
                memset(content->values[table], 0, sizeof content->values[table]);
            }
        return;
    }
    if (strcmp(change, "table created") == 0) {
        CHECK(!content->is_there[table]);
        content->is_there[table] = 1;
        return;
    }
    if (strcmp(change, "table dropped") == 0) {
        CHECK(content->is_there[table]);
        for (i = 0; i < KEYS; i++) CHECK(content->values[table][i][0] == 0);
        content->is_there[table] = 0;
        return;
    }
    CHECK(content->is_there[table]);
    value = content->values[table][atoi(member_of(line, "key", key) + 1)];
    CHECK(strcmp(value, member_of(line, "before", before)) == 0);
    member_of(line, "after", after);
    if (strcmp(change, "added") == 0) CHECK(before[0] == 0 && after[0] != 0);
    else if (strcmp(change, "removed") == 0) CHECK(before[0] != 0 && after[0] == 0);
    else CHECK(strcmp(change, "changed") == 0 && before[0] != 0 && after[0] != 0);
    strcpy(value, after);
}

/* Whether the snapshot of the feed has become a mark. */
static int is_mark(kv_db *db)
{
    kv_txn *txn = begin(db, KV_READ);
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    OK(kv_stat_snapshot(txn, S("feed/test"), &stat));
    CHECK((stat.flags & ~KV_SNAPSHOT_MARK) == (stat.flags & KV_SNAPSHOT_MARK ? 0 : KV_SNAPSHOT_YIELD));
    kv_txn_abort(txn);
    return (stat.flags & KV_SNAPSHOT_MARK) != 0;
}

/* Has the file make a mark of the snapshot with the first commit that finds it `after` seconds old; 0 = with none. */
static void set_policy(kv_db *db, uint32_t after)
{
    kv_txn *txn = begin(db, KV_WRITE);
    kv_retention policy = KV_RETENTION_INIT;
    policy.yield_after = after;
    OK(kv_history(txn, after != 0 ? &policy : NULL));
    commit(txn);
}

static void compare(kv_db *db, const struct content *content)
{
    kv_txn *txn = begin(db, KV_READ);
    int table, i;
    for (table = 0; table < TABLES; table++) {
        kv_table number = KV_MAIN;
        kv_status status =
            table == 0 ? KV_OK : kv_table_open(txn, table_names[table], strlen(table_names[table]), &number);
        CHECK((status == KV_OK) == content->is_there[table]);
        for (i = 0; status == KV_OK && i < KEYS; i++) {
            const char *want = content->values[table][i];
            kv_slice value;
            char key[16];
            kv_status found;
            snprintf(key, sizeof key, "k%04d", i);
            found = kv_get(txn, number, key, strlen(key), &value);
            CHECK(want[0] == 0 ? found == KV_NOTFOUND : found == KV_OK && same(value, want));
        }
    }
    kv_txn_abort(txn);
}

int main(void)
{
    static struct content content;
    char line[512];
    int rounds = quick() ? 5 : 60, status;
    unsigned long long lines = 0;
    kv_options lazy = KV_OPTIONS_INIT;
    kv_db *db;
    pid_t child;
    FILE *out;

    alarm(240);
    srand(getenv("KV_SEED") != NULL ? (unsigned)atoi(getenv("KV_SEED")) : 7);
    lazy.durability = KV_DURABILITY_LAZY;
    OK(kv_open("feed.kv", &lazy, &db));
    child = followed(1); /* the feed begins with the empty database */
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    fill(db);
    while (rounds-- > 0) {
        int commits = rand() % 40;
        child = followed(0);
        while (commits-- > 0) {
            write_some(db);
            usleep((useconds_t)(rand() % 2000));
        }
        usleep((useconds_t)(rand() % 3000));
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        if (rounds % 5 == 1) { /* while it is away, it becomes a mark, and more is written */
            kv_txn *txn = begin(db, KV_WRITE);
            OK(kv_snapshot_release(txn, S("feed/test")));
            commit(txn);
            CHECK(is_mark(db));
            write_some(db);
        }
        if (rounds % 4 == 0) { /* what was written and not recorded, as a whole or in part */
            CHECK((out = fopen("feed.jsonl", "a")) != NULL);
            CHECK(fputs("{\"commit\":1,\"cha", out) >= 0 && fclose(out) == 0);
        }
    }
    child = followed(1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);

    CHECK(!is_mark(db));
    set_policy(db, 1);
    CHECK(sleep(2) == 0);
    write_some(db);
    CHECK(is_mark(db));
    set_policy(db, 0);
    child = followed(1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(!is_mark(db));

    refuses("none.kv", "feed.jsonl", "test");
    CHECK(access("none.kv", F_OK) != 0);
    refuses("feed.kv", "other.jsonl", "test"); /* another file than that of the snapshot */
    CHECK(link("feed.jsonl", "linked.jsonl") == 0);
    refuses("feed.kv", "linked.jsonl", "other"); /* which has lines already */
    refuses("feed.kv", "new.jsonl", "");
    memset(line, 'n', sizeof line - 1);
    line[sizeof line - 1] = 0;
    refuses("feed.kv", "new.jsonl", line);
    CHECK(access("new.jsonl", F_OK) != 0);

    content.is_there[0] = 1;
    CHECK((out = fopen("feed.jsonl", "r")) != NULL);
    while (fgets(line, sizeof line, out) != NULL) {
        CHECK(line[strlen(line) - 1] == '\n' && line[0] == '{');
        apply(&content, line);
        lines++;
    }
    CHECK(fclose(out) == 0 && lines > 10 && ranges > 0);
    CHECK(kept_keys > 0); /* the ranges are parts of tables */
    compare(db, &content);
    OK(kv_close(db));
    DONE;
}
