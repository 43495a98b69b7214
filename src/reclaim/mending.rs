//! Checked words mended: a damaged copy is written again from the whole one. Where both are damaged, the word
//! becomes what does no harm: nothing that was outdated comes back, whatever else may be lost.

use crate::error::Result;
use crate::format::address::{Generation, SegmentId};
use crate::format::checked::CheckedAt;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::segment::{ALLOCATION_PAGE, GRANTED, Queue, State, StateWord};
use crate::session::{Decision, Medium, Session};
use crate::store::{DamagedWord, Store, Whose};
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Whether a checked word is damaged, or a segment's state is none that there is.
pub fn is_any_word_damaged(store: &Store) -> bool {
    store.damaged_words().next().is_some() || lost_segments(store).next().is_some()
}

/// Mends all checked words, but for two: a lost number of pages cannot be guessed in use, and a lost number of
/// durable pages is set by the next sync.
pub fn repair_words(session: &Session) -> Result<()> {
    let store = &session.store;
    let damaged: Vec<DamagedWord> = store.damaged_words().collect();
    for word in damaged {
        session.transact(|lsn, changes| {
            match (store.words.checked(word.at), word.whose) {
                (Some(value), _) => changes.set_checked(word.at, value),
                (None, Whose::Store(_)) => set_harmless(store, changes, word.at, lsn.get()),
                // Below.
                (None, Whose::Segment(_)) => {}
            }
            if changes.is_empty() { Decision::Leave(()) } else { Decision::Commit(()) }
        })?;
    }
    let lost: Vec<SegmentId> = lost_segments(store).collect();
    lost.into_iter().try_for_each(|segment| repair_state(session, segment))
}

/// Segments of which nothing is known.
fn lost_segments(store: &Store) -> impl Iterator<Item = SegmentId> + '_ {
    store.segments().filter(|&segment| store.state(segment).is_none())
}

/// Sets a word of the store of which nothing is known, in transaction number `lsn`.
fn set_harmless(store: &Store, changes: &mut Changes, at: CheckedAt, lsn: u64) {
    match at {
        control::CLEAR_LSN => {
            changes.set_checked(at, lsn);
            changes.set(control::PENDING, store.load(control::ENTRIES));
            changes.set(control::CLEAR_CURSOR, 0);
        }
        control::SYNCS => changes.set_checked(at, 1),
        control::EPOCH => changes.set_checked(at, u64::from(store.epoch())),
        _ => {}
    }
}

/// Puts a segment to use again of which nothing is known: nothing in it was read any more.
fn repair_state(session: &Session, segment: SegmentId) -> Result<()> {
    let store = &session.store;
    let state_at = store.geometry.state_at(segment);
    let newest = store.newest_generation(segment);
    let is_granted = store.row(segment, GRANTED) > 0;
    let repaired = repaired_state(newest, store.epoch(), is_granted);
    let start = WordAt::log(store.geometry.segment_start(segment));
    if repaired.allocated > 0 && store.words.allocate(start, repaired.allocated).is_err() {
        return Ok(()); // The disk is full: another time.
    }
    session.transact(|_, changes| {
        if store.state(segment).is_some() {
            return Decision::Leave(());
        }
        changes.set_checked(state_at, repaired.encode());
        Decision::Commit(())
    })
}

/// What a segment becomes whose state word is lost. `newest` is the generation in which a chunk was last begun
/// in it. Its new one was never given: it is behind that, and behind all of the epoch. It is draining; then its
/// first page is allocated, for with none it would count as a segment whose space is being given back.
fn repaired_state(newest: Option<Generation>, epoch: u32, is_granted: bool) -> StateWord {
    let beyond = Generation::first_of(epoch.saturating_add(1));
    let after = newest.map_or(beyond, |newest| newest.next(epoch));
    let generation = if after.get() > beyond.get() { after } else { beyond };
    let queue = Queue::Main;
    if is_granted {
        StateWord { generation, state: State::Draining, queue, allocated: ALLOCATION_PAGE }
    } else {
        StateWord { generation, state: State::Free, queue, allocated: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_segment_gets_a_generation_that_it_never_had_and_drains_if_it_has_space() {
        let lost = repaired_state(None, 5, true);
        assert_eq!((lost.state, lost.allocated), (State::Draining, ALLOCATION_PAGE));
        assert_eq!(lost.generation, Generation::first_of(6));
        let again = repaired_state(Some(lost.generation.next(5)), 5, false);
        assert_eq!((again.state, again.allocated), (State::Free, 0));
        assert_eq!(again.generation, lost.generation.next(5).next(5));
    }
}
