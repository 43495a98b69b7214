//! The only door to the operating system, with two sides.
//!
//! `door` says what is asked of it, as traits: files and their space, advice on mappings, locks, clock, boot.
//! `space`, `rights`, `clock`, `lock` and `files` are the kernel's side, put together in `kernel`; `simulated` is the
//! tests'. `ram` is how much memory there is. `mapping` and `memory` make shared words of mapped files, `paging` and
//! `residency` have their pages; `fork` and `naps` are needed by both.
//!
//! All `unsafe` code of the crate is below this folder. What a port to another platform must replace
//! is here too; elsewhere than on 64-bit little-endian Linux the crate does not compile.
#![allow(unsafe_code, reason = "this folder is where it belongs")]

mod bytes;
pub mod clock;
pub mod door;
pub mod files;
pub mod fork;
mod kernel;
pub mod lock;
pub mod mapping;
pub mod memory;
pub mod naps;
pub mod paging;
pub mod ram;
pub mod residency;
pub mod rights;
#[cfg(any(test, feature = "internals"))]
pub mod simulated;
pub mod space;
pub mod tags;
pub mod words;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "larder runs on Linux 5.14 or later, 64 bits, little-endian; a port must replace src/sys/"
);
