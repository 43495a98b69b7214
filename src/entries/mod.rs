//! Entries: the transactions that publish, remove and move them.
//!
//! Each prepares without the lock (finds the slot, reads the records it must compare) and then, in
//! HELD, looks whether what it saw still holds: the slots of the key's tag, the page, the segment
//! written to. If no transaction came in between, which the sequence tells, there is nothing to look at.

mod locate;
mod orphans;
mod publish;
mod release;
mod split;

pub use locate::{Located, locate, record_of, sight};
pub use orphans::{Orphan, orphans};
pub use publish::{Outcome, Publication, publish, widen_expiry};
pub use release::{Move, Released, drop_slot, evict, find_at, remove, repoint};
pub use split::{
    Backed, GROWTH_LIMIT, decide_twins, grow, index_bytes, mend_pages, segments_allowed,
};
