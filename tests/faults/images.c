/*
 * What a power cut leaves of a database, with the shipped library: this program stands between the library and the
 * system, and notes each write, change of length and sync of the file. From these notes it makes images of the disk: at
 * a random moment, what was synced is there, and of everything later each sector is there or is not. The library must
 * open every image, and find a whole commit that is not older than any that was acknowledged as durable.
 *
 *   images DIRECTORY COUNT SEED [lie]
 *
 * With `lie` syncs do not count, so commits must be found missing; a test that cannot fail would not notice. The
 * program ends with 0 if every image was right, with 1 if one was wrong, and with 2 if it could not go on.
 */
#include <kv.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECTOR = 512, KEYS = 60, TABLES = 2, COMMITS = 120, LONGEST = 150000, IMAGES_OF_A_RUN = 500 };

#define REQUIRE(is)                                                                        \
    do {                                                                                   \
        if (!(is)) {                                                                       \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #is, kv_error_message());       \
            exit(2);                                                                       \
        }                                                                                  \
    } while (0)

/* ---- random numbers -------------------------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t random_number(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
    return random_number() % n;
}

/* ---- the notes ------------------------------------------------------------------------------------------------- */

enum kind { WRITE, LENGTH, SYNCED, ACKNOWLEDGED };

struct note {
    enum kind kind;
    /* WRITE: where. LENGTH: the length. SYNCED: how many notes there were when the sync began. ACKNOWLEDGED: which
     * commit. */
    uint64_t at;
    size_t len;
    unsigned char *bytes;
};

static struct note *notes;
static size_t count, room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The file whose calls are noted; 0 = none. */
static ino_t noted_file;
static int lie;

/* The caller has the lock. */
static void note(enum kind kind, uint64_t at, size_t len, unsigned char *bytes)
{
    if (count == room) {
        room = room ? 2 * room : 1024;
        notes = realloc(notes, room * sizeof *notes);
        if (!notes) abort();
    }
    notes[count].kind = kind;
    notes[count].at = at;
    notes[count].len = len;
    notes[count].bytes = bytes;
    count++;
}

static int is_noted(int fd)
{
    struct stat found;
    return noted_file != 0 && fstat(fd, &found) == 0 && found.st_ino == noted_file;
}

/* ---- what stands between the library and the system ------------------------------------------------------------ */

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at)
{
    size_t len = 0, done = 0;
    unsigned char *bytes;
    ssize_t written;
    int i;
    for (i = 0; i < n; i++) len += parts[i].iov_len;
    bytes = malloc(len ? len : 1);
    if (!bytes) abort();
    for (i = 0; i < n; i++) {
        memcpy(bytes + done, parts[i].iov_base, parts[i].iov_len);
        done += parts[i].iov_len;
    }
    pthread_mutex_lock(&lock);
    written = syscall(SYS_pwrite64, fd, bytes, len, at);
    if (written > 0 && is_noted(fd))
        note(WRITE, (uint64_t)at, (size_t)written, bytes);
    else
        free(bytes);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    return pwritev64(fd, parts, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    struct iovec part;
    part.iov_base = (void *)(uintptr_t)bytes;
    part.iov_len = len;
    return pwritev64(fd, &part, 1, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite64(fd, bytes, len, at);
}

int ftruncate64(int fd, off64_t len)
{
    int answer;
    pthread_mutex_lock(&lock);
    answer = (int)syscall(SYS_ftruncate, fd, len);
    if (answer == 0 && is_noted(fd)) note(LENGTH, (uint64_t)len, 0, NULL);
    pthread_mutex_unlock(&lock);
    return answer;
}

int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

static int synced(int fd, long number)
{
    size_t begun;
    int answer;
    pthread_mutex_lock(&lock);
    begun = count;
    pthread_mutex_unlock(&lock);
    answer = (int)syscall(number, fd);
    /* Others write meanwhile. */
    if (is_noted(fd)) usleep(50);
    pthread_mutex_lock(&lock);
    if (answer == 0 && is_noted(fd) && !lie) note(SYNCED, begun, 0, NULL);
    pthread_mutex_unlock(&lock);
    return answer;
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

static void acknowledged(uint64_t commit)
{
    pthread_mutex_lock(&lock);
    note(ACKNOWLEDGED, commit, 0, NULL);
    pthread_mutex_unlock(&lock);
}

/* ---- what the database holds ------------------------------------------------------------------------------------ */

struct value {
    uint64_t seed;
    uint32_t len; /* 0: there is none */
};

static struct value model[TABLES][KEYS];
static struct commit {
    uint64_t id, digest;
} commits[COMMITS + 1];
static size_t commit_count;
static unsigned char buffer[LONGEST];

static unsigned char byte_of(uint64_t seed, size_t at)
{
    return at < 8 ? (unsigned char)(seed >> 8 * at) : (unsigned char)(seed * 31 + at % 251);
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9FB21C651E98DF25u;
    return sum ^ sum >> 28;
}

static uint64_t digest_of_model(void)
{
    uint64_t sum = 1;
    int table, key;
    for (table = 0; table < TABLES; table++)
        for (key = 0; key < KEYS; key++)
            if (model[table][key].len)
                sum = mix(mix(mix(mix(sum, (uint64_t)table), (uint64_t)key), model[table][key].len),
                    model[table][key].seed);
    return sum;
}

/* Adds the entries of a table to a digest. Returns 0 if one cannot be read, or is not what was put. */
static int add_table(kv_txn *txn, int index, uint64_t *sum)
{
    kv_table table = KV_MAIN;
    kv_cursor *cursor = NULL;
    kv_slice key, value;
    kv_status status;
    uint64_t seed;
    size_t i;
    if (index == 1 && kv_table_open(txn, KV_STR("second"), &table) != KV_OK) return 0;
    if (kv_cursor_open(txn, table, NULL, &cursor) != KV_OK) return 0;
    KV_EACH (status, cursor, &key, &value) {
        char name[5] = "";
        if (key.len != 4 || value.len < 8) return 0;
        memcpy(name, key.data, 4);
        memcpy(&seed, value.data, 8);
        for (i = 8; i < value.len; i++)
            if (((const unsigned char *)value.data)[i] != byte_of(seed, i)) return 0;
        *sum = mix(mix(mix(mix(*sum, (uint64_t)index), strtoull(name, NULL, 10)), value.len), seed);
    }
    return status == KV_OK;
}

/* Returns the digest of what is in the database, or 0 if it cannot be read or is not what was put. */
static uint64_t digest_of(kv_db *db)
{
    uint64_t sum = 1;
    kv_txn *txn = NULL;
    int is_whole;
    REQUIRE(kv_txn_begin(db, KV_READ, NULL, &txn) == KV_OK);
    is_whole = add_table(txn, 0, &sum) && add_table(txn, 1, &sum);
    kv_txn_abort(txn);
    return is_whole ? sum : 0;
}

static void change(kv_txn *txn, kv_table second)
{
    uint64_t steps = 1 + below(below(8) == 0 ? 60 : 6);
    while (steps--) {
        int index = (int)below(TABLES), key = (int)below(KEYS);
        struct value *value = &model[index][key];
        kv_table table = index ? second : KV_MAIN;
        char name[32];
        size_t i;
        snprintf(name, sizeof name, "%04d", key);
        if (below(4) == 0) {
            value->len = 0;
            REQUIRE(kv_delete(txn, table, name, 4, KV_BLIND) == KV_OK);
            continue;
        }
        value->seed = random_number();
        value->len = (uint32_t)(8 + below(below(20) == 0 ? LONGEST - 8 : 900));
        for (i = 0; i < value->len; i++) buffer[i] = byte_of(value->seed, i);
        REQUIRE(kv_put(txn, table, name, 4, buffer, value->len, 0) == KV_OK);
    }
}

/* ---- images of the disk ----------------------------------------------------------------------------------------- */

struct image {
    unsigned char *bytes;
    size_t len, room;
};

static void resize(struct image *image, size_t len)
{
    if (len > image->room) {
        image->bytes = realloc(image->bytes, 2 * len);
        if (!image->bytes) abort();
        image->room = 2 * len;
    }
    if (len > image->len) memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

static void put(struct image *image, uint64_t at, const unsigned char *bytes, size_t len)
{
    if (at + len > image->len) resize(image, (size_t)at + len);
    memcpy(image->bytes + at, bytes, len);
}

/* What the disk holds whatever happens. */
static struct image disk = {NULL, 0, 0};

static void load(struct image *image, const char *path)
{
    struct stat file;
    int fd = open(path, O_RDONLY);
    REQUIRE(fd >= 0 && fstat(fd, &file) == 0);
    resize(image, (size_t)file.st_size);
    REQUIRE(read(fd, image->bytes, image->len) == (ssize_t)image->len);
    close(fd);
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

static volatile int ended;

/* Syncs while the other thread commits. */
static void *sync_now_and_then(void *handle)
{
    kv_db *db = handle;
    while (!ended) {
        uint64_t durable;
        REQUIRE(kv_sync(db) == KV_OK);
        REQUIRE(kv_newest_commit(db, NULL, &durable) == KV_OK);
        acknowledged(durable);
        usleep(300);
    }
    return NULL;
}

static void run(const char *path)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db = NULL;
    kv_table second;
    kv_txn *txn = NULL;
    struct stat file;
    pthread_t syncer;
    int with_syncer = below(2) == 0, i;

    options.page_size = below(3) == 0 ? 8192 : 4096;
    memset(model, 0, sizeof model);
    commit_count = 0;
    REQUIRE(kv_open(path, &options, &db) == KV_OK);
    REQUIRE(kv_txn_begin(db, KV_WRITE, NULL, &txn) == KV_OK);
    REQUIRE(kv_table_create(txn, KV_STR("second"), NULL, &second) == KV_OK);
    REQUIRE(kv_txn_commit(txn, &commits[0].id) == KV_OK);
    commits[commit_count++].digest = digest_of_model();
    /* All of it is durable. */
    resize(&disk, 0);
    load(&disk, path);
    REQUIRE(stat(path, &file) == 0);
    noted_file = file.st_ino;

    ended = 0;
    if (with_syncer) REQUIRE(pthread_create(&syncer, NULL, sync_now_and_then, db) == 0);
    for (i = 0; i < COMMITS; i++) {
        kv_txn_options how = KV_TXN_OPTIONS_INIT;
        int later = below(6) == 0;
        uint64_t id;
        how.durability = below(3) == 0 ? KV_DURABILITY_FULL : KV_DURABILITY_LAZY;
        /* Small budgets write pages before the commit. */
        how.write_memory = below(6) == 0 ? 1 : 0;
        REQUIRE(kv_txn_begin(db, KV_WRITE, &how, &txn) == KV_OK);
        change(txn, second);
        if (later)
            REQUIRE(kv_txn_commit_async(txn, &id) == KV_OK);
        else
            REQUIRE(kv_txn_commit(txn, &id) == KV_OK);
        if (id == commits[commit_count - 1].id) continue;
        commits[commit_count].id = id;
        commits[commit_count++].digest = digest_of_model();
        if (later && below(2) == 0) {
            REQUIRE(kv_wait_durable(db, id, -1) == KV_OK);
            acknowledged(id);
        } else if (!later && how.durability == KV_DURABILITY_FULL)
            acknowledged(id);
    }
    ended = 1;
    if (with_syncer) pthread_join(syncer, NULL);
    REQUIRE(kv_close(db) == KV_OK);
    noted_file = 0;
}

/* ---- cuts ------------------------------------------------------------------------------------------------------- */

enum cut { ALL_KEPT, ALL_LOST, WRITES, SECTORS, FEW_SECTORS, CUTS };

/* Carries out one note, or a part of it. */
static void carry_out(struct image *image, const struct note *note, enum cut cut)
{
    size_t from, to;
    switch (note->kind) {
    case LENGTH:
        if (cut == ALL_KEPT || (cut != ALL_LOST && below(2) == 0)) resize(image, (size_t)note->at);
        return;
    case WRITE:
        if (cut == ALL_KEPT || (cut == WRITES && below(2) == 0)) put(image, note->at, note->bytes, note->len);
        if (cut < SECTORS) return;
        for (from = 0; from < note->len; from = to) {
            to = ((note->at + from) / SECTOR + 1) * SECTOR - note->at;
            if (to > note->len) to = note->len;
            if (below(cut == SECTORS ? 2 : 16) == 0) put(image, note->at + from, note->bytes + from, to - from);
        }
        return;
    default:
        return;
    }
}

/* Keeps the first fault of a check. */
static int32_t keep_fault(void *ctx, const kv_fault *fault)
{
    char *kept = ctx;
    if (!kept[0])
        snprintf(kept, 300, "page %lld, table %lld: %s", (long long)fault->page, (long long)fault->table, fault->message);
    return 0;
}

/* Looks at what an opened image holds. Returns what is wrong, or NULL. */
static const char *look(kv_db *db, uint64_t promised)
{
    static char fault[300];
    uint64_t id, digest;
    size_t i;
    fault[0] = 0;
    REQUIRE(kv_newest_commit(db, &id, NULL) == KV_OK);
    if (id < promised) return "an acknowledged commit is missing";
    /* Closing makes one more commit, of the same content. */
    for (i = 0; i + 1 < commit_count && commits[i + 1].id <= id; i++) {
    }
    if (commits[i].id != id && i + 1 != commit_count) return "this commit was never made";
    digest = digest_of(db);
    if (digest != commits[i].digest) return "the content is not that of its commit";
    if (below(4) == 0 && kv_db_check(db, NULL, keep_fault, fault, NULL) != KV_OK) return fault;
    if (below(4) == 0) {
        kv_job_options options = KV_JOB_OPTIONS_INIT;
        options.flags = KV_JOB_CHECK_SPACE;
        if (kv_db_put(db, KV_MAIN, KV_STR("after the cut"), KV_STR("12345678"), 0) != KV_OK) return kv_error_message();
        if (kv_db_check(db, &options, keep_fault, fault, NULL) != KV_OK) return fault;
    }
    return NULL;
}

static const char *open_and_look(const char *path, uint64_t promised)
{
    kv_db *db = NULL;
    const char *fault;
    if (kv_open(path, NULL, &db) != KV_OK) return kv_error_message();
    fault = look(db, promised);
    return kv_close(db) == KV_OK ? fault : kv_error_message();
}

static void write_image(const char *path, const struct image *image)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size_t done = 0;
    REQUIRE(fd >= 0);
    while (done < image->len) {
        ssize_t n = write(fd, image->bytes + done, image->len - done);
        REQUIRE(n > 0);
        done += (size_t)n;
    }
    close(fd);
}

int main(int argc, char **argv)
{
    char path[4096], cut_path[4096];
    unsigned long wanted, seed, made = 0, wrong = 0, promises = 0;
    struct image image = {NULL, 0, 0};
    if (argc < 4) return 2;
    wanted = strtoul(argv[2], NULL, 10);
    seed = strtoul(argv[3], NULL, 10);
    lie = argc > 4;
    snprintf(path, sizeof path, "%s/run.kv", argv[1]);
    snprintf(cut_path, sizeof cut_path, "%s/cut.kv", argv[1]);

    for (; made < wanted; seed++) {
        size_t seen = 0, on_disk = 0, k, i;
        uint64_t promised;
        state = seed;
        unlink(path);
        for (i = 0; i < count; i++) free(notes[i].bytes);
        count = 0;
        run(path);
        promised = commits[0].id;
        for (k = 0; k < IMAGES_OF_A_RUN && made < wanted; k++) {
            size_t moment = (k * count + (size_t)below(count)) / IMAGES_OF_A_RUN + 1;
            enum cut cut = (enum cut)below(CUTS);
            const char *fault;
            for (; seen < moment; seen++) {
                if (notes[seen].kind == ACKNOWLEDGED && notes[seen].at > promised) {
                    promised = notes[seen].at;
                    promises++;
                }
                if (notes[seen].kind == SYNCED)
                    for (; on_disk < notes[seen].at; on_disk++) carry_out(&disk, &notes[on_disk], ALL_KEPT);
            }
            resize(&image, 0);
            put(&image, 0, disk.bytes, disk.len);
            for (i = on_disk; i < moment; i++) carry_out(&image, &notes[i], cut);
            write_image(cut_path, &image);
            fault = open_and_look(cut_path, promised);
            made++;
            if (fault) {
                char kept[4200];
                wrong++;
                snprintf(kept, sizeof kept, "%s.wrong", cut_path);
                write_image(kept, &image);
                printf("%s  seed %lu, image %lu, note %lu, cut %d: %s\n", lie ? "found " : "FAILED", seed,
                    (unsigned long)k, (unsigned long)moment, (int)cut, fault);
            }
            if (wrong > 20) break;
        }
        if (wrong > 20) break;
    }
    printf("%lu images, %lu acknowledged commits, %lu wrong\n", made, promises, wrong);
    return wrong != 0;
}
