//! The data sets. Keys lie in memory in the order in which they are used, so that fetching them costs next to nothing;
//! a value is a piece of a small pool chosen by its key, so that values need no memory and no time.

/// A generator of random numbers (xorshift64*, seeded through splitmix).
pub struct Rng(u64);

/// A good hash of a number (splitmix64).
fn mix(mut x: u64) -> u64 {
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

/// Keys, one behind the other.
#[derive(Default)]
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Keys {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("less than 4 GiB of keys"));
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[from..self.ends[i] as usize]
    }

    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    fn permuted(&self, order: &[u32]) -> Keys {
        let mut out = Keys::default();
        order.iter().for_each(|i| out.push(self.get(*i as usize)));
        out
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
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::R24, Shape::I8, Shape::Url];

    pub fn name(self) -> &'static str {
        match self {
            Shape::R24 => "r24",
            Shape::I8 => "i8",
            Shape::Url => "url",
        }
    }

    fn entries(self) -> usize {
        match self {
            Shape::R24 => 5_000_000,
            Shape::I8 => 10_000_000,
            Shape::Url => 2_000_000,
        }
    }

    fn value_len(self) -> usize {
        match self {
            Shape::R24 => 150,
            Shape::I8 => 8,
            Shape::Url => 32,
        }
    }

    fn key(self, i: u64, out: &mut Vec<u8>) {
        out.clear();
        let random = mix(i);
        match self {
            Shape::R24 => (0..3).for_each(|part| out.extend(mix(random ^ part).to_be_bytes())),
            Shape::I8 => out.extend(i.to_be_bytes()),
            Shape::Url => {
                let path = ["", "archive/", "media/library/", "shop/en/"][(random >> 40) as usize % 4];
                let (site, category) = (random % 1000, (random >> 16) % 100);
                let url = format!("https://www.example{site}.com/category/{category}/{path}item-{i:08}");
                out.extend(url.as_bytes());
            }
        }
    }
}

/// One data set.
pub struct Data {
    pub shape: Shape,
    /// Every key, in random order.
    pub random: Keys,
    /// Every key, ascending.
    pub sorted: Keys,
    /// Keys to look up, all of them there.
    pub hits: Keys,
    /// Keys to look up, none of them there.
    pub misses: Keys,
    pool: Vec<u8>,
}

/// Bytes of the pool that values are cut from, beside the longest value.
const POOL: usize = 1 << 16;

impl Data {
    pub fn new(shape: Shape, scale: f64) -> Data {
        let n = ((shape.entries() as f64 * scale) as usize).max(1000);
        let lookups = ((1_000_000.0 * scale.max(0.1)) as usize).min(n);
        let mut rng = Rng::new(shape as u64 + 1);
        let (mut made, mut key) = (Keys::default(), Vec::new());
        for i in 0..n as u64 {
            shape.key(i, &mut key);
            made.push(&key);
        }
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
                Shape::R24 => key[8..16].copy_from_slice(&rng.next().to_be_bytes()),
                Shape::I8 | Shape::Url => key.push(b'~'),
            }
            misses.push(&key);
        }
        let pool = (0..POOL / 8 + 32).flat_map(|_| rng.next().to_le_bytes()).collect();
        Data {
            shape,
            random,
            sorted,
            hits,
            misses,
            pool,
        }
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
