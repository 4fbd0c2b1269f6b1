/*
 * A change feed: follows a database and appends each change to a file, as one JSON line, across restarts and crashes.
 *
 *     10_feed DATABASE OUTPUT NAME    follows until it is killed, and goes on there when it is started again
 *     10_feed                         shows that with a database of its own
 *
 * The snapshot "feed/NAME" is the state up to which everything is in OUTPUT, and its note is the length that OUTPUT had
 * then, and which file OUTPUT is. A step is: write the changes between the snapshot and now, sync OUTPUT, and only then
 * move the snapshot to now, with the new length, in one commit. If the program is killed, or the power goes, between
 * the two, OUTPUT has lines that the snapshot does not know. They are cut off at the next start and written again, with
 * what has changed since: each change is in OUTPUT once. So who reads OUTPUT while it grows must know that lines behind
 * the recorded length may be taken back; lines before it never are. Who sends changes elsewhere, where nothing can be
 * cut off, needs there what the note is here: a place to keep the number of the commit together with what was sent.
 *
 * What one step finds are the changes between two states: a key that was changed twice meanwhile is one line, and one
 * that was put and deleted is none. The feed begins with the state that it finds when it is started first. From then on
 * the snapshot keeps what is deleted until the feed has seen it, so drop the snapshot when the feed is not wanted any
 * more.
 *
 * The snapshot has KV_SNAPSHOT_YIELD: if the file has a policy (kv_retention.yield_after, yield_pages), a feed that
 * stays away for too long does not make the file grow without end. Its snapshot becomes a mark, and what has changed is
 * known by ranges only. The feed then gives these anew: a line "range" (with the key `low`, and `high` behind the
 * range, each left out where there is no bound) says that what was in the range is gone, and the lines "added" behind
 * it say what is there. A line "tables" says the same of all tables whose names are in its range.
 *
 * There is one follower for each NAME, and OUTPUT is its own: a file with other numbers of device and inode is
 * refused, also a copy of OUTPUT that was put in its place. The snapshot moves, so it cannot have KV_SNAPSHOT_KEEP, and
 * whoever thins all snapshots of the database (kv_snapshot_thin() without a prefix) drops it.
 */
#define _DEFAULT_SOURCE
#include <kv.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct feed {
    kv_db *db;
    FILE *out;
    char name[512 + 1]; /* of the snapshot; the library takes 512 bytes */
    kv_txn *before; /* what was printed up to now; NULL = nothing of it is kept but a mark */
};

/* Whatever goes wrong, the program ends: it goes on at the next start where the snapshot is. */
static void must(kv_status status)
{
    if (status == KV_OK)
        return;
    fprintf(stderr, "%s\n", kv_error_message());
    exit(1);
}

static void must_do(int done, const char *what)
{
    if (done)
        return;
    perror(what);
    exit(1);
}

/* ---- lines of JSON ---- */

/* A member of an object. Each byte is the character of its number, so every key and value can be told from others. */
static void member(FILE *out, const char *name, kv_slice bytes)
{
    const unsigned char *at = bytes.data, *end = at + bytes.len;
    fprintf(out, ",\"%s\":\"", name);
    for (; at < end; at++) {
        if (*at < 0x20 || *at >= 0x7f || *at == '"' || *at == '\\')
            fprintf(out, "\\u%04x", *at);
        else
            putc(*at, out);
    }
    putc('"', out);
}

/* Begins an object: which commit was seen, and which table it is. The main table has no name. */
static void begin_line(struct feed *feed, uint64_t commit, kv_slice table, const char *change)
{
    fprintf(feed->out, "{\"commit\":%llu", (unsigned long long)commit);
    if (table.len > 0)
        member(feed->out, "table", table);
    fprintf(feed->out, ",\"change\":\"%s\"", change);
}

/* ---- what has changed ---- */

static void print_table(struct feed *feed, const kv_txn *now, kv_table table, kv_slice name)
{
    static const char *const kinds[] = {"", "added", "removed", "changed"};
    kv_change change = KV_CHANGE_INIT;
    kv_status status;
    kv_diff *diff;
    uint64_t commit;
    int32_t same;

    must(kv_same(feed->before, now, table, &same));
    if (same)
        return;
    must(kv_txn_id(now, &commit));
    must(kv_diff_open(feed->before, now, table, NULL, &diff));
    while ((status = kv_diff_next(diff, &change)) == KV_OK) {
        begin_line(feed, commit, name, kinds[change.kind]);
        member(feed->out, "key", change.key);
        if (change.kind != KV_CHANGE_ADDED)
            member(feed->out, "before", change.before);
        if (change.kind != KV_CHANGE_REMOVED)
            member(feed->out, "after", change.after);
        fputs("}\n", feed->out);
    }
    if (status != KV_NOTFOUND)
        must(status);
    kv_diff_close(diff);
}

/*
 * Prints what has become of the tables that `of` has, where `other` is the other one of the two states. Tables are
 * known by their numbers, which stay when a table is renamed.
 */
static void print_tables(struct feed *feed, const kv_txn *now, const kv_txn *of, const kv_txn *other)
{
    kv_cursor *cursor;
    kv_slice name, number, former;
    kv_status status, there;
    kv_table table;
    uint64_t commit;

    must(kv_txn_id(now, &commit));
    must(kv_cursor_open(of, KV_TABLES, NULL, &cursor));
    KV_EACH (status, cursor, &name, &number) {
        must(kv_table_open(of, name.data, name.len, &table));
        there = kv_table_name(other, table, &former);
        if (there != KV_NO_TABLE)
            must(there);
        if (of == now) {
            if (there == KV_NO_TABLE) {
                begin_line(feed, commit, name, "table created");
                fputs("}\n", feed->out);
            } else if (former.len != name.len || memcmp(former.data, name.data, name.len) != 0) {
                begin_line(feed, commit, name, "table renamed");
                member(feed->out, "before", former);
                fputs("}\n", feed->out);
            }
            print_table(feed, now, table, name);
        } else if (there == KV_NO_TABLE) { /* its entries are gone with it */
            print_table(feed, now, table, name);
            begin_line(feed, commit, name, "table dropped");
            fputs("}\n", feed->out);
        }
    }
    must(status);
    kv_cursor_close(cursor);
}

/* ---- what may have changed since a mark ---- */

/* What is given anew. */
struct anew {
    struct feed *feed;
    const kv_txn *now;
    kv_table table;
    kv_slice name;
};

static void print_entries(struct anew *anew, kv_table table, kv_slice name, const kv_range *range)
{
    kv_cursor *cursor;
    kv_slice key, value;
    kv_status status;
    uint64_t commit;

    must(kv_txn_id(anew->now, &commit));
    must(kv_cursor_open(anew->now, table, range, &cursor));
    KV_EACH (status, cursor, &key, &value) {
        begin_line(anew->feed, commit, name, "added");
        member(anew->feed->out, "key", key);
        member(anew->feed->out, "after", value);
        fputs("}\n", anew->feed->out);
    }
    must(status);
    kv_cursor_close(cursor);
}

static void print_bounds(struct anew *anew, kv_slice name, const char *what, const kv_range *range)
{
    uint64_t commit;

    must(kv_txn_id(anew->now, &commit));
    begin_line(anew->feed, commit, name, what);
    if (range->flags & KV_RANGE_FROM)
        member(anew->feed->out, "low", range->from);
    if (range->flags & KV_RANGE_BEFORE)
        member(anew->feed->out, "high", range->to);
    fputs("}\n", anew->feed->out);
}

/* Gives a range of a table. */
static int32_t print_range(void *ctx, const kv_range *range)
{
    struct anew *anew = ctx;
    print_bounds(anew, anew->name, "range", range);
    print_entries(anew, anew->table, anew->name, range);
    return 0;
}

/* Gives the tables whose names are in a range: which of them are new, nobody knows. */
static int32_t print_names(void *ctx, const kv_range *range)
{
    const kv_slice main_table = {NULL, 0};
    struct anew *anew = ctx;
    kv_cursor *cursor;
    kv_slice name, number;
    kv_status status;
    kv_table table;
    uint64_t commit;

    must(kv_txn_id(anew->now, &commit));
    print_bounds(anew, main_table, "tables", range);
    must(kv_cursor_open(anew->now, KV_TABLES, range, &cursor));
    KV_EACH (status, cursor, &name, &number) {
        must(kv_table_open(anew->now, name.data, name.len, &table));
        begin_line(anew->feed, commit, name, "table created");
        fputs("}\n", anew->feed->out);
        print_entries(anew, table, name, NULL);
    }
    must(status);
    kv_cursor_close(cursor);
    return 0;
}

static int32_t stop(void *ctx, const kv_range *range)
{
    (void)ctx;
    (void)range;
    return 1;
}

/* Gives all that may have changed since the mark. */
static void print_anew(struct feed *feed, const kv_txn *now)
{
    struct anew anew = {feed, now, KV_MAIN, {NULL, 0}};
    kv_range one = KV_RANGE_INIT;
    kv_cursor *cursor;
    kv_slice number;
    kv_status status, ranges;

    must(kv_snapshot_ranges(now, feed->name, strlen(feed->name), KV_TABLES, NULL, print_names, &anew));
    must(kv_snapshot_ranges(now, feed->name, strlen(feed->name), KV_MAIN, NULL, print_range, &anew));
    must(kv_cursor_open(now, KV_TABLES, NULL, &cursor));
    KV_EACH (status, cursor, &anew.name, &number) {
        one.flags = KV_RANGE_FROM | KV_RANGE_THROUGH;
        one.from = one.to = anew.name;
        ranges = kv_snapshot_ranges(now, feed->name, strlen(feed->name), KV_TABLES, &one, stop, NULL);
        if (ranges == KV_CANCELLED) /* the name is in one of them, so the table was given as a whole */
            continue;
        must(ranges);
        must(kv_table_open(now, anew.name.data, anew.name.len, &anew.table));
        must(kv_snapshot_ranges(now, feed->name, strlen(feed->name), anew.table, NULL, print_range, &anew));
    }
    must(status);
    kv_cursor_close(cursor);
}

/* ---- where the feed is ---- */

/* What the note says: how long the output is, and which file. */
struct position {
    long long length;
    unsigned long long device, inode;
};

static struct position position_of(FILE *out)
{
    struct position position;
    struct stat facts;

    must_do(fstat(fileno(out), &facts) == 0, "the output");
    position.length = (long long)facts.st_size;
    position.device = (unsigned long long)facts.st_dev;
    position.inode = (unsigned long long)facts.st_ino;
    return position;
}

/*
 * Makes the state that was printed last that of the snapshot. What was printed is on the disk before. The first time,
 * `flags` has no KV_SNAPSHOT_REPLACE, so that of two followers that begin with one name the later one is refused.
 */
static void record(struct feed *feed, kv_txn *now, uint32_t flags)
{
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    struct position position;
    char note[80];

    must_do(fflush(feed->out) == 0 && fsync(fileno(feed->out)) == 0, "the output");
    position = position_of(feed->out);
    snprintf(note, sizeof note, "%lld %llu %llu", position.length, position.device, position.inode);
    how.flags = KV_SNAPSHOT_YIELD | flags;
    how.note.data = note;
    how.note.len = strlen(note);
    must(kv_snapshot_create(now, feed->name, strlen(feed->name), &how)); /* a commit of its own, which is durable */
}

/* Makes the name of the output durable: a sync of the file does not do that. */
static void sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int length = slash == NULL || slash == path ? 1 : (int)(slash - path), descriptor;

    must_do(snprintf(folder, sizeof folder, "%.*s", length, slash == NULL ? "." : path) < (int)sizeof folder, path);
    must_do((descriptor = open(folder, O_RDONLY | O_DIRECTORY)) >= 0, folder);
    must_do(fsync(descriptor) == 0, folder);
    close(descriptor);
}

/* Opens the output and cuts off what the snapshot does not know. */
static void start(struct feed *feed, const char *path, const char *name)
{
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    kv_txn_options at = KV_TXN_OPTIONS_INIT;
    kv_txn *now;
    kv_status found;
    struct position is, was;
    char note[80];

    if (name[0] == '\0' || snprintf(feed->name, sizeof feed->name, "feed/%s", name) >= (int)sizeof feed->name) {
        fprintf(stderr, "a NAME of %d bytes: give one of 1 to %d\n", (int)strlen(name), (int)sizeof feed->name - 6);
        exit(1);
    }
    must_do((feed->out = fopen(path, "a")) != NULL, path);
    must_do(flock(fileno(feed->out), LOCK_EX | LOCK_NB) == 0, "another program writes this output");
    sync_folder(path);
    is = position_of(feed->out);
    /* A follower may have been killed while its commit became durable, and nobody sees that commit yet. After a sync
     * everybody does, so it cannot come to light when the output has been cut off for the snapshot before it. */
    must(kv_sync(feed->db));
    must(kv_txn_begin(feed->db, KV_READ, NULL, &now));
    found = kv_stat_snapshot(now, feed->name, strlen(feed->name), &stat);
    if (found == KV_NOTFOUND) {
        if (is.length > 0) {
            fprintf(stderr, "%s has lines, and there is no snapshot %s; name another output\n", path, feed->name);
            exit(1);
        }
        record(feed, now, 0);
    } else {
        must(found);
        snprintf(note, sizeof note, "%.*s", (int)stat.note.len, (const char *)stat.note.data);
        if (sscanf(note, "%lld %llu %llu", &was.length, &was.device, &was.inode) != 3 || was.device != is.device ||
            was.inode != is.inode) {
            fprintf(stderr, "%s is not the file of the snapshot %s; name that one, or drop the snapshot to begin anew\n",
                    path, feed->name);
            exit(1);
        }
        if (is.length < was.length) {
            fprintf(stderr, "%s has lost lines: it has %lld bytes, and had %lld\n", path, is.length, was.length);
            exit(1);
        }
        must_do(ftruncate(fileno(feed->out), was.length) == 0, path);
    }
    kv_txn_abort(now);
    if (stat.flags & KV_SNAPSHOT_MARK)
        return;
    at.snapshot.data = feed->name;
    at.snapshot.len = strlen(feed->name);
    must(kv_txn_begin(feed->db, KV_READ, &at, &feed->before)); /* if it has just become a mark: at the next start */
}

/* Follows the database; with `once`, until nothing is new. */
static void follow(const char *database, const char *path, const char *name, int once)
{
    const kv_slice main_table = {NULL, 0};
    kv_options existing = KV_OPTIONS_INIT;
    struct feed feed;
    kv_txn *now;
    uint64_t seen;
    int32_t same = 0;

    memset(&feed, 0, sizeof feed);
    existing.flags = KV_OPEN_EXISTING; /* a name that is typed wrong makes no new database */
    must(kv_open(database, &existing, &feed.db));
    start(&feed, path, name);
    while (!once || !same) {
        must(kv_txn_begin(feed.db, KV_READ, NULL, &now));
        must(kv_txn_id(now, &seen));
        /* The snapshot itself is no change, so the feed does not follow its own commits. */
        same = 0;
        if (feed.before != NULL)
            must(kv_same(feed.before, now, KV_NONE, &same));
        if (same) {
            kv_txn_abort(now);
        } else {
            if (feed.before == NULL) {
                print_anew(&feed, now);
            } else {
                print_tables(&feed, now, feed.before, now);
                print_table(&feed, now, KV_MAIN, main_table);
                print_tables(&feed, now, now, feed.before);
            }
            record(&feed, now, KV_SNAPSHOT_REPLACE);
            kv_txn_abort(feed.before);
            feed.before = now;
        }
        if (!once)
            must(kv_wait_commit(feed.db, seen, -1, NULL));
    }
    kv_txn_abort(feed.before);
    fclose(feed.out);
    must(kv_close(feed.db));
}

/* ---- the program ---- */

/* Changes something, in a database that is open only meanwhile. */
static void change(const char *database, const char *key, const char *value)
{
    kv_db *db;
    must(kv_open(database, NULL, &db));
    if (value != NULL)
        must(kv_db_put(db, KV_MAIN, key, strlen(key), value, strlen(value), 0));
    else
        must(kv_db_delete(db, KV_MAIN, key, strlen(key), 0));
    must(kv_close(db));
}

int main(int argc, char **argv)
{
    char line[256];
    FILE *lines;
    kv_db *db;

    if (argc == 4) {
        follow(argv[1], argv[2], argv[3], 0);
        return 0;
    }
    if (argc != 1) {
        fprintf(stderr, "usage: %s [DATABASE OUTPUT NAME]\n", argv[0]);
        return 2;
    }
    must(kv_open("feed.kv", NULL, &db));
    must(kv_close(db));
    follow("feed.kv", "feed.jsonl", "demo", 1); /* from here on */
    change("feed.kv", "apple", "red");
    change("feed.kv", "pear", "green");
    follow("feed.kv", "feed.jsonl", "demo", 1);
    change("feed.kv", "apple", "yellow");
    change("feed.kv", "pear", NULL);
    follow("feed.kv", "feed.jsonl", "demo", 1); /* as after a restart: nothing is missing, and nothing is there twice */
    must_do((lines = fopen("feed.jsonl", "r")) != NULL, "feed.jsonl");
    while (fgets(line, sizeof line, lines) != NULL)
        fputs(line, stdout);
    fclose(lines);
    return 0;
}
