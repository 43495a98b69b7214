//! Reclaim: carries out the policy's plans, a bounded number of records with each put.
//!
//! A walk's state is one shared word, so that any process goes on with what another began. A step is
//! idempotent: it does no harm if two processes do it, or if one dies in the middle.
//!
//! From the lowest: `lifetimes` is a sketch of how long entries live, `writer` what a process keeps; `facts`
//! gathers the numbers, `permit` says whether something live may go; `mending` mends damaged words and `repair`
//! counts anew what damage made wrong; `moves` holds copies back until the barrier allows them to be named; `walks`
//! begins, takes over and ends a walk, `records` deals with one record, `step` with the next one; `plans`
//! begins what the policy says. `clear` collects what a clear and another boot left, `hands` evicts where
//! entries are at their limit; `upkeep` is a put's share and `maintain`, `room` makes room at once, `first` makes some
//! after another boot.

mod clear;
mod facts;
mod first;
mod hands;
mod lifetimes;
mod mending;
mod moves;
mod permit;
mod plans;
mod records;
mod repair;
mod room;
mod step;
mod upkeep;
mod walks;
mod writer;

pub use first::free_first;
pub use hands::evict_one;
pub use repair::{Suspicion, is_entry_count_wrong, repair, repair_entry_count, repair_grants};
pub use room::{compact_all, make_free, make_room};
pub use upkeep::{maintain, upkeep};
pub use writer::Writer;
