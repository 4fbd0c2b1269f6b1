//! Composite keys: pairs and composites have one order, and whatever was joined is taken apart again.

use keelkv_lmdb::composite::Composite;
use keelkv_lmdb::{ByteOrder, Rule};
use std::cmp::Ordering;

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Up to six bytes, most of which decide how composites sort.
    fn bytes(&mut self) -> Vec<u8> {
        const BYTES: [u8; 6] = [0, 0, 1, 0xFE, 0xFF, 0xFF];
        (0..self.below(7)).map(|_| BYTES[self.below(6) as usize]).collect()
    }

    /// What a database with this rule may have as a key or value.
    fn item(&mut self, rule: Rule, order: ByteOrder) -> Vec<u8> {
        if rule != Rule::Integer {
            return self.bytes();
        }
        let integer = (self.below(3) << 8 | self.below(3)) << (8 * self.below(4));
        match order {
            ByteOrder::Little => integer.to_le_bytes().to_vec(),
            ByteOrder::Big => integer.to_be_bytes().to_vec(),
        }
    }
}

/// How LMDB compares.
fn compare(rule: Rule, order: ByteOrder, a: &[u8], b: &[u8]) -> Ordering {
    match (rule, order) {
        (Rule::Bytes, _) => a.cmp(b),
        (Rule::Reverse, _) => a.iter().rev().cmp(b.iter().rev()),
        (Rule::Integer, ByteOrder::Little) => {
            let integer = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            integer(a).cmp(&integer(b))
        }
        (Rule::Integer, ByteOrder::Big) => {
            let integer = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
            integer(a).cmp(&integer(b))
        }
    }
}

#[test]
fn composites_sort_as_pairs_and_come_apart() {
    const RULES: [Rule; 3] = [Rule::Bytes, Rule::Integer, Rule::Reverse];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut equal = 0;
    for round in 0..200_000 {
        let (key_rule, value_rule) = (RULES[round % 3], RULES[round / 3 % 3]);
        let order = if round % 2 == 0 {
            ByteOrder::Little
        } else {
            ByteOrder::Big
        };
        let composite = Composite::of(key_rule, value_rule, order);
        let mut pair = || (random.item(key_rule, order), random.item(value_rule, order));
        let (a, b) = (pair(), pair());
        let (joined_a, joined_b) = (composite.join(&a.0, &a.1), composite.join(&b.0, &b.1));
        assert_eq!(composite.split(&joined_a).as_ref(), Some(&a));
        let keys = compare(key_rule, order, &a.0, &b.0);
        let pairs = keys.then(compare(value_rule, order, &a.1, &b.1));
        assert_eq!(
            joined_a.cmp(&joined_b),
            pairs,
            "{key_rule:?} {value_rule:?} {order:?} {a:?} {b:?}"
        );
        assert_eq!(joined_b.starts_with(&composite.prefix(&a.0)), keys == Ordering::Equal);
        equal += u32::from(keys == Ordering::Equal);
    }
    assert!(equal > 1000, "only {equal} pairs had one key");
}

#[test]
fn the_bytes_of_a_composite_are_fixed() {
    let composite = Composite::of(Rule::Bytes, Rule::Integer, ByteOrder::Little);
    let joined = composite.join(b"a\0b", &258u32.to_le_bytes());
    assert_eq!(joined, [b'a', 0, 0xFF, b'b', 0, 0, 0, 0, 1, 2]);
    assert_eq!(composite.join(b"", b""), [0, 0]);
}

#[test]
fn what_is_no_composite_is_refused() {
    let composite = Composite::of(Rule::Bytes, Rule::Bytes, ByteOrder::Little);
    for bytes in [&b""[..], b"a", b"a\0", b"a\0\x01", b"\0\xFF", b"\0\xFFa\0\x02b"] {
        assert_eq!(composite.split(bytes), None, "{bytes:?}");
    }
}
