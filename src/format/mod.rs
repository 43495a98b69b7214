//! Bytes to values and back: everything that `format.md` describes, and nothing else.
//!
//! No I/O, no clock, no panic, and no allocation from a length that was not checked. Decoders return
//! `None` (or a small error of their own) for bytes that are not what they should be; the floors
//! above decide whether that is a miss or a report. Every number read from a file becomes a newtype
//! here, validated once.

pub mod check;
pub mod control;
pub mod identity;
pub mod intent;
pub mod lock;
pub mod page;
pub mod place;
pub mod record;
pub mod segment;
pub mod slot;
#[cfg(test)]
mod spec;
pub mod walk;

/// The version of the format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Names of the three files in a cache directory.
pub const STORE_FILE: &str = "store";
/// The file that holds the control block and the records.
pub const LOG_FILE: &str = "log";
/// The file that holds the hash table.
pub const INDEX_FILE: &str = "index";
