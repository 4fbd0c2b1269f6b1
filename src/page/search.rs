//! Counting heads: how many of a sorted array of 32-bit heads are less than a given one.
//!
//! Every sixty-fourth is compared to find the 64 heads in question, which are then compared all at once ([`Kernel`]). The
//! window may begin before or end behind them: both are harmless in a sorted array, and bytes behind the array are masked
//! by position.

use super::kernel::{plain, Kernel};
use super::layout::HEADS;

const WINDOW: usize = 32;

/// The 4 bytes after the prefix as a big-endian integer, zero padded: integer order is byte order.
#[inline(always)]
pub fn head(suffix: &[u8]) -> u32 {
    match suffix {
        [a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
        [a, b, c] => u32::from_be_bytes([*a, *b, *c, 0]),
        [a, b] => u32::from_be_bytes([*a, *b, 0, 0]),
        [a] => u32::from_be_bytes([*a, 0, 0, 0]),
        [] => 0,
    }
}

/// Head `i` of the array behind the page header.
#[inline(always)]
pub fn head_at(page: &[u8], i: usize) -> u32 {
    // Where the first array begins does not depend on how many elements there are.
    HEADS.get(page, 0, i)
}

/// Number of the `n` heads behind the page header that are less than `h`. The page holds at least `n` heads.
#[inline(always)]
pub fn count_less(page: &[u8], n: usize, h: u32) -> usize {
    count_less_with(plain(), page, n, h)
}

/// As [`count_less`], with the best kernel at hand.
#[inline(always)]
pub fn count_less_with<K: Kernel>(kernel: K, page: &[u8], n: usize, h: u32) -> usize {
    const BOTH: usize = 2 * WINDOW;
    let (mut base, mut end) = (0, n);
    // Only large pages have so many.
    while end - base > 4 * BOTH {
        let mid = base + (end - base) / 2;
        // Heads before `mid` are all less than `h` if the one at `mid - 1` is.
        if head_at(page, mid - 1) < h {
            base = mid;
        } else {
            end = mid;
        }
    }
    // A sum of compares, not more halving: that would be a jump that no processor can foresee.
    let mut last = base + BOTH - 1;
    while last < end {
        base += BOTH * usize::from(head_at(page, last) < h);
        last += BOTH;
    }
    if n <= WINDOW {
        // What lies behind the heads counts as not less.
        let beyond = u32::MAX.checked_shl(n as u32).unwrap_or(0);
        return (!window(kernel, page, 0, h) | beyond).trailing_zeros() as usize;
    }
    let at = base.min(n.saturating_sub(BOTH));
    let less = u64::from(window(kernel, page, at, h)) | u64::from(window(kernel, page, at + WINDOW, h)) << 32;
    let beyond = u64::MAX.checked_shl((n - at) as u32).unwrap_or(0);
    at + (!less | beyond).trailing_zeros() as usize
}

/// Which of the heads from `at` on are less than `h`.
#[inline(always)]
fn window<K: Kernel>(kernel: K, page: &[u8], at: usize, h: u32) -> u32 {
    // A page is at least 4096 bytes: only hostile counts could leave it, and those the views refuse.
    match page.get(HEADS.at(0, at)..).and_then(|heads| heads.first_chunk()) {
        Some(heads) => kernel.less_32(heads, h),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_like_a_filter() {
        let mut x = 7u64;
        for n in 0..300usize {
            let mut v: Vec<u32> = (0..n)
                .map(|_| {
                    x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (x >> 40) as u32 % 64 * 0x0400_0001
                })
                .collect();
            v.sort();
            let mut page = vec![0xA5u8; 4096];
            for (i, h) in v.iter().enumerate() {
                HEADS.set(&mut page, n, i, *h);
            }
            for h in v
                .iter()
                .flat_map(|h| [h.wrapping_sub(1), *h, h.wrapping_add(1)])
                .chain([0, u32::MAX])
            {
                assert_eq!(count_less(&page, n, h), v.iter().filter(|y| **y < h).count());
            }
        }
    }
}
