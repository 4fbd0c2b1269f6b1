//! A range of keys, owned: two bounds into which a prefix has been folded.

use crate::error::{Error, Result};
use std::ops::Bound;

/// What the bounds of a range are called where memory for them is lacking.
const BOUNDS: &str = "the bounds of a range";

/// The lower and the upper bound of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Keys before this are outside.
    pub lower: Bound<Vec<u8>>,
    /// Keys behind this are outside.
    pub upper: Bound<Vec<u8>>,
}

/// The first key of a range and the first one behind it, where `None` stands for no bound.
pub type HalfOpen = (Option<Vec<u8>>, Option<Vec<u8>>);

impl Default for Limits {
    fn default() -> Self {
        Limits::ALL
    }
}

/// Returns the least key greater than every key that begins with `prefix`, or `None` if there is none because `prefix`
/// is empty or all 0xFF.
///
/// # Errors
/// `NoMemory`.
pub fn behind_prefix(prefix: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(last) = prefix.iter().rposition(|b| *b != 0xFF) else {
        return Ok(None);
    };
    let mut end = Error::or_copy(&prefix[..=last], BOUNDS)?;
    end[last] += 1;
    Ok(Some(end))
}

/// Returns a copy of a bound.
fn copy_of(bound: Bound<&[u8]>) -> Result<Bound<Vec<u8>>> {
    Ok(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(Error::or_copy(key, BOUNDS)?),
        Bound::Excluded(key) => Bound::Excluded(Error::or_copy(key, BOUNDS)?),
    })
}

impl Limits {
    /// Limits within which all keys lie.
    pub const ALL: Limits = Limits {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    };

    /// Returns the limits of the keys between the bounds that begin with `prefix`.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new(from: Bound<&[u8]>, to: Bound<&[u8]>, prefix: Option<&[u8]>) -> Result<Limits> {
        let mut limits = Limits {
            lower: copy_of(from)?,
            upper: copy_of(to)?,
        };
        if let Some(prefix) = prefix {
            if !limits.is_below_lower_or_at(prefix) && !prefix.is_empty() {
                limits.lower = Bound::Included(Error::or_copy(prefix, BOUNDS)?);
            }
            if let Some(end) = behind_prefix(prefix)? {
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
        Ok(limits)
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

    /// Returns the bounds as "from this key on" and "below this key".
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn half_open(self) -> Result<HalfOpen> {
        // The least key behind `k` is `k` and a zero byte.
        let next = |mut k: Vec<u8>| {
            Error::or_room(&mut k, 1, BOUNDS)?;
            k.push(0);
            Ok(k)
        };
        let from = match self.lower {
            Bound::Unbounded => None,
            Bound::Included(l) => Some(l),
            Bound::Excluded(l) => Some(next(l)?),
        };
        let to = match self.upper {
            Bound::Unbounded => None,
            Bound::Included(u) => Some(next(u)?),
            Bound::Excluded(u) => Some(u),
        };
        Ok((from, to))
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
                    let limits = Limits::new(from, to, Some(prefix)).unwrap();
                    let (low, high) = limits.clone().half_open().unwrap();
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
