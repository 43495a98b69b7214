//! The store as a value: its words, where they are, and what one reads from them.
//!
//! Nothing here locks or changes anything. A reading is a word or two, decoded and checked: even if a
//! word is damaged, the answer is one that the caller can go on with.

use crate::capacity;
use crate::format::address::{Lsn, SegmentId};
use crate::format::control::{self, Geometry};
use crate::format::intent::WordAt;
use crate::format::lock::{LockWord, ProcessId};
use crate::format::segment::{LIVE, Live, Queue, StateWord, TAIL};
use crate::index::Index;
use crate::sys::memory::Memory;
use crate::sys::words::Words;

/// A store: generic over where its words are, so that a model checker runs what stands on it.
#[derive(Debug)]
pub struct Store<W = Memory> {
    /// The words that its processes share: those of its mapped files.
    pub words: W,
    /// Where things are in them.
    pub geometry: Geometry,
}

impl<W: Words> Store<W> {
    /// The index.
    #[inline]
    pub fn index(&self) -> Index<'_, W> {
        Index::new(&self.words, &self.geometry)
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.geometry.hash(key)
    }

    /// A control word.
    #[inline]
    pub fn load(&self, at: WordAt) -> u64 {
        self.words.load(at)
    }

    /// The newest transaction.
    #[inline]
    pub fn lsn(&self) -> Lsn {
        self.lock().sequence
    }

    /// The lock word.
    #[inline]
    pub fn lock(&self) -> LockWord {
        LockWord::decode(self.load(control::LOCK))
    }

    /// Records up to this LSN were cleared: all of them, if damage has left nothing to go by.
    #[inline]
    pub fn cleared(&self) -> Lsn {
        self.words.checked(control::CLEAR_LSN).map_or(Lsn::MAX, Lsn::new)
    }

    /// Whether this store was ever synced, so that the barrier holds. It holds, too, where damage has left
    /// nothing to go by.
    #[inline]
    pub fn syncs(&self) -> bool {
        self.words.checked(control::SYNCS) != Some(0)
    }

    /// A segment's state word; one that does not decode is of no use to anybody.
    #[inline]
    pub fn state(&self, segment: SegmentId) -> Option<StateWord> {
        self.any_state(segment).filter(|state| state.allocated <= self.geometry.segment_bytes())
    }

    /// A segment's state word, even if it says more to be allocated than a segment has.
    #[inline]
    pub fn any_state(&self, segment: SegmentId) -> Option<StateWord> {
        self.words.checked(self.geometry.state_at(segment)).and_then(StateWord::decode)
    }

    /// The epoch: where damage has left nothing to go by, that of the newest transaction.
    pub fn epoch(&self) -> u32 {
        let known = self.words.checked(control::EPOCH).map(|epoch| epoch as u32);
        known.unwrap_or_else(|| self.lsn().epoch())
    }

    /// Whether the log is larger than memory.
    #[inline]
    pub fn is_beyond_memory(&self) -> bool {
        self.words.is_beyond_memory()
    }

    /// A word of a segment's row.
    #[inline]
    pub fn row(&self, segment: SegmentId, word: u64) -> u64 {
        self.load(self.geometry.row_at(segment, word))
    }

    /// What lives in a segment.
    pub fn live(&self, segment: SegmentId) -> Live {
        Live::decode(self.row(segment, LIVE))
    }

    /// Units reserved in a segment.
    pub fn tail(&self, segment: SegmentId) -> u32 {
        self.row(segment, TAIL).min(u64::from(self.geometry.segment_units())) as u32
    }

    /// Segments that the log file has room for.
    pub fn segments(&self) -> impl Iterator<Item = SegmentId> + Clone + use<W> {
        (0..self.segment_count()).map(SegmentId::new)
    }

    /// How many those are.
    pub fn segment_count(&self) -> u16 {
        capacity::segments_in(&self.geometry, self.words.log_bytes()) as u16
    }

    /// Segments that the limit allows beside an index of its present size.
    pub fn segments_allowed(&self) -> u64 {
        let granted = self.load(control::INDEX_GRANTED);
        capacity::segments_within(&self.geometry, self.load(control::MAX_BYTES), granted)
            .min(capacity::segments_limit(&self.geometry))
    }

    /// The active segment of a queue: the one that takes its new chunks.
    pub fn active(&self, queue: Queue) -> Option<SegmentId> {
        let number = u16::try_from(self.load(active_at(queue)).checked_sub(1)?).ok()?;
        if number >= self.segment_count() {
            // Another process may have raised the limit.
            self.words.refresh();
        }
        (number < self.segment_count()).then_some(SegmentId::new(number))
    }

    /// Bytes that segments and index may take together.
    pub fn share(&self) -> u64 {
        capacity::share_bytes(&self.geometry, self.load(control::MAX_BYTES))
    }

    /// Bytes that segments and index were granted together.
    pub fn granted(&self) -> u64 {
        self.load(control::LOG_GRANTED).saturating_add(self.load(control::INDEX_GRANTED))
    }

    /// The process rows that were ever in use: somebody may be attached to any of them.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<W> {
        let seen = self.load(control::PROCESSES_SEEN);
        let seen = seen.min(u64::from(self.geometry.max_processes));
        (0..seen as u16).filter_map(ProcessId::new)
    }
}

/// The word that names a queue's active segment.
pub fn active_at(queue: Queue) -> WordAt {
    match queue {
        Queue::Probation => control::ACTIVE_PROBATION,
        Queue::Main => control::ACTIVE_MAIN,
    }
}
