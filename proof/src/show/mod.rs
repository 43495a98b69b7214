//! What is printed: `progress` on standard error as it goes, `tables` on standard output at the end.

pub mod progress;
pub mod tables;
