//! Comparing the tags of a group of slots at once.

/// Words that are compared at once.
pub const COUNT: usize = 16;

/// A bit for each of the words whose topmost `32 - skipped` bits are `tag`.
#[inline]
pub fn equal(words: &[u64; COUNT], tag: u32, skipped: i32) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a reference to as many words.
    return unsafe { equal_at(words.as_ptr(), tag, skipped) };
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    return equal_one_by_one(|at| words[at], tag, skipped);
}

/// As [`equal`], of words that other processes may change meanwhile: by instructions that the compiler does
/// not look into, as in [`super::bytes`]. A tag is within four aligned bytes, so each is one that was there.
///
/// # Safety
/// `words` points to [`COUNT`] words that may be read, and is a multiple of 8.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
pub unsafe fn equal_at(words: *const u64, tag: u32, skipped: i32) -> u32 {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_cvtsi32_si128, _mm_movemask_epi8, _mm_packs_epi16,
        _mm_packs_epi32, _mm_set1_epi32, _mm_srl_epi32,
    };
    let (a, b, c, d): (__m128i, __m128i, __m128i, __m128i);
    // SAFETY: the caller's; registers alone are changed. The upper halves of each four words are gathered.
    unsafe {
        asm!(
            "movups {a}, [{words}]",
            "movups {e}, [{words} + 16]",
            "movups {b}, [{words} + 32]",
            "movups {f}, [{words} + 48]",
            "movups {c}, [{words} + 64]",
            "movups {g}, [{words} + 80]",
            "movups {d}, [{words} + 96]",
            "movups {h}, [{words} + 112]",
            "shufps {a}, {e}, 0xDD",
            "shufps {b}, {f}, 0xDD",
            "shufps {c}, {g}, 0xDD",
            "shufps {d}, {h}, 0xDD",
            words = in(reg) words,
            a = out(xmm_reg) a,
            b = out(xmm_reg) b,
            c = out(xmm_reg) c,
            d = out(xmm_reg) d,
            e = out(xmm_reg) _,
            f = out(xmm_reg) _,
            g = out(xmm_reg) _,
            h = out(xmm_reg) _,
            options(nostack, preserves_flags),
        );
    }
    // SAFETY: SSE2 is part of x86-64; none of these has a pointer.
    unsafe {
        let tags = _mm_set1_epi32(tag as i32);
        let skipped = _mm_cvtsi32_si128(skipped);
        let four = |upper| _mm_cmpeq_epi32(_mm_srl_epi32(upper, skipped), tags);
        let low = _mm_packs_epi32(four(a), four(b));
        let high = _mm_packs_epi32(four(c), four(d));
        _mm_movemask_epi8(_mm_packs_epi16(low, high)) as u32
    }
}

/// As [`equal`], of words that other processes may change meanwhile.
///
/// # Safety
/// `words` points to [`COUNT`] words that may be read, and is a multiple of 8.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
pub unsafe fn equal_at(words: *const u64, tag: u32, skipped: i32) -> u32 {
    use std::sync::atomic::{AtomicU64, Ordering};
    // SAFETY: the caller's; all access to them is atomic.
    let word = |at| unsafe { (*words.add(at).cast::<AtomicU64>()).load(Ordering::Relaxed) };
    equal_one_by_one(word, tag, skipped)
}

#[cfg(any(test, not(all(target_arch = "x86_64", not(miri)))))]
fn equal_one_by_one(word: impl Fn(usize) -> u64, tag: u32, skipped: i32) -> u32 {
    let bit = |at: usize| u32::from(word(at) >> (32 + skipped) == u64::from(tag)) << at;
    (0..COUNT).map(bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_equal_tag_sets_its_bit_and_no_other() {
        let mut words = [0u64; COUNT];
        for at in 0..COUNT {
            words[at] = (0xABCDE << 44) | (u64::MAX >> 20);
            assert_eq!(equal(&words, 0xABCDE, 12), 1 << at);
            assert_eq!(equal_one_by_one(|i| words[i], 0xABCDE, 12), 1 << at);
            words[at] = (0xABCDF << 44) | at as u64;
        }
        assert_eq!(equal(&words, 0xABCDE, 12), 0);
        assert_eq!(equal(&words, 0xABCDF, 12), 0xFFFF);
        assert_eq!(equal(&[0; COUNT], 0, 12), 0xFFFF);
    }
}
