//! Walks: how one begins, is taken over, goes on where it came to, and ends. A walk's state is one shared
//! word, so any process goes on with what another began.
//!
//! In a store that syncs, a walk that ends with the reuse of its segment belongs to one process: the
//! copies that it makes are known to that one until a sync.

use super::moves;
use super::writer::{Route, Writer};
use crate::error::Result;
use crate::format::address::{Millis, SegmentId};
use crate::format::lock::ProcessId;
use crate::format::segment::{
    FIRST_EXPIRY, HORIZON, Horizon, LAST_EXPIRY, Queue, State, StateWord,
};
use crate::format::walk::{Purpose, WalkWord};
use crate::session::{Decision, Session};
use crate::store::{Cursor, active_at, transitions};
use crate::sys::words::Words;
use crate::transaction::Liveness;

/// Puts that find the same walk waiting before one asks whether its owner lives.
const WAITS_A_QUESTION: u32 = 16;

/// A walk as its word says it, that can go on.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Which of the three.
    pub route: Route,
    /// Its word, as it was read.
    pub raw: u64,
    /// What that says.
    pub word: WalkWord,
    /// The state of its segment.
    pub state: StateWord,
}

/// Begins a walk, no sweep, in place of the one that `old` says (a word as read). `false`: another process was
/// faster, or the segment is no longer what it was.
pub fn begin(
    session: &Session,
    route: Route,
    old: u64,
    segment: SegmentId,
    purpose: Purpose,
) -> Result<bool> {
    let Some(state) = session.store.state(segment) else { return Ok(false) };
    let frees = matches!(purpose, Purpose::Evict | Purpose::Compact);
    if frees && !become_victim(session, segment, state)? {
        return Ok(false);
    }
    // Only walks that end with a reuse wait for the copies of one process.
    let owned = frees && session.store.syncs();
    let owner = if owned { Some(session.attachment()?.process) } else { None };
    let generation_low = state.generation.low();
    let walk = WalkWord { segment, generation_low, purpose, position: 0, owner };
    let new = WalkWord::encode(Some(walk));
    Ok(session.store.words.exchange(route.at(), old, new).is_ok())
}

/// Begins a sweep, if upkeep is on no walk. The bounds of expiry are set anew in the same transaction: so they
/// say nothing for as long as the sweep lasts, and are right once it has ended. Records that others write
/// meanwhile widen them again, and those whose header is in place already are met by the walk. (A walk that
/// another process begins at this very moment is forgotten; its segment is chosen again.)
pub fn begin_sweep(session: &Session, writer: &mut Writer, segment: SegmentId) -> Result<()> {
    let store = &session.store;
    let at = Route::Upkeep.at();
    let Some(seen) = store.state(segment) else { return Ok(()) };
    let generation_low = seen.generation.low();
    let purpose = Purpose::Sweep;
    let walk = WalkWord { segment, generation_low, purpose, position: 0, owner: None };
    let until = writer.lifetimes.begin_sweep(session.now());
    let horizon = Horizon { until, expiring: 0 };
    session.transact(|_, changes| {
        let is_same = |now: StateWord| now.generation == seen.generation && now.is_readable();
        if store.load(at) != 0 || !store.state(segment).is_some_and(is_same) {
            return Decision::Leave(());
        }
        let row = |word| store.geometry.row_at(segment, word);
        changes.set(at, WalkWord::encode(Some(walk)));
        changes.set(row(FIRST_EXPIRY), Millis::NEVER.get());
        changes.set(row(LAST_EXPIRY), 0);
        changes.set(row(HORIZON), horizon.encode());
        Decision::Commit(())
    })
}

/// Makes a segment a victim: from now on nothing new goes into it.
fn become_victim(session: &Session, segment: SegmentId, seen: StateWord) -> Result<bool> {
    let store = &session.store;
    session.transact(|_, changes| {
        let same = store.state(segment).filter(|now| now.generation == seen.generation);
        let Some(victim) = same.and_then(transitions::victim) else {
            return Decision::Leave(false);
        };
        if same == Some(victim) {
            return Decision::Leave(true);
        }
        changes.set_checked(store.geometry.state_at(segment), victim.encode());
        for queue in [Queue::Probation, Queue::Main] {
            if store.active(queue) == Some(segment) {
                changes.set(active_at(queue), 0);
            }
        }
        Decision::Commit(true)
    })
}

/// The walk that a route is on, as `raw` says it, if it can go on.
pub fn under_way(session: &Session, route: Route, raw: u64) -> Option<Walk> {
    let word = WalkWord::decode(raw)?;
    let state = session.store.state(word.segment)?;
    is_sound(route, &word, state).then_some(Walk { route, raw, word, state })
}

/// Whether a walk can go on: its segment is what it was, and the word is not damaged.
fn is_sound(route: Route, walk: &WalkWord, state: StateWord) -> bool {
    let is_upkeep = route == Route::Upkeep;
    let fits = match walk.purpose {
        Purpose::Trim => !is_upkeep && walk.owner.is_none(),
        Purpose::Sweep => is_upkeep && walk.owner.is_none(),
        Purpose::Evict | Purpose::Compact => is_upkeep && state.state == State::Victim,
    };
    fits && state.generation.low() == walk.generation_low && state.is_readable()
}

/// Where a walk goes on.
pub fn cursor(session: &Session, writer: &Writer, walk: &Walk) -> Cursor {
    let Walk { route, raw, word, state } = walk;
    writer.cursor(*route, *raw).unwrap_or_else(|| {
        Cursor::resume(&session.store, word.segment, state.generation, word.position)
    })
}

/// Notes that a walk has come to `cursor`, at `position`; not if another process was faster.
pub fn advance(session: &Session, writer: &mut Writer, walk: &Walk, position: u32, cursor: Cursor) {
    let new = WalkWord::encode(Some(WalkWord { position, ..walk.word }));
    let at = walk.route.at();
    let led = new == walk.raw || session.store.words.exchange(at, walk.raw, new).is_ok();
    writer.note_cursor(walk.route, led.then_some((new, cursor)));
}

/// Ends the walk that `raw` says, if it is still that.
pub fn end(session: &Session, route: Route, raw: u64) {
    let _ = session.store.words.exchange(route.at(), raw, 0);
}

/// Whether a walk of this process row was begun by another process, which had the row before and died.
/// The copies of that one are not known here.
pub fn is_inherited(writer: &Writer, walk: &Walk, me: ProcessId) -> bool {
    let known = writer.cursor(walk.route, walk.raw).is_some();
    walk.word.owner == Some(me) && walk.word.position > 0 && !known
}

/// Takes a walk that its owner does not go on with.
pub fn take_over(session: &Session, writer: &mut Writer) -> Result<()> {
    let me = session.attachment()?;
    let raw = session.store.load(Route::Upkeep.at());
    let owner = WalkWord::decode(raw).and_then(|walk| walk.owner);
    let Some(owner) = owner.filter(|&owner| owner != me.process) else { return Ok(()) };
    if !me.locks.is_dead(owner) {
        // Alive: it may be about to end it.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    take(session, writer, raw)
}

/// Takes a walk whose owner died, if this put and some before it found the walk where it is. Whether an owner
/// lives is a system call to ask: so not each put asks, and none asks of an owner that goes on. But it is
/// asked soon enough that puts have not filled the room that the walk needs.
pub fn take_over_from_dead(session: &Session, writer: &mut Writer) -> Result<()> {
    let me = session.attachment()?;
    let raw = session.store.load(Route::Upkeep.at());
    let waits = match writer.waits {
        Some((walk, times)) if walk == raw => times + 1,
        _ => 1,
    };
    writer.waits = Some((raw, waits));
    let owner = WalkWord::decode(raw).and_then(|walk| walk.owner);
    let asked =
        owner.filter(|&owner| waits.is_multiple_of(WAITS_A_QUESTION) && owner != me.process);
    if asked.is_some_and(|owner| me.locks.is_dead(owner)) {
        take(session, writer, raw)?;
    }
    Ok(())
}

/// Makes the walk that `raw` says one's own, from its start, with the copies that its owner made. They are
/// named here; the owner, if it lives, drops them when it sees that.
pub fn take(session: &Session, writer: &mut Writer, raw: u64) -> Result<()> {
    let me = session.attachment()?.process;
    let Some(walk) = WalkWord::decode(raw) else { return Ok(()) };
    let mine = WalkWord { owner: Some(me), position: 0, ..walk };
    let new = WalkWord::encode(Some(mine));
    if session.store.words.exchange(Route::Upkeep.at(), raw, new).is_ok() {
        moves::adopt(session, writer, walk.segment);
        moves::sync_and_name(session, writer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::Generation;

    const ALL: [Purpose; 4] = [Purpose::Sweep, Purpose::Compact, Purpose::Evict, Purpose::Trim];

    fn state(state: State) -> StateWord {
        let generation = Generation::new(0x10_0005);
        StateWord { generation, state, queue: Queue::Main, allocated: 1 << 20 }
    }

    fn walk(purpose: Purpose) -> WalkWord {
        let generation_low = state(State::Sealed).generation.low();
        let segment = SegmentId::new(3);
        WalkWord { segment, generation_low, purpose, position: 9, owner: None }
    }

    /// The purposes with which a walk can go on.
    fn sound(route: Route, in_state: State) -> Vec<Purpose> {
        let can = |&purpose: &Purpose| is_sound(route, &walk(purpose), state(in_state));
        ALL.into_iter().filter(can).collect()
    }

    #[test]
    fn each_route_has_its_purposes_and_only_a_victim_is_emptied() {
        let hand = Route::Hand(Queue::Main);
        assert_eq!(sound(hand, State::Active), [Purpose::Trim]);
        assert_eq!(sound(Route::Upkeep, State::Sealed), [Purpose::Sweep]);
        let emptying = [Purpose::Sweep, Purpose::Compact, Purpose::Evict];
        assert_eq!(sound(Route::Upkeep, State::Victim), emptying);
        assert_eq!(sound(Route::Upkeep, State::Free), []);
        assert_eq!(sound(hand, State::Draining), []);
    }

    #[test]
    fn a_walk_over_a_segment_that_was_used_again_is_over() {
        let later = StateWord { generation: Generation::new(0x10_0006), ..state(State::Victim) };
        assert!(!is_sound(Route::Upkeep, &walk(Purpose::Evict), later));
    }

    #[test]
    fn only_walks_that_free_a_segment_have_an_owner() {
        let owned = |purpose| WalkWord { owner: ProcessId::new(1), ..walk(purpose) };
        let victim = state(State::Victim);
        assert!(is_sound(Route::Upkeep, &owned(Purpose::Compact), victim));
        assert!(!is_sound(Route::Upkeep, &owned(Purpose::Sweep), victim));
        assert!(!is_sound(Route::Hand(Queue::Main), &owned(Purpose::Trim), victim));
    }
}
