/*
 * kv.hpp: libkv for C++17 and later. It has no code of its own to link: it calls kv.h, so link with -lkv.
 *
 *     #include <kv.hpp>
 *     #include <iostream>
 *
 *     int main()
 *     {
 *         kv::database db("fruit.kv");
 *         db.update([](kv::transaction &txn) { txn.put("apple", "red"); });        // durable when it returns
 *         kv::transaction txn = db.read();
 *         for (auto [key, value] : txn.scan(kv::prefix("a")))
 *             std::cout << key << " is " << value << '\n';
 *     }
 *
 * What kv.h says of transactions, threads, limits and statuses is valid here as well. These are the conventions of C++:
 *
 *  1. Errors. Every failure is thrown as a kv::error, but for those that a function returns: a function that returns an
 *     std::optional or a bool returns nothing or false for the one status that its comment names, and throws for every
 *     other one. A loop over kv::scan ends only at the end of its range: damage leaves it as an exception.
 *  2. Bytes go in and come out as std::string_view. Nothing keeps a view that it is given, not even a cursor or a scan.
 *     A kv::range does: it is a description, and its bytes must live until it was used.
 *  3. Lifetimes. A view of a value is valid until its transaction ends or is refreshed, and in a write transaction only
 *     until the next write. A view of a key from a cursor, a scan or a difference is valid until its next step. Make a
 *     std::string of what lives longer.
 *  4. Ownership. Databases, transactions, cursors, scans, differences and writers can be moved and not copied, and
 *     release what they own when they are destroyed, in any order. A kv::table is a number in a transaction and owns
 *     nothing; a kv::buffer counts its references. An object that was moved from, closed or ended throws KV_BAD_HANDLE
 *     when it is used. handle() gives what kv.h takes, for calls that are not here.
 *  5. Callbacks may throw. The call ends then, and the exception comes out of it.
 */
#ifndef KV_HPP
#define KV_HPP

#if __cplusplus < 201703L
#error "kv.hpp needs C++17 or later: compile with -std=c++17"
#endif

#include <kv.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace kv {

/** The number of a table, a type of its own, so that it is never taken for flags. kv.h takes static_cast<kv_table>. */
enum class table_id : kv_table {
    main = KV_MAIN,
    /** The table whose keys are the names of the others. */
    tables = KV_TABLES,
    /** The table whose keys are the names of the snapshots. */
    snapshots = KV_SNAPSHOTS
};

/* ==== Errors ================================================================================================== */

/** What every failed call throws. what() is the line that kv_error_message() gives. */
class error : public std::runtime_error {
public:
    /** An error of which nothing but its status and its message is known. */
    error(kv_status status, const std::string &message) : error(none(status), message, std::string()) {}
    /** The error that kv_error_detail() told, about the file at `path`. `detail.message` is not looked at. */
    error(const kv_error &detail, const std::string &message, const std::string &path)
        : std::runtime_error(message), detail_(detail), path_(std::make_shared<const std::string>(path))
    {
        detail_.message = nullptr; // it was valid until the next call only
    }

    /** The same error, about the file at `path`. */
    error(const error &other, const std::string &path)
        : std::runtime_error(other), detail_(other.detail_), path_(std::make_shared<const std::string>(path))
    {
    }

    /** KV_NOTFOUND, KV_CORRUPT and the others. */
    kv_status status() const noexcept { return detail_.status; }
    /** The name of the status, such as "KV_CORRUPT". */
    const char *status_name() const noexcept { return kv_status_name(detail_.status); }
    /** Absolute path of the database, or the path that was given to open it; "" if it is not known. */
    const std::string &path() const noexcept { return *path_; }
    /** Number of the damaged page, if there is one and it is known. */
    std::optional<std::uint64_t> page() const noexcept { return known(detail_.page); }
    /** Number of the table that the damaged page belongs to, if it is known. */
    std::optional<table_id> table() const noexcept
    {
        std::optional<std::uint64_t> number = known(detail_.table);
        return number ? std::optional<table_id>(table_id{*number}) : std::nullopt;
    }
    /** The errno of the system call that failed; 0 if none did. */
    int system_errno() const noexcept { return detail_.sys_errno; }
    /** After KV_TOO_SMALL: how many bytes are needed. Otherwise 0. */
    std::uint64_t needed() const noexcept { return detail_.needed; }
    /** Name of the function of kv.h that failed, "" if none did. */
    const char *function() const noexcept { return detail_.function; }

private:
    static std::optional<std::uint64_t> known(std::uint64_t number) noexcept
    {
        return number == KV_NONE ? std::nullopt : std::optional<std::uint64_t>(number);
    }
    static kv_error none(kv_status status) noexcept
    {
        kv_error detail = KV_ERROR_INIT;
        detail.status = status;
        detail.page = detail.table = KV_NONE;
        detail.function = "";
        return detail;
    }

    kv_error detail_;
    std::shared_ptr<const std::string> path_; // shared, so that copying an error cannot throw
};

/* ==== Bytes, entries, ranges ================================================================================== */

/** The bytes of a slice. */
inline std::string_view view(kv_slice slice) noexcept
{
    return std::string_view(static_cast<const char *>(slice.data), slice.len);
}

/** Bytes as kv.h takes them. */
inline kv_slice slice(std::string_view bytes) noexcept
{
    return kv_slice{bytes.data(), bytes.size()};
}

/** A key and its value. Convention 3 says how long they are valid. */
struct entry {
    std::string_view key;
    std::string_view value;
};

/**
 * A range of keys, which is the whole table at first. Each function returns a narrower one:
 * kv::prefix("user/").after(last).reverse(). The bytes of its bounds must live until it was used.
 */
class range {
public:
    range() noexcept = default;
    /** Only keys greater than or equal to `key`. */
    range from(std::string_view key) const noexcept { return with(KV_RANGE_FROM, &kv_range::from, key); }
    /** Only keys greater than `key`. */
    range after(std::string_view key) const noexcept { return with(KV_RANGE_AFTER, &kv_range::from, key); }
    /** Only keys less than `key`. */
    range before(std::string_view key) const noexcept { return with(KV_RANGE_BEFORE, &kv_range::to, key); }
    /** Only keys less than or equal to `key`. */
    range through(std::string_view key) const noexcept { return with(KV_RANGE_THROUGH, &kv_range::to, key); }
    /** Only keys that begin with `bytes`. */
    range prefix(std::string_view bytes) const noexcept { return with(KV_RANGE_PREFIX, &kv_range::prefix, bytes); }
    /** The same keys from the greatest down. */
    range reverse() const noexcept
    {
        range result = *this;
        result.range_.flags |= KV_RANGE_REVERSE;
        return result;
    }
    const kv_range *get() const noexcept { return &range_; }

private:
    range with(std::uint32_t flag, kv_slice kv_range::*field, std::string_view bytes) const noexcept
    {
        range result = *this;
        result.range_.flags |= flag;
        result.range_.*field = slice(bytes);
        return result;
    }

    kv_range range_ = KV_RANGE_INIT;
};

/** All keys that begin with `bytes`. */
inline range prefix(std::string_view bytes) noexcept { return range().prefix(bytes); }
/** All keys greater than or equal to `key`. */
inline range from(std::string_view key) noexcept { return range().from(key); }
/** All keys greater than `key`. */
inline range after(std::string_view key) noexcept { return range().after(key); }
/** All keys less than `key`. */
inline range before(std::string_view key) noexcept { return range().before(key); }
/** All keys less than or equal to `key`. */
inline range through(std::string_view key) noexcept { return range().through(key); }
/** The whole table from the greatest key down. */
inline range reverse() noexcept { return range().reverse(); }

/* ==== What the classes share ================================================================================== */

namespace detail {

/** Throws the error of the last call on this thread, which returned `status`. */
[[noreturn]] inline void fail(kv_status status, const std::string &path)
{
    kv_error found = KV_ERROR_INIT;
    if (kv_error_detail(&found) != KV_OK || found.status != status) {
        throw error(error(status, kv_strerror(status)), path);
    }
    throw error(found, kv_error_message(), path);
}

/** What a call was about: the database that its error names, and the handle of the object. */
struct subject {
    kv_db *db;
    const void *handle;
};

/** The path of an open database; "" if it is in memory or closed. */
inline std::string path_of(kv_db *db)
{
    kv_identity identity = KV_IDENTITY_INIT;
    return kv_db_identity(db, &identity) == KV_OK ? identity.path : "";
}

/** Throws KV_BAD_HANDLE for an object without a handle. What kv.h says of a null pointer helps nobody here. */
[[noreturn]] inline void gone(kv_db *db)
{
    kv_error found = KV_ERROR_INIT;
    bool known = kv_error_detail(&found) == KV_OK && found.status == KV_BAD_HANDLE;
    std::string path = path_of(db);
    std::string message = path + (path.empty() ? "" : ": ") +
        "bad handle: the object was moved from, closed or ended; use the one that it was moved to, or a new one";
    throw known ? error(found, message, path) : error(KV_BAD_HANDLE, message);
}

/** Throws the error of the last call, which was about an object of an open database. */
[[noreturn]] inline void fail(kv_status status, const subject &about)
{
    if (status == KV_BAD_HANDLE && about.handle == nullptr) {
        gone(about.db);
    }
    try {
        fail(status, std::string());
    } catch (const error &found) {
        // Asked for now, as the detail had to be read before another call.
        kv_identity identity = KV_IDENTITY_INIT;
        if (kv_db_identity(about.db, &identity) != KV_OK) {
            throw;
        }
        throw error(found, identity.path);
    }
}

/** Throws unless the status is KV_OK. */
inline void ok(kv_status status, const subject &about)
{
    if (status != KV_OK) {
        fail(status, about);
    }
}

/** Whether the status is KV_OK and not the one that stands for "no". Throws if it is any other. */
inline bool ok_or(kv_status no, kv_status status, const subject &about)
{
    if (status == no) {
        return false;
    }
    ok(status, about);
    return true;
}

/** Bytes as text in a message: what cannot be printed as \xNN, and of long ones only the beginning. */
inline std::string shown(std::string_view bytes)
{
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (char c : bytes.substr(0, 64)) {
        unsigned char byte = static_cast<unsigned char>(c);
        if (byte >= ' ' && byte < 127 && c != '\\' && c != '"') {
            text += c;
        } else {
            text += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
        }
    }
    return '"' + text + (bytes.size() > 64 ? "\"..." : "\"");
}

/** Throws KV_NOTFOUND for a key, of which kv.h has no message, because it happens in loops. */
[[noreturn]] inline void missing(kv_db *db, kv_table table, std::string_view key)
{
    std::string path = path_of(db);
    std::string where = path.empty() ? "a database in memory" : path;
    std::string in = table == KV_MAIN ? "the main table" : "table number " + std::to_string(table);
    throw error(error(KV_NOTFOUND, where + ": there is no key " + shown(key) + " in " + in +
        "; where a key may be missing, use try_get"), path);
}

/** A path as a C string, which a byte 0 would cut. */
inline const char *path(const std::string &name)
{
    if (name.find('\0') != std::string::npos) {
        throw error(KV_INVALID, "the path has a byte 0, which no name of a file can have; give another one");
    }
    return name.c_str();
}

/** What a callback of kv.h gets as its context: the function to call, and what that threw. */
template <class Function>
struct callback {
    Function &function;
    std::exception_ptr thrown = nullptr;

    /** Calls the function; returns `failed` if it throws, which ends the job. */
    template <class... Arguments>
    std::int32_t call(std::int32_t failed, const Arguments &...arguments) noexcept
    {
        try {
            function(arguments...);
            return 0;
        } catch (...) {
            thrown = std::current_exception();
            return failed;
        }
    }
    /** Throws what the function threw. */
    void finish() const
    {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
    }
};

} // namespace detail

/* ==== Jobs ==================================================================================================== */

/** How to do a check, a backup or a salvage. */
struct job {
    /** KV_JOB_... flags. */
    std::uint32_t flags = 0;
    /** Called with the progress, at most every 100 ms and once at the end: how many pages are done, of at most how
     *  many. If it throws, the job ends. May be empty. */
    std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

/** How a file is made smaller while others use it. */
struct compact_options {
    /** Whether pages stay where they are, so that only what is free at the end of the file is cut off. */
    bool stay = false;
    /** Whether the room of free runs inside the file is given back to the file system, too. */
    bool punch = false;
    /** As job::progress. */
    std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

/** Called for each fault that is found, which is valid during the call. If it throws, the job ends. May be empty. */
using fault_function = std::function<void(const kv_fault &fault)>;

namespace detail {

/** A job on its way: what it calls, and what that threw. */
class running_job {
public:
    explicit running_job(const job &how, const fault_function &on_fault = nullptr)
        : progress_{how.progress}, fault_{on_fault}
    {
        options_.flags = how.flags;
        if (how.progress) {
            options_.progress = [](void *ctx, std::uint64_t done, std::uint64_t total) {
                return static_cast<decltype(progress_) *>(ctx)->call(1, done, total);
            };
            options_.ctx = &progress_;
        }
    }
    const kv_job_options *options() const noexcept { return &options_; }
    kv_fault_fn on_fault() const noexcept
    {
        if (!fault_.function) {
            return nullptr;
        }
        return [](void *ctx, const kv_fault *fault) { return static_cast<decltype(fault_) *>(ctx)->call(1, *fault); };
    }
    void *on_fault_ctx() noexcept { return &fault_; }
    void finish() const
    {
        fault_.finish();
        progress_.finish();
    }

private:
    kv_job_options options_ = KV_JOB_OPTIONS_INIT;
    callback<const std::function<void(std::uint64_t, std::uint64_t)>> progress_;
    callback<const fault_function> fault_;
};

} // namespace detail

/* ==== Cursors and scans ======================================================================================= */

/**
 * A position in a range of a table, as kv.h describes it: new, it stands before the first entry. A function that moves
 * to an entry returns it, or nothing if there is none. Cursors end with their transaction.
 */
class cursor {
public:
    /** Takes a handle over. */
    cursor(kv_db *db, kv_cursor *handle) noexcept : db_(db), handle_(handle) {}
    cursor(cursor &&other) noexcept : db_(other.db_), handle_(std::exchange(other.handle_, nullptr)) {}
    cursor &operator=(cursor &&other) noexcept
    {
        if (this != &other) {
            kv_cursor_close(handle_);
            db_ = other.db_;
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~cursor() { kv_cursor_close(handle_); }

    /** Moves to the first entry of the range. */
    std::optional<entry> first() { return move(kv_cursor_first); }
    /** Moves to the last entry of the range. */
    std::optional<entry> last() { return move(kv_cursor_last); }
    /** Moves to the next entry; a new cursor moves to the first. */
    std::optional<entry> next() { return move(kv_cursor_next); }
    /** Moves to the previous entry. */
    std::optional<entry> prev() { return move(kv_cursor_prev); }
    /** Reads the current entry again; nothing if the cursor stands on none. */
    std::optional<entry> get() { return move(kv_cursor_get); }
    /** Moves to an entry by its key; `how` is one of KV_SEEK_... */
    std::optional<entry> seek(std::string_view key, std::uint32_t how = KV_SEEK_GE)
    {
        return move(kv_cursor_seek, key.data(), key.size(), how);
    }
    /** Moves to the n-th entry of the range, counted from 0. */
    std::optional<entry> nth(std::uint64_t n) { return move(kv_cursor_nth, n); }
    /** Moves to the entry at a percentile of the range, from 0 to 100. */
    std::optional<entry> percentile(double percent) { return move(kv_cursor_percentile, percent); }
    /** Moves to a random entry of the range. */
    std::optional<entry> random() { return move(kv_cursor_random); }
    /** Moves over the next entries and hands out up to `n` of them; their keys are valid together. */
    std::vector<entry> next_many(std::size_t n)
    {
        std::vector<kv_entry> found(n);
        std::size_t got = 0;
        std::vector<entry> entries;
        entries.reserve(n);
        if (detail::ok_or(KV_NOTFOUND, kv_cursor_next_many(handle_, found.data(), n, &got), about())) {
            for (std::size_t i = 0; i < got; i++) {
                entries.push_back(entry{view(found[i].key), view(found[i].value)});
            }
        }
        return entries;
    }
    /** Fills a batch with the next entries; false if none is left. Throws KV_TOO_SMALL if there is no room for one. */
    bool fill(kv_batch &batch) { return detail::ok_or(KV_NOTFOUND, kv_cursor_fill(handle_, &batch), about()); }

    /** Replaces the value of the current entry. Throws KV_NOTFOUND if the cursor stands on none. */
    void put(std::string_view value) { detail::ok(kv_cursor_put(handle_, value.data(), value.size()), about()); }
    /** Deletes the current entry. Throws KV_NOTFOUND if the cursor stands on none. */
    void erase() { detail::ok(kv_cursor_delete(handle_), about()); }

    /** Counts the entries of the range. */
    std::uint64_t count() const { return number(kv_cursor_count); }
    /** Counts the entries of the range before the current one, in the cursor's direction. */
    std::uint64_t rank() const { return number(kv_cursor_rank); }

    /** Closes the cursor, as its destructor does. */
    void close() noexcept { kv_cursor_close(std::exchange(handle_, nullptr)); }
    kv_cursor *handle() const noexcept { return handle_; }

private:
    template <class Step, class... Arguments>
    std::optional<entry> move(Step step, Arguments... arguments)
    {
        kv_slice key, value;
        if (!detail::ok_or(KV_NOTFOUND, step(handle_, arguments..., &key, &value), about())) {
            return std::nullopt;
        }
        return entry{view(key), view(value)};
    }
    std::uint64_t number(kv_status (*function)(kv_cursor *, std::uint64_t *)) const
    {
        std::uint64_t result = 0;
        detail::ok(function(handle_, &result), about());
        return result;
    }

    detail::subject about() const noexcept { return {db_, handle_}; }

    kv_db *db_;
    kv_cursor *handle_;
};

/**
 * The entries of a range for a loop: for (auto [key, value] : txn.scan()). An `Item` is an entry, or an
 * std::string_view with its key alone, for which no long value is read. Each begin() starts anew at the first entry.
 * Every step throws if it fails, so a loop that ends without an exception has seen the whole range.
 *
 * Its iterators are input iterators: there is one position, which all of them share. Do not move the scan while they
 * are used.
 */
template <class Item>
class scan {
public:
    using value_type = Item;

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = const Item *;
        using reference = const Item &;

        iterator() noexcept = default;
        explicit iterator(scan *entries) noexcept : scan_(entries) {}
        reference operator*() const noexcept { return scan_->item_; }
        pointer operator->() const noexcept { return &scan_->item_; }
        iterator &operator++()
        {
            if (!scan_->step(kv_cursor_next)) {
                scan_ = nullptr;
            }
            return *this;
        }
        /** What `*i++` reads: its value is still valid, its key is not. */
        auto operator++(int)
        {
            struct {
                Item item;
                const Item &operator*() const noexcept { return item; }
            } before{scan_->item_};
            ++*this;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.scan_ == b.scan_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.scan_ != b.scan_; }

    private:
        scan *scan_ = nullptr;
    };
    using const_iterator = iterator;

    /** Takes a cursor over. */
    explicit scan(kv::cursor position, kv_db *db) noexcept : cursor_(std::move(position)), db_(db) {}

    iterator begin() { return step(kv_cursor_first) ? iterator(this) : iterator(); }
    iterator end() const noexcept { return iterator(); }
    /** Counts the entries without a walk. */
    std::uint64_t count() const { return cursor_.count(); }

private:
    bool step(kv_status (*function)(kv_cursor *, kv_slice *, kv_slice *))
    {
        kv_slice key, value;
        if constexpr (std::is_same_v<Item, entry>) {
            if (!detail::ok_or(KV_NOTFOUND, function(cursor_.handle(), &key, &value), {db_, cursor_.handle()})) {
                return false;
            }
            item_ = entry{view(key), view(value)};
        } else {
            if (!detail::ok_or(KV_NOTFOUND, function(cursor_.handle(), &key, nullptr), {db_, cursor_.handle()})) {
                return false;
            }
            item_ = view(key);
        }
        return true;
    }

    kv::cursor cursor_;
    kv_db *db_;
    Item item_ = {};
};

/* ==== Differences ============================================================================================= */

/** A change between two states: a key, and its values before and after, one of which may be missing. */
struct change {
    /** KV_CHANGE_... */
    std::uint32_t kind;
    /** The key, valid until the next call on the difference. */
    std::string_view key;
    /** The value before; nothing if the key was added. */
    std::optional<std::string_view> before;
    /** The value after; nothing if the key was removed. */
    std::optional<std::string_view> after;
};

/** The changes of a table between two transactions, in order. It ends with the first of them that ends. */
class difference {
public:
    /** Takes a handle over. */
    difference(kv_db *db, kv_diff *handle) noexcept : db_(db), handle_(handle) {}
    difference(difference &&other) noexcept : db_(other.db_), handle_(std::exchange(other.handle_, nullptr)) {}
    difference &operator=(difference &&other) noexcept
    {
        if (this != &other) {
            kv_diff_close(handle_);
            db_ = other.db_;
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~difference() { kv_diff_close(handle_); }

    /** Goes to the next change; nothing if there is none. */
    std::optional<change> next()
    {
        kv_change found = KV_CHANGE_INIT;
        if (!detail::ok_or(KV_NOTFOUND, kv_diff_next(handle_, &found), {db_, handle_})) {
            return std::nullopt;
        }
        return change{found.kind, view(found.key), some(found.before), some(found.after)};
    }
    /** Fills a batch with the next changes; false if none is left. Throws KV_TOO_SMALL if there is no room for one. */
    bool fill(kv_batch &batch) { return detail::ok_or(KV_NOTFOUND, kv_diff_fill(handle_, &batch), {db_, handle_}); }

    /** Closes the difference, as its destructor does. */
    void close() noexcept { kv_diff_close(std::exchange(handle_, nullptr)); }
    kv_diff *handle() const noexcept { return handle_; }

private:
    static std::optional<std::string_view> some(const kv_slice &value)
    {
        return value.data != nullptr ? std::optional<std::string_view>(view(value)) : std::nullopt;
    }

    kv_db *db_;
    kv_diff *handle_;
};

/* ==== Long and retained values ================================================================================ */

/** A value that is written in parts. If it is destroyed unfinished, the value is given up. */
class writer {
public:
    /** Takes a handle over. */
    writer(kv_db *db, kv_writer *handle) noexcept : db_(db), handle_(handle) {}
    writer(writer &&other) noexcept : db_(other.db_), handle_(std::exchange(other.handle_, nullptr)) {}
    writer &operator=(writer &&other) noexcept
    {
        if (this != &other) {
            kv_writer_close(handle_);
            db_ = other.db_;
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~writer() { kv_writer_close(handle_); }

    /** Appends bytes to the value. */
    void write(std::string_view bytes)
    {
        detail::ok(kv_writer_write(handle_, bytes.data(), bytes.size()), {db_, handle_});
    }
    /** Puts the entry with the value that was written. The writer is closed whatever happens. */
    void finish()
    {
        kv_writer *handle = std::exchange(handle_, nullptr);
        detail::ok(kv_writer_finish(handle), {db_, handle});
    }
    /** Gives the value up, as the destructor does. */
    void close() noexcept { kv_writer_close(std::exchange(handle_, nullptr)); }
    kv_writer *handle() const noexcept { return handle_; }

private:
    kv_db *db_;
    kv_writer *handle_;
};

/** A value that outlives its transaction and its database. A copy shares the bytes; any thread may have one. */
class buffer {
public:
    /** Takes a reference over. */
    buffer(std::string_view bytes, kv_buf *handle) noexcept : bytes_(bytes), handle_(handle) {}
    buffer(const buffer &other) : bytes_(other.bytes_), handle_(other.handle_)
    {
        if (handle_ != nullptr) {
            detail::ok(kv_buf_retain(handle_), {nullptr, handle_});
        }
    }
    buffer(buffer &&other) noexcept
        : bytes_(std::exchange(other.bytes_, {})), handle_(std::exchange(other.handle_, nullptr))
    {
    }
    buffer &operator=(buffer other) noexcept
    {
        std::swap(bytes_, other.bytes_);
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~buffer() { kv_buf_release(handle_); }

    /** The bytes, valid as long as this buffer or a copy of it. */
    std::string_view view() const noexcept { return bytes_; }
    kv_buf *handle() const noexcept { return handle_; }

private:
    std::string_view bytes_;
    kv_buf *handle_;
};

namespace detail {

/** Whether what an iterator refers to stays where it is while the iterator goes on. */
template <class Iterator, class = void>
struct keeps_elements : std::false_type {};
template <class Iterator>
struct keeps_elements<Iterator, std::void_t<typename std::iterator_traits<Iterator>::iterator_category>>
    : std::bool_constant<std::is_lvalue_reference_v<decltype(*std::declval<Iterator &>())> &&
          std::is_base_of_v<std::forward_iterator_tag,
              typename std::iterator_traits<Iterator>::iterator_category>> {};

} // namespace detail

/* ==== Tables ================================================================================================== */

/**
 * A table as one transaction sees it. It owns nothing and can be copied; after the end of the transaction, every call
 * throws KV_BAD_HANDLE. Flags are those of kv_put() and kv_delete().
 */
class table {
public:
    table(kv_db *db, kv_txn *txn, table_id number) noexcept
        : db_(db), txn_(txn), number_(static_cast<kv_table>(number))
    {
    }

    /** The number of the table, the same in every transaction and process. */
    table_id number() const noexcept { return table_id{number_}; }

    /** The value of a key, read in place. Throws KV_NOTFOUND if there is none. */
    std::string_view get(std::string_view key) const
    {
        std::optional<std::string_view> value = try_get(key);
        if (!value) {
            detail::missing(db_, number_, key);
        }
        return *value;
    }
    /** The value of a key, read in place; nothing if there is none. Throws every other error. */
    std::optional<std::string_view> try_get(std::string_view key) const
    {
        kv_slice value;
        return some(found(kv_get(txn_, number_, key.data(), key.size(), &value)), value);
    }
    /** Whether the key exists; no long value is read. */
    bool contains(std::string_view key) const { return found(kv_get(txn_, number_, key.data(), key.size(), nullptr)); }
    /** Copies a value into memory of the caller and returns its length. Throws KV_TOO_SMALL with needed(). */
    std::size_t get_copy(std::string_view key, void *memory, std::size_t size) const
    {
        std::size_t len = 0;
        ok(kv_get_copy(txn_, number_, key.data(), key.size(), memory, size, &len));
        return len;
    }
    /** A value that outlives the transaction; nothing if there is none. */
    std::optional<buffer> get_buf(std::string_view key) const
    {
        kv_slice value;
        kv_buf *handle = nullptr;
        if (!found(kv_get_buf(txn_, number_, key.data(), key.size(), &value, &handle))) {
            return std::nullopt;
        }
        return std::optional<buffer>(std::in_place, kv::view(value), handle);
    }
    /** The values of many keys, which is faster than one after the other. `Keys` is any range of strings. Those that a
     *  range makes on the way, as std::views::transform does, are copied for the call. */
    template <class Keys>
    std::vector<std::optional<std::string_view>> get_many(Keys &&keys) const
    {
        std::vector<kv_slice> wanted, values;
        if constexpr (detail::keeps_elements<decltype(std::begin(keys))>::value) {
            for (const auto &key : keys) {
                wanted.push_back(slice(key));
            }
        } else {
            std::vector<std::string> copies;
            for (auto &&key : keys) {
                copies.emplace_back(std::string_view(key));
            }
            return get_many(copies);
        }
        values.resize(wanted.size());
        ok(kv_get_many(txn_, number_, wanted.data(), wanted.size(), values.data(), nullptr));
        std::vector<std::optional<std::string_view>> result;
        result.reserve(values.size());
        for (const kv_slice &value : values) {
            result.push_back(some(value.data != nullptr, value));
        }
        return result;
    }
    /** Copies the values of many keys, packed in and out. Throws KV_TOO_SMALL if there is no room for one. */
    void get_packed(const kv_batch &keys, kv_batch &values) const { ok(kv_get_packed(txn_, number_, &keys, &values)); }

    /** The entries of a range, for a loop. */
    kv::scan<entry> scan(const range &keys = {}) const { return kv::scan<entry>(open_cursor(keys), db_); }
    /** The keys of a range, for a loop. */
    kv::scan<std::string_view> keys(const range &keys = {}) const
    {
        return kv::scan<std::string_view>(open_cursor(keys), db_);
    }
    /** A cursor before the first entry of a range. */
    [[nodiscard]] cursor open_cursor(const range &keys = {}) const
    {
        kv_cursor *handle = nullptr;
        ok(kv_cursor_open(txn_, number_, keys.get(), &handle));
        return cursor(db_, handle);
    }
    /** Fills a batch with the first entries of a range; false if there is none. Throws KV_TOO_SMALL as kv_scan(). */
    bool scan_packed(const range &keys, kv_batch &batch) const
    {
        return found(kv_scan(txn_, number_, keys.get(), &batch));
    }

    /** Counts the entries of a range, in time that grows only with the height of the tree. */
    std::uint64_t count(const range &keys = {}) const
    {
        std::uint64_t result = 0;
        ok(kv_count(txn_, number_, keys.get(), &result));
        return result;
    }
    bool empty() const { return count() == 0; }

    /**
     * Hands each range of keys to `function(const kv::range &)` in which something may have changed since a snapshot or
     * mark, in ascending order. The bytes of its bounds live until the function returns.
     */
    template <class Function>
    void changed_ranges(std::string_view snapshot, Function &&function, const range &keys = {}) const
    {
        auto give = [&](const kv_range &changed) {
            range given;
            given = (changed.flags & KV_RANGE_FROM) != 0 ? given.from(view(changed.from)) : given;
            given = (changed.flags & KV_RANGE_BEFORE) != 0 ? given.before(view(changed.to)) : given;
            function(static_cast<const range &>(given));
        };
        detail::callback<decltype(give)> out{give};
        kv_range_fn call = [](void *ctx, const kv_range *changed) {
            return static_cast<detail::callback<decltype(give)> *>(ctx)->call(1, *changed);
        };
        kv_status status =
            kv_snapshot_ranges(txn_, snapshot.data(), snapshot.size(), number_, keys.get(), call, &out);
        out.finish();
        ok(status);
    }

    /** Counts the entries whose keys are less than `key`. */
    std::uint64_t rank(std::string_view key) const
    {
        std::uint64_t result = 0;
        ok(kv_rank(txn_, number_, key.data(), key.size(), &result));
        return result;
    }

    /** The changes of this table since another transaction, which is given as itself or as any table of it. */
    [[nodiscard]] difference changes_since(const table &before, const range &keys = {}) const
    {
        kv_diff *handle = nullptr;
        ok(kv_diff_open(before.txn_, txn_, number_, keys.get(), &handle));
        return difference(db_, handle);
    }
    /** Counts these changes. */
    kv_diff_counts count_changes_since(const table &before, const range &keys = {}) const
    {
        kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
        ok(kv_diff_count(before.txn_, txn_, number_, keys.get(), &counts));
        return counts;
    }
    /** Whether this table is known to be the same as in another transaction, without reading an entry. */
    bool is_same_since(const table &before) const { return is_same(before, number_); }

    /** Puts an entry. What the flags demand is thrown as KV_EXISTS, KV_NOTFOUND or KV_ORDER. */
    void put(std::string_view key, std::string_view value, std::uint32_t flags = 0)
    {
        ok(kv_put(txn_, number_, key.data(), key.size(), value.data(), value.size(), flags));
    }
    /** Puts an entry if its key does not exist; otherwise returns false, and `existing` receives the value. */
    bool insert(std::string_view key, std::string_view value, std::string_view *existing = nullptr)
    {
        kv_slice there;
        if (detail::ok_or(KV_EXISTS,
                kv_insert(txn_, number_, key.data(), key.size(), value.data(), value.size(), &there), about())) {
            return true;
        }
        if (existing != nullptr) {
            *existing = kv::view(there);
        }
        return false;
    }
    /** Puts an entry and returns the value that it replaces, valid until the next write; nothing if there was none. */
    std::optional<std::string_view> replace(std::string_view key, std::string_view value, std::uint32_t flags = 0)
    {
        kv_slice old;
        ok(kv_replace(txn_, number_, key.data(), key.size(), value.data(), value.size(), flags, &old));
        return some(old.data != nullptr, old);
    }
    /** Puts an entry of `len` zero bytes and returns where they lie, to be filled before the next call. */
    void *reserve(std::string_view key, std::size_t len, std::uint32_t flags = 0)
    {
        void *data = nullptr;
        ok(kv_reserve(txn_, number_, key.data(), key.size(), len, flags, &data));
        return data;
    }
    /** Deletes an entry; false if there is none. With KV_BLIND it does not look, and returns true. */
    bool erase(std::string_view key, std::uint32_t flags = 0)
    {
        return found(kv_delete(txn_, number_, key.data(), key.size(), flags));
    }
    /** Deletes every entry of a range, which needs a bound, and returns how many there were. */
    std::uint64_t erase_range(const range &keys)
    {
        std::uint64_t deleted = 0;
        ok(kv_delete_range(txn_, number_, keys.get(), &deleted));
        return deleted;
    }
    /** Deletes an entry and returns its value, valid until the next write; nothing if there is none. */
    std::optional<std::string_view> take(std::string_view key)
    {
        kv_slice value;
        return some(found(kv_take(txn_, number_, key.data(), key.size(), &value)), value);
    }
    /** Deletes the first entry of a range and returns it, valid until the next write; nothing if there is none. */
    std::optional<entry> take_first(const range &keys = {})
    {
        kv_slice key, value;
        if (!found(kv_take_first(txn_, number_, keys.get(), &key, &value))) {
            return std::nullopt;
        }
        return entry{kv::view(key), kv::view(value)};
    }
    /** Puts packed entries; `done` receives how many, also if it throws. */
    void put_packed(const kv_batch &entries, std::uint32_t flags = 0, std::size_t *done = nullptr)
    {
        ok(kv_put_packed(txn_, number_, &entries, flags, done));
    }
    /** Deletes packed keys; `done` receives how many, also if it throws. */
    void erase_packed(const kv_batch &keys, std::uint32_t flags = 0, std::size_t *done = nullptr)
    {
        ok(kv_delete_packed(txn_, number_, &keys, flags, done));
    }

    /** Begins a value that is written in parts. A good hint of its length lets it lie in one piece. */
    [[nodiscard]] writer open_writer(std::string_view key, std::uint32_t flags = 0, std::uint64_t size_hint = 0)
    {
        kv_writer *handle = nullptr;
        ok(kv_writer_open(txn_, number_, key.data(), key.size(), size_hint, flags, &handle));
        return writer(db_, handle);
    }
    /** Copies a part of a value and returns how many bytes: less than `size` at its end. */
    std::size_t read_value(std::string_view key, std::uint64_t offset, void *memory, std::size_t size) const
    {
        std::size_t got = 0;
        ok(kv_value_read(txn_, number_, key.data(), key.size(), offset, memory, size, &got));
        return got;
    }
    /** The contiguous pieces of a value, which is not read. */
    std::vector<kv_extent> value_extents(std::string_view key) const
    {
        std::vector<kv_extent> extents(4);
        std::size_t n = 0;
        // The second call has the room that the first one found to be missing.
        while (!detail::ok_or(KV_TOO_SMALL,
            kv_value_extents(txn_, number_, key.data(), key.size(), extents.data(), extents.size(), &n), about())) {
            extents.resize(n);
        }
        extents.resize(n);
        return extents;
    }
    /** Length and shape of a value, which is not read. Throws KV_NOTFOUND if there is none. */
    kv_value_stat stat_value(std::string_view key) const
    {
        kv_value_stat stat = KV_VALUE_STAT_INIT;
        ok(kv_stat_value(txn_, number_, key.data(), key.size(), &stat));
        return stat;
    }

    /** The name of the table, valid until the transaction ends; empty for KV_MAIN and KV_TABLES. */
    std::string_view name() const { return text(kv_table_name); }
    /** The note of the table, valid until the transaction ends. */
    std::string_view note() const { return text(kv_table_note); }
    /** Attaches a note to the table, of at most 1024 bytes. */
    void set_note(std::string_view note) { ok(kv_table_set_note(txn_, number_, note.data(), note.size())); }
    /** Gives the table another name; a table that has the name already is dropped. */
    void rename(std::string_view name) { ok(kv_table_rename(txn_, number_, name.data(), name.size())); }
    /** Deletes every entry. */
    void clear() { ok(kv_table_clear(txn_, number_)); }
    /** Drops the table with all its entries. */
    void drop() { ok(kv_table_drop(txn_, number_)); }
    /** Figures of the table (level 0) or of one level of its tree. */
    kv_table_stat stat_table(std::uint32_t level = 0) const
    {
        kv_table_stat stat = KV_TABLE_STAT_INIT;
        ok(kv_stat_table(txn_, number_, level, &stat));
        return stat;
    }

protected:
    detail::subject about() const noexcept { return {db_, txn_}; }
    void ok(kv_status status) const { detail::ok(status, about()); }
    bool found(kv_status status) const { return detail::ok_or(KV_NOTFOUND, status, about()); }
    bool is_same(const table &before, kv_table number) const
    {
        std::int32_t same = 0;
        ok(kv_same(before.txn_, txn_, number, &same));
        return same != 0;
    }

    kv_db *db_;
    kv_txn *txn_;

private:
    static std::optional<std::string_view> some(bool there, const kv_slice &value)
    {
        return there ? std::optional<std::string_view>(kv::view(value)) : std::nullopt;
    }
    std::string_view text(kv_status (*function)(const kv_txn *, kv_table, kv_slice *)) const
    {
        kv_slice result;
        ok(function(txn_, number_, &result));
        return kv::view(result);
    }

    kv_table number_;
};

/* ==== Transactions ============================================================================================ */

/** How to begin a transaction: kv_txn_options with its defaults. */
struct transaction_options : kv_txn_options {
    transaction_options() noexcept : kv_txn_options(KV_TXN_OPTIONS_INIT) {}
};

/** The number of a savepoint, from kv::transaction::create_savepoint(). */
enum class savepoint : std::uint64_t {};

/**
 * A transaction, which is used like its main table. It is aborted when it is destroyed, unless it was committed.
 * kv::database::read() and write() begin one.
 */
class transaction : public table {
public:
    /** Takes a handle over. */
    transaction(kv_db *db, kv_txn *handle) noexcept : table(db, handle, table_id::main) {}
    transaction(transaction &&other) noexcept : table(other) { other.txn_ = nullptr; }
    /** Aborts the transaction that was here, so that its write lock and its snapshot are given back at once. */
    transaction &operator=(transaction &&other) noexcept
    {
        if (this != &other) {
            kv_txn_abort(txn_);
            db_ = other.db_;
            txn_ = std::exchange(other.txn_, nullptr);
        }
        return *this;
    }
    ~transaction() { kv_txn_abort(txn_); }

    /**
     * Commits and ends the transaction, and returns the number of the commit. It ends whatever is thrown, but for
     * KV_BUSY in a callback.
     */
    std::uint64_t commit() { return end(kv_txn_commit); }
    /** Does so without waiting until the commit is durable; kv::database::wait_durable() does that. */
    std::uint64_t commit_async() { return end(kv_txn_commit_async); }
    /** Ends the transaction and undoes what it wrote. Harmless if it has ended. */
    void abort() noexcept
    {
        kv_txn_abort(txn_);
        txn_ = nullptr;
    }
    /**
     * Begins a transaction within this one, which writes. Its commit makes what it wrote part of this one, and its
     * destruction undoes it. While it is open, calls on this one, its tables and its cursors throw KV_CHILD_OPEN.
     */
    [[nodiscard]] transaction nest()
    {
        kv_txn *nested = nullptr;
        ok(kv_txn_nest(txn_, &nested));
        return transaction(db_, nested);
    }
    /**
     * Calls `work(transaction &)` in a nested transaction: what that wrote stays, or is undone if an exception leaves.
     * It may commit or abort by itself.
     */
    template <class Work>
    void nested(Work &&work)
    {
        transaction inside = nest();
        std::forward<Work>(work)(inside);
        if (inside.handle() != nullptr) {
            inside.commit();
        }
    }
    /** Makes a savepoint of the transaction as it is. Views that it returned are no longer valid. */
    [[nodiscard]] savepoint create_savepoint()
    {
        std::uint64_t number = 0;
        ok(kv_savepoint_create(txn_, &number));
        return savepoint{number};
    }
    /**
     * Undoes what was written since a savepoint, which stays; later ones are gone. Cursors stay at their keys, and a
     * transaction that has failed since goes on.
     */
    void rollback_savepoint(savepoint to) { ok(kv_savepoint_rollback(txn_, static_cast<std::uint64_t>(to))); }
    /** Forgets a savepoint and later ones. What was written since stays. */
    void release_savepoint(savepoint which) { ok(kv_savepoint_release(txn_, static_cast<std::uint64_t>(which))); }
    /** Moves a read transaction to the newest commit. Views that it returned are no longer valid. */
    void refresh() { ok(kv_txn_refresh(txn_)); }
    /** Whether all tables are known to be the same as in another transaction, without reading an entry. */
    bool all_is_same_since(const transaction &before) const { return is_same(before, KV_NONE); }
    /**
     * Makes all tables what a read transaction of the same database sees, and returns how many keys differed. Table
     * objects stay valid if their tables do.
     */
    std::uint64_t revert(const transaction &from) { return revert_table(from, KV_NONE); }
    /** Makes a table what a read transaction sees, with its name and note. */
    std::uint64_t revert(const transaction &from, const table &only) 
    {
        return revert_table(from, static_cast<kv_table>(only.number()));
    }
    /** The number of the commit that is read. */
    std::uint64_t id() const
    {
        std::uint64_t result = 0;
        ok(kv_txn_id(txn_, &result));
        return result;
    }

    /** The table of this name. Throws KV_NO_TABLE if there is none. */
    table open_table(std::string_view name) const
    {
        kv_table number = 0;
        ok(kv_table_open(txn_, name.data(), name.size(), &number));
        return table(db_, txn_, table_id{number});
    }
    /** The table of this name; nothing if there is none. */
    std::optional<table> try_open_table(std::string_view name) const
    {
        kv_table number = 0;
        if (!detail::ok_or(KV_NO_TABLE, kv_table_open(txn_, name.data(), name.size(), &number), about())) {
            return std::nullopt;
        }
        return table(db_, txn_, table_id{number});
    }
    /** Creates a table, or finds the one that has this name already. With KV_TABLE_NEW, that throws KV_EXISTS. */
    table create_table(std::string_view name, std::uint32_t flags = 0)
    {
        kv_table_options options = KV_TABLE_OPTIONS_INIT;
        kv_table number = 0;
        options.flags = flags;
        ok(kv_table_create(txn_, name.data(), name.size(), &options, &number));
        return table(db_, txn_, table_id{number});
    }
    /** The table with this number, which is not looked for: kv::table_id::main or tables, or one kept from before. */
    table table_at(table_id number) const noexcept { return table(db_, txn_, number); }
    /** The names of the named tables. */
    std::vector<std::string> table_names() const
    {
        std::vector<std::string> names;
        for (std::string_view name : table_at(table_id::tables).keys()) {
            names.emplace_back(name);
        }
        return names;
    }

    /** Records a snapshot: of what this transaction is about to commit, or of what it sees, in a commit of its own. */
    void create_snapshot(std::string_view name, std::uint32_t flags = 0, std::string_view note = {})
    {
        kv_snapshot_options options = KV_SNAPSHOT_OPTIONS_INIT;
        options.flags = flags;
        options.note = slice(note);
        ok(kv_snapshot_create(txn_, name.data(), name.size(), &options));
    }
    /** Gives a snapshot another name; a snapshot that has the name already is dropped. */
    void rename_snapshot(std::string_view name, std::string_view to)
    {
        ok(kv_snapshot_rename(txn_, name.data(), name.size(), to.data(), to.size()));
    }
    /** Drops a snapshot; false if there is none of this name. */
    bool drop_snapshot(std::string_view name) { return found(kv_snapshot_drop(txn_, name.data(), name.size())); }
    /** Makes a mark of a snapshot, of which nothing is kept; changed_ranges() tells what has changed since. */
    void release_snapshot(std::string_view name) { ok(kv_snapshot_release(txn_, name.data(), name.size())); }
    /** Says whether a snapshot is to be kept, so that dropping it throws KV_INVALID. */
    void keep_snapshot(std::string_view name, bool keep = true)
    {
        ok(kv_snapshot_keep(txn_, name.data(), name.size(), keep ? 1 : 0));
    }
    /** What is recorded of a snapshot; nothing if there is none of this name. */
    std::optional<kv_snapshot_stat> stat_snapshot(std::string_view name) const
    {
        kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
        bool there = found(kv_stat_snapshot(txn_, name.data(), name.size(), &stat));
        return there ? std::optional<kv_snapshot_stat>(stat) : std::nullopt;
    }
    /** Has commits record snapshots by themselves from now on, and drop those that do not stay. */
    void set_history(const kv_retention &policy) { ok(kv_history(txn_, &policy)); }
    /** Has commits record none any more. */
    void end_history() { ok(kv_history(txn_, nullptr)); }
    /** The policy by which commits record snapshots by themselves; nothing if they record none. */
    std::optional<kv_retention> history() const
    {
        kv_retention policy = KV_RETENTION_INIT;
        bool there = found(kv_stat_history(txn_, &policy));
        return there ? std::optional<kv_retention>(policy) : std::nullopt;
    }
    /** Drops the snapshots whose names begin with this, but for those that stay; returns how many. */
    std::uint64_t thin_snapshots(std::string_view prefix, const kv_retention &retention)
    {
        std::uint64_t dropped = 0;
        ok(kv_snapshot_thin(txn_, prefix.data(), prefix.size(), &retention, &dropped));
        return dropped;
    }
    /** The names of the snapshots. */
    std::vector<std::string> snapshot_names() const
    {
        std::vector<std::string> names;
        for (std::string_view name : table_at(table_id::snapshots).keys(kv::from("\1"))) {
            names.emplace_back(name);
        }
        return names;
    }

    /** Carries out puts and deletes in any tables, in their order; `done` receives how many, also if it throws. */
    void write_batch(const kv_op *operations, std::size_t n, std::size_t *done = nullptr)
    {
        ok(kv_write_batch(txn_, operations, n, done));
    }
    void write_batch(const std::vector<kv_op> &operations, std::size_t *done = nullptr)
    {
        write_batch(operations.data(), operations.size(), done);
    }

    /** Verifies all that the snapshot reaches. Damage is no exception here: look at `faults` of what is returned. */
    [[nodiscard]] kv_check_report check(const job &how = {}, const fault_function &on_fault = nullptr) const
    {
        return run_check(kv_check, static_cast<const kv_txn *>(txn_), about(), how, on_fault);
    }
    /** Copies the snapshot into a new file. */
    void backup(const std::string &path, const job &how = {}) const
    {
        run_backup(kv_backup, static_cast<const kv_txn *>(txn_), about(), path, how);
    }
    /** Hands a copy of the snapshot to `write(std::string_view)`, from its first byte to its last. */
    template <class Write>
    void backup_stream(Write &&write, const job &how = {}) const
    {
        detail::running_job running(how);
        detail::callback<Write> out{write};
        kv_write_fn call = [](void *ctx, const void *data, std::size_t len) {
            return static_cast<detail::callback<Write> *>(ctx)->call(
                EIO, std::string_view(static_cast<const char *>(data), len));
        };
        kv_status status = kv_backup_stream(txn_, call, &out, running.options());
        out.finish();
        running.finish();
        ok(status);
    }
    /** Writes a copy of the snapshot to a file descriptor, which the caller makes durable. */
    void backup_to_fd(int descriptor, const job &how = {}) const
    {
        detail::running_job running(how);
        kv_status status = kv_backup_stream(txn_, kv_fd_write, &descriptor, running.options());
        running.finish();
        ok(status);
    }
    /** Figures of the transaction. */
    kv_txn_stat stat_txn() const
    {
        kv_txn_stat stat = KV_TXN_STAT_INIT;
        ok(kv_stat_txn(txn_, &stat));
        return stat;
    }

    kv_txn *handle() const noexcept { return txn_; }

private:
    friend class database;

    template <class Function, class Object>
    static kv_check_report run_check(
        Function function, Object *object, const detail::subject &of, const job &how,
        const fault_function &on_fault)
    {
        detail::running_job running(how, on_fault);
        kv_check_report report = KV_CHECK_REPORT_INIT;
        kv_status status = function(object, running.options(), running.on_fault(), running.on_fault_ctx(), &report);
        running.finish();
        // Without a fault in the report, the damage kept the check itself from going on.
        if (status != KV_CORRUPT || report.faults == 0) {
            detail::ok(status, of);
        }
        return report;
    }
    template <class Function, class Object>
    static void run_backup(
        Function function, Object *object, const detail::subject &of, const std::string &path, const job &how)
    {
        detail::running_job running(how);
        kv_status status = function(object, detail::path(path), running.options());
        running.finish();
        detail::ok(status, of);
    }
    std::uint64_t revert_table(const transaction &from, kv_table number)
    {
        std::uint64_t changed = 0;
        ok(kv_revert(txn_, from.txn_, number, &changed));
        return changed;
    }
    std::uint64_t end(kv_status (*function)(kv_txn *, std::uint64_t *))
    {
        std::uint64_t number = 0;
        kv_txn *txn = txn_;
        kv_status status = function(txn, &number);
        if (status != KV_BUSY) {
            txn_ = nullptr;
        }
        detail::ok(status, {db_, txn});
        return number;
    }
};

namespace detail {

/** Whether an object points into a transaction, or contains what does. */
template <class Type>
struct is_view : std::false_type {};
template <>
struct is_view<std::string_view> : std::true_type {};
template <>
struct is_view<kv_slice> : std::true_type {};
template <>
struct is_view<kv_snapshot_stat> : std::true_type {};
template <>
struct is_view<entry> : std::true_type {};
template <>
struct is_view<table> : std::true_type {};
template <>
struct is_view<cursor> : std::true_type {};
template <>
struct is_view<change> : std::true_type {};
template <>
struct is_view<difference> : std::true_type {};
template <class Item>
struct is_view<scan<Item>> : std::true_type {};
template <class Type>
struct is_view<std::optional<Type>> : is_view<Type> {};
template <class Type>
struct is_view<std::vector<Type>> : is_view<Type> {};
template <class First, class Second>
struct is_view<std::pair<First, Second>> : std::disjunction<is_view<First>, is_view<Second>> {};

} // namespace detail

/* ==== Databases =============================================================================================== */

/** How to open a database: kv_options with its defaults. */
struct options : kv_options {
    options() noexcept : kv_options(KV_OPTIONS_INIT) {}
};

/** The numbers of two commits. */
struct commits {
    std::uint64_t visible;
    std::uint64_t durable;
};

/** An open database. Any number of threads may use it at once. */
class database {
public:
    /** Opens the database at `path`, and creates it if it does not exist, unless the options say otherwise. */
    explicit database(const std::string &path, const kv_options &how = options())
    {
        kv_status status = kv_open(detail::path(path), &how, &handle_);
        if (status != KV_OK) {
            detail::fail(status, path);
        }
    }
    /** Takes a handle over. */
    explicit database(kv_db *handle) noexcept : handle_(handle) {}
    /** Opens a database that is in memory only. */
    static database in_memory(kv_options how = options())
    {
        how.flags |= KV_OPEN_MEMORY;
        return database(std::string(), how);
    }
    database(database &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    /** Closes the database that was here, as the destructor does. */
    database &operator=(database &&other) noexcept
    {
        if (this != &other) {
            (void)kv_close(handle_);
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    /**
     * Closes the database. A destructor cannot report a failure: programs that commit lazily call close() before, which
     * tells whether everything became durable.
     */
    ~database() { (void)kv_close(handle_); }

    /** Closes the database; lazy commits become durable. It is closed whatever is thrown, but for KV_BUSY. */
    void close()
    {
        std::string path = detail::path_of(handle_);
        kv_status status = kv_close(handle_);
        if (status != KV_BUSY) {
            handle_ = nullptr;
        }
        if (status != KV_OK) {
            detail::fail(status, path);
        }
    }
    /** Ends the waits of other threads on this database, which throw KV_CANCELLED. */
    void interrupt() noexcept { kv_interrupt(handle_); }

    /** Begins a read transaction, which sees the newest commit for as long as it lasts. */
    [[nodiscard]] transaction read() const { return begin(KV_READ, nullptr); }
    [[nodiscard]] transaction read(const kv_txn_options &how) const { return begin(KV_READ, &how); }
    /** Begins a read transaction that sees a snapshot. Throws KV_NOTFOUND if there is none of this name. */
    [[nodiscard]] transaction read_snapshot(std::string_view name) const
    {
        transaction_options how;
        how.snapshot = slice(name.data() != nullptr ? name : std::string_view("")); // an empty name is refused
        return begin(KV_READ, &how);
    }
    /** Begins a write transaction, when no other one is open. */
    [[nodiscard]] transaction write() { return begin(KV_WRITE, nullptr); }
    [[nodiscard]] transaction write(const kv_txn_options &how) { return begin(KV_WRITE, &how); }
    /** Begins a write transaction; nothing if another one is open. */
    [[nodiscard]] std::optional<transaction> try_write()
    {
        transaction_options how;
        kv_txn *txn = nullptr;
        how.flags = KV_TXN_NOWAIT;
        if (!detail::ok_or(KV_BUSY, kv_txn_begin(handle_, KV_WRITE, &how, &txn), about())) {
            return std::nullopt;
        }
        return transaction(handle_, txn);
    }
    /**
     * Calls `work(transaction &)` in a write transaction: it is committed, or aborted if an exception leaves. Returns
     * the number of the commit; 0 if `work` has committed or aborted by itself.
     */
    template <class Work>
    std::uint64_t update(Work &&work)
    {
        transaction txn = write();
        std::forward<Work>(work)(txn);
        return txn.handle() != nullptr ? txn.commit() : 0;
    }
    /** Calls `work(transaction &)` in a read transaction and returns what it returns. What points into the transaction
     *  does not compile: a view, a table, a cursor, and an optional, a vector or a pair of such. */
    template <class Work>
    auto view(Work &&work) const
    {
        static_assert(!detail::is_view<std::decay_t<std::invoke_result_t<Work, transaction &>>>::value,
            "what view() returns would point into a transaction that has ended: make a std::string of it");
        transaction txn = read();
        return std::forward<Work>(work)(txn);
    }

    /** A copy of the value of a key of a table; nothing if there is none. */
    std::optional<std::string> try_get(std::string_view key, table_id table = table_id::main) const
    {
        kv_table number = static_cast<kv_table>(table);
        std::string value(256, '\0');
        std::size_t len = 0;
        for (;;) {
            kv_status status =
                kv_db_get(handle_, number, key.data(), key.size(), value.data(), value.size(), &len);
            if (status == KV_NOTFOUND) {
                return std::nullopt;
            }
            // The value may have grown again meanwhile.
            if (status != KV_TOO_SMALL) {
                detail::ok(status, about());
                value.resize(len);
                return value;
            }
            value.resize(len);
        }
    }
    /** A copy of the value of a key of a table. Throws KV_NOTFOUND if there is none. */
    std::string get(std::string_view key, table_id table = table_id::main) const
    {
        std::optional<std::string> value = try_get(key, table);
        if (!value) {
            detail::missing(handle_, static_cast<kv_table>(table), key);
        }
        return *std::move(value);
    }
    /** Puts one entry in a transaction of its own. */
    void put(std::string_view key, std::string_view value, std::uint32_t flags = 0, table_id table = table_id::main)
    {
        kv_table number = static_cast<kv_table>(table);
        detail::ok(
            kv_db_put(handle_, number, key.data(), key.size(), value.data(), value.size(), flags), about());
    }
    /** Deletes one entry in a transaction of its own; false if there is none. */
    bool erase(std::string_view key, std::uint32_t flags = 0, table_id table = table_id::main)
    {
        kv_table number = static_cast<kv_table>(table);
        return detail::ok_or(KV_NOTFOUND, kv_db_delete(handle_, number, key.data(), key.size(), flags), about());
    }

    /** Makes every commit durable that was made before the call. */
    void sync() { detail::ok(kv_sync(handle_), about()); }
    /** How many pages come free if two snapshots are dropped, with all that are of commits between theirs. */
    std::uint64_t snapshot_cost(std::string_view first, std::string_view last) const
    {
        std::uint64_t pages = 0;
        detail::ok(kv_snapshot_cost(handle_, first.data(), first.size(), last.data(), last.size(), &pages), about());
        return pages;
    }
    /** What one snapshot alone keeps. */
    std::uint64_t snapshot_cost(std::string_view name) const { return snapshot_cost(name, name); }
    /** Gives back what dropped snapshots alone had, and returns how many pages that were. */
    std::uint64_t reclaim()
    {
        std::uint64_t freed = 0;
        detail::ok(kv_reclaim(handle_, &freed), about());
        return freed;
    }
    /** Makes the file smaller while others use it. The report tells what was in the way. */
    kv_compact_report compact(const compact_options &how = {})
    {
        job told;
        told.progress = how.progress;
        detail::running_job running(told);
        kv_compact_options options = KV_COMPACT_OPTIONS_INIT;
        kv_compact_report report = KV_COMPACT_REPORT_INIT;
        options.stay = how.stay;
        options.punch = how.punch;
        options.progress = running.options()->progress;
        options.ctx = running.options()->ctx;
        kv_status status = kv_compact(handle_, &options, &report);
        running.finish();
        detail::ok(status, about());
        return report;
    }
    /** The newest commits, whichever process made them. */
    commits newest_commit() const
    {
        commits newest{0, 0};
        detail::ok(kv_newest_commit(handle_, &newest.visible, &newest.durable), about());
        return newest;
    }
    /** Waits until a commit is durable. */
    void wait_durable(std::uint64_t commit) const { detail::ok(kv_wait_durable(handle_, commit, -1), about()); }
    /** Whether a commit is durable. */
    bool is_durable(std::uint64_t commit) const
    {
        return detail::ok_or(KV_BUSY, kv_wait_durable(handle_, commit, 0), about());
    }
    /** Waits for a commit after the one with this number, and returns the newest; nothing if there was none in `ms`
     *  milliseconds (less than 0 = for ever). */
    std::optional<std::uint64_t> wait_commit(std::uint64_t commit, std::int64_t ms = -1) const
    {
        std::uint64_t newest = 0;
        if (!detail::ok_or(KV_BUSY, kv_wait_commit(handle_, commit, ms, &newest), about())) {
            return std::nullopt;
        }
        return newest;
    }

    /** Verifies the newest commit. Damage is no exception here: look at `faults` of what is returned. */
    [[nodiscard]] kv_check_report check(const job &how = {}, const fault_function &on_fault = nullptr) const
    {
        return transaction::run_check(kv_db_check, handle_, about(), how, on_fault);
    }
    /** Copies the newest commit into a new file. */
    void backup(const std::string &path, const job &how = {}) const
    {
        transaction::run_backup(kv_db_backup, handle_, about(), path, how);
    }
    /** Figures of the database and its readers. */
    kv_db_stat stat_db() const
    {
        kv_db_stat stat = KV_DB_STAT_INIT;
        detail::ok(kv_stat_db(handle_, &stat), about());
        return stat;
    }
    /** Path, UUID and format of the database; its path is valid until the database is closed. */
    kv_identity identity() const
    {
        kv_identity result = KV_IDENTITY_INIT;
        detail::ok(kv_db_identity(handle_, &result), about());
        return result;
    }
    /** The readers of all processes, the one with the oldest commit first. They come and go meanwhile. */
    std::vector<kv_reader_info> readers() const
    {
        std::vector<kv_reader_info> result;
        kv_reader_info reader = KV_READER_INFO_INIT;
        for (std::uint32_t i = 0; detail::ok_or(KV_NOTFOUND, kv_reader_at(handle_, i, &reader), about()); i++) {
            result.push_back(reader);
        }
        return result;
    }

    kv_db *handle() const noexcept { return handle_; }

private:
    transaction begin(std::uint32_t kind, const kv_txn_options *how) const
    {
        kv_txn *txn = nullptr;
        detail::ok(kv_txn_begin(handle_, kind, how, &txn), about());
        return transaction(handle_, txn);
    }
    detail::subject about() const noexcept { return {handle_, handle_}; }

    kv_db *handle_ = nullptr;
};

/* ==== Functions =============================================================================================== */

/** Saves what can be read of a damaged database into a new one, and tells what is lost. */
inline kv_salvage_report salvage(const std::string &damaged, const std::string &target, const job &how = {},
    const fault_function &on_fault = nullptr)
{
    detail::running_job running(how, on_fault);
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    kv_status status = kv_salvage(detail::path(damaged), detail::path(target), running.options(),
        running.on_fault(), running.on_fault_ctx(), &report);
    running.finish();
    if (status != KV_OK) {
        detail::fail(status, damaged);
    }
    return report;
}

/** The version of the library at run time, "major.minor.patch". */
inline std::string_view version() noexcept { return kv_version(); }
/** The same as a number; KV_VERSION_NUMBER is that of the header. */
inline std::uint32_t version_number() noexcept { return kv_version_number(); }

} // namespace kv

#endif /* KV_HPP */
