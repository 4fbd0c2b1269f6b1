//! Vector compares, chosen once per call at the top of a lookup.
//!
//! A [`Kernel`] is a proof that the machine can do what its methods use. [`best`] hands one to a piece of [`Work`], and
//! everything that the work inlines is compiled for that machine. Dispatching further down costs more than the
//! compares.
//!
//! All methods return one bit per element, with the first element in the lowest bit. Arrays are little-endian.

#![allow(unsafe_code)]

use crate::error::Result;

/// A way to compare many elements with one value.
pub trait Kernel: Copy {
    /// Tells which of the elements of 16 bits are less than `than`.
    fn less_16(self, elements: &[u8; 64], than: u16) -> u32;
    /// Tells which of the elements of 32 bits are less than `than`.
    fn less_32(self, elements: &[u8; 128], than: u32) -> u32;
    /// Tells which of the 16 elements of 64 bits are less than `than`, in 16 bits.
    fn less_64(self, elements: &[u8; 128], than: u64) -> u32;
    /// Tells which of the bytes are equal to `to`.
    fn equal_8(self, elements: &[u8; 32], to: u8) -> u32;
}

/// Something to be done with the best kernel. Its parts must be `#[inline(always)]` to be compiled for it.
pub trait Work {
    /// The result of the work.
    type Out;
    /// Does the work.
    fn run<K: Kernel>(self, kernel: K) -> Self::Out;
}

/// Work that does not say what is wrong, because an answer without an error stays in registers.
pub struct Quietly<W>(pub W);

impl<W: Work<Out = Result<T>>, T> Work for Quietly<W> {
    type Out = Option<T>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Option<T> {
        self.0.run(kernel).ok()
    }
}

/// The kernel of what every machine can do.
#[derive(Debug, Clone, Copy)]
pub struct Plain(());

/// Returns the kernel that works on every machine.
#[inline(always)]
pub fn plain() -> Plain {
    Plain(())
}

/// Runs `work` with the best kernel of this machine.
#[inline(always)]
pub fn best<W: Work>(work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    if avx2::there() {
        // SAFETY: the machine has what the function asks for.
        return unsafe { avx2::run(work) };
    }
    work.run(plain())
}

#[cfg(any(not(target_arch = "x86_64"), test))]
mod portable {
    #[inline(always)]
    pub fn less<const W: usize>(elements: &[u8], less: impl Fn([u8; W]) -> bool) -> u32 {
        let mut bits = 0;
        for (i, element) in elements.chunks_exact(W).enumerate() {
            let mut bytes = [0; W];
            bytes.copy_from_slice(element);
            bits |= u32::from(less(bytes)) << i;
        }
        bits
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Kernel for Plain {
    #[inline(always)]
    fn less_16(self, elements: &[u8; 64], than: u16) -> u32 {
        portable::less(elements, |b| u16::from_le_bytes(b) < than)
    }
    #[inline(always)]
    fn less_32(self, elements: &[u8; 128], than: u32) -> u32 {
        portable::less(elements, |b| u32::from_le_bytes(b) < than)
    }
    #[inline(always)]
    fn less_64(self, elements: &[u8; 128], than: u64) -> u32 {
        portable::less(elements, |b| u64::from_le_bytes(b) < than)
    }
    #[inline(always)]
    fn equal_8(self, elements: &[u8; 32], to: u8) -> u32 {
        portable::less(elements, |[b]| b == to)
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::{Kernel, Plain};
    use std::arch::x86_64::*;

    impl Kernel for Plain {
        #[inline(always)]
        fn less_16(self, elements: &[u8; 64], than: u16) -> u32 {
            // SAFETY: SSE2 belongs to x86_64; every load lies inside the array.
            unsafe {
                let (than, zero) = (_mm_set1_epi16(than as i16), _mm_setzero_si128());
                // Saturating subtraction leaves zero where the element is not less.
                let not_less = |i| {
                    let x = _mm_loadu_si128(elements.as_ptr().cast::<__m128i>().add(i));
                    _mm_cmpeq_epi16(_mm_subs_epu16(than, x), zero)
                };
                let low = _mm_movemask_epi8(_mm_packs_epi16(not_less(0), not_less(1))) as u32;
                let high = _mm_movemask_epi8(_mm_packs_epi16(not_less(2), not_less(3))) as u32;
                !(low | high << 16)
            }
        }

        #[inline(always)]
        fn less_32(self, elements: &[u8; 128], than: u32) -> u32 {
            // SAFETY: as above.
            unsafe {
                // There is only a signed compare, so both sides are shifted by half the range.
                let flip = _mm_set1_epi32(i32::MIN);
                let than = _mm_xor_si128(_mm_set1_epi32(than as i32), flip);
                let less = |i| {
                    let x = _mm_loadu_si128(elements.as_ptr().cast::<__m128i>().add(i));
                    _mm_cmplt_epi32(_mm_xor_si128(x, flip), than)
                };
                let sixteen = |i| {
                    let low = _mm_packs_epi32(less(i), less(i + 1));
                    let high = _mm_packs_epi32(less(i + 2), less(i + 3));
                    _mm_movemask_epi8(_mm_packs_epi16(low, high)) as u32
                };
                sixteen(0) | sixteen(4) << 16
            }
        }

        #[inline(always)]
        fn less_64(self, elements: &[u8; 128], than: u64) -> u32 {
            let mut bits = 0;
            for i in 0..16 {
                bits |= u32::from(crate::util::bytes::get_u64(elements, 8 * i) < than) << i;
            }
            bits
        }

        #[inline(always)]
        fn equal_8(self, elements: &[u8; 32], to: u8) -> u32 {
            // SAFETY: as above.
            unsafe {
                let to = _mm_set1_epi8(to as i8);
                let at = elements.as_ptr().cast::<__m128i>();
                let low = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(at), to)) as u32;
                let high = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(at.add(1)), to)) as u32;
                low | high << 16
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Kernel, Work};
    use std::arch::x86_64::*;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    /// The kernel of machines with AVX2, BMI1, BMI2 and POPCNT. It is made only there.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    /// Returns whether the machine has these, which takes a load and a test.
    #[inline(always)]
    pub fn there() -> bool {
        match ANSWER.load(Relaxed) {
            0 => ask(),
            answer => answer == 2,
        }
    }

    /// What is known of the machine. 0: not detected yet, 1: no, 2: yes.
    static ANSWER: AtomicU8 = AtomicU8::new(0);

    #[cold]
    #[inline(never)]
    fn ask() -> bool {
        let there =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
        ANSWER.store(1 + u8::from(there), Relaxed);
        there
    }

    /// # Safety
    /// [`there`] has returned true.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub unsafe fn run<W: Work>(work: W) -> W::Out {
        work.run(Avx2(()))
    }

    // An `Avx2` exists only where the machine has it. The functions behind the methods carry the target feature
    // themselves and have no closures: a closure lacks the feature, and then each vector operation becomes a call.
    impl Kernel for Avx2 {
        #[inline(always)]
        fn less_16(self, elements: &[u8; 64], than: u16) -> u32 {
            // SAFETY: see above.
            unsafe { less_16(elements, than) }
        }
        #[inline(always)]
        fn less_32(self, elements: &[u8; 128], than: u32) -> u32 {
            // SAFETY: see above.
            unsafe { less_32(elements, than) }
        }
        #[inline(always)]
        fn less_64(self, elements: &[u8; 128], than: u64) -> u32 {
            // SAFETY: see above.
            unsafe { less_64(elements, than) }
        }
        #[inline(always)]
        fn equal_8(self, elements: &[u8; 32], to: u8) -> u32 {
            // SAFETY: see above.
            unsafe { equal_8(elements, to) }
        }
    }

    /// Vector `$i` of an array; every use lies inside it.
    macro_rules! vector {
        ($elements:ident, $i:expr) => {
            _mm256_loadu_si256($elements.as_ptr().cast::<__m256i>().add($i))
        };
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    unsafe fn less_16(elements: &[u8; 64], than: u16) -> u32 {
        let (than, zero) = (_mm256_set1_epi16(than as i16), _mm256_setzero_si256());
        // Saturating subtraction leaves zero where the element is not less.
        let low = _mm256_cmpeq_epi16(_mm256_subs_epu16(than, vector!(elements, 0)), zero);
        let high = _mm256_cmpeq_epi16(_mm256_subs_epu16(than, vector!(elements, 1)), zero);
        // Packing works within halves, so the permutation puts the quarters back into their order.
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(low, high));
        !(_mm256_movemask_epi8(packed) as u32)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    unsafe fn less_32(elements: &[u8; 128], than: u32) -> u32 {
        let than = _mm256_set1_epi32(than as i32);
        macro_rules! not_less {
            ($i:expr) => {{
                let x = vector!(elements, $i);
                _mm256_cmpeq_epi32(_mm256_max_epu32(x, than), x)
            }};
        }
        let low = _mm256_packs_epi32(not_less!(0), not_less!(1));
        let high = _mm256_packs_epi32(not_less!(2), not_less!(3));
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        let packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
        !(_mm256_movemask_epi8(packed) as u32)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    unsafe fn less_64(elements: &[u8; 128], than: u64) -> u32 {
        // There is only a signed compare, so both sides are shifted by half the range.
        let flip = _mm256_set1_epi64x(i64::MIN);
        let than = _mm256_xor_si256(_mm256_set1_epi64x(than as i64), flip);
        macro_rules! less {
            ($i:expr) => {{
                let less = _mm256_cmpgt_epi64(than, _mm256_xor_si256(vector!(elements, $i), flip));
                _mm256_movemask_pd(_mm256_castsi256_pd(less)) as u32
            }};
        }
        less!(0) | less!(1) << 4 | less!(2) << 8 | less!(3) << 12
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    unsafe fn equal_8(elements: &[u8; 32], to: u8) -> u32 {
        let equal = _mm256_cmpeq_epi8(vector!(elements, 0), _mm256_set1_epi8(to as i8));
        _mm256_movemask_epi8(equal) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Compare<'a>(&'a [u8; 128], u64);

    impl Work for Compare<'_> {
        type Out = [u32; 4];
        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> [u32; 4] {
            let half = self.0.first_chunk().expect("64");
            [
                kernel.less_16(half, self.1 as u16),
                kernel.less_32(self.0, self.1 as u32),
                kernel.less_64(self.0, self.1),
                kernel.equal_8(self.0.first_chunk().expect("32"), self.1 as u8),
            ]
        }
    }

    #[test]
    fn kernels_agree() {
        let mut x = 1u64;
        for round in 0..2000 {
            let mut bytes = [0u8; 128];
            for b in &mut bytes {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Few different values, so that equal elements and the ends of the range occur.
                *b = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][(x >> 40) as usize % if round % 2 == 0 { 6 } else { 2 }];
            }
            let at = 8 * (x >> 60) as usize;
            let than = crate::util::bytes::get_u64(&bytes, at).wrapping_add(x >> 33 & 1);
            let want = [
                portable::less(&bytes[..64], |b| u16::from_le_bytes(b) < than as u16),
                portable::less(&bytes, |b| u32::from_le_bytes(b) < than as u32),
                portable::less(&bytes, |b| u64::from_le_bytes(b) < than),
                portable::less(&bytes[..32], |[b]| b == than as u8),
            ];
            assert_eq!(best(Compare(&bytes, than)), want);
            assert_eq!(Compare(&bytes, than).run(plain()), want);
        }
    }
}
