/*
 * Memory that cannot be had, seen from outside: this program has a malloc of its own, which refuses one request of the
 * library, or every request from one on. A workload calls every function of kv.h. No refusal may end the process: a
 * call answers KV_NO_MEMORY and has done nothing, or it succeeds because it could do without. Afterwards every handle
 * can be closed, what was acknowledged is there, and every page of the file is accounted for.
 *
 *   memory FOLDER RUNS     refuses RUNS requests, evenly spread, once each and from then on; 0: every one. Runs the
 *                          workload RUNS times more while many requests are refused at random
 *   memory FOLDER RUNS N   only request number N
 *
 * With KV_SEED the first of the requests is another one, and so are all of them.
 */
#include "refusing.h"
#include "steps.h"
#include "steps_jobs.h"
#include "steps_read.h"
#include "steps_savepoints.h"
#include "steps_snapshots.h"
#include "steps_write.h"

#include <sys/wait.h>

static int step_open(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db_stat stat = KV_DB_STAT_INIT;
    options.page_size = page_size;
    TRY(kv_open(path, &options, &db));
    TRY(kv_stat_db(db, &stat));
    CHECK(kv_version_number() != 0 && kv_version()[0] != 0 && kv_strerror(KV_NOTFOUND)[0] != 0);
    kv_interrupt(db);
    return 1;
out:
    if (db != NULL) kv_close(db);
    db = NULL;
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} STEPS[] = {
    {"open", step_open},
    {"puts", step_puts},
    {"tables", step_tables},
    {"many tables", step_many_tables},
    {"batches", step_batches},
    {"deletes", step_deletes},
    {"cursors that write", step_writing_cursors},
    {"writers", step_writers},
    {"large", step_large},
    {"scattered", step_scattered},
    {"snapshots", step_snapshots},
    {"savepoints", step_savepoints},
    {"goes on", step_goes_on},
    {"reads", step_reads},
    {"differences", step_differences},
    {"many cursors", step_many_cursors},
    {"single", step_single},
    {"threads", step_threads},
    {"maintenance", step_maintenance},
    {"salvage", step_salvage},
};

#include "shortages.h"

/*
 * After a refusal a step can be repeated, and then succeeds; if every request is refused, everything can be ended.
 * Where requests are refused at random, they become fewer each time that a step is repeated.
 */
static void workload(void)
{
    long often = one_in;
    size_t i;
    armed = 1;
    for (i = 0; i < sizeof STEPS / sizeof *STEPS; i++) {
        int tries = 0;
        step_name = STEPS[i].name;
        one_in = often;
        while (!STEPS[i].run()) {
            if (for_ever) break;
            one_in *= 2;
            if (++tries > (often ? 30 : 2)) {
                fprintf(stderr, "%s: refused again, though only request %ld was\n", step_name, refuse_at);
                _exit(2);
            }
        }
        if (for_ever && db == NULL) break;
    }
    one_in = often;
    step_name = "close";
    if (db != NULL) {
        kv_status status = kv_close(db);
        if (status != KV_OK && status != KV_NO_MEMORY) wrong(__LINE__, "kv_close", status);
        if (kv_close(db) != KV_BAD_HANDLE) wrong(__LINE__, "it is not closed", KV_OK);
    }
    armed = 0;
}

/* What was acknowledged is there, and the file is sound. */
static void verify(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_txn *txn;
    kv_status status;
    uint64_t steps;
    step_name = "verify";
    if (acknowledged == 0 && access(path, F_OK) != 0) return;
    options.flags = KV_OPEN_EXISTING;
    if ((status = kv_open(path, &options, &db)) != KV_OK) wrong(__LINE__, "kv_open", status);
    if ((status = kv_txn_begin(db, KV_READ, NULL, &txn)) != KV_OK) wrong(__LINE__, "kv_txn_begin", status);
    if ((status = steps_of(txn, &steps)) != KV_OK) wrong(__LINE__, "steps_of", status);
    if (steps != acknowledged) {
        fprintf(stderr, "request %ld: step %d was acknowledged, %d is there\n", refuse_at, (int)acknowledged, (int)steps);
        _exit(2);
    }
    job.flags = KV_JOB_CHECK_SPACE;
    if ((status = kv_check(txn, &job, fault, NULL, &report)) != KV_OK) wrong(__LINE__, "kv_check", status);
    kv_txn_abort(txn);
    if ((status = kv_close(db)) != KV_OK) wrong(__LINE__, "kv_close", status);
}

/* How a run ended. */
struct end {
    long requests, refusals;
    int told, died;
};

/* Runs the workload and looks at what it has left. */
static void workload_and_verify(struct end *end)
{
    workload();
    end->requests = requests;
    end->refusals = refusals;
    end->told = told;
    refuse_at = 0;
    verify();
}

/* Runs the threads of shortages.h, which look by themselves. */
static void threads(struct end *end)
{
    step_name = "threads";
    refused_in_threads();
    end->requests = requests;
    end->told = told;
}

static struct end run(void (*work)(struct end *), long at, int ever)
{
    struct end end = {0, 0, 0, 0};
    int pipes[2], status;
    pid_t child;
    unlink(path);
    unlink(copy);
    unlink(saved);
    if (pipe(pipes) != 0 || (child = fork()) < 0) exit(3);
    if (child == 0) {
        refuse_at = at;
        for_ever = ever;
        alarm(120);
        work(&end);
        if (write(pipes[1], &end, sizeof end) != sizeof end) _exit(3);
        _exit(0);
    }
    close(pipes[1]);
    if (read(pipes[0], &end, sizeof end) != sizeof end) memset(&end, 0, sizeof end);
    close(pipes[0]);
    if (waitpid(child, &status, 0) != child) exit(3);
    if (status != 0) {
        end.died = 1;
        fprintf(stderr, "FAILED  request %ld, one in %ld of chance %lu%s%s: status %d, signal %d\n", at, one_in, chance, ever ? " and all later ones" : "",
            work == threads ? " of the threads" : "",
            WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return end;
}

/* Runs a shortage that lasts. Returns whether it failed. */
static int run_shortage(size_t at)
{
    int status;
    pid_t child = fork();
    if (child < 0) exit(3);
    if (child == 0) {
        step_name = SHORTAGES[at].name;
        alarm(120);
        SHORTAGES[at].run();
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child) exit(3);
    if (status == 0) return 0;
    fprintf(stderr, "FAILED  %s: status %d, signal %d\n", SHORTAGES[at].name, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return 1;
}

static long done, failed, answered;

/* Refuses `runs` of all requests of some work in turn, from then on and, if `once`, alone. Returns how many there
 * are. */
static long refuse_each(void (*work)(struct end *), long runs, int once, long only)
{
    const char *seed = getenv("KV_SEED");
    struct end all = run(work, 0, 0);
    long each, i, shift;
    int ever;
    if (all.died || all.told) exit(1);
    each = runs > 0 && runs < all.requests ? runs : all.requests;
    shift = seed != NULL ? atol(seed) % (all.requests / each) : 0;
    for (i = 0; i < each; i++) {
        long number = only > 0 ? only : 1 + shift + i * all.requests / each;
        for (ever = !once; ever < 2; ever++) {
            struct end one = run(work, number, ever);
            done++;
            failed += one.died;
            answered += one.told > 0;
        }
        if (only > 0) break;
    }
    return all.requests;
}

/* Runs the workload while one in so many requests is refused. Returns how many were. */
static long refuse_at_random(long runs)
{
    static const long OFTEN[] = {20, 100, 500};
    const char *seed = getenv("KV_SEED");
    long i, all = 0;
    for (i = 0; i < runs; i++) {
        struct end one;
        one_in = OFTEN[i % 3];
        chance = (unsigned long)i + 1 + (seed != NULL ? strtoul(seed, NULL, 10) : 0);
        one = run(workload_and_verify, 0, 0);
        done++;
        failed += one.died;
        answered += one.told > 0;
        all += one.refusals;
    }
    one_in = 0;
    return all;
}

int main(int argc, char **argv)
{
    static const uint32_t PAGE_SIZES[] = {4096, 65536};
    long runs, only;
    size_t at;
    if (argc < 3) {
        fprintf(stderr, "usage: memory FOLDER RUNS [N]\n");
        return 64;
    }
    snprintf(path, sizeof path, "%s/db.kv", argv[1]);
    snprintf(copy, sizeof copy, "%s/copy.kv", argv[1]);
    snprintf(saved, sizeof saved, "%s/saved.kv", argv[1]);
    for (at = 0; at < sizeof big; at++) big[at] = (char)(at * 31 % 251);
    runs = atol(argv[2]);
    only = argc > 3 ? atol(argv[3]) : 0;
    for (at = 0; only == 0 && at < sizeof SHORTAGES / sizeof *SHORTAGES; at++) {
        done++;
        failed += run_shortage(at);
    }
    for (at = 0; at < sizeof PAGE_SIZES / sizeof *PAGE_SIZES; at++) {
        page_size = PAGE_SIZES[at];
        printf("pages of %u bytes: %ld requests\n", page_size, refuse_each(workload_and_verify, runs, 1, only));
        if (only == 0) printf("at random: %ld requests were refused\n", refuse_at_random(runs));
    }
    if (only == 0) printf("4 threads: %ld requests\n", refuse_each(threads, runs, 0, 0));
    printf("memory: %ld passed, %ld failed, 0 skipped (in %ld runs KV_NO_MEMORY was answered)\n", done - failed, failed,
        answered);
    return failed != 0;
}
