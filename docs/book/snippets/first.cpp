#include <kv.hpp>
#include <iostream>

int main()
{
    kv::database db("fruit.kv");
    db.update([](kv::transaction &txn) {
        txn.put("apple", "red");
        txn.put("pear", "green");
        txn.put("plum", "blue");
    }); // all three are durable now

    kv::transaction txn = db.read();
    std::cout << "apple is " << txn.get("apple") << '\n';

    std::cout << txn.count(kv::prefix("p")) << " fruits begin with p\n";
    for (auto [key, value] : txn.scan(kv::prefix("p")))
        std::cout << key << ": " << value << '\n';
}
