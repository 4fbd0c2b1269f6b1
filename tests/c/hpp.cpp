// kv.hpp: every function, what is thrown and what is not, loops over damage, ownership, callbacks that throw.
#include <kv.hpp>
#include <kv.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>

#if __cplusplus >= 202002L
#include <ranges>
#endif

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            std::exit(1);                                                           \
        }                                                                           \
    } while (0)

// The error that a call throws, which must have the status.
template <class Call>
static kv::error thrown_at(int line, kv_status status, Call &&call)
{
    try {
        call();
    } catch (const kv::error &error) {
        if (error.status() != status)
            std::fprintf(stderr, "line %d: %s: %s\n", line, error.status_name(), error.what());
        CHECK(error.status() == status);
        return error;
    }
    std::fprintf(stderr, "line %d: nothing was thrown instead of %s\n", line, kv_status_name(status));
    std::exit(1);
}
#define thrown(status, ...) thrown_at(__LINE__, status, __VA_ARGS__)

template <class Type>
constexpr bool only_moves = !std::is_copy_constructible_v<Type> && !std::is_copy_assignable_v<Type> &&
    std::is_nothrow_move_constructible_v<Type> && std::is_nothrow_move_assignable_v<Type>;
static_assert(only_moves<kv::database> && only_moves<kv::transaction> && only_moves<kv::cursor>);
static_assert(only_moves<kv::writer> && only_moves<kv::scan<kv::entry>>);
static_assert(std::is_copy_constructible_v<kv::table> && std::is_copy_constructible_v<kv::buffer>);
static_assert(std::is_nothrow_copy_constructible_v<kv::error>);
#if __cplusplus >= 202002L
static_assert(std::input_iterator<kv::scan<kv::entry>::iterator> && std::ranges::input_range<kv::scan<kv::entry>>);
#endif

static std::string number(int i)
{
    char text[16];
    std::snprintf(text, sizeof text, "%06d", i);
    return text;
}

// Keys that a range makes on the way live only until its next step, so they are copied for the call.
static void many_keys(const kv::transaction &txn)
{
    std::istringstream words("b none a");
    struct {
        std::istream_iterator<std::string> first, last;
        auto begin() const { return first; }
        auto end() const { return last; }
    } stream{std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
    auto values = txn.get_many(stream);
    CHECK(values.size() == 3 && values[0]->empty() && !values[1] && *values[2] == "1");
    CHECK(txn.get_many(txn.keys()).size() == txn.count());
    for (const auto &value : txn.get_many(txn.keys()))
        CHECK(value);
#if __cplusplus >= 202002L && (!defined(__clang__) || __clang_major__ >= 16)
    kv::database db = kv::database::in_memory();
    auto key = [](int i) { return "a rather long key, which is not kept in the object itself: " + std::to_string(i); };
    db.update([&](kv::transaction &writing) {
        for (int i = 0; i < 5; i++)
            writing.put(key(i), std::to_string(i));
    });
    kv::transaction reading = db.read();
    int i = 0;
    for (const auto &value : reading.get_many(std::views::iota(0, 5) | std::views::transform(key)))
        CHECK(value && *value == std::to_string(i++));
    CHECK(i == 5);
    auto even = [](int n) { return n % 2 == 0; };
    CHECK(reading.get_many(std::views::iota(0, 5) | std::views::filter(even) | std::views::transform(key)).size() == 3);
#endif
}

// Flags come before what is rarely given, and a table is never taken for flags.
static void order_of_arguments()
{
    kv::database db = kv::database::in_memory();
    kv::table_id users{};
    db.update([&](kv::transaction &txn) { users = txn.create_table("users").number(); });
    db.put("ada", "1", 0, users);
    thrown(KV_EXISTS, [&] { db.put("ada", "2", KV_NO_OVERWRITE, users); });
    db.put("ada", "main", KV_NO_OVERWRITE);
    thrown(KV_EXISTS, [&] { db.put("ada", "2", KV_NO_OVERWRITE); });
    const kv::database &reading = db;
    CHECK(reading.get("ada", users) == "1" && *reading.try_get("ada") == "main" && !reading.try_get("none", users));
    CHECK(reading.view([](kv::transaction &txn) { return std::string(txn.get("ada")); }) == "main");
    CHECK(reading.read().count() == 1 && reading.check().faults == 0 && reading.is_durable(1));
    CHECK(db.erase("ada", 0, users) && !db.erase("ada", 0, users) && db.erase("ada", KV_BLIND, users));
    CHECK(reading.get("ada") == "main" && !reading.try_get("ada", users));
    static_assert(!std::is_convertible_v<kv::table_id, std::uint32_t> && !std::is_convertible_v<int, kv::table_id>);
}

// Objects without a handle say so, and name the database where they know it.
static void gone()
{
    kv::database db("gone.kv");
    auto says_so = [](const kv::error &error, const std::string &path) {
        std::string expected = "bad handle: the object was moved from, closed or ended; use the one that it was moved "
            "to, or a new one";
        if (!path.empty())
            expected = path + ": " + expected;
        return error.what() == expected && error.path() == path && std::strcmp(error.function(), "") != 0;
    };
    std::string path = db.identity().path;
    std::uint64_t before = db.newest_commit().visible;
    CHECK(db.update([&](kv::transaction &txn) {
        txn.put("a", "1");
        CHECK(txn.commit() > before);
        CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { txn.get("a"); }), path));
        CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { txn.commit(); }), path));
        CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { (void)txn.check(); }), path));
    }) == 0);
    CHECK(db.update([](kv::transaction &txn) { txn.abort(); }) == 0 && db.get("a") == "1");

    kv::transaction txn = db.read();
    kv::table table = txn.table_at(kv::table_id::main);
    kv::cursor cursor = txn.open_cursor();
    cursor.close();
    CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { cursor.first(); }), path));
    kv::transaction other = std::move(txn);
    CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { txn.refresh(); }), path));
    other.abort();
    // This one has a handle, of which kv.h knows more.
    CHECK(!says_so(thrown(KV_BAD_HANDLE, [&] { table.get("a"); }), path));
    kv::database moved = std::move(db);
    CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { db.get("a"); }), ""));
    CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { db.backup("never.kv"); }), ""));
    moved.close();
    CHECK(says_so(thrown(KV_BAD_HANDLE, [&] { moved.sync(); }), ""));
}

// What must not compile: scripts/test-c.sh compiles this file with each of these in turn.
#ifdef REFUSED_VIEW
auto refused(const kv::database &db) { return db.view([](kv::transaction &txn) { return txn.get("a"); }); }
#endif
#ifdef REFUSED_OPTIONAL_VIEW
auto refused(const kv::database &db) { return db.view([](auto &txn) { return txn.try_get("a"); }); }
#endif
#ifdef REFUSED_TABLE_AS_FLAGS
void refused(kv::database &db) { db.put("a", "1", kv::table_id::main); }
#endif
#ifdef REFUSED_FLAGS_AS_TABLE
auto refused(kv::database &db) { return db.get("a", KV_NO_OVERWRITE); }
#endif
#ifdef REFUSED_UNUSED
void refused(kv::database &db) { db.write(); }
#endif

static void entries()
{
    kv::database db("entries.kv");
    std::uint64_t commit = db.update([](kv::transaction &txn) {
        txn.put("a", "1");
        txn.put("b", std::string_view());
        txn.put(std::string_view("c\0d", 3), "3");
        txn.put(std::string_view(), "the empty key");
        CHECK(txn.insert("new", "x"));
        std::string_view existing;
        CHECK(!txn.insert("a", "x", &existing) && existing == "1");
        CHECK(!txn.replace("d", "4") && *txn.replace("d", "5") == "4");
        std::memcpy(txn.reserve("e", 3), "abc", 3);
        CHECK(*txn.take("new") == "x" && !txn.take("new"));
        CHECK(txn.erase("d") && !txn.erase("d") && txn.erase("d", KV_BLIND));
        thrown(KV_EXISTS, [&] { txn.put("a", "2", KV_NO_OVERWRITE); });
        thrown(KV_ORDER, [&] { txn.put("a", "2", KV_APPEND); });
        CHECK(txn.stat_txn().kind == KV_WRITE);
    });
    CHECK(db.newest_commit().visible == commit && db.is_durable(commit));
    kv::transaction txn = db.read();
    CHECK(txn.id() == commit && txn.count() == 5 && !txn.empty());
    CHECK(txn.get("a") == "1" && txn.get("b").empty() && txn.get("b").data() != nullptr);
    CHECK(txn.get("") == "the empty key" && *txn.try_get(std::string_view("c\0d", 3)) == "3");
    CHECK(!txn.try_get("none") && txn.contains("a") && !txn.contains("none") && txn.get("e") == "abc");
    char memory[2];
    CHECK(txn.get_copy("a", memory, sizeof memory) == 1 && memory[0] == '1');
    CHECK(thrown(KV_TOO_SMALL, [&] { txn.get_copy("e", memory, sizeof memory); }).needed() == 3);
    std::array<const char *, 3> wanted{"b", "none", "a"};
    auto values = txn.get_many(wanted);
    CHECK(values.size() == 3 && values[0]->empty() && !values[1] && *values[2] == "1");
    CHECK(txn.get_many(std::vector<std::string>()).empty());
    many_keys(txn);

    kv::error error = thrown(KV_NOTFOUND, [&] { txn.get("none"); });
    CHECK(std::string(error.status_name()) == "KV_NOTFOUND" && error.path() == db.identity().path);
    CHECK(error.what() == error.path() + ": there is no key \"none\" in the main table; where a key may be missing, "
        "use try_get");
    error = thrown(KV_NOTFOUND, [&] { txn.get(std::string(100, 'k') + "\n"); });
    CHECK(std::strstr(error.what(), "kkk\"... in the main table") != nullptr);
    error = thrown(KV_NOTFOUND, [&] { txn.get("a\n\"\xff"); });
    CHECK(std::strstr(error.what(), "no key \"a\\x0a\\x22\\xff\" in") != nullptr);
    CHECK(!error.page() && !error.table() && error.system_errno() == 0 && error.needed() == 0);
    error = thrown(KV_READ_ONLY, [&] { txn.put("a", "2"); });
    CHECK(error.path() == db.identity().path && error.path().find("/entries.kv") != std::string::npos);
    CHECK(std::string(error.function()) == "kv_put" && std::strstr(error.what(), "entries.kv") != nullptr);

    CHECK(db.get("a") == "1" && !db.try_get("none"));
    thrown(KV_NOTFOUND, [&] { db.get("none"); });
    std::string large(1000, 'l');
    db.put("large", large);
    CHECK(db.get("large") == large && db.erase("large") && !db.erase("large"));
    CHECK(!txn.contains("large"));
    txn.refresh();
    CHECK(txn.id() > commit && txn.rank("c") == 3);
    CHECK(db.view([](kv::transaction &reader) { return reader.count(); }) == 5);
}

static void transactions()
{
    kv::database db("transactions.kv");
    try {
        db.update([](kv::transaction &txn) {
            txn.put("a", "1");
            throw std::string("out");
        });
        CHECK(false);
    } catch (const std::string &) {
    }
    CHECK(!db.try_get("a"));
    {
        kv::transaction lost = db.write();
        lost.put("a", "1");
        CHECK(!db.try_write());
        kv::error error = thrown(KV_DEADLOCK, [&] { (void)db.write(); });
        CHECK(std::string(error.function()) == "kv_txn_begin");
    }
    CHECK(!db.try_get("a"));
    kv::transaction_options lazy;
    lazy.durability = KV_DURABILITY_LAZY;
    kv::transaction txn = db.write(lazy);
    txn.put("a", "2");
    kv::transaction other = std::move(txn);
    thrown(KV_BAD_HANDLE, [&] { txn.get("a"); });
    other.put("b", "3");
    std::uint64_t commit = other.commit_async();
    thrown(KV_BAD_HANDLE, [&] { other.get("a"); });
    thrown(KV_BAD_HANDLE, [&] { other.commit(); });
    other.abort();
    CHECK(!db.is_durable(commit));
    db.wait_durable(commit);
    CHECK(db.is_durable(commit));
    db.sync();
    CHECK(*db.wait_commit(0, 0) == commit && !db.wait_commit(commit, 1));

    // A thread that waits for ever is woken.
    std::thread waiting([&] { thrown(KV_CANCELLED, [&] { db.wait_commit(commit); }); });
    usleep(50000);
    db.interrupt();
    waiting.join();

    std::optional<kv::transaction> held = db.try_write();
    CHECK(held);
    held->put("a", "4");
    std::vector<kv_op> operations = {
        {KV_OP_PUT, 0, KV_MAIN, kv::slice("x"), kv::slice("1")},
        {KV_OP_DELETE, 0, KV_MAIN, kv::slice("a"), kv::slice("")},
        {KV_OP_DELETE, 0, KV_MAIN, kv::slice("none"), kv::slice("")},
    };
    std::size_t done = 0;
    thrown(KV_NOTFOUND, [&] { held->write_batch(operations, &done); });
    CHECK(done == 2 && held->contains("x") && !held->contains("a"));
    held->abort();
    CHECK(db.get("a") == "2");

    // A transaction of a closed database throws, and its end is harmless.
    kv::transaction reader = db.read();
    CHECK(db.readers().size() == 1 && db.readers()[0].pid == static_cast<std::uint32_t>(getpid()));
    CHECK(db.stat_db().readers == 1);
    db.close();
    thrown(KV_BAD_HANDLE, [&] { reader.get("a"); });
    thrown(KV_BAD_HANDLE, [&] { (void)db.read(); });
    thrown(KV_BAD_HANDLE, [&] { db.sync(); });
    db = kv::database("transactions.kv");
    CHECK(db.get("a") == "2");
    reader = db.read();
    CHECK(reader.get("b") == "3");
}

static void nested_transactions()
{
    kv::database db("nested.kv");
    kv::transaction txn = db.write();
    txn.put("a", "1");
    kv::savepoint first = txn.create_savepoint();
    txn.put("a", "2");
    kv::cursor cursor = txn.open_cursor();
    CHECK(cursor.first()->value == "2");
    kv::savepoint second = txn.create_savepoint();
    txn.put("b", "3");
    txn.rollback_savepoint(second);
    CHECK(!txn.contains("b") && txn.get("a") == "2");
    txn.rollback_savepoint(first);
    CHECK(txn.get("a") == "1" && cursor.get()->value == "1");
    thrown(KV_INVALID, [&] { txn.rollback_savepoint(second); });
    txn.rollback_savepoint(first);
    txn.release_savepoint(first);
    thrown(KV_INVALID, [&] { txn.release_savepoint(first); });

    {
        kv::transaction lost = txn.nest();
        lost.put("a", "lost");
        kv::error error = thrown(KV_CHILD_OPEN, [&] { txn.get("a"); });
        CHECK(std::string(error.function()) == "kv_get" && std::strstr(error.what(), "nested.kv") != nullptr);
        thrown(KV_CHILD_OPEN, [&] { cursor.next(); });
        CHECK(lost.get("a") == "lost");
    }
    CHECK(txn.get("a") == "1");
    kv::transaction kept = txn.nest();
    kept.put("b", "kept");
    kept.nested([](kv::transaction &inside) { inside.put("c", "kept"); });
    kept.commit();
    try {
        txn.nested([](kv::transaction &inside) {
            inside.put("a", "thrown away");
            throw std::string("out");
        });
        CHECK(false);
    } catch (const std::string &) {
    }
    txn.nested([](kv::transaction &inside) { inside.erase("c"), inside.abort(); });
    CHECK(txn.get("a") == "1" && txn.get("b") == "kept" && txn.get("c") == "kept" && txn.count() == 3);
    txn.commit();
    CHECK(db.get("c") == "kept");
    thrown(KV_READ_ONLY, [&] { (void)db.read().nest(); });
    thrown(KV_READ_ONLY, [&] { (void)db.read().create_savepoint(); });

    // A transaction that ends takes what is nested in it along.
    txn = db.write();
    kept = txn.nest();
    kept.put("d", "4");
    thrown(KV_CHILD_OPEN, [&] { txn.commit(); });
    thrown(KV_BAD_HANDLE, [&] { kept.get("d"); });
    CHECK(!db.try_get("d") && db.try_write());
}

static void ranges()
{
    kv::database db = kv::database::in_memory();
    std::map<std::string, std::string> model;
    std::mt19937 random(1);
    db.update([&](kv::transaction &txn) {
        for (int i = 0; i < 3000; i++) {
            std::string key = number(static_cast<int>(random() % 100000));
            model[key] = number(i);
            txn.put(key, number(i));
        }
    });
    kv::transaction txn = db.read();
    auto same = [](auto &&entries, auto begin, auto end) {
        std::uint64_t count = entries.count();
        for (auto [key, value] : entries) {
            CHECK(begin != end && key == begin->first && value == begin->second);
            ++begin;
            count--;
        }
        CHECK(begin == end && count == 0);
    };
    same(txn.scan(), model.begin(), model.end());
    same(txn.scan(kv::reverse()), model.rbegin(), model.rend());
    same(txn.scan(kv::from("04")), model.lower_bound("04"), model.end());
    same(txn.scan(kv::before("04")), model.begin(), model.lower_bound("04"));
    same(txn.scan(kv::prefix("04")), model.lower_bound("04"), model.lower_bound("05"));
    // The bytes of a range are gone before the loop begins.
    same(txn.scan(kv::prefix(std::string("0") + "4")), model.lower_bound("04"), model.lower_bound("05"));
    for (int i = 0; i < 200; i++) {
        std::string low = number(static_cast<int>(random() % 100000));
        std::string high = number(static_cast<int>(random() % 100000));
        if (low > high)
            std::swap(low, high);
        auto from = model.lower_bound(low), after = model.upper_bound(low);
        auto before = model.lower_bound(high), through = model.upper_bound(high);
        same(txn.scan(kv::from(low).before(high)), from, before);
        same(txn.scan(kv::range().from(low).through(high)), from, through);
        if (low < high) {
            same(txn.scan(kv::after(low).before(high).reverse()), std::make_reverse_iterator(before),
                std::make_reverse_iterator(after));
        }
        CHECK(txn.count(kv::through(high)) == static_cast<std::uint64_t>(std::distance(model.begin(), through)));
    }
    std::size_t keys = 0;
    for (std::string_view key : txn.keys(kv::prefix("01")))
        keys += key.substr(0, 2) == "01";
    CHECK(keys == txn.count(kv::prefix("01")) && keys > 0);

    // Algorithms, and a second walk through the same scan.
    auto entries = txn.scan();
    auto odd = [](const kv::entry &entry) { return (entry.key.back() - '0') % 2 == 1; };
    auto odds = std::count_if(entries.begin(), entries.end(), odd);
    CHECK(odds > 1000 && odds == std::count_if(entries.begin(), entries.end(), odd));
    auto position = entries.begin();
    CHECK((*position++).value == model.begin()->second && position->key == std::next(model.begin())->first);
    CHECK(txn.scan(kv::prefix("none")).begin() == kv::scan<kv::entry>::iterator());
// Before 16, clang cannot compile the views of libstdc++.
#if __cplusplus >= 202002L && (!defined(__clang__) || __clang_major__ >= 16)
    std::ptrdiff_t found = 0;
    for (auto [key, value] : txn.scan() | std::views::filter(odd))
        found += !key.empty() && !value.empty();
    CHECK(found == odds);
#endif
    // A flag without bytes and a range without a bound are refused, and nothing is taken for "all".
    kv::transaction writing = db.write();
    thrown(KV_INVALID, [&] { writing.erase_range(kv::range()); });
    CHECK(writing.erase_range(kv::prefix("01")) == keys && writing.count(kv::prefix("01")) == 0);
    std::string first = std::string(writing.scan().begin()->key);
    CHECK(writing.take_first()->key == first && !writing.contains(first));
    CHECK(writing.take_first(kv::reverse())->key == model.rbegin()->first);
    CHECK(!writing.take_first(kv::prefix("01")));
}

static void cursors()
{
    kv::database db = kv::database::in_memory();
    kv::transaction txn = db.write();
    for (int i = 0; i < 100; i++)
        txn.put(number(i), number(i));
    kv::cursor cursor = txn.open_cursor();
    CHECK(!cursor.get() && cursor.count() == 100);
    CHECK(cursor.next()->key == number(0) && cursor.last()->key == number(99) && !cursor.next());
    CHECK(cursor.prev()->key == number(99) && cursor.first()->key == number(0) && !cursor.prev());
    CHECK(cursor.seek("00005")->key == number(50) && cursor.rank() == 50);
    CHECK(!cursor.seek("00005", KV_SEEK_EQ) && cursor.seek(number(7), KV_SEEK_LT)->key == number(6));
    CHECK(cursor.nth(42)->key == number(42) && !cursor.nth(100) && cursor.percentile(50)->key == number(49));
    CHECK(cursor.random() && cursor.nth(3) && cursor.get()->key == number(3));
    thrown(KV_INVALID, [&] { cursor.percentile(101); });
    cursor.put("three");
    CHECK(txn.get(number(3)) == "three");
    cursor.erase();
    CHECK(!txn.contains(number(3)) && !cursor.get() && cursor.next()->key == number(4));
    auto many = cursor.next_many(10);
    CHECK(many.size() == 10 && many.front().key == number(5) && many.back().key == number(14));
    CHECK(cursor.nth(97) && cursor.next_many(5).size() == 1 && cursor.next_many(5).empty());
    thrown(KV_INVALID, [&] { cursor.next_many(0); });
    kv::cursor other = std::move(cursor);
    CHECK(other.first());
    thrown(KV_BAD_HANDLE, [&] { cursor.first(); });
    other.close();
    thrown(KV_BAD_HANDLE, [&] { other.first(); });
    other = txn.open_cursor();
    auto entries = txn.scan();
    txn.commit();
    thrown(KV_BAD_HANDLE, [&] { other.first(); });
    thrown(KV_BAD_HANDLE, [&] { entries.begin(); });
}

// What is assigned to is released at once, and what was moved from owns nothing. An assignment to itself does nothing.
static void differences()
{
    kv::database db = kv::database::in_memory();
    db.put("a", "1");
    db.put("b", "2");
    kv::transaction before = db.read();
    CHECK(db.read().all_is_same_since(before));
    db.update([](kv::transaction &txn) {
        txn.put("b", "two");
        txn.put("c", "3");
        txn.erase("a");
    });
    kv::transaction after = db.read();
    CHECK(!after.all_is_same_since(before) && !after.is_same_since(before));
    kv_diff_counts counts = after.count_changes_since(before);
    CHECK(counts.added == 1 && counts.removed == 1 && counts.changed == 1);
    CHECK(after.count_changes_since(before, kv::from("c")).removed == 0);
    kv::difference changes = after.changes_since(before);
    std::optional<kv::change> change = changes.next();
    CHECK(change && change->kind == KV_CHANGE_REMOVED && change->key == "a" && change->before == "1" && !change->after);
    kv::difference moved = std::move(changes);
    thrown(KV_BAD_HANDLE, [&] { changes.next(); });
    change = moved.next();
    CHECK(change->kind == KV_CHANGE_CHANGED && change->before == "2" && change->after == "two");
    char bytes[100];
    std::uint32_t ends[10];
    kv_batch batch = KV_BATCH_INIT;
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 10;
    CHECK(moved.fill(batch) && batch.count == 1 && std::memcmp(bytes, "c3", 2) == 0 && !moved.fill(batch));
    CHECK(!moved.next());
    changes = after.changes_since(before, kv::from("a").reverse());
    CHECK(changes.next()->key == "c" && changes.handle() != nullptr);
    changes.close();
    db.update([&](kv::transaction &txn) {
        kv::table table = txn.create_table("made since");
        CHECK(txn.revert(before, txn) == 3 && txn.get("a") == "1" && !txn.try_get("c"));
        CHECK(txn.open_table("made since").number() == table.number());
        CHECK(txn.revert(before) == 0);
        thrown(KV_NO_TABLE, [&] { (void)txn.open_table("made since"); });
    });
    before.abort();
    thrown(KV_BAD_HANDLE, [&] { moved.next(); });
}

static void assignments()
{
    kv::database db("assigned.kv");
    kv::transaction txn = db.write();
    txn.put("a", "1");
    kv::transaction reader = db.read();
    txn = std::move(reader);
    thrown(KV_BAD_HANDLE, [&] { reader.get("a"); });
    CHECK(!txn.try_get("a") && db.stat_db().writer == 0 && db.try_write());
    kv::transaction &same_txn = txn;
    txn = std::move(same_txn);
    CHECK(txn.count() == 0);
    txn.abort();

    txn = db.write();
    txn.put("a", "1");
    kv::cursor cursor = txn.open_cursor(kv::prefix("none"));
    kv::cursor other = txn.open_cursor();
    kv_cursor *former = cursor.handle();
    cursor = std::move(other);
    thrown(KV_BAD_HANDLE, [&] { other.next(); });
    CHECK(kv_cursor_first(former, nullptr, nullptr) == KV_BAD_HANDLE && cursor.next()->key == "a");
    kv::cursor &same_cursor = cursor;
    cursor = std::move(same_cursor);
    CHECK(cursor.first()->key == "a");
    auto entries = txn.scan(kv::prefix("none"));
    auto others = txn.scan();
    entries = std::move(others);
    thrown(KV_BAD_HANDLE, [&] { others.begin(); });
    CHECK((*entries.begin()).key == "a");

    kv::writer writer = txn.open_writer("given up");
    kv::writer another = txn.open_writer("kept");
    writer.write("x");
    another.write("y");
    kv_writer *given_up = writer.handle();
    writer = std::move(another);
    thrown(KV_BAD_HANDLE, [&] { another.write("z"); });
    CHECK(kv_writer_write(given_up, "x", 1) == KV_BAD_HANDLE);
    kv::writer &same_writer = writer;
    writer = std::move(same_writer);
    writer.write("z");
    writer.finish();
    CHECK(txn.get("kept") == "yz" && !txn.contains("given up"));
    txn.commit();

    kv::database memory = kv::database::in_memory();
    kv_db *closed = memory.handle();
    memory = std::move(db);
    thrown(KV_BAD_HANDLE, [&] { db.sync(); });
    CHECK(kv_sync(closed) == KV_BAD_HANDLE && memory.get("a") == "1");
    kv::database &same_db = memory;
    memory = std::move(same_db);
    memory.sync();

    // The path is told even where the details of an error are another one's.
    kv::error error = thrown(KV_ACCESS, [] { kv::detail::fail(KV_ACCESS, std::string("some.kv")); });
    CHECK(error.path() == "some.kv");
}

static void packed()
{
    kv::database db = kv::database::in_memory();
    kv::transaction txn = db.write();
    char strings[] = "a1b2c3";
    std::uint32_t ends[6] = {1, 2, 3, 4, 5, 6};
    kv_batch input = KV_BATCH_INIT;
    input.bytes = strings, input.bytes_size = 6, input.ends = ends, input.ends_size = 6, input.count = 3;
    std::size_t done = 0;
    txn.put_packed(input, 0, &done);
    CHECK(done == 3 && txn.get("b") == "2");
    char bytes[64];
    std::uint32_t found[16];
    std::uint8_t kinds[16];
    kv_batch output = KV_BATCH_INIT;
    output.bytes = bytes, output.bytes_size = sizeof bytes, output.ends = found, output.ends_size = 16;
    CHECK(txn.scan_packed(kv::from("b"), output) && output.count == 2 && std::memcmp(bytes, "b2c3", 4) == 0);
    CHECK(!txn.scan_packed(kv::from("d"), output) && output.count == 0);
    kv::cursor cursor = txn.open_cursor();
    CHECK(cursor.fill(output) && output.count == 3 && output.at_end == 1 && !cursor.fill(output));
    input.bytes_size = 2, input.count = 2; // the keys "a" and "1"
    output.kinds = kinds;
    txn.get_packed(input, output);
    CHECK(output.count == 2 && kinds[0] == KV_KIND_PRESENT && kinds[1] == KV_KIND_ABSENT && bytes[0] == '1');
    thrown(KV_NOTFOUND, [&] { txn.erase_packed(input, 0, &done); });
    CHECK(done == 1 && !txn.contains("a"));
}

static void values()
{
    kv::database db("values.kv");
    std::string part(100000, 'p');
    db.update([&](kv::transaction &txn) {
        kv::writer writer = txn.open_writer("long", 0, 300000);
        for (int i = 0; i < 3; i++)
            writer.write(part);
        writer.finish();
        thrown(KV_BAD_HANDLE, [&] { writer.write(part); });
        kv::writer given_up = txn.open_writer("none");
        given_up.write("x");
        kv::writer moved = std::move(given_up);
        moved.close();
        txn.open_writer("none").write("destroyed");
        CHECK(!txn.contains("none"));
        thrown(KV_EXISTS, [&] { (void)txn.open_writer("long", KV_NO_OVERWRITE); });
        // A length in the place of the flags is refused, and no hint is taken for flags.
        thrown(KV_INVALID, [&] { (void)txn.open_writer("long", 300000); });
    });
    std::optional<kv::buffer> buffer, copy;
    {
        kv::transaction txn = db.read();
        CHECK(txn.stat_value("long").len == 300000 && txn.get("long").size() == 300000);
        char bytes[10];
        CHECK(txn.read_value("long", 299995, bytes, sizeof bytes) == 5 && bytes[0] == 'p');
        std::size_t sum = 0;
        for (const kv_extent &extent : txn.value_extents("long"))
            sum += extent.len;
        CHECK(sum == 300000);
        buffer = txn.get_buf("long");
        CHECK(buffer && !txn.get_buf("none"));
        copy = buffer;
    }
    buffer.reset();
    CHECK(copy->view().size() == 300000 && copy->view()[299999] == 'p');
    kv::transaction unfinished = db.write();
    kv::writer open = unfinished.open_writer("late");
    thrown(KV_CHILD_OPEN, [&] { unfinished.commit(); });
    db.close();
    CHECK(copy->view()[150000] == 'p');
}

static void tables()
{
    kv::database db = kv::database::in_memory();
    db.update([](kv::transaction &txn) {
        kv::table users = txn.create_table("users");
        users.put("ada", "1");
        users.set_note("people");
        CHECK(txn.create_table("users").number() == users.number());
        thrown(KV_EXISTS, [&] { txn.create_table("users", KV_TABLE_NEW); });
        txn.create_table("old").put("x", "y");
        txn.create_table("gone").drop();
        txn.open_table("old").clear();
        txn.open_table("old").rename("new");
        thrown(KV_NO_TABLE, [&] { txn.open_table("old"); });
    });
    kv::transaction txn = db.read();
    CHECK(txn.table_names() == (std::vector<std::string>{"new", "users"}));
    kv::table users = txn.open_table("users");
    CHECK(users.get("ada") == "1" && users.note() == "people" && users.name() == "users" && txn.name().empty());
    CHECK(!txn.try_open_table("old") && txn.try_open_table("new")->empty() && !txn.contains("ada"));
    CHECK(users.stat_table().entries == 1 && users.stat_table(1).leaf_pages == 1);
    CHECK(txn.table_at(users.number()).get("ada") == "1" && db.get("ada", users.number()) == "1");
    txn.abort();
    thrown(KV_BAD_HANDLE, [&] { users.get("ada"); });
}

static void snapshots()
{
    kv::database db = kv::database::in_memory();
    db.update([](kv::transaction &txn) {
        txn.create_snapshot("first", 0, "a note");
        txn.put("k", "1");
        thrown(KV_EXISTS, [&] { txn.create_snapshot("first"); });
    });
    kv::transaction before = db.read();
    db.put("k", "2");
    before.create_snapshot("again", KV_SNAPSHOT_KEEP);
    /* Both are of one commit. */
    CHECK(db.snapshot_cost("first") > 0 && db.snapshot_cost("first", "again") == db.snapshot_cost("again"));
    CHECK(db.read_snapshot("first").get("k") == "1" && db.read_snapshot("again").get("k") == "1");
    thrown(KV_NOTFOUND, [&] { (void)db.read_snapshot("none"); });
    thrown(KV_INVALID, [&] { (void)db.read_snapshot({}); });
    kv::transaction now = db.read();
    int ranges = 0;
    auto count = [&](const kv::range &range) { ranges += now.count(range) == 1 ? 1 : 100; };
    now.changed_ranges("first", count);
    now.changed_ranges("first", count, kv::range().before("a"));
    CHECK(ranges == 101);
    thrown(KV_NOTFOUND, [&] { now.changed_ranges("none", count); });
    try {
        now.changed_ranges("first", [](const kv::range &) { throw 7; });
        CHECK(false);
    } catch (int thrown) {
        CHECK(thrown == 7);
    }
    now.abort();
    db.update([&](kv::transaction &txn) {
        CHECK(txn.snapshot_names() == (std::vector<std::string>{"again", "first"}));
        std::optional<kv_snapshot_stat> stat = txn.stat_snapshot("first");
        CHECK(stat && stat->flags == 0 && kv::view(stat->note) == "a note" && !txn.stat_snapshot("none"));
        thrown(KV_INVALID, [&] { txn.drop_snapshot("again"); });
        txn.keep_snapshot("again", false);
        txn.create_snapshot("mark");
        txn.release_snapshot("mark");
        CHECK(txn.stat_snapshot("mark")->flags == KV_SNAPSHOT_MARK && txn.drop_snapshot("mark"));
        thrown(KV_DEADLOCK, [&] { (void)db.snapshot_cost("first"); });
        txn.rename_snapshot("first", "again");
        CHECK(txn.drop_snapshot("again") && !txn.drop_snapshot("again") && txn.snapshot_names().empty());
    });
    before.abort();
    kv_retention policy = KV_RETENTION_INIT;
    policy.interval = 3600;
    policy.last = 1;
    db.update([&](kv::transaction &txn) {
        CHECK(!txn.history());
        txn.set_history(policy);
        CHECK(txn.history() && txn.history()->interval == 3600 && txn.history()->last == 1);
        policy.last = 0;
        thrown(KV_INVALID, [&] { (void)txn.thin_snapshots("row/", policy); });
        policy.daily = 1;
        txn.create_snapshot("row/1");
        txn.create_snapshot("row/2");
        CHECK(txn.thin_snapshots("row/", policy) == 1 && txn.snapshot_names().size() == 1);
        txn.end_history();
        CHECK(txn.drop_snapshot(txn.snapshot_names().front()));
    });
    (void)db.reclaim(); /* how many pages came free depends on what others have given back by then */
    CHECK(db.reclaim() == 0);
    kv::transaction_options how;
    how.commit = db.newest_commit().visible;
    CHECK(db.read(how).get("k") == "2");
}

static void files()
{
    kv::error error = thrown(KV_NO_FILE, [] { kv::database("nowhere/none.kv"); });
    CHECK(error.path() == "nowhere/none.kv" && error.system_errno() == ENOENT);
    CHECK(std::strstr(error.what(), "nowhere/none.kv") != nullptr);
    thrown(KV_INVALID, [] { kv::database(std::string("x\0y", 3)); });
    kv::options how;
    how.flags = KV_OPEN_EXISTING;
    thrown(KV_NO_FILE, [&] { kv::database("none.kv", how); });
    how.flags = 1;
    thrown(KV_INVALID, [&] { kv::database("none.kv", how); });

    kv::database db("whole.kv");
    db.update([](kv::transaction &txn) {
        for (int i = 0; i < 20000; i++)
            txn.put(number(i), number(i));
    });
    kv::job job;
    int told = 0;
    job.progress = [&](std::uint64_t done, std::uint64_t total) { told += done <= total; };
    CHECK(db.check(job).faults == 0 && told > 0);
    CHECK(db.read().check().entries == 20000);
    db.backup("copy.kv");
    thrown(KV_EXISTS, [&] { db.backup("copy.kv"); });
    job.flags = KV_JOB_OVERWRITE | KV_JOB_COMPACT;
    db.read().backup("copy.kv", job);
    CHECK(kv::database("copy.kv").read().count() == 20000);
    std::string bytes;
    db.read().backup_stream([&](std::string_view part) { bytes += part; });
    std::ofstream("streamed.kv", std::ios::binary) << bytes;
    CHECK(kv::database("streamed.kv").get(number(77)) == number(77));
    int descriptor = open("descriptor.kv", O_WRONLY | O_CREAT, 0666);
    db.read().backup_to_fd(descriptor);
    close(descriptor);
    CHECK(kv::database("descriptor.kv").get(number(77)) == number(77));

    // What a callback throws comes out, and the library goes on.
    struct stop {};
    auto stops = [](auto &&call) {
        try {
            call();
        } catch (const stop &) {
            return true;
        }
        return false;
    };
    kv::job stopped;
    stopped.progress = [](std::uint64_t, std::uint64_t) { throw stop(); };
    CHECK(stops([&] { (void)db.check(stopped); }) && stops([&] { db.backup("never.kv", stopped); }));
    CHECK(stops([&] { db.read().backup_stream([](std::string_view) { throw stop(); }); }));
    CHECK(access("never.kv", F_OK) != 0 && db.get(number(1)) == number(1));
    kv::compact_options give_back;
    give_back.progress = stopped.progress;
    CHECK(stops([&] { db.compact(give_back); }));
    thrown(KV_INVALID, [&] { db.backup(std::string("x\0y", 3)); });
    db.close();

    // Damage: a loop does not take it for the end, and nothing is lost without a word.
    std::string file = "streamed.kv";
    {
        std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
        for (int page = 30; page < 34; page++) {
            damaged.seekp(page * 4096 + 2000);
            damaged.write("damage", 6);
        }
    }
    db = kv::database(file);
    kv::transaction txn = db.read();
    std::size_t seen = 0;
    error = thrown(KV_CORRUPT, [&] {
        for (auto [key, value] : txn.scan())
            seen += key == value;
    });
    CHECK(seen > 0 && seen < 20000 && error.page() && *error.page() >= 30 && *error.page() < 34);
    CHECK(error.table() == kv::table_id::main && error.path().find("streamed.kv") != std::string::npos);
    CHECK(stops([&] {
        for (auto entry : txn.scan(kv::from(number(19000)).reverse()))
            if (entry.key < number(19500))
                throw stop();
    }));
    thrown(KV_CORRUPT, [&] {
        for (int i = 0; i < 20000; i++)
            txn.try_get(number(i));
    });
    std::size_t faults = 0;
    kv_check_report report = txn.check({}, [&](const kv_fault &fault) {
        faults += fault.status == KV_CORRUPT && fault.kind == KV_FAULT_UNREADABLE;
    });
    CHECK(report.faults == faults && faults == 4);
    CHECK(stops([&] { (void)txn.check({}, [](const kv_fault &) { throw stop(); }); }));
    thrown(KV_CORRUPT, [&] { txn.backup("never.kv"); });
    txn.abort();
    db.close();
    kv_salvage_report saved = kv::salvage(file, "saved.kv", {}, [&](const kv_fault &) { faults++; });
    CHECK(saved.entries + saved.lost_entries == 20000 && faults > 4);
    thrown(KV_EXISTS, [&] { kv::salvage(file, "saved.kv"); });
    CHECK(kv::database("saved.kv").read().count() == saved.entries);
    CHECK(kv::version() == KV_VERSION && kv::version_number() == KV_VERSION_NUMBER);
}

static void space()
{
    kv::database db("space.kv");
    for (int from : {0, 20000})
        db.update([from](kv::transaction &txn) {
            for (int i = from; i < 20000 + from / 16; i++)
                txn.put(number(i), std::string(200, 'v'));
        });
    db.update([](kv::transaction &txn) { txn.erase_range(kv::before(number(20000))); });
    kv::compact_options how;
    how.stay = how.punch = true;
    kv_compact_report report = db.compact(how);
    CHECK(report.moved_pages == 0 && report.punched_bytes > 1 << 20);
    report = db.compact();
    CHECK(report.moved_pages > 20 && report.cut_bytes > 1 << 20 && report.held_commit == 0);
    CHECK(db.check().faults == 0 && db.read().count() == 1250);
}

int main()
{
    entries();
    order_of_arguments();
    gone();
    transactions();
    nested_transactions();
    ranges();
    cursors();
    differences();
    assignments();
    packed();
    values();
    tables();
    snapshots();
    files();
    space();
    std::puts("ok");
    return 0;
}
