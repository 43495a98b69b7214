//! Entries: the transactions that publish, remove and move them.
//!
//! Each prepares without the lock: it finds the slot, and reads the records that it must compare. Then, in
//! HELD, it looks whether what it saw still holds: the slots of the key's tag, the page, the segment
//! written to. The lock's sequence tells if no transaction came in between: then there is nothing to
//! look at.
//!
//! From the lowest: `locate` finds a key's slots, `release` takes entries away and repoints moved ones,
//! `duplicates` decides between versions that a power cut left, `publish` makes a record an entry;
//! `growth` splits pages of the index, `unpublished` finds copies that no slot names.

mod duplicates;
mod growth;
mod locate;
mod publish;
mod release;
mod unpublished;

pub use duplicates::{drop_lost, resolve_duplicates};
pub use growth::{Backed, GROWTH_LIMIT, grow, index_bytes, repair_page_count};
pub use locate::{Candidates, Located, candidates, is_dead, locate};
pub use publish::{Publication, Publishing, publish};
pub use release::{Move, Released, drop_slot, evict, find_at, remove, repoint};
pub use unpublished::{UnpublishedCopy, unpublished_copies};
