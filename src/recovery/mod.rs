//! Recovery: the first opening after another boot, or of copied files. A pass over the index, without
//! reading the log but for the segments that took chunks.
//!
//! From the lowest: `epoch` is raised first; `active` are the segments that go on taking chunks, `duplicates`
//! the slots that may name two versions of a key; `pass` goes over the index, `table` sets segments and
//! control words anew; `steps` has the order of all this, `boot` says who does it, and in which files.

mod active;
mod boot;
mod duplicates;
mod epoch;
mod pass;
mod steps;
mod table;

pub use boot::{recover_private, recover_shared};
