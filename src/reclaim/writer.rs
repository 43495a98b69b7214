//! The writer: what a process keeps for its writes from one to the next, under a mutex of its own. State
//! alone; what is done with it stands in the files above.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lifetimes::Lifetimes;
use crate::entries::{Backed, Move};
use crate::error::Result;
use crate::format::address::{Generation, Millis, SegmentId};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::segment::Queue;
use crate::index::Found;
use crate::session::{Chunks, Session};
use crate::store::Cursor;
use crate::sync::Barrier;

/// What a process keeps for its writes.
#[derive(Debug, Default)]
pub struct Writer {
    /// Its open chunks.
    pub chunks: Chunks,
    /// How far it has allocated the index.
    pub backed: Backed,
    /// Whether the index wants a page for which the limit has no room beside the segments.
    pub index_wants: bool,
    barrier: Arc<Barrier>,
    /// Where the last step of each walk ended, with the walk word that says so.
    cursors: [Option<(u64, Cursor)>; 3],
    /// A walk that waits, and how many puts have found it so.
    pub(super) waits: Option<(u64, u32)>,
    /// The key of the record that a walk looks at: only its allocation is kept.
    pub(super) key: Vec<u8>,
    /// Bytes of a victim that this process has written again.
    rewritten: Option<(SegmentId, Generation, u64)>,
    pub(super) copies: Copies,
    pub(super) hands: Hands,
    /// Segments that it has swept.
    pub(super) swept: Swept,
    /// Segments taken when the files were last looked after.
    orders_kept: u64,
    /// How long what its sweeps left has to live.
    pub(super) lifetimes: Lifetimes,
    /// Whether something live may go.
    pub(super) permit: Permit,
    /// Segments taken when it last looked for something to do.
    pub(super) orders_seen: u64,
}

/// Copies that wait for a sync before a slot names them.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) waiting: Vec<Move>,
    /// The syncs begun when the last was made.
    pub(super) since: u64,
}

/// What is kept for the clock hands.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// Puts, counted round and round.
    pub(super) puts: u32,
    /// Evictions to come that take an entry from the index at once, since walks found none.
    pub(super) hidden: u32,
    /// The queue that gives entries away, and for how many evictions more.
    pub(super) trimming: Option<(Queue, u32)>,
    /// Whether what the hand passes in main is written again.
    pub(super) rejoin: bool,
}

/// Whether live entries may go, as a look at all segments said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Permit {
    /// From when until when it holds, if it was given.
    pub(super) within: Option<(Millis, Millis)>,
    /// Whether entries may go for want of bytes, too.
    pub(super) for_bytes: bool,
    /// The transactions, of all processes, in which it holds.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Whether entries go for want of bytes whatever it says, since there was no other way to make room.
    pub(super) unconditional: bool,
}

/// Which of the store's three walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The hand of a queue, which evicts where entries are at their limit.
    Hand(Queue),
    /// Sweeping, compaction and eviction for want of room.
    Upkeep,
}

impl Writer {
    /// A writer whose syncs are those of `barrier`.
    pub fn new(barrier: Arc<Barrier>) -> Self {
        Self { barrier, ..Self::default() }
    }

    /// Whether it saw that segments were taken since this was last asked: a moment for what is done now and
    /// then.
    #[inline]
    pub fn saw_segments_taken(&mut self) -> bool {
        let is_news = self.orders_kept != self.orders_seen;
        self.orders_kept = self.orders_seen;
        is_news
    }

    /// Makes durable what was stored so far.
    pub fn sync(&self, session: &Session) -> Result<()> {
        self.barrier.sync(session)
    }

    /// Where the last step of a walk ended, if its word has not changed since.
    pub(super) fn cursor(&self, route: Route, word: u64) -> Option<Cursor> {
        let known = self.cursors[route.number()].filter(|(known, _)| *known == word);
        known.map(|(_, cursor)| cursor)
    }

    /// Notes where a step of a walk ended, or that another process was faster.
    pub(super) fn note_cursor(&mut self, route: Route, ended: Option<(u64, Cursor)>) {
        self.cursors[route.number()] = ended;
    }

    /// Bytes of a segment that this process has written again.
    pub(super) fn rewritten(&self, segment: SegmentId, generation: Generation) -> u64 {
        match self.rewritten {
            Some((of, at, bytes)) if of == segment && at == generation => bytes,
            _ => 0,
        }
    }

    /// Notes that it has written more of a segment again.
    pub(super) fn note_rewritten(&mut self, segment: SegmentId, generation: Generation, more: u64) {
        let bytes = self.rewritten(segment, generation) + more;
        self.rewritten = Some((segment, generation, bytes));
    }
}

impl Copies {
    /// Whether a slot's record has a copy that waits.
    pub(super) fn has(&self, found: Found) -> bool {
        self.waiting.iter().any(|moved| moved.found.slot.names_same(found.slot))
    }

    /// Forgets them: their entries stay where they are.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }
}

impl Permit {
    /// Whether it holds in a transaction, for want of bytes or of entries.
    pub(super) fn holds(&self, lsn: u64, now: impl FnOnce() -> Millis, for_bytes: bool) -> bool {
        let is_for = self.for_bytes || !for_bytes;
        let Some((from, until)) = self.within.filter(|_| is_for) else { return false };
        let is_lasting = until == Millis::NEVER || (from..=until).contains(&now());
        (self.first..=self.last).contains(&lsn) && is_lasting
    }
}

impl Route {
    /// The word that says how far it came.
    pub fn at(self) -> WordAt {
        match self {
            Self::Hand(Queue::Probation) => control::WALK_PROBATION,
            Self::Hand(Queue::Main) => control::WALK_MAIN,
            Self::Upkeep => control::WALK_UPKEEP,
        }
    }

    fn number(self) -> usize {
        match self {
            Self::Hand(queue) => queue as usize,
            Self::Upkeep => 2,
        }
    }
}

/// Which segments this process has swept of late, so that it does not sweep one again for each entry
/// that expires meanwhile.
#[derive(Debug, Default)]
pub struct Swept(BTreeMap<SegmentId, (Generation, Millis)>);

/// How long a segment counts as swept, in milliseconds.
const SWEPT_MS: u64 = 1000;

impl Swept {
    /// Notes the end of a sweep.
    pub fn note(&mut self, segment: SegmentId, generation: Generation, now: Millis) {
        self.0.insert(segment, (generation, now));
    }

    /// Whether it was swept of late.
    pub fn lately(&self, segment: SegmentId, generation: Generation, now: Millis) -> bool {
        self.0.get(&segment).is_some_and(|&(of, when)| {
            // Not by `after`: that saturates where the clock ends, and there nothing would ever be swept.
            of == generation && when <= now && now.get() - when.get() < SWEPT_MS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_counts_as_swept_for_a_second_in_the_generation_that_was() {
        let (segment, generation) = (SegmentId::new(3), Generation::new(7));
        let mut swept = Swept::default();
        swept.note(segment, generation, Millis::new(5000));
        let lately = |millis| swept.lately(segment, generation, Millis::new(millis));
        assert!(lately(5000) && lately(5999));
        assert!(!lately(6000), "a second later");
        assert!(!lately(4999), "the clock went back");
        assert!(!swept.lately(segment, Generation::new(8), Millis::new(5000)), "used again");
        assert!(!swept.lately(SegmentId::new(4), generation, Millis::new(5000)));
    }

    #[test]
    fn a_cursor_and_what_was_written_again_hold_for_what_they_were_noted_of() {
        let mut writer = Writer::default();
        let (segment, generation) = (SegmentId::new(3), Generation::new(7));
        let cursor = Cursor::start(segment, generation);
        writer.note_cursor(Route::Hand(Queue::Main), Some((99, cursor)));
        assert_eq!(writer.cursor(Route::Hand(Queue::Main), 99), Some(cursor));
        assert_eq!(writer.cursor(Route::Hand(Queue::Main), 98), None);
        assert_eq!(writer.cursor(Route::Upkeep, 99), None);
        writer.note_rewritten(segment, generation, 10);
        writer.note_rewritten(segment, generation, 5);
        assert_eq!(writer.rewritten(segment, generation), 15);
        assert_eq!(writer.rewritten(segment, Generation::new(8)), 0);
        writer.note_rewritten(SegmentId::new(4), generation, 1);
        assert_eq!(writer.rewritten(segment, generation), 0);
    }
}
