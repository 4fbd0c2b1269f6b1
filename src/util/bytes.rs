//! Little-endian integers inside byte slices, and comparisons of byte strings.
//!
//! The `get_*` functions panic if the field lies outside the slice, so callers bound `at` first. Readers of untrusted
//! bytes use [`try_u16`] and the functions like it, or check the length once and then read within it.

use std::cmp::Ordering;

/// Returns a number of bytes or of things in memory as an index. On a machine whose addresses are shorter, one that is
/// too large becomes the largest there is, which lies behind everything.
#[inline(always)]
pub fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reads 2 bytes at `at`.
#[inline(always)]
pub fn get_u16(b: &[u8], at: usize) -> u16 {
    let mut x = [0; 2];
    x.copy_from_slice(&b[at..at + 2]);
    u16::from_le_bytes(x)
}

/// Reads 4 bytes at `at`.
#[inline(always)]
pub fn get_u32(b: &[u8], at: usize) -> u32 {
    let mut x = [0; 4];
    x.copy_from_slice(&b[at..at + 4]);
    u32::from_le_bytes(x)
}

/// Reads 6 bytes at `at`.
#[inline(always)]
pub fn get_u48(b: &[u8], at: usize) -> u64 {
    let mut x = [0; 8];
    x[..6].copy_from_slice(&b[at..at + 6]);
    u64::from_le_bytes(x)
}

/// Reads 8 bytes at `at`.
#[inline(always)]
pub fn get_u64(b: &[u8], at: usize) -> u64 {
    let mut x = [0; 8];
    x.copy_from_slice(&b[at..at + 8]);
    u64::from_le_bytes(x)
}

/// Writes 2 bytes at `at`.
#[inline(always)]
pub fn put_u16(b: &mut [u8], at: usize, v: u16) {
    b[at..at + 2].copy_from_slice(&v.to_le_bytes());
}

/// Writes 4 bytes at `at`.
#[inline(always)]
pub fn put_u32(b: &mut [u8], at: usize, v: u32) {
    b[at..at + 4].copy_from_slice(&v.to_le_bytes());
}

/// Writes the low 6 bytes of `v` at `at`.
#[inline(always)]
pub fn put_u48(b: &mut [u8], at: usize, v: u64) {
    debug_assert!(v < 1 << 48);
    b[at..at + 6].copy_from_slice(&v.to_le_bytes()[..6]);
}

/// Writes 8 bytes at `at`.
#[inline(always)]
pub fn put_u64(b: &mut [u8], at: usize, v: u64) {
    b[at..at + 8].copy_from_slice(&v.to_le_bytes());
}

/// Reads 2 bytes at `at`, or returns `None` if they lie outside the slice.
#[inline]
pub fn try_u16(b: &[u8], at: usize) -> Option<u16> {
    Some(get_u16(b.get(at..at.checked_add(2)?)?, 0))
}

/// Reads 4 bytes at `at`, or returns `None` if they lie outside the slice.
#[inline]
pub fn try_u32(b: &[u8], at: usize) -> Option<u32> {
    Some(get_u32(b.get(at..at.checked_add(4)?)?, 0))
}

/// Reads 6 bytes at `at`, or returns `None` if they lie outside the slice.
#[inline]
pub fn try_u48(b: &[u8], at: usize) -> Option<u64> {
    Some(get_u48(b.get(at..at.checked_add(6)?)?, 0))
}

/// Returns whether `a` and `b` are equal. It is meant for short strings, for which a call to the C library costs more
/// than the comparison itself.
#[inline(always)]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len();
    if n != b.len() {
        return false;
    }
    match n {
        0..=3 => a.iter().zip(b).all(|(x, y)| x == y),
        4..=7 => get_u32(a, 0) == get_u32(b, 0) && get_u32(a, n - 4) == get_u32(b, n - 4),
        8..=16 => get_u64(a, 0) == get_u64(b, 0) && get_u64(a, n - 8) == get_u64(b, n - 8),
        17..=32 => {
            let (x, y) = (get_u64(a, 0) ^ get_u64(b, 0), get_u64(a, 8) ^ get_u64(b, 8));
            let (v, w) = (
                get_u64(a, n - 16) ^ get_u64(b, n - 16),
                get_u64(a, n - 8) ^ get_u64(b, n - 8),
            );
            x | y | v | w == 0
        }
        _ => a == b,
    }
}

/// Returns whether `a` comes before `b`. It is meant for strings that differ early, for which a call to the C library
/// costs more than the comparison itself.
#[inline(always)]
pub fn less(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (a, b);
    while let (Some((x, more_a)), Some((y, more_b))) = (a.split_first_chunk::<8>(), b.split_first_chunk::<8>()) {
        let (x, y) = (u64::from_be_bytes(*x), u64::from_be_bytes(*y));
        if x != y {
            return x < y;
        }
        (a, b) = (more_a, more_b);
    }
    a < b
}

/// Returns the order of `stored`, which lies in a page, and `key`.
///
/// The C library compares short strings by reading 32 bytes and masking out those behind the end. That takes some 500
/// cycles if these bytes extend beyond a page of memory into one that is not mapped, as they do for the first separator
/// of the root in a file that ends with the root. Strings that close to the end of a page are therefore compared byte
/// by byte.
#[inline(always)]
pub fn order(stored: &[u8], key: &[u8]) -> Ordering {
    const READ: usize = 32;
    match stored.as_ptr().addr() % PAGE > PAGE - READ {
        true => order_at_end(stored, key),
        false => stored.cmp(key),
    }
}

/// The size in bytes of the smallest page of memory.
const PAGE: usize = 4096;

#[inline(never)]
fn order_at_end(a: &[u8], b: &[u8]) -> Ordering {
    let mut pairs = a.iter().zip(b);
    let different = pairs.find(|(x, y)| x != y).map(|(x, y)| x.cmp(y));
    different.unwrap_or(a.len().cmp(&b.len()))
}

/// Returns the length of the longest common prefix of `a` and `b`.
#[inline]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let n = a.len().min(b.len());
    let mut i = 0;
    while i + 8 <= n {
        let d = get_u64(a, i) ^ get_u64(b, i);
        if d != 0 {
            return i + (d.trailing_zeros() / 8) as usize;
        }
        i += 8;
    }
    while i < n && a[i] == b[i] {
        i += 1;
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_and_order_are_those_of_slices() {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for n in 0..20 {
            for i in 0..=n {
                for b in [0, 1, 0x7F, 0x80, 0xFF] {
                    all.push((0..n).map(|at| if at == i { b } else { 7 }).collect());
                }
            }
        }
        for a in &all {
            for b in &all {
                assert_eq!(less(a, b), a < b, "{a:?} {b:?}");
                assert_eq!(order(a, b), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(order_at_end(a, b), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn same_is_equality() {
        let a: Vec<u8> = (0..80).collect();
        for n in 0..80 {
            let b = a[..n].to_vec();
            assert!(same(&a[..n], &b));
            assert!(!same(&a[..n], &a[..n + 1]));
            for i in 0..n {
                let mut b = a[..n].to_vec();
                b[i] ^= 0x80;
                assert!(!same(&a[..n], &b), "{n} {i}");
            }
        }
    }
}
