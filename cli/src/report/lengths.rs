//! How many keys or values have which length: one bucket for no bytes, and one for each power of two.

/// Counts of lengths.
#[derive(Debug, Clone)]
pub struct Lengths {
    /// The first bucket is for length 0, and bucket n for lengths from 2^(n-1) to 2^n - 1.
    buckets: [u64; 65],
    /// How many lengths were counted.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The greatest.
    pub longest: u64,
}

/// A bucket with its bounds, both of which belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The shortest length.
    pub from: u64,
    /// The greatest length.
    pub to: u64,
    /// How many there are.
    pub count: u64,
}

impl Default for Lengths {
    fn default() -> Lengths {
        Lengths {
            buckets: [0; 65],
            count: 0,
            sum: 0,
            longest: 0,
        }
    }
}

impl Lengths {
    /// Counts a length.
    pub fn add(&mut self, length: u64) {
        self.buckets[(u64::BITS - length.leading_zeros()) as usize] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(length);
        self.longest = self.longest.max(length);
    }

    /// Returns the mean, or `None` if nothing was counted.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// Returns the buckets from the first that has something to the last.
    pub fn buckets(&self) -> Vec<Bucket> {
        let is_filled = |count: &u64| *count > 0;
        let (Some(first), Some(last)) = (
            self.buckets.iter().position(is_filled),
            self.buckets.iter().rposition(is_filled),
        ) else {
            return Vec::new();
        };
        let bucket = |at: usize| Bucket {
            from: if at == 0 { 0 } else { 1 << (at - 1) },
            to: if at == 0 { 0 } else { u64::MAX >> (64 - at) },
            count: self.buckets[at],
        };
        (first..=last).map(bucket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_in_the_bucket_whose_bounds_hold_it() {
        assert!(Lengths::default().buckets().is_empty());
        for length in [0, 1, 2, 3, 4, 7, 8, 511, 512, u64::MAX >> 1, u64::MAX] {
            let mut lengths = Lengths::default();
            lengths.add(length);
            let buckets = lengths.buckets();
            assert!(
                buckets.len() == 1 && buckets[0].from <= length && length <= buckets[0].to,
                "{length}: {buckets:?}"
            );
            assert!(buckets[0].to == 0 || buckets[0].to / 2 < buckets[0].from);
        }
        let mut lengths = Lengths::default();
        [1, 9].into_iter().for_each(|length| lengths.add(length));
        let counts: Vec<u64> = lengths.buckets().iter().map(|bucket| bucket.count).collect();
        assert_eq!(
            (counts, lengths.mean(), lengths.longest),
            (vec![1, 0, 0, 1], Some(5.0), 9)
        );
    }
}
