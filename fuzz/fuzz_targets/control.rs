//! The control block: lock word, intents, walks, segment table, process rows. What is done with an input stands in `tests/it/fuzz/control.rs`.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none control`
#![no_main]
#![allow(dead_code, reason = "each target uses a part of what the tests share")]

#[path = "../../tests/it/common.rs"]
mod common;
#[path = "../../tests/it/exercise.rs"]
mod exercise;
#[path = "../../tests/it/fuzz/mod.rs"]
mod fuzz;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::run(fuzz::control::run, bytes));
