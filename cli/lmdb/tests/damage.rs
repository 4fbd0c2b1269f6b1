//! Damaged files: bytes flipped, overwritten and cut off give entries or errors, never a panic, and never more entries
//! than the file has room for.

mod common;

use common::{dump, fixture, READABLE};
use keelkv_lmdb::{Environment, Error};

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Reads everything, on after errors with the next database. Returns the number of errors.
fn read_all(bytes: Vec<u8>) -> u32 {
    let length = bytes.len();
    let Ok(environment) = Environment::of(bytes, "damaged") else {
        return 1;
    };
    let Ok(databases) = environment.databases() else {
        return 1;
    };
    let mut errors = 0;
    for database in &databases {
        let mut total = 0;
        for (count, entry) in environment.entries(database).enumerate() {
            match entry {
                Ok(entry) => total += entry.value.len(),
                Err(error) => {
                    assert!(!matches!(error, Error::Changed { .. } | Error::Io { .. }), "{error}");
                    errors += 1;
                }
            }
            // A page of an entry is read once, and no part of it is more than the page. Nodes may lie over each other.
            assert!(count <= length, "{count} entries of {length} bytes");
        }
        assert!(total <= length * length, "values without end");
    }
    errors
}

/// How many files are damaged: KV_LMDB_ROUNDS, or enough for a usual test.
fn rounds() -> usize {
    std::env::var("KV_LMDB_ROUNDS").map_or(20_000, |rounds| rounds.parse().expect("a number"))
}

#[test]
fn damage_of_any_kind_gives_entries_or_errors() {
    let files: Vec<Vec<u8>> = READABLE.iter().map(|name| fixture(name)).collect();
    let seed = std::env::var("KV_LMDB_SEED").map_or(0x2545_F491_4F6C_DD1D, |seed| seed.parse().expect("a number"));
    let mut random = Random(seed);
    let mut failed = 0;
    for round in 0..rounds() {
        let mut bytes = files[round % files.len()].clone();
        for _ in 0..1 + random.below(12) {
            // Headers and offsets decide more than values do, so half of the damage goes there.
            let mut at = random.below(bytes.len());
            if random.below(2) == 0 {
                let page = [256, 512, 4096, 65536][random.below(4)];
                at = (at / page * page + random.below(64)).min(bytes.len() - 1);
            }
            match random.below(6) {
                0 | 1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes[at] = [0, 1, 2, 0x7F, 0x80, 0xFF][random.below(6)],
                3 => bytes[at] = random.below(256) as u8,
                4 => {
                    // A page where another one was, or a part of one.
                    let (from, length) = (random.below(bytes.len()), 1 << random.below(13));
                    let length = length.min(bytes.len() - from).min(bytes.len() - at);
                    bytes.copy_within(from..from + length, at);
                }
                _ => {
                    let end = (at + (1 << random.below(4))).min(bytes.len());
                    bytes[at..end].fill(if random.below(2) == 0 { 0 } else { 0xFF });
                }
            }
        }
        if random.below(10) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        failed += u32::from(read_all(bytes) > 0);
    }
    assert!(failed as usize > rounds() / 4, "only {failed} files gave errors");
}

#[test]
fn files_cut_off_anywhere_give_errors() {
    for name in ["main-dupsort-0.9", "main-dupsort-1.0"] {
        let whole = fixture(name);
        for length in (0..whole.len()).step_by(13) {
            let error = Environment::of(whole[..length].to_vec(), name).and_then(|environment| dump(&environment));
            assert!(error.is_err(), "{length} bytes of {}", whole.len());
        }
    }
}

/// A file of 0.9 with pages of 4096 bytes, to be damaged at one place.
struct Damage {
    bytes: Vec<u8>,
    main_root: usize,
}

impl Damage {
    fn of(name: &str) -> Damage {
        let bytes = fixture(name);
        let transaction =
            |page: usize| u64::from_le_bytes(bytes[page * 4096 + 144..][..8].try_into().expect("8 bytes"));
        let meta = if transaction(1) > transaction(0) { 4096 } else { 0 };
        let root = u64::from_le_bytes(bytes[meta + 128..][..8].try_into().expect("8 bytes"));
        Damage {
            bytes,
            main_root: root as usize,
        }
    }

    fn put(mut self, page: usize, at: usize, with: &[u8]) -> Damage {
        self.bytes[page * 4096 + at..][..with.len()].copy_from_slice(with);
        self
    }

    /// The page and the message of the first error.
    fn error(self) -> (u64, String) {
        match Environment::of(self.bytes, "f").and_then(|environment| dump(&environment)) {
            Err(Error::Damaged { page, what, .. }) => (page, what),
            other => panic!("{:.200}", format!("{other:?}")),
        }
    }
}

#[test]
fn damage_is_told_with_its_page() {
    let root = Damage::of("main-dupsort-0.9").main_root;
    let page = root as u64;
    let told = |at: usize, with: &[u8]| Damage::of("main-dupsort-0.9").put(root, at, with).error();
    assert_eq!(told(0, &[77]), (page, "it says that it is page 77".to_string()));
    assert_eq!(
        told(10, &[4, 0]),
        (page, "it is no page of a tree (flags 0x4)".to_string())
    );
    assert_eq!(
        told(10, &[1, 0]).1,
        "it is a branch at level 1, where the tree has its leaves"
    );
    assert_eq!(
        told(12, &[3, 0]),
        (page, "its array of nodes ends at 3, before it begins".to_string())
    );
    assert_eq!(told(14, &[0xFF, 0xFF]).1, "its free space goes from 22 to 65535");
    assert_eq!(told(16, &[0xFF, 0x0F]).1, "node 0 does not lie inside the page");
    assert_eq!(told(16, &[0, 0]).1, "node 0 lies in front of all nodes");
    let (at, what) = Damage::of("main-dupsort-0.9").put(root, 10, &[0x42, 0]).error();
    assert_eq!((at, what.as_str()), (page, "it is no page of a tree (flags 0x42)"));
}

/// A branch whose children are all its first one would give entries without end, level by level.
#[test]
fn no_page_is_read_twice() {
    let name = "kinds-0.9";
    let bytes = fixture(name);
    let size = 4096;
    let mut told = 0;
    for page in 2..bytes.len() / size {
        let at = page * size;
        if u16::from_le_bytes([bytes[at + 10], bytes[at + 11]]) != 1 {
            continue;
        }
        let mut bytes = bytes.clone();
        let first = [bytes[at + 16], bytes[at + 17]];
        bytes[at + 18..at + 20].copy_from_slice(&first);
        if let Err(error) = Environment::of(bytes, name).and_then(|environment| dump(&environment)) {
            assert!(error.to_string().contains("two places refer to it"), "{error}");
            told += 1;
        }
    }
    assert!(told >= 3, "only {told} branches are in use");
}
