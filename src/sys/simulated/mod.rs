//! The tests' side of the door. It stands before the kernel's: it can refuse a call, run full, forget what
//! was not synced, and stop the clock; all else goes to the kernel.
//!
//! `side` is how it is set up and what it remembers, `file` its files and locks, `answers` all else.

mod answers;
mod file;
mod side;

pub use side::{Call, Flush, SECTOR, Simulated, What};
