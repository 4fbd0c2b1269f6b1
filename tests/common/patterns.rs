//! Patterns of use that leave room in pages and holes in files: what each commit puts and deletes. The test of growth
//! runs them on libkv, the benchmark of space on libkv and LMDB.

use super::rng::Rng;
use std::collections::{BTreeMap, VecDeque};

/// A change of one entry.
pub enum Edit {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

/// The patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Entries are put at the end and deleted at the beginning.
    Queue,
    /// Now and then, many entries come at once and go in small commits.
    Bursts,
    /// Entries under random keys, and another one for each under the time when it ends.
    Ttl,
    /// Values of some pages are replaced by others of another size.
    LargeValues,
    /// Values of one size are replaced by values of a byte less, at random.
    Shrinking,
    /// Random entries are replaced by values of random sizes.
    RandomSizes,
    /// Entries come and go whose keys share hundreds of bytes.
    SharedPrefixes,
    /// Nine of ten entries are deleted at random.
    Thinning,
    /// All entries are deleted at random.
    DeleteAll,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Queue,
        Kind::Bursts,
        Kind::Ttl,
        Kind::LargeValues,
        Kind::Shrinking,
        Kind::RandomSizes,
        Kind::SharedPrefixes,
        Kind::Thinning,
        Kind::DeleteAll,
    ];

    /// Returns whether the pattern has as many bytes of entries all the time.
    pub fn is_constant(self) -> bool {
        !matches!(self, Kind::Thinning | Kind::DeleteAll)
    }
}

/// A pattern under way.
pub struct Pattern {
    pub kind: Kind,
    rng: Rng,
    /// The bytes of the value of each entry that is there.
    live: BTreeMap<Vec<u8>, usize>,
    /// The keys in the order in which they are to be deleted, or to be chosen from.
    keys: VecDeque<Vec<u8>>,
    next: u64,
    bytes: u64,
    /// The most bytes of entries that there were.
    pub most_bytes: u64,
}

/// Entries that the load puts.
const ENTRIES: u64 = 10_000;
/// Entries that a commit puts or deletes.
const EDITS: u64 = 20;
const BURST: u64 = 2000;

impl Pattern {
    pub fn new(kind: Kind) -> Pattern {
        Pattern {
            kind,
            rng: Rng::new(kind as u64 + 1),
            live: BTreeMap::new(),
            keys: VecDeque::new(),
            next: 0,
            bytes: 0,
            most_bytes: 0,
        }
    }

    /// Returns the bytes of keys and values that are there.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of entries that are there.
    pub fn entries(&self) -> u64 {
        self.live.len() as u64
    }

    fn put(&mut self, key: Vec<u8>, len: usize, edits: &mut Vec<Edit>) {
        let before = self.live.insert(key.clone(), len);
        self.bytes += len as u64;
        match before {
            Some(before) => self.bytes -= before as u64,
            None => self.bytes += key.len() as u64,
        }
        self.most_bytes = self.most_bytes.max(self.bytes);
        edits.push(Edit::Put(key, vec![self.next as u8; len]));
    }

    fn delete(&mut self, key: Vec<u8>, edits: &mut Vec<Edit>) {
        if let Some(len) = self.live.remove(&key) {
            self.bytes -= (key.len() + len) as u64;
        }
        edits.push(Edit::Delete(key));
    }

    /// Puts an entry that was not there.
    fn put_new(&mut self, edits: &mut Vec<Edit>) {
        let number = self.next;
        self.next += 1;
        let (key, len) = match self.kind {
            Kind::Queue | Kind::Bursts => (number.to_be_bytes().to_vec(), 100),
            Kind::Shrinking => ((number as u32).to_be_bytes().to_vec(), 200),
            Kind::LargeValues => (number.to_be_bytes().to_vec(), self.rng.range(5_000, 60_000)),
            Kind::SharedPrefixes => {
                let mut key = vec![b'a' + (number % 7) as u8; 300];
                key.extend_from_slice(&self.rng.bytes(12));
                (key, 30)
            }
            Kind::RandomSizes => (self.rng.bytes(16), self.rng.index(400)),
            Kind::Ttl | Kind::Thinning | Kind::DeleteAll => (self.rng.bytes(16), 100),
        };
        if self.kind == Kind::Ttl {
            let mut index = b"t".to_vec();
            index.extend_from_slice(&number.to_be_bytes());
            index.extend_from_slice(&key);
            self.put(index, 0, edits);
        }
        self.keys.push_back(key.clone());
        self.put(key, len, edits);
    }

    /// Deletes the entry that was put first of those that are there.
    fn delete_oldest(&mut self, edits: &mut Vec<Edit>) {
        let Some(key) = self.keys.pop_front() else { return };
        if self.kind == Kind::Ttl {
            let first = self.live.range(b"t".to_vec()..).next().map(|(index, _)| index.clone());
            if let Some(index) = first.filter(|index| index.ends_with(&key)) {
                self.delete(index, edits);
            }
        }
        self.delete(key, edits);
    }

    /// Deletes a random entry.
    fn delete_any(&mut self, edits: &mut Vec<Edit>) {
        if !self.keys.is_empty() {
            let at = self.rng.index(self.keys.len());
            if let Some(key) = self.keys.swap_remove_back(at) {
                self.delete(key, edits);
            }
        }
    }

    /// Returns the first commit.
    pub fn load(&mut self) -> Vec<Edit> {
        let entries = if self.kind == Kind::LargeValues { 100 } else { ENTRIES };
        let mut edits = Vec::new();
        (0..entries).for_each(|_| self.put_new(&mut edits));
        edits
    }

    /// Returns commit `number`, from 0 on, or `None` if the pattern has come to its end.
    pub fn commit(&mut self, number: u64) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        match self.kind {
            Kind::Queue | Kind::Ttl => (0..EDITS).for_each(|_| {
                self.put_new(&mut edits);
                self.delete_oldest(&mut edits);
            }),
            Kind::SharedPrefixes => (0..EDITS).for_each(|_| {
                self.put_new(&mut edits);
                self.delete_any(&mut edits);
            }),
            Kind::Bursts if number % (BURST / EDITS + 1) == 0 => (0..BURST).for_each(|_| self.put_new(&mut edits)),
            Kind::Bursts => (0..EDITS).for_each(|_| self.delete_any(&mut edits)),
            Kind::LargeValues | Kind::Shrinking | Kind::RandomSizes => {
                let count = if self.kind == Kind::LargeValues { 1 } else { EDITS };
                for _ in 0..count {
                    let key = self.keys[self.rng.index(self.keys.len())].clone();
                    let len = match self.kind {
                        Kind::LargeValues => self.rng.range(5_000, 60_000),
                        Kind::Shrinking => 199,
                        _ => self.rng.index(400),
                    };
                    self.put(key, len, &mut edits);
                }
            }
            Kind::Thinning if self.entries() <= ENTRIES / 10 => return None,
            Kind::DeleteAll if self.entries() == 0 => return None,
            Kind::Thinning | Kind::DeleteAll => (0..EDITS).for_each(|_| self.delete_any(&mut edits)),
        }
        Some(edits)
    }
}
