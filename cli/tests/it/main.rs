//! The integration tests of the program: one binary, one module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panic")]

mod program;
#[path = "../../../tests/it/untouched.rs"]
mod untouched;
mod verbs;
