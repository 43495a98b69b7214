//! Bytes of a mapping, one atomic piece at a time.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// # Safety
/// `source` points to a byte of a mapping.
#[inline]
pub unsafe fn load_byte(source: *mut u8) -> u8 {
    // SAFETY: the caller's; bytes need no alignment.
    unsafe { (*source.cast::<AtomicU8>()).load(Ordering::Relaxed) }
}

/// # Safety
/// `target` points to a byte of a mapping that may be written.
#[inline]
pub unsafe fn store_byte(target: *mut u8, byte: u8) {
    // SAFETY: the caller's; bytes need no alignment.
    unsafe { (*target.cast::<AtomicU8>()).store(byte, Ordering::Relaxed) }
}

/// # Safety
/// `source` points to 8 bytes of a mapping and is a multiple of 8.
#[inline]
pub unsafe fn load_word(source: *mut u8) -> u64 {
    // SAFETY: the caller's.
    unsafe { (*source.cast::<AtomicU64>()).load(Ordering::Relaxed) }
}

/// Copies out of a mapping by relaxed atomic words: torn bytes are possible and are caught by the
/// CRC, a data race in the language's sense is not.
///
/// # Safety
/// `source` points to `length` bytes of a mapping, `target` to as many that may be written.
#[inline]
pub unsafe fn copy_out(source: *mut u8, target: *mut u8, length: usize) {
    let head = source.align_offset(8).min(length);
    let words = (length - head) / 8;
    for at in 0..head {
        // SAFETY: `at` is below `length`.
        unsafe { target.add(at).write(load_byte(source.add(at))) };
    }
    for word in 0..words {
        let at = head + word * 8;
        // SAFETY: `at + 8` is at most `length`; the source is aligned after the head.
        unsafe { target.add(at).cast::<u64>().write_unaligned(load_word(source.add(at))) };
    }
    for at in head + words * 8..length {
        // SAFETY: `at` is below `length`.
        unsafe { target.add(at).write(load_byte(source.add(at))) };
    }
}
