//! A list of keys in one piece of memory, in the order in which they are used, so that fetching the next one costs
//! next to nothing.

/// Keys, one behind the other.
#[derive(Default)]
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Keys {
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("less than 4 GiB of keys"));
    }

    /// Bytes of all keys together.
    pub fn payload(&self) -> u64 {
        self.bytes.len() as u64
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
        self.range(0, self.len())
    }

    /// `n` keys from number `from` on, and from the first again behind the last.
    #[inline]
    pub fn range(&self, from: usize, n: usize) -> impl Iterator<Item = &[u8]> {
        (from..from + n).map(|i| self.get(i % self.len()))
    }

    /// The keys with the numbers in `order`, in that order.
    pub fn permuted(&self, order: &[u32]) -> Keys {
        let mut out = Keys::default();
        order.iter().for_each(|i| out.push(self.get(*i as usize)));
        out
    }
}
