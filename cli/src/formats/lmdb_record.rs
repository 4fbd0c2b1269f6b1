//! How LMDB describes a named database: as a value of the main database, which `mdb_dump` writes like any other.
//!
//! ```text
//! offset  64 bits  32 bits
//! md_pad         0        0   4 bytes: 0, or the length of values that all have one
//! md_flags       4        4   2 bytes
//! md_depth       6        6   2 bytes: the height of the tree
//! pages          8        8   3 words: branches, leaves, overflow pages
//! md_entries    32       20   1 word
//! md_root       40       24   1 word: a page, or all bits for an empty tree
//! ```
//!
//! Words have 8 or 4 bytes, in the byte order of the machine.

/// The flags of a database that LMDB keeps.
const FLAGS: u64 = 0x7e;

/// More levels than any tree has.
const DEPTH: u64 = 32;

/// Pages with numbers from this one on would lie beyond the largest file.
const PAGES: u64 = 1 << 48;

/// Returns whether a value looks like such a description. Data hardly ever does: most of its bytes are determined.
pub fn is_one(value: &[u8]) -> bool {
    let word = match value.len() {
        48 => 8,
        28 => 4,
        _ => return false,
    };
    let little = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let big = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    is_record(value, word, &little) || is_record(value, word, &big)
}

fn is_record(value: &[u8], word: usize, number: &dyn Fn(&[u8]) -> u64) -> bool {
    let at = |index: usize| number(&value[8 + index * word..][..word]);
    let (pad, flags, depth) = (number(&value[..4]), number(&value[4..6]), number(&value[6..8]));
    let (branches, leaves, overflow, entries, root) = (at(0), at(1), at(2), at(3), at(4));
    if pad > 0xffff || flags & !FLAGS != 0 || depth > DEPTH {
        return false;
    }
    let none = u64::MAX >> (64 - 8 * word);
    match depth {
        0 => root == none && [branches, leaves, overflow, entries] == [0; 4],
        1 => branches == 0 && leaves == 1 && entries > 0 && (2..PAGES).contains(&root),
        _ => (1..=leaves).contains(&branches) && leaves < entries.min(PAGES) && (2..PAGES).contains(&root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(word: usize, little: bool, (flags, depth): (u16, u16), words: [u64; 5]) -> Vec<u8> {
        let ordered = |number: u64, bytes: usize| match little {
            true => number.to_le_bytes()[..bytes].to_vec(),
            false => number.to_be_bytes()[8 - bytes..].to_vec(),
        };
        let mut value = [ordered(0, 4), ordered(flags.into(), 2), ordered(depth.into(), 2)].concat();
        words.iter().for_each(|number| value.extend(ordered(*number, word)));
        value
    }

    #[test]
    fn records_are_told_from_data() {
        for word in [4, 8] {
            for little in [true, false] {
                let of = |head, words| is_one(&record(word, little, head, words));
                assert!(of((0, 1), [0, 1, 0, 7, 5]) && of((4, 3), [9, 800, 3, 90_000, 77]));
                assert!(of((0, 0), [0, 0, 0, 0, u64::MAX]));
                assert!(!of((0, 0), [0; 5]) && !of((0, 1), [0, 1, 0, 0, 5]) && !of((1, 1), [0, 1, 0, 7, 5]));
            }
        }
        for value in [&[0; 48][..], &[0xff; 48], &[b'x'; 48], &[0; 28], &[1; 47], b""] {
            assert!(!is_one(value));
        }
    }
}
