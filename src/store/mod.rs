//! The store: its words, where they are, and what one reads from them. It is generic over the words, so that
//! the model checkers run it. What needs bytes exists for mapped files alone.
//!
//! From the lowest: `readings` has the store itself and single words, `records` goes from a slot to
//! checked bytes, `cursor` over the records of a segment; `bring` and `passing` read a log larger than memory;
//! `damage` tells which words are damaged; `transitions` and `barrier` say what becomes
//! of a segment, and when it may be used again.

pub mod barrier;
mod bring;
mod cursor;
mod damage;
mod passing;
mod readings;
mod records;
pub mod transitions;

pub use cursor::Cursor;
pub use damage::{DamagedWord, Whose};
pub use passing::Passing;
pub use readings::{Store, active_at};
pub use records::{Record, Spot, committed_at, read_key};
