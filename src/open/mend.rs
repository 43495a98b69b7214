//! Mending after another boot: a pass over the index, without reading the log but for the segments that
//! took chunks.
//!
//! Each slot is as of the last sync or later, and a later one whose record did not reach the disk
//! fails its checks: so the index is used as it lies. The epoch is raised, so that nothing that was
//! half written passes for new; slots that do not fit their segment go; slots that a split moved to a
//! page which is not durable go back there; what is left is counted.

use super::heads::{self, Head};
use super::twins::Tags;
use super::{Request, damaged, limits};
use crate::config;
use crate::entries::{self, Orphan, index_bytes};
use crate::error::Result;
use crate::format::LOG_FILE;
use crate::format::control::{self, Geometry};
use crate::format::identity::Identity;
use crate::format::lock::{LockWord, Phase, ProcessSlot};
use crate::format::page::{self, GROUP_SLOTS, Home, PAGE_BYTES, PAGE_SLOTS, PageId, page_limit};
use crate::format::place::{GENERATION_COUNT_BITS, Generation, Lsn, Millis, SegmentId, UNIT};
use crate::format::segment::{
    FIRST_EXPIRY, GRANTED, LAST_EXPIRY, LIVE, Label, Live, STAMP, Stamp, State, StateWord, TAIL,
};
use crate::format::slot::Slot;
use crate::segments::{Ground, pins};
use crate::sys::memory::Memory;
use crate::sys::space;
use crate::sys::words::Words;

/// Epochs that generations and LSNs have room for.
const EPOCH_LIMIT: u32 = 1 << (32 - GENERATION_COUNT_BITS);
/// Units that an entry is taken to have until its segment is walked: few, so that compaction, which
/// finds out, is tried before eviction.
const GUESSED_UNITS: u32 = 8;

/// Mends a store; `length` is that of the index file, all of it allocated. Without `flush` it is
/// done on a private copy, and the files stay as they are.
pub fn mend(
    request: &Request,
    identity: &Identity,
    memory: &Memory,
    length: u64,
    flush: Option<&dyn Fn() -> Result<()>>,
) -> Result<()> {
    let durable_now = || flush.map_or(Ok(()), |flush| flush());
    let geometry = identity.geometry();
    raise_epoch(request, &geometry, memory)?;
    durable_now()?;
    limits::write(memory, &identity.limits);
    let first = 1 << geometry.level;
    let in_file = (length / PAGE_BYTES).saturating_sub(1).clamp(first, page_limit(geometry.level));
    let pages = memory.load(control::PAGES).clamp(first, in_file);
    let durable = memory.load(control::PAGES_DURABLE).min(pages);
    let heads = match flush {
        Some(_) => heads::find(memory, &geometry, segment_ids(memory, &geometry)),
        None => Vec::new(),
    };
    let extents = extents(memory, &geometry);
    let mut mend =
        Mend { shared: flush.is_some(), geometry, memory, pages, durable, heads, extents };
    // A reader makes no page, so it needs none emptied; on tmpfs that would allocate them.
    let stale = if mend.shared { pages..in_file } else { pages..pages };
    for page in stale.map(PageId::new) {
        for position in 0..PAGE_SLOTS {
            memory.store(geometry.slot_at(page, position), 0);
        }
    }
    for page in (0..pages).map(PageId::new) {
        mend.settle_page(page);
    }
    durable_now()?;
    let mut live = vec![0u32; usize::from(control::TABLE_SEGMENTS)];
    let mut twins = false;
    for page in (0..pages).map(PageId::new) {
        twins |= mend.count_page(page, &mut live);
    }
    let index_granted = index_bytes(in_file);
    mend.redo_moves(&mut live, index_granted);
    durable_now()?;
    mend.segments(&live);
    mend.control(&live, twins, index_granted);
    durable_now()?;
    memory.store(control::PAGES_DURABLE, pages);
    memory.store(control::CREATED, 1);
    Ok(())
}

/// Nothing of the last epoch, however much of it reached the disk, passes for something of the next.
fn raise_epoch(request: &Request, geometry: &Geometry, memory: &Memory) -> Result<()> {
    let lock = LockWord::decode(memory.load(control::LOCK)).sequence.epoch();
    let word = u32::try_from(memory.load(control::EPOCH)).unwrap_or(u32::MAX);
    // Where lock and word agree, no generation is further ahead than by a carry; where they do not,
    // one is damaged, and not the one that leaves room. (A later epoch than need be does no harm.)
    let agree = lock == word || Some(lock) == word.checked_add(1);
    let most = if agree { lock.saturating_add(1) } else { EPOCH_LIMIT - 3 };
    let generations = (0..control::TABLE_SEGMENTS)
        .map(|id| memory.load(geometry.state_at(SegmentId::new(id))) as u32)
        .map(|generation| Generation::new(generation).epoch());
    let known =
        generations.chain([lock, word]).filter(|&epoch| epoch <= most).max().unwrap_or(lock);
    // One for the new epoch, and one for counts that carried into theirs and were not written back.
    let epoch = known.saturating_add(2);
    let Some(owner) = ProcessSlot::new(0).filter(|_| epoch < EPOCH_LIMIT) else {
        return Err(damaged(&request.path(LOG_FILE), "its epochs are used up"));
    };
    memory.store(control::EPOCH, u64::from(epoch));
    let free = LockWord { phase: Phase::Free, owner, sequence: Lsn::first_of(epoch) };
    memory.store(control::LOCK, free.encode());
    Ok(())
}

/// Segments that a log of this length has.
pub fn segments_in(geometry: &Geometry, length: u64) -> u64 {
    let bytes = length.saturating_sub(geometry.control_bytes());
    (bytes >> geometry.segment_shift).min(u64::from(control::TABLE_SEGMENTS))
}

struct Mend<'a> {
    /// Whether the files themselves are mended, and not a private copy.
    shared: bool,
    geometry: Geometry,
    memory: &'a Memory,
    pages: u64,
    durable: u64,
    /// Segments that go on taking chunks; a reader needs none.
    heads: Vec<Head>,
    extents: Vec<Extent>,
}

/// What slots may name in a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    generation_low: u8,
    /// Bytes from its start that are allocated and in the file.
    length: u64,
}

/// Segments that the file has room for; the rows of others may be holes, and reading a hole of a full
/// tmpfs raises SIGBUS.
fn segment_ids(memory: &Memory, geometry: &Geometry) -> impl Iterator<Item = SegmentId> + use<> {
    (0..segments_in(geometry, memory.log.length()) as u16).map(SegmentId::new)
}

/// The extents of the segments that begin in the file.
fn extents(memory: &Memory, geometry: &Geometry) -> Vec<Extent> {
    let of = |segment: SegmentId| {
        let state = StateWord::decode(memory.load(geometry.state_at(segment)))?;
        let in_file = memory.log.length().saturating_sub(geometry.segment_start(segment));
        let length = if state.allocated <= geometry.segment_bytes() { state.allocated } else { 0 };
        Some(Extent { generation_low: state.generation.low(), length: length.min(in_file) })
    };
    let count = segments_in(geometry, memory.log.length() + geometry.segment_bytes() - 1) as u16;
    (0..count).map(|id| of(SegmentId::new(id)).unwrap_or_default()).collect()
}

impl Mend<'_> {
    fn slot(&self, page: PageId, position: usize) -> Slot {
        Slot::from_word(self.memory.load(self.geometry.slot_at(page, position)))
    }

    fn set(&self, page: PageId, position: usize, slot: Slot) {
        self.memory.store(self.geometry.slot_at(page, position), slot.word());
    }

    /// The place of a record that a slot names, if it is of the present generation and allocated. The
    /// segment may be free by now: then the slot is as of before its record was moved, and the move is
    /// undone.
    #[inline]
    fn fitting_place(&self, slot: Slot) -> Option<(SegmentId, u64)> {
        let (segment, within) = self.geometry.locate(slot.address())?;
        let extent = self.extents.get(usize::from(segment.get()))?;
        let fits = extent.generation_low == slot.generation_low() && within < extent.length;
        fits.then_some((segment, within))
    }

    /// All slots of a page, as words.
    fn page(&self, page: PageId) -> [u64; PAGE_SLOTS] {
        self.memory.load_all(self.geometry.slot_at(page, 0))
    }

    fn settle_page(&self, page: PageId) {
        let home = Home::new(page, self.geometry.level, self.pages);
        for first in (0..PAGE_SLOTS).step_by(GROUP_SLOTS) {
            let group: [u64; GROUP_SLOTS] =
                self.memory.load_all(self.geometry.slot_at(page, first));
            for (position, word) in (first..).zip(group) {
                if word != 0 {
                    self.settle(page, position, Slot::from_word(word), home);
                }
            }
        }
    }

    #[inline]
    fn settle(&self, page: PageId, position: usize, slot: Slot, home: Home) {
        let stays = slot.is_ghost()
            || self.fitting_place(slot).is_some_and(|place| {
                let (memory, geometry) = (self.memory, &self.geometry);
                !self.heads.iter().any(|head| head.is_void(memory, geometry, slot, place))
            });
        if !stays {
            self.set(page, position, Slot::EMPTY);
            return;
        }
        if home.has(slot) {
            return;
        }
        // Foreign: the page it was moved to may not have reached the disk.
        let moved = page::moved_to(page, slot, self.geometry.level)
            .filter(|moved| (self.durable..self.pages).contains(&moved.get()));
        if let Some(moved) = moved.filter(|moved| self.slot(*moved, position).is_empty()) {
            self.set(moved, position, slot);
        }
    }

    /// Empties foreign slots, marks twins, counts; whether there are twins.
    fn count_page(&mut self, page: PageId, live: &mut [u32]) -> bool {
        let home = Home::new(page, self.geometry.level, self.pages);
        let mut words = self.page(page);
        for (position, word) in words.iter_mut().enumerate() {
            if *word != 0 && !home.has(Slot::from_word(*word)) {
                *word = 0;
                self.set(page, position, Slot::EMPTY);
            }
        }
        let tags = Tags::of(&words);
        let mut twins = false;
        for (position, word) in words.iter().enumerate() {
            let slot = Slot::from_word(*word);
            if !slot.is_live() {
                continue;
            }
            if let Some(place) = self.geometry.locate(slot.address()) {
                live[usize::from(place.0.get())] += 1;
                for head in &mut self.heads {
                    head.note(self.memory, &self.geometry, slot, place);
                }
            }
            let is_twin = tags.has_twin(&words, position);
            if is_twin != slot.is_twin() {
                self.set(page, position, slot.with_twin(is_twin));
            }
            twins |= is_twin;
        }
        twins
    }

    /// Where no segment is free, moves that the end of the other boot cut short are done again, so
    /// that one becomes free.
    fn redo_moves(&mut self, live: &mut [u32], index_granted: u64) {
        let share = config::share_bytes(&self.geometry, self.memory.load(control::MAX_BYTES));
        let allowed = share.saturating_sub(index_granted) >> self.geometry.segment_shift;
        let used = live.iter().filter(|&&count| count > 0).count() as u64;
        if !self.shared || used < allowed {
            return;
        }
        let (memory, geometry) = (self.memory, &self.geometry);
        let mut orphans = Vec::new();
        let holds = |segment: SegmentId| live[usize::from(segment.get())] > 0;
        entries::orphans(memory, geometry, self.pages, holds, |orphan| orphans.push(orphan));
        for Orphan { found, old, new } in orphans {
            // A second copy of the same.
            if self.slot(found.page, found.position) != found.slot {
                continue;
            }
            let slot = found.slot.with_place(new.address, new.generation);
            self.set(found.page, found.position, slot);
            live[usize::from(old.spot.segment.get())] -= 1;
            live[usize::from(new.segment.get())] += 1;
            if let Some(place) = geometry.locate(new.address) {
                for head in &mut self.heads {
                    head.note(memory, geometry, slot, place);
                }
            }
        }
    }

    /// Segments that no slot names are free, the others sealed but for the heads.
    fn segments(&self, live: &[u32]) {
        for id in segment_ids(self.memory, &self.geometry) {
            let word = self.memory.load(self.geometry.state_at(id));
            let known = StateWord::decode(word)
                .filter(|state| state.allocated <= self.geometry.segment_bytes());
            let entries = live[usize::from(id.get())];
            let state = known.unwrap_or(StateWord {
                generation: Generation::new(word as u32),
                state: State::Free,
                label: Label::Main,
                allocated: 0,
            });
            let start = self.geometry.segment_start(id);
            let file = self.memory.log.file();
            // What cannot be done here is found out by the next to write there, as a full disk.
            if self.shared {
                let _ = if state.allocated == 0 {
                    space::punch(file, start, self.geometry.segment_bytes())
                } else {
                    space::allocate(file, start, state.allocated)
                };
            }
            let free = entries == 0;
            let head = self.heads.iter().find(|head| !free && head.segment == id);
            let tail = head.and_then(|head| head.go_on(self.memory, &self.geometry));
            let next = match tail {
                _ if free => State::Free,
                Some(_) => State::Active,
                None => State::Sealed,
            };
            let next = StateWord { state: next, ..state };
            let units = entries.saturating_mul(GUESSED_UNITS).min(self.geometry.segment_units());
            let granted = if state.allocated > 0 { self.geometry.segment_bytes() } else { 0 };
            let row = |word| self.geometry.row_at(id, word);
            self.memory.store(self.geometry.state_at(id), next.encode());
            self.memory.store(row(TAIL), tail.map_or(state.allocated / UNIT, u64::from));
            self.memory.store(row(LIVE), Live { count: entries, units }.encode());
            self.memory.store(row(GRANTED), granted);
            self.memory.store(row(FIRST_EXPIRY), if free { Millis::NEVER.get() } else { 0 });
            self.memory.store(row(LAST_EXPIRY), if free { 0 } else { Millis::NEVER.get() });
            self.memory.store(row(STAMP), Stamp::default().encode());
        }
    }

    fn control(&self, live: &[u32], twins: bool, index_granted: u64) {
        let memory = self.memory;
        let entries: u64 = live.iter().map(|&count| u64::from(count)).sum();
        let grants = segment_ids(self.memory, &self.geometry)
            .map(|id| memory.load(self.geometry.row_at(id, GRANTED)));
        let granted: u64 = grants.sum();
        memory.store(control::ENTRIES, entries);
        memory.store(control::PENDING, memory.load(control::PENDING).min(entries));
        memory.store(control::CLEAR_CURSOR, 0);
        memory.store(control::PAGES, self.pages);
        memory.store(control::LOG_GRANTED, granted);
        memory.store(control::INDEX_GRANTED, index_granted);
        memory.store(control::SWEEP_DUE, 0);
        memory.store(control::TWIN_CURSOR, u64::from(twins));
        memory.store(control::SYNC_FAILED, 0);
        let count = |at| Some(memory.load(at)).filter(|&count| count < control::COUNT_LIMIT);
        let syncs = count(control::SYNCS_BEGUN).max(count(control::SYNCS_DONE)).unwrap_or(0) + 1;
        memory.store(control::ORDERS, count(control::ORDERS).unwrap_or(0));
        memory.store(control::SYNCS_BEGUN, syncs);
        memory.store(control::SYNCS_DONE, syncs);
        let walks = [control::WALK_PROBATION, control::WALK_MAIN, control::WALK_UPKEEP];
        for at in [control::HEAD_PROBATION, control::HEAD_MAIN].into_iter().chain(walks) {
            memory.store(at, 0);
        }
        for head in &self.heads {
            let state = StateWord::decode(memory.load(self.geometry.state_at(head.segment)));
            if state.is_some_and(|state| state.state == State::Active) {
                memory.store(Ground::head_at(head.label), head.segment.index() + 1);
            }
        }
        let seen = memory.load(control::PROCESSES_SEEN).min(u64::from(self.geometry.max_processes));
        memory.store(control::PROCESSES_SEEN, seen);
        if self.shared {
            // As above: what cannot be allocated is found out when a slot is used.
            let _ = space::allocate(
                memory.log.file(),
                control::PROCESSES_OFFSET,
                seen * control::PROCESS_SLOT_BYTES,
            );
        }
        for slot in (0..seen as u16).filter_map(ProcessSlot::new) {
            memory.store(self.geometry.intent_at(slot, 0), 0);
            pins::clear_pins(memory, &self.geometry, slot);
        }
    }
}
