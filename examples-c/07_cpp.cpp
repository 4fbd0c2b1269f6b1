/*
 * libkv in C++: transactions that commit or vanish, loops over ranges, tables, errors. kv.hpp tells the rest.
 */
#include <kv.hpp>

#include <iostream>
#include <stdexcept>
#include <string>

/* Moves an amount, or nothing: an exception that leaves update() undoes what was written. */
static void transfer(kv::database &db, const std::string &from, const std::string &to, int amount)
{
    db.update([&](kv::transaction &txn) {
        kv::table accounts = txn.open_table("accounts");
        /* A view of a value is valid until the next write, so it is made a number at once. */
        int left = std::stoi(std::string(accounts.get(from))) - amount;
        int right = std::stoi(std::string(accounts.try_get(to).value_or("0"))) + amount;
        if (left < 0)
            throw std::runtime_error(from + " has not so much");
        accounts.put(from, std::to_string(left));
        accounts.put(to, std::to_string(right));
    });
}

int main()
{
    try {
        kv::database db("bank++.kv");
        db.update([](kv::transaction &txn) {
            txn.create_table("accounts").put("alice", "100");
            txn.put("country/de", "Berlin");
            txn.put("country/fr", "Paris");
            txn.put("country/it", "Rome");
        });
        kv::transaction before = db.read(); /* goes on seeing what there is now */
        transfer(db, "alice", "bob", 30);
        try {
            transfer(db, "bob", "alice", 1000);
        } catch (const std::runtime_error &no) {
            std::cout << no.what() << ", so nothing moved\n";
        }

        kv::transaction txn = db.read();
        for (auto [name, amount] : txn.open_table("accounts").scan())
            std::cout << name << " has " << amount << '\n';
        std::cout << "the older snapshot says " << before.open_table("accounts").get("alice") << '\n';

        /* A loop over damage throws, so this is either every country or an exception. */
        for (auto [key, capital] : txn.scan(kv::prefix("country/").reverse()))
            std::cout << key << ": " << capital << '\n';
        std::cout << txn.count(kv::prefix("country/")) << " countries\n";

        std::cout << txn.get("country/at") << '\n';
    } catch (const kv::error &error) {
        std::cout << error.status_name() << ": " << error.what() << '\n';
        return error.status() == KV_NOTFOUND ? 0 : 1;
    }
    return 1;
}
