//! The session: a process attached to a store, and what it does with the log's segments. It is generic over
//! its medium, so that the model checkers run writing, taking and freeing as they are.
//!
//! From the lowest: `counters`; `fills` knows who computes a value; `pins` keep a segment from being reused; `disk` is what a process knows of
//! its disk, `medium` the words with the disk beneath them; `attached` is the session itself with its
//! transactions; `take` puts free segments to use, `chunks` reserves room in them, `write` fills that,
//! `free` makes a segment free again.

mod attached;
mod beyond;
mod chunks;
pub mod counters;
mod disk;
mod fills;
mod free;
mod medium;
pub mod pins;
mod take;
mod write;

pub use attached::{Attachment, Decision, Session, Settings};
pub use chunks::{Chunks, Wanted};
pub use counters::Count;
pub use disk::Disk;
pub use fills::{Filling, Fills, Turn};
pub use medium::Medium;
pub use pins::{Pin, Writing};
pub use take::Takeable;
pub use write::Attributes;
