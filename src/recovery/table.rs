//! The segment table and the control words, set anew from what the pass over the index has counted.

use super::active::Active;
use super::pass::Pass;
use crate::format::address::{Generation, Millis, SegmentId, UNIT};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::page::PAGE_BYTES;
use crate::format::segment::{
    BarrierStamp, FIRST_EXPIRY, GRANTED, HORIZON, Horizon, LAST_EXPIRY, LIVE, Live, Queue, STAMP,
    State, StateWord, TAIL,
};
use crate::session::{Medium, pins};
use crate::store::{Store, active_at};
use crate::sys::words::Words;

/// Units that an entry is taken to have until its segment is walked: few, so that compaction, which
/// finds out, is tried before eviction.
const GUESSED_UNITS: u32 = 8;

/// Segments that no slot names are free, the others sealed, but for active ones that go on. `shared`: the
/// files themselves are recovered, and not a private copy.
pub fn set_segments(store: &Store, pass: &Pass<'_>, shared: bool) {
    for id in store.segments() {
        let state = known_state(store, id);
        // What cannot be done here is found out by the next to write there, as a full disk.
        if shared {
            let start = WordAt::log(store.geometry.segment_start(id));
            let _ = match state.allocated {
                0 => store.words.give_back(start, store.geometry.segment_bytes()),
                bytes => store.words.allocate(start, bytes),
            };
        }
        let entries = pass.live[usize::from(id.get())];
        let active = pass.active.iter().find(|active| entries > 0 && active.segment == id);
        let tail = active.and_then(|active| active.go_on(store));
        let next = StateWord { state: next_state(entries, tail), ..state };
        let units = entries.saturating_mul(GUESSED_UNITS).min(store.geometry.segment_units());
        let granted = if state.allocated > 0 { store.geometry.segment_bytes() } else { 0 };
        let never = Millis::NEVER.get();
        let (first, last) = if entries == 0 { (never, 0) } else { (0, never) };
        let set = |word, value| store.words.store(store.geometry.row_at(id, word), value);
        store.words.store_checked(store.geometry.state_at(id), next.encode());
        set(TAIL, tail.map_or(state.allocated / UNIT, u64::from));
        set(LIVE, Live { count: entries, units }.encode());
        set(GRANTED, granted);
        set(FIRST_EXPIRY, first);
        set(LAST_EXPIRY, last);
        set(HORIZON, Horizon::UNKNOWN.encode());
        set(STAMP, BarrierStamp::default().encode());
    }
}

/// A segment's state. Where nothing is known of it, it is one whose generation was never given: the epoch is
/// a new one.
fn known_state(store: &Store, id: SegmentId) -> StateWord {
    store.state(id).unwrap_or_else(|| StateWord {
        generation: Generation::first_of(store.epoch()),
        state: State::Free,
        queue: Queue::Main,
        allocated: 0,
    })
}

/// What a segment becomes in which so many entries are; `tail` is where an active one goes on.
fn next_state(entries: u32, tail: Option<u32>) -> State {
    match tail {
        _ if entries == 0 => State::Free,
        Some(_) => State::Active,
        None => State::Sealed,
    }
}

/// Sets the control words of a store with so many pages, whose index was granted so many bytes.
pub fn set_control(store: &Store, pass: &Pass<'_>, pages: u64, index_granted: u64) {
    let words = &store.words;
    let entries: u64 = pass.live.iter().map(|&count| u64::from(count)).sum();
    let granted: u64 = store.segments().map(|id| store.row(id, GRANTED)).sum();
    words.store(control::ENTRIES, entries);
    words.store(control::PENDING, pending(store, entries));
    words.store(control::CLEAR_CURSOR, 0);
    set_checked(store, pages);
    words.store(control::LOG_GRANTED, granted);
    words.store(control::INDEX_GRANTED, index_granted);
    words.store(control::SWEEP_DUE, 0);
    words.store(control::DUPLICATE_CURSOR, u64::from(pass.duplicates));
    let count = |at| Some(store.load(at)).filter(|&count| count < control::COUNT_LIMIT);
    let syncs = count(control::SYNCS_BEGUN).max(count(control::SYNCS_DONE)).unwrap_or(0) + 1;
    words.store(control::ORDERS, count(control::ORDERS).unwrap_or(0));
    words.store(control::SYNCS_BEGUN, syncs);
    words.store(control::SYNCS_DONE, syncs);
    for walk in [control::WALK_PROBATION, control::WALK_MAIN, control::WALK_UPKEEP] {
        words.store(walk, 0);
    }
    set_active(store, &pass.active);
}

/// How many of the entries a clear left. Where nobody knows which, it left all: none that it took may come back.
fn pending(store: &Store, entries: u64) -> u64 {
    match store.words.checked(control::CLEAR_LSN) {
        Some(_) => store.load(control::PENDING).min(entries),
        None => entries,
    }
}

/// Both copies of the checked words. Those that are lost become what does no harm.
fn set_checked(store: &Store, pages: u64) {
    let words = &store.words;
    words.store_checked(control::PAGES, pages);
    let syncs = words.checked(control::SYNCS).unwrap_or(1);
    words.store_checked(control::SYNCS, syncs);
    let cleared = words.checked(control::CLEAR_LSN).unwrap_or_else(|| store.lsn().get());
    words.store_checked(control::CLEAR_LSN, cleared);
}

fn set_active(store: &Store, known: &[Active]) {
    for queue in [Queue::Probation, Queue::Main] {
        store.words.store(active_at(queue), 0);
    }
    for active in known {
        let state = store.any_state(active.segment);
        if state.is_some_and(|state| state.state == State::Active) {
            store.words.store(active_at(active.queue), active.segment.index() + 1);
        }
    }
}

/// Gives back what the limit does not count, since it takes no disk: a copy may have been written in full.
fn give_back_reserved(store: &Store) {
    let rows = store.geometry.max_processes as u64 * control::PROCESS_ROW_BYTES;
    let end = (control::PROCESSES_OFFSET + rows).next_multiple_of(PAGE_BYTES);
    let reserved =
        [control::CUT_OFFS_OFFSET..control::PROCESSES_OFFSET, end..store.geometry.control_bytes()];
    for range in reserved.into_iter().filter(|range| !range.is_empty()) {
        // Where the file system cannot, the copy takes more than the limit.
        let _ = store.words.give_back(WordAt::log(range.start), range.end - range.start);
    }
}

/// Nobody is attached: nothing is intended, and nothing pinned.
pub fn clear_processes(store: &Store, shared: bool) {
    let seen = store.processes().count() as u64;
    store.words.store(control::PROCESSES_SEEN, seen);
    if shared {
        // As above: what cannot be allocated is found out when a row is used.
        let start = WordAt::log(control::PROCESSES_OFFSET);
        let _ = store.words.allocate(start, seen * control::PROCESS_ROW_BYTES);
        give_back_reserved(store);
    }
    for process in store.processes() {
        store.words.store(store.geometry.intent_at(process, 0), 0);
        pins::clear_pins(store, process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_without_entries_is_free_and_one_with_them_goes_on_where_it_can() {
        assert_eq!(next_state(0, None), State::Free);
        assert_eq!(next_state(0, Some(5)), State::Free);
        assert_eq!(next_state(3, Some(5)), State::Active);
        assert_eq!(next_state(3, None), State::Sealed);
    }
}
