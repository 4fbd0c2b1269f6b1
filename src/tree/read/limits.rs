//! A range of keys, owned: two bounds into which a prefix has been folded.

use std::ops::Bound;

/// The lower and the upper bound of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Keys before this are outside.
    pub lower: Bound<Vec<u8>>,
    /// Keys behind this are outside.
    pub upper: Bound<Vec<u8>>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits::all()
    }
}

/// Returns the least key greater than every key that begins with `prefix`, or `None` if there is none because `prefix`
/// is empty or all 0xFF.
pub fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

impl Limits {
    /// Returns limits within which all keys lie.
    pub fn all() -> Limits {
        Limits {
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }
    }

    /// Returns the limits of the keys between the bounds that begin with `prefix`.
    pub fn new(from: Bound<&[u8]>, to: Bound<&[u8]>, prefix: Option<&[u8]>) -> Limits {
        let mut limits = Limits {
            lower: from.map(<[u8]>::to_vec),
            upper: to.map(<[u8]>::to_vec),
        };
        if let Some(prefix) = prefix {
            if !limits.is_below_lower_or_at(prefix) && !prefix.is_empty() {
                limits.lower = Bound::Included(prefix.to_vec());
            }
            if let Some(end) = behind_prefix(prefix) {
                let inside = match &limits.upper {
                    Bound::Unbounded => false,
                    Bound::Included(u) => *u < end,
                    Bound::Excluded(u) => *u <= end,
                };
                if !inside {
                    limits.upper = Bound::Excluded(end);
                }
            }
        }
        limits
    }

    /// Returns whether the lower bound is at least as strict as "not less than `key`".
    fn is_below_lower_or_at(&self, key: &[u8]) -> bool {
        match &self.lower {
            Bound::Unbounded => false,
            Bound::Included(l) | Bound::Excluded(l) => key <= l.as_slice(),
        }
    }

    /// Returns whether `key` lies before the range.
    pub fn is_before(&self, key: &[u8]) -> bool {
        match &self.lower {
            Bound::Unbounded => false,
            Bound::Included(l) => key < l.as_slice(),
            Bound::Excluded(l) => key <= l.as_slice(),
        }
    }

    /// Returns whether `key` lies behind the range.
    pub fn is_behind(&self, key: &[u8]) -> bool {
        match &self.upper {
            Bound::Unbounded => false,
            Bound::Included(u) => key > u.as_slice(),
            Bound::Excluded(u) => key >= u.as_slice(),
        }
    }

    /// Returns whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.is_before(key) && !self.is_behind(key)
    }

    /// Returns the bounds as "from this key on" and "below this key", where `None` stands for no bound.
    pub fn half_open(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        // The least key behind `k` is `k` and a zero byte.
        let next = |k: &Vec<u8>| [k.as_slice(), &[0]].concat();
        let from = match &self.lower {
            Bound::Unbounded => None,
            Bound::Included(l) => Some(l.clone()),
            Bound::Excluded(l) => Some(next(l)),
        };
        let to = match &self.upper {
            Bound::Unbounded => None,
            Bound::Included(u) => Some(next(u)),
            Bound::Excluded(u) => Some(u.clone()),
        };
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_and_bounds_combine() {
        let keys: Vec<Vec<u8>> = [
            &b""[..],
            b"a",
            b"a\xFF",
            b"ab",
            b"abc",
            b"b",
            b"\xFF",
            b"\xFF\xFF",
            b"\xFF\xFFa",
        ]
        .iter()
        .map(|k| k.to_vec())
        .collect();
        let bounds = |k: &'static [u8]| [Bound::Unbounded, Bound::Included(k), Bound::Excluded(k)];
        for prefix in &keys {
            for from in [&b"a"[..], b"ab", b"\xFF\xFF"].into_iter().flat_map(bounds) {
                for to in [&b"a"[..], b"ab", b"b", b"\xFF\xFF"].into_iter().flat_map(bounds) {
                    let limits = Limits::new(from, to, Some(prefix));
                    let (low, high) = limits.half_open();
                    for k in &keys {
                        let plain = std::ops::RangeBounds::<[u8]>::contains(&(from, to), k.as_slice());
                        assert_eq!(limits.contains(k), plain && k.starts_with(prefix), "{limits:?} {k:?}");
                        let half = low.as_ref().is_none_or(|l| k >= l) && high.as_ref().is_none_or(|h| k < h);
                        assert_eq!(half, limits.contains(k));
                    }
                }
            }
        }
    }
}
