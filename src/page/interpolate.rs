//! Searching ascending numbers that are probably spread evenly, as the suffixes of dense leaves are.

use crate::util::bytes::get_u32;

/// Returns where `x` is among `n` ascending numbers, if it is just where interpolation expects it.
#[inline(always)]
pub fn where_expected(n: usize, x: u64, get: impl Fn(usize) -> u64) -> Option<usize> {
    let end = n.checked_sub(1)?;
    let (first, last) = (get(0), get(end));
    if x < first || x > last {
        return None;
    }
    let i = interpolate(end, x, first, last);
    (i <= end && get(i) == x).then_some(i)
}

/// Returns where interpolation expects `t`, which lies between `first` and `last`, if these are the elements 0 and
/// `end` of a sorted array.
#[inline(always)]
pub fn interpolate(end: usize, t: u64, first: u64, last: u64) -> usize {
    let (way, all) = (t - first, last - first);
    // Without gaps no division is needed.
    if all == end as u64 {
        return way as usize;
    }
    // Both differences lose the same number of bits, so that the product fits.
    let lose = 16u32.saturating_sub(all.leading_zeros());
    ((way >> lose) * end as u64 / (all >> lose).max(1)) as usize
}

/// Returns the number of elements less than `t` among `n`. It compares a window of `W` elements where they should be if
/// they are spread evenly, and halves if that does not tell.
#[inline(always)]
pub fn less_in<const W: usize>(
    n: usize,
    t: u64,
    get: impl Fn(usize) -> u64,
    window: impl Fn(usize) -> Option<u32>,
) -> usize {
    let Some(end) = n.checked_sub(1) else { return 0 };
    let (first, last) = (get(0), get(end));
    if t <= first {
        return 0;
    }
    if t > last {
        return n;
    }
    if n < W {
        return halve(0, n, |i| get(i) < t);
    }
    let at = interpolate(end, t, first, last).saturating_sub(W / 2).min(n - W);
    let all = u32::MAX >> (32 - W);
    let Some(less) = window(at) else { return 0 };
    if less == all {
        return halve(at + W, n - at - W, |i| get(i) < t);
    }
    if less == 0 {
        return halve(0, at, |i| get(i) < t);
    }
    at + (!less).trailing_zeros() as usize
}

/// Returns the first of the `len` positions from `base` on for which `less` does not hold, by halving without branches.
#[inline(always)]
pub fn halve(mut base: usize, mut len: usize, less: impl Fn(usize) -> bool) -> usize {
    while len > 1 {
        let half = len / 2;
        base = if less(base + half - 1) { base + half } else { base };
        len -= half;
    }
    base + (len == 1 && less(base)) as usize
}

/// Returns the first 8 bytes as a big-endian integer, zero padded.
#[inline(always)]
pub fn left_aligned(suffix: &[u8]) -> u64 {
    if let Some(eight) = suffix.first_chunk() {
        return u64::from_be_bytes(*eight);
    }
    let n = suffix.len();
    match n {
        4.. => {
            // The two halves overlap, and the bytes they share are equal.
            let high = u64::from(get_u32(suffix, 0).swap_bytes()) << 32;
            let low = u64::from(get_u32(suffix, n - 4).swap_bytes()) << (64 - 8 * n);
            high | low
        }
        _ => suffix
            .iter()
            .enumerate()
            .fold(0, |x, (i, b)| x | u64::from(*b) << (56 - 8 * i)),
    }
}
