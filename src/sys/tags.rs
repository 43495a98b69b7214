//! Comparing the tags of a group of slots at once.

/// A bit for each of 16 words whose topmost `32 - skipped` bits are `tag`.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn equal(word: impl Fn(usize) -> u64, tag: u32, skipped: i32) -> u32 {
    use std::arch::x86_64::{
        _mm_castps_si128, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_cvtsi32_si128, _mm_movemask_epi8,
        _mm_packs_epi16, _mm_packs_epi32, _mm_set_epi64x, _mm_set1_epi32, _mm_shuffle_ps,
        _mm_srl_epi32,
    };
    // SAFETY: SSE2 is part of x86-64; none of these has a pointer.
    unsafe {
        let tags = _mm_set1_epi32(tag as i32);
        let skipped = _mm_cvtsi32_si128(skipped);
        let pair =
            |at: usize| _mm_castsi128_ps(_mm_set_epi64x(word(at + 1) as i64, word(at) as i64));
        let four = |at: usize| {
            let upper = _mm_shuffle_ps::<0b11_01_11_01>(pair(at), pair(at + 2));
            _mm_cmpeq_epi32(_mm_srl_epi32(_mm_castps_si128(upper), skipped), tags)
        };
        let low = _mm_packs_epi32(four(0), four(4));
        let high = _mm_packs_epi32(four(8), four(12));
        _mm_movemask_epi8(_mm_packs_epi16(low, high)) as u32
    }
}

/// A bit for each of 16 words whose topmost `32 - skipped` bits are `tag`.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn equal(word: impl Fn(usize) -> u64, tag: u32, skipped: i32) -> u32 {
    let bit = |at: usize| u32::from(word(at) >> (32 + skipped) == u64::from(tag)) << at;
    (0..16).map(bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_equal_tag_sets_its_bit_and_no_other() {
        let mut words = [0u64; 16];
        for at in 0..16 {
            words[at] = (0xABCDE << 44) | (u64::MAX >> 20);
            assert_eq!(equal(|i| words[i], 0xABCDE, 12), 1 << at);
            words[at] = (0xABCDF << 44) | at as u64;
        }
        assert_eq!(equal(|i| words[i], 0xABCDE, 12), 0);
        assert_eq!(equal(|i| words[i], 0xABCDF, 12), 0xFFFF);
        assert_eq!(equal(|_| 0, 0, 12), 0xFFFF);
    }
}
