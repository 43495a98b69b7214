//! Bytes of a mapping, which other processes may change at any time.
//!
//! In Rust a plain copy beside such a change is a data race, which is undefined behaviour. So on x86-64
//! the bytes are copied by assembly, into which the compiler does not look. Elsewhere they are copied by
//! relaxed atomic words. Both can give torn bytes, which the CRC catches.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Below this length a copy is two overlapping accesses at most.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const BLOCK: usize = 32;
/// From this length on, the processor's own way of copying wins.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const LONG: usize = 4096;

/// Copies from a mapping or into one.
///
/// # Safety
/// As [`copy_pieces`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
pub unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
    // SAFETY: the caller vouches for `length` bytes of both, and each branch makes sure that these are as
    // many as its function asks for.
    unsafe {
        if length >= LONG {
            copy_long(source, target, length);
        } else if length >= BLOCK {
            copy_blocks(source, target, length);
        } else if length >= 16 {
            copy_pair(source, target, length - 16);
        } else if length >= 8 {
            copy_ends(source, target, length - 8);
        } else {
            copy_pieces(source, target, length);
        }
    }
}

/// Copies by the processor's own instruction for that.
///
/// # Safety
/// As [`copy`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn copy_long(source: *const u8, target: *mut u8, length: usize) {
    // SAFETY: it reads and writes the `length` bytes that the caller vouches for. It goes forwards, as the
    // direction flag is clear where an assembly block begins. The stack and everything but `target` stay
    // as they are.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") length => _,
            inout("rsi") source => _,
            inout("rdi") target => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies whole blocks. If bytes are left, the last 32 bytes are copied as one more block, some of them
/// for the second time.
///
/// # Safety
/// As [`copy`] with a length of at least [`BLOCK`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn copy_blocks(source: *const u8, target: *mut u8, length: usize) {
    let rest = length % BLOCK;
    // SAFETY: there is at least one block, and the loop ends with the last whole one within `length`. One
    // more begins at `length - BLOCK`, which is not below 0. SSE2 is part of x86-64. The stack and
    // everything but `target` and the flags stay as they are.
    unsafe {
        std::arch::asm!(
            "2:",
            "movdqu {a}, [{source} + {at}]",
            "movdqu {b}, [{source} + {at} + 16]",
            "movdqu [{target} + {at}], {a}",
            "movdqu [{target} + {at} + 16], {b}",
            "add {at}, 32",
            "cmp {at}, {end}",
            "jb 2b",
            source = in(reg) source,
            target = in(reg) target,
            at = inout(reg) 0usize => _,
            end = in(reg) length - rest,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            options(nostack),
        );
        if rest > 0 {
            let last = length - BLOCK;
            copy_pair(source.add(last), target.add(last), BLOCK - 16);
        }
    }
}

/// Copies the first 16 bytes, and 16 from `second` on.
///
/// # Safety
/// As [`copy`] with a length of `second + 16`.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn copy_pair(source: *const u8, target: *mut u8, second: usize) {
    // SAFETY: the caller's; nothing but `target` is changed.
    unsafe {
        std::arch::asm!(
            "movdqu {a}, [{source}]",
            "movdqu {b}, [{source} + {second}]",
            "movdqu [{target}], {a}",
            "movdqu [{target} + {second}], {b}",
            source = in(reg) source,
            target = in(reg) target,
            second = in(reg) second,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies the first 8 bytes, and 8 from `second` on.
///
/// # Safety
/// As [`copy`] with a length of `second + 8`.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn copy_ends(source: *const u8, target: *mut u8, second: usize) {
    // SAFETY: the caller's; nothing but `target` is changed.
    unsafe {
        std::arch::asm!(
            "mov {a}, [{source}]",
            "mov {b}, [{source} + {second}]",
            "mov [{target}], {a}",
            "mov [{target} + {second}], {b}",
            source = in(reg) source,
            target = in(reg) target,
            second = in(reg) second,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub use copy_pieces as copy;

/// Copies from a mapping or into one: by atomic words where both are aligned alike, else by atomic bytes.
///
/// # Safety
/// `source` points to `length` bytes that may be read, `target` to as many that may be written; they do
/// not overlap.
#[inline]
pub unsafe fn copy_pieces(source: *const u8, target: *mut u8, length: usize) {
    let alike = (source as usize ^ target as usize).is_multiple_of(8);
    let head = if alike { source.align_offset(8).min(length) } else { length };
    let words = (length - head) / 8;
    for at in (0..head).chain(head + words * 8..length) {
        // SAFETY: `at` is below `length`.
        unsafe { store_byte(target.add(at), load_byte(source.add(at))) };
    }
    for at in (head..).step_by(8).take(words) {
        // SAFETY: `at + 8` is at most `length`; both are aligned after the head.
        unsafe { store_word(target.add(at), load_word(source.add(at))) };
    }
}

/// Whether `bytes` stand in a mapping at `source`.
///
/// # Safety
/// `source` points to as many bytes of a mapping.
#[inline]
pub unsafe fn equal(source: *const u8, bytes: &[u8]) -> bool {
    let head = source.align_offset(8).min(bytes.len());
    let (head, rest) = bytes.split_at(head);
    let (words, tail) = rest.as_chunks::<8>();
    let mut at = source;
    for &byte in head {
        // SAFETY: as many bytes follow as `bytes` has.
        if unsafe { load_byte(at) } != byte {
            return false;
        }
        at = at.wrapping_add(1);
    }
    for word in words {
        // SAFETY: as above; `at` is aligned to 8 after the head.
        if unsafe { load_word(at) } != u64::from_ne_bytes(*word) {
            return false;
        }
        at = at.wrapping_add(8);
    }
    for &byte in tail {
        // SAFETY: as above.
        if unsafe { load_byte(at) } != byte {
            return false;
        }
        at = at.wrapping_add(1);
    }
    true
}

/// # Safety
/// `source` points to a byte that may be read.
#[inline]
unsafe fn load_byte(source: *const u8) -> u8 {
    // SAFETY: the caller's; bytes need no alignment.
    unsafe { (*source.cast::<AtomicU8>()).load(Ordering::Relaxed) }
}

/// # Safety
/// `target` points to a byte that may be written.
#[inline]
unsafe fn store_byte(target: *mut u8, byte: u8) {
    // SAFETY: the caller's; bytes need no alignment.
    unsafe { (*target.cast::<AtomicU8>()).store(byte, Ordering::Relaxed) }
}

/// # Safety
/// `source` points to 8 bytes that may be read, and is a multiple of 8.
#[inline]
unsafe fn load_word(source: *const u8) -> u64 {
    // SAFETY: the caller's.
    unsafe { (*source.cast::<AtomicU64>()).load(Ordering::Relaxed) }
}

/// # Safety
/// `target` points to 8 bytes that may be written, and is a multiple of 8.
#[inline]
unsafe fn store_word(target: *mut u8, word: u64) {
    // SAFETY: the caller's.
    unsafe { (*target.cast::<AtomicU64>()).store(word, Ordering::Relaxed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole_at_every_alignment_and_nothing_beside_it() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for (from, to) in [(0, 0), (0, 3), (5, 0), (1, 1), (7, 9)] {
            for length in (0..130).chain(250..260).chain([4095, 4096, 4097, 4900]) {
                for copying in [copy, copy_pieces] {
                    let mut target = [0xEE; 5000];
                    let source = &bytes[from..from + length];
                    let place = target[to..to + length].as_mut_ptr();
                    // SAFETY: both are as long as said, and this thread's alone.
                    unsafe { copying(source.as_ptr(), place, length) };
                    assert_eq!(&target[to..to + length], source);
                    assert!(target[..to].iter().chain(&target[to + length..]).all(|&b| b == 0xEE));
                }
            }
        }
    }

    #[test]
    fn bytes_are_equal_only_if_each_is() {
        let bytes: Vec<u8> = (0..60).collect();
        for from in 0..9 {
            for length in 0..40 {
                let mut other = bytes[from..from + length].to_vec();
                // SAFETY: as long as said, and this thread's alone.
                assert!(unsafe { equal(bytes[from..].as_ptr(), &other) });
                for at in 0..length {
                    other[at] ^= 1;
                    // SAFETY: as above.
                    assert!(!unsafe { equal(bytes[from..].as_ptr(), &other) });
                    other[at] ^= 1;
                }
            }
        }
    }
}
