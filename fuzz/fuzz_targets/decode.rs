//! Every decoder of the format over arbitrary bytes: a value or none, never a panic.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none decode`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::testing::decode(bytes));
