//! The data sets. A value is a piece of a small pool and is chosen by its key, so that values need no memory and no
//! time.

use crate::keys::Keys;
use crate::text;

/// A generator of random numbers (xorshift64*, seeded through splitmix).
pub struct Rng(u64);

/// A good hash of a number (splitmix64).
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(mix(seed) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

/// What a data set is called and consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 24 random bytes -> 150 bytes.
    R24,
    /// 8-byte big-endian consecutive integers -> 8 bytes.
    I8,
    /// URLs of 40 to 90 bytes with shared beginnings -> 32 bytes.
    Url,
    /// Words of the texts of this machine with their positions -> 8 bytes.
    Text,
    /// Few keys with values of 64 KiB to 64 MiB.
    Large,
    /// A large file, to be opened: integers -> 1000 bytes.
    Open,
    /// `R24`, four times as large as the memory that is allowed.
    Limited,
}

impl Shape {
    pub const ALL: [Shape; 7] = [
        Shape::R24,
        Shape::I8,
        Shape::Url,
        Shape::Text,
        Shape::Large,
        Shape::Open,
        Shape::Limited,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Shape::R24 => "r24",
            Shape::I8 => "i8",
            Shape::Url => "url",
            Shape::Text => "text",
            Shape::Large => "large",
            Shape::Open => "open",
            Shape::Limited => "limited",
        }
    }

    /// Entries at scale 1.
    fn entries(self) -> usize {
        match self {
            Shape::R24 => 5_000_000,
            Shape::I8 | Shape::Open => 10_000_000,
            Shape::Url => 2_000_000,
            Shape::Text => 3_000_000,
            Shape::Large => 100_000,
            Shape::Limited => 12_000_000,
        }
    }

    fn value_len(self) -> usize {
        match self {
            Shape::R24 | Shape::Limited => 150,
            Shape::I8 | Shape::Text | Shape::Large => 8,
            Shape::Url => 32,
            Shape::Open => 1000,
        }
    }

    fn key(self, i: u64, out: &mut Vec<u8>) {
        out.clear();
        let random = mix(i);
        match self {
            Shape::R24 | Shape::Limited => (0..3).for_each(|part| out.extend(mix(random ^ part).to_be_bytes())),
            Shape::I8 | Shape::Open | Shape::Large => out.extend(i.to_be_bytes()),
            Shape::Url => {
                let path = ["", "archive/", "media/library/", "shop/en/"][(random >> 40) as usize % 4];
                let (site, category) = (random % 1000, (random >> 16) % 100);
                let url = format!("https://www.example{site}.com/category/{category}/{path}item-{i:08}");
                out.extend(url.as_bytes());
            }
            Shape::Text => unreachable!("its keys are read from files"),
        }
    }
}

/// One data set.
pub struct Data {
    pub shape: Shape,
    /// The share of the entries that was asked for.
    pub scale: f64,
    /// Every key, in random order.
    pub random: Keys,
    /// Every key, ascending.
    pub sorted: Keys,
    /// Keys to look up, all of them there.
    pub hits: Keys,
    /// Keys to look up, none of them there.
    pub misses: Keys,
    /// Keys to look up, some much more often than others: numbers of `random`, and the keys.
    pub zipf: (Vec<u32>, Keys),
    /// Bytes of all keys and values.
    pub payload: u64,
    pool: Vec<u8>,
}

/// Bytes of the pool that values are cut from, beside the longest value.
const POOL: usize = 1 << 16;
/// The longest value.
pub const LONGEST: usize = 64 << 20;

/// Numbers below `n`, the hottest ones spread over all: Zipf with the exponent 0.99, as YCSB makes them.
fn zipf(n: usize, count: usize, rng: &mut Rng) -> Vec<u32> {
    const THETA: f64 = 0.99;
    let zeta: f64 = (1..=n).map(|i| (i as f64).powf(-THETA)).sum();
    let two = 1.0 + 0.5_f64.powf(THETA);
    let alpha = 1.0 / (1.0 - THETA);
    let eta = (1.0 - (2.0 / n as f64).powf(1.0 - THETA)) / (1.0 - two / zeta);
    let mut one = || {
        let u = (rng.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = match u * zeta {
            scaled if scaled < 1.0 => 0,
            scaled if scaled < two => 1,
            _ => (n as f64 * (eta * u - eta + 1.0).powf(alpha)) as u64,
        };
        (mix(rank) % n as u64) as u32
    };
    (0..count).map(|_| one()).collect()
}

impl Data {
    pub fn new(shape: Shape, scale: f64) -> Data {
        // A memory limit must leave room for what an engine cannot do without.
        let least = if shape == Shape::Limited { 1_500_000 } else { 1000 };
        let wanted = ((shape.entries() as f64 * scale) as usize).max(least);
        let mut rng = Rng::new(shape as u64 + 1);
        let (mut made, mut key) = (Keys::default(), Vec::new());
        if shape == Shape::Text {
            text::words(wanted, &mut made);
        } else {
            for i in 0..wanted as u64 {
                shape.key(i, &mut key);
                made.push(&key);
            }
        }
        let n = made.len();
        let lookups = ((1_000_000.0 * scale.max(0.1)) as usize).min(n);
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, rng.below(i + 1));
        }
        let random = made.permuted(&order);
        order.sort_unstable_by(|a, b| made.get(*a as usize).cmp(made.get(*b as usize)));
        let sorted = made.permuted(&order);
        drop((made, order));
        let (mut hits, mut misses) = (Keys::default(), Keys::default());
        for _ in 0..lookups {
            hits.push(random.get(rng.below(n)));
            // Of random keys another one; of others one that lies between two that are there.
            key.clear();
            key.extend_from_slice(random.get(rng.below(n)));
            match shape {
                Shape::R24 | Shape::Limited => key[8..16].copy_from_slice(&rng.next().to_be_bytes()),
                _ => key.push(b'~'),
            }
            misses.push(&key);
        }
        let numbers = zipf(n, lookups, &mut rng);
        let hot = random.permuted(&numbers);
        let values = if shape == Shape::Large { LONGEST } else { 1024 };
        let pool = (0..(POOL + values) / 8)
            .flat_map(|_| rng.next().to_le_bytes())
            .collect();
        Data {
            shape,
            scale,
            payload: random.payload() + (n * shape.value_len()) as u64,
            random,
            sorted,
            hits,
            misses,
            zipf: (numbers, hot),
            pool,
        }
    }

    /// Ascending entries.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.sorted.iter().map(|key| (key, self.value(key, 0)))
    }

    /// A value of a length, of the data set of large values.
    pub fn large(&self, i: u64, len: usize) -> &[u8] {
        let at = mix(i) as usize % POOL;
        &self.pool[at..at + len]
    }

    /// The value of a key; `version` makes another one.
    #[inline]
    pub fn value(&self, key: &[u8], version: u64) -> &[u8] {
        let (_, last) = key.split_at(key.len() - 8);
        let last = u64::from_le_bytes(last.try_into().expect("8 bytes"));
        let at = mix(last ^ version) as usize % POOL;
        &self.pool[at..at + self.shape.value_len()]
    }
}
