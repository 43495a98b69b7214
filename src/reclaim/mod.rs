//! Reclaim: carries out the policy's plans, a bounded number of records with each put.
//!
//! A walk's state is one shared word, so any process goes on with what another began; a step is
//! idempotent, so it does no harm if two do it, or if one dies in the middle. `facts` gathers the
//! numbers, `step` does one record, `upkeep` decides when, `room` does it until there is a segment
//! or an entry less, `moves` holds copies back until the barrier allows them to be named, `skim`
//! keeps the hands of eviction near living entries, `first` finds room after another boot.

mod clear;
mod facts;
mod first;
mod moves;
mod recount;
mod room;
mod skim;
mod step;
mod upkeep;

pub use first::free_first;
pub use recount::{is_count_wrong, recount, recount_grants, recount_live, repair};
pub use room::{compact_all, evict_one, make_free, make_room};
pub use upkeep::{maintain, upkeep};

use crate::entries::{Backed, Move};
use crate::format::place::{Generation, SegmentId};
use crate::segments::reserve::Chunks;
use crate::segments::walk::Cursor;

/// What a process keeps for its writes, under a mutex of its own.
#[derive(Debug, Default)]
pub struct Worker {
    /// Its open chunks.
    pub chunks: Chunks,
    /// How far it has allocated the index.
    pub backed: Backed,
    /// Whether the index wants a page for which the limit has no room beside the segments.
    pub index_wants: bool,
    /// Where the last step of each walk ended, with the walk word that says so.
    cursors: [Option<(u64, Cursor)>; 3],
    /// The key of the record that a walk looks at: only its allocation is kept.
    key: Vec<u8>,
    /// Bytes of a victim that this process has written again.
    rewritten: Option<(SegmentId, Generation, u64)>,
    /// Copies that wait for a sync before a slot names them, and the syncs begun when the last was
    /// made.
    waiting: Vec<Move>,
    waiting_since: u64,
    /// A walk that waits, and how many puts have found it so.
    waits: Option<(u64, u32)>,
    /// Puts, counted round and round.
    puts: u32,
    /// Segments that it has swept.
    swept: facts::Swept,
    /// Segments taken, and free ones, when it last looked for something to do.
    orders_seen: u64,
    free: u64,
    /// Evictions for entries that need not look for them by walks, which found none.
    hidden: u32,
    /// The queue that gives entries away, for the next so many.
    trimming: Option<(crate::format::segment::Label, u32)>,
}
