//! The kernel's clock, boot id, memory and random numbers.

use std::io;

use super::door::{Boot, Clock};
use super::ram;
use crate::format::address::Millis;

/// Where the kernel tells its boot id.
pub const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's side of the clock.
#[derive(Clone, Copy, Debug)]
pub struct KernelClock;

impl Clock for KernelClock {
    #[inline]
    fn now(&self) -> Millis {
        now(libc::CLOCK_REALTIME)
    }

    #[inline]
    fn coarse(&self) -> Millis {
        now(libc::CLOCK_REALTIME_COARSE)
    }
}

/// The kernel's side of what only it knows.
#[derive(Clone, Copy, Debug)]
pub struct KernelBoot;

impl Boot for KernelBoot {
    fn id(&self) -> io::Result<[u64; 2]> {
        parse_boot_id(&std::fs::read_to_string(BOOT_ID_FILE)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a boot id"))
    }

    fn memory(&self) -> io::Result<u64> {
        ram::available()
    }

    fn surely_held(&self) -> u64 {
        ram::SURELY_HELD
    }

    fn random(&self) -> io::Result<[u64; 3]> {
        let mut words = [0u64; 3];
        let bytes = std::mem::size_of_val(&words);
        // SAFETY: the buffer is as long as said; requests of up to 256 bytes are not cut short.
        let got = unsafe { libc::getrandom(words.as_mut_ptr().cast(), bytes, 0) };
        if got == bytes as isize { Ok(words) } else { Err(io::Error::last_os_error()) }
    }
}

/// Now, by a wall clock; one set before 1970 reads as 1970. (A third of the instructions of
/// `SystemTime`, which each put would notice.)
#[inline]
fn now(clock: libc::clockid_t) -> Millis {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into `time`; these clocks are always there.
    unsafe { libc::clock_gettime(clock, &mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Millis::new(seconds.saturating_mul(1000).saturating_add(time.tv_nsec as u64 / 1_000_000))
}

fn parse_boot_id(text: &str) -> Option<[u64; 2]> {
    let digits: String = text.trim().chars().filter(|&c| c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some([(number >> 64) as u64, number as u64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_32_digits_and_nothing_else() {
        let text = "0f2a8f76-3c1b-4f4e-9d0e-6f7c8a9b0c1d\n";
        assert_eq!(parse_boot_id(text), Some([0x0f2a_8f76_3c1b_4f4e, 0x9d0e_6f7c_8a9b_0c1d]));
        assert_eq!(parse_boot_id(""), None);
        assert_eq!(parse_boot_id("0f2a8f76"), None);
        assert!(KernelBoot.id().is_ok());
    }

    #[test]
    fn random_words_differ() {
        let [a, b, c] = KernelBoot.random().unwrap();
        assert!(a != b && b != c);
    }
}
