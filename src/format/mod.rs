//! Bytes to values and back: everything that `format.md` describes, and nothing else.
//!
//! No I/O, no clock, no panic, and no allocation from a length that was not checked. Decoders return
//! `None` (or a small error of their own) for bytes that are not what they should be; the floors
//! above decide whether that is a miss or a report. Every number read from a file becomes a newtype
//! here, validated once.

pub mod address;
pub mod check;
pub mod checked;
pub mod control;
mod files;
pub mod identity;
pub mod intent;
pub mod lock;
pub mod page;
pub mod record;
pub mod segment;
pub mod slot;
#[cfg(test)]
mod spec;
pub mod walk;

pub use files::{DRAFT_DIRECTORY, FORMAT_VERSION, INDEX_FILE, LOG_FILE, STORE_FILE, TAG_FILE};
