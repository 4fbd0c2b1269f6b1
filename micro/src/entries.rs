//! Entries, a kind for each layout of a page.

/// A kind of entries. All entries of a kind have different keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 24 random bytes -> 150 bytes: slotted leaves, branches with one level of heads.
    Hashes,
    /// Addresses with long common beginnings -> 32 bytes: slotted leaves, branches with two levels of heads.
    Addresses,
    /// A table of integers whose keys differ in the last 2, 4 or 8 bytes -> 8 bytes: dense leaves of that class.
    Integers(usize),
}

impl Kind {
    /// The kind's name in the names of benchmarks.
    pub fn name(self) -> String {
        match self {
            Kind::Hashes => "hashes".into(),
            Kind::Addresses => "addresses".into(),
            Kind::Integers(width) => format!("integers-{width}"),
        }
    }

    /// Entry `i` of the kind; the keys of integers ascend with `i`.
    pub fn entry(self, i: u64) -> Entry {
        let random = mix(i);
        let (key, value) = match self {
            Kind::Hashes => {
                let parts = (0..3).flat_map(|part| mix(random ^ part).to_be_bytes());
                (parts.collect(), 150)
            }
            Kind::Addresses => {
                let (site, category) = (random % 20, (random >> 16) % 100);
                let key = format!("https://www.example{site}.com/category/{category}/archive/item-{i:08}");
                (key.into_bytes(), 32)
            }
            // Gaps as wide as the class allows, so that the leaves' common prefix ends where the class begins.
            Kind::Integers(width) => {
                let spread = i.wrapping_mul(STRIDES[width.ilog2() as usize]);
                (spread.to_be_bytes()[8 - width..].to_vec(), 8)
            }
        };
        let value = (0..value).map(|at| mix(random ^ at) as u8).collect();
        Entry { key, value }
    }

    /// The entries with these numbers, by key.
    pub fn sorted(self, numbers: impl IntoIterator<Item = u64>) -> Vec<Entry> {
        let mut all: Vec<Entry> = numbers.into_iter().map(|i| self.entry(i)).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }
}

/// Distances of integers with 1, 2, 4 and 8 bytes.
const STRIDES: [u64; 4] = [1, 7, 0x0001_0003, 0x0001_0000_0000_0003];

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// A good hash of a number (splitmix64), which makes all that is random here.
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Elements one after the other in a random order, for ever.
pub struct Shuffled<T> {
    elements: Vec<T>,
    at: usize,
}

impl<T: Copy> Shuffled<T> {
    pub fn new(elements: impl IntoIterator<Item = T>) -> Shuffled<T> {
        let mut elements: Vec<T> = elements.into_iter().collect();
        for i in (1..elements.len()).rev() {
            elements.swap(i, mix(i as u64) as usize % (i + 1));
        }
        Shuffled { elements, at: 0 }
    }

    /// The next element.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    #[inline]
    pub fn next(&mut self) -> T {
        self.at = if self.at + 1 < self.elements.len() {
            self.at + 1
        } else {
            0
        };
        self.elements[self.at]
    }
}
