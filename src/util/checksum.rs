//! The checksum of every page, chain piece, record and meta slot: CRC-32C (Castagnoli).
//!
//! The crate `crc32c` computes it on every machine. A page takes it 2,000 instructions, though, and the processor one
//! cycle for each 8 bytes, because there is one unit for the instruction `crc32`. That was a fourth of a small commit.
//! Blocks of nearly 4 KiB therefore go through [`blocks`] where the processor can multiply polynomials: another unit
//! does that, and the two share a block. This takes 40 % of the time and half of the instructions
//! (docs/performance.md).

#![allow(unsafe_code)]

/// Returns the CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= blocks::BLOCK && blocks::can_run() {
        // SAFETY: the machine has what the function asks for.
        let (sum, rest) = unsafe { blocks::crc32c(bytes) };
        return crc32c::crc32c_append(sum, rest);
    }
    crc32c::crc32c(bytes)
}

/// Whole blocks, each in four parts whose remainders are computed side by side: one by folding, which multiplies by
/// powers of x, and three by the instruction `crc32`.
///
/// The checksum is the remainder of a polynomial by [`POLYNOMIAL`], with the bits of all words reflected: bit 0 is the
/// coefficient of the highest power. A part that lies before `n` other bytes counts with x^8n as a factor. Multiplying
/// two reflected words of 32 bits gives their product times x, and `crc32` of that, which divides, times x^33.
#[cfg(target_arch = "x86_64")]
mod blocks {
    use std::arch::x86_64::*;

    /// The polynomial of the checksum, reflected and without its highest power.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    /// The number of rounds of a block. In each, 64 bytes are folded and 72 divided, which keeps both units busy alike.
    const ROUNDS: usize = 29;
    /// The bytes of a block that are folded: what the folding begins with, and those of the rounds.
    const FOLDED: usize = 64 * (1 + ROUNDS);
    /// The bytes of each of the three parts that are divided.
    const PART: usize = 24 * ROUNDS;
    /// The bytes of a block: as many as there are in a page of 4 KiB, up to the nearest round.
    pub const BLOCK: usize = FOLDED + 3 * PART;

    /// Returns x^n modulo the polynomial.
    const fn power(n: usize) -> u32 {
        let (mut value, mut i) = (1 << 31, 0);
        while i < n {
            value = (value >> 1) ^ if value & 1 == 0 { 0 } else { POLYNOMIAL };
            i += 1;
        }
        value
    }

    /// Returns the factors that carry both halves of 128 bits `bits` further. The product of a half is one bit short,
    /// which the shift makes up for.
    const fn factors(bits: usize) -> [u64; 2] {
        [(power(bits + 32) as u64) << 1, (power(bits - 32) as u64) << 1]
    }

    /// The factor of a part behind which `bytes` follow in its block.
    const fn factor_before(bytes: usize) -> u64 {
        power(8 * bytes - 33) as u64
    }

    const BY_64_BYTES: [u64; 2] = factors(512);
    const BY_16_BYTES: [u64; 2] = factors(128);
    const BEFORE: [u64; 3] = [factor_before(3 * PART), factor_before(2 * PART), factor_before(PART)];

    /// Returns whether the machine has the instructions.
    #[inline(always)]
    pub fn can_run() -> bool {
        // AVX brings SSE 4.2 along, and instructions of three operands, which need no copies.
        is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("avx")
    }

    /// Returns the checksum of the whole blocks at the head of `bytes`, and the bytes behind them.
    ///
    /// # Safety
    /// [`can_run`] has returned true.
    #[target_feature(enable = "avx,pclmulqdq")]
    pub unsafe fn crc32c(bytes: &[u8]) -> (u32, &[u8]) {
        let blocks = bytes.chunks_exact(BLOCK);
        let rest = blocks.remainder();
        let mut sum = u32::MAX;
        for block in blocks {
            // SAFETY: the machine can, as the caller says; the chunks have as many bytes as a block.
            sum = unsafe { behind_block(sum, block) };
        }
        (!sum, rest)
    }

    /// Returns the remainder behind a block, if it is `sum` before.
    ///
    /// # Safety
    /// The machine has the instructions, and the block has [`BLOCK`] bytes.
    #[inline]
    #[target_feature(enable = "avx,pclmulqdq")]
    unsafe fn behind_block(sum: u32, block: &[u8]) -> u32 {
        debug_assert_eq!(block.len(), BLOCK, "a whole block");
        let start = block.as_ptr();
        // SAFETY: all that is read lies in the block: the last round reads the last 64 bytes that are folded, and the
        // last word of each part.
        unsafe {
            let word = |at: usize| start.add(at).cast::<u64>().read_unaligned();
            let load = |at: usize| _mm_loadu_si128(start.add(at).cast());
            let mut folded = [load(0), load(16), load(32), load(48)];
            folded[0] = _mm_xor_si128(folded[0], _mm_cvtsi64_si128(i64::from(sum)));
            let mut sums = [0, 0, 0];
            for round in 0..ROUNDS {
                for (i, bits) in folded.iter_mut().enumerate() {
                    *bits = _mm_xor_si128(fold(*bits, BY_64_BYTES), load(64 + 64 * round + 16 * i));
                }
                for i in 0..3 {
                    for (part, sum) in sums.iter_mut().enumerate() {
                        *sum = _mm_crc32_u64(*sum, word(FOLDED + part * PART + 24 * round + 8 * i));
                    }
                }
            }
            let [mut all, others @ ..] = folded;
            for bits in others {
                all = _mm_xor_si128(fold(all, BY_16_BYTES), bits);
            }
            let low = _mm_crc32_u64(0, _mm_cvtsi128_si64(all) as u64);
            let first = _mm_crc32_u64(low, _mm_extract_epi64::<1>(all) as u64);
            let [second, third, last] = sums;
            let before = times(first, BEFORE[0]) ^ times(second, BEFORE[1]) ^ times(third, BEFORE[2]);
            (before ^ last) as u32
        }
    }

    /// Returns what 128 bits are worth further on, where these factors carry them.
    ///
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    unsafe fn fold(bits: __m128i, [low, high]: [u64; 2]) -> __m128i {
        // SAFETY: the machine has the instructions, as the caller says.
        unsafe {
            let factors = _mm_set_epi64x(high as i64, low as i64);
            let low = _mm_clmulepi64_si128::<0x00>(bits, factors);
            _mm_xor_si128(low, _mm_clmulepi64_si128::<0x11>(bits, factors))
        }
    }

    /// Multiplies a remainder by a factor of [`factor_before`].
    ///
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    unsafe fn times(sum: u64, factor: u64) -> u64 {
        // SAFETY: the machine has the instructions, as the caller says.
        unsafe {
            let product = _mm_clmulepi64_si128::<0x00>(_mm_cvtsi64_si128(sum as i64), _mm_cvtsi64_si128(factor as i64));
            _mm_crc32_u64(0, _mm_cvtsi128_si64(product) as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// The definition: one bit after the other.
    fn by_bits(bytes: &[u8]) -> u32 {
        let mut sum = u32::MAX;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ if sum & 1 == 0 { 0 } else { 0x82F6_3B78 };
            }
        }
        !sum
    }

    #[test]
    fn every_length_has_its_checksum() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283, "the check value of CRC-32C");
        let mut state = 1_u64;
        let bytes: Vec<u8> = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let lengths = (0..40).chain(3980..4120).chain(8000..8040).chain([16_384, 19_000]);
        for (i, len) in lengths.enumerate() {
            let part = &bytes[i % 17..][..len];
            assert_eq!(crc32c(part), by_bits(part), "{len} bytes from {}", i % 17);
        }
    }

    #[test]
    fn each_bit_of_a_page_counts() {
        let mut page = vec![0_u8; 4096];
        let none = crc32c(&page);
        for bit in 0..8 * page.len() {
            page[bit / 8] ^= 1 << (bit % 8);
            let sum = crc32c(&page);
            assert_ne!(sum, none, "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
