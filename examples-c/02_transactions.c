/*
 * Transactions: a transfer that happens or does not, and a reader that sees neither half of it. Tables, too.
 */
#include <kv.h>

#include <stdio.h>
#include <string.h>

/* Every call that should not fail goes through this. */
static int ok(kv_status status)
{
    if (status != KV_OK)
        fprintf(stderr, "%s: %s\n", kv_status_name(status), kv_error_message());
    return status == KV_OK;
}

/* Balances are numbers, 8 bytes. */
static kv_status balance(const kv_txn *txn, kv_table accounts, const char *name, int64_t *amount)
{
    size_t len;
    *amount = 0;
    return kv_get_copy(txn, accounts, KV_STR(name), amount, sizeof *amount, &len);
}

static kv_status set_balance(kv_txn *txn, kv_table accounts, const char *name, int64_t amount)
{
    return kv_put(txn, accounts, KV_STR(name), &amount, sizeof amount, 0);
}

/* Moves an amount, or nothing. */
static int transfer(kv_db *db, kv_table accounts, const char *from, const char *to, int64_t amount)
{
    kv_txn *txn = NULL;
    int64_t a, b;
    int done = 0;

    if (!ok(kv_txn_begin(db, KV_WRITE, NULL, &txn)))
        return 0;
    if (ok(balance(txn, accounts, from, &a)) && ok(balance(txn, accounts, to, &b)) &&
        ok(set_balance(txn, accounts, from, a - amount)) && ok(set_balance(txn, accounts, to, b + amount))) {
        if (a >= amount)
            done = ok(kv_txn_commit(txn, NULL));
        else
            printf("%s has only %lld: nothing moved\n", from, (long long)a);
    }
    kv_txn_abort(txn); /* undoes everything, unless it was committed */
    return done;
}

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL, *before = NULL;
    kv_table accounts;
    int64_t alice, bob;
    int good;

    if (!ok(kv_open("bank.kv", NULL, &db)) || !ok(kv_txn_begin(db, KV_WRITE, NULL, &txn)))
        return 1;
    good = ok(kv_table_create(txn, KV_STR("accounts"), NULL, &accounts)) &&
           ok(set_balance(txn, accounts, "alice", 100)) && ok(set_balance(txn, accounts, "bob", 20)) &&
           ok(kv_txn_commit(txn, NULL));

    good = good && ok(kv_txn_begin(db, KV_READ, NULL, &before));
    good = good && transfer(db, accounts, "alice", "bob", 30) && !transfer(db, accounts, "bob", "alice", 1000);

    /* The reader began before the transfer: it goes on seeing that moment, as long as it likes. */
    good = good && ok(balance(before, accounts, "alice", &alice)) && ok(balance(before, accounts, "bob", &bob));
    if (good)
        printf("before: alice %lld, bob %lld\n", (long long)alice, (long long)bob);
    good = good && ok(kv_txn_refresh(before)) && ok(balance(before, accounts, "alice", &alice)) &&
           ok(balance(before, accounts, "bob", &bob));
    if (good)
        printf("after:  alice %lld, bob %lld\n", (long long)alice, (long long)bob);
    kv_txn_abort(before);
    return ok(kv_close(db)) && good && alice == 70 && bob == 50 ? 0 : 1;
}
