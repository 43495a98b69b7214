//! Segments: the ground that every operation stands on, and what is done with the log's bytes.
//!
//! [`Ground`] is one process's attachment to a store: the mapped files, its process slot, its pins.
//! `read` goes from a slot to checked bytes, `reserve` finds room and writes, `walk` goes over the
//! records of a segment, `pins` keeps a segment from being reused, `take` puts free segments to use.
//! `original` is the store under a reader's private copy.

pub mod ground;
mod hook;
pub mod original;
pub mod pins;
pub mod read;
pub mod reserve;
pub mod statistics;
pub mod take;
pub mod walk;

pub use ground::Ground;
pub use hook::{SyncHook, SyncMoment};
