//! One step of a walk: the next record, judged and dealt with.

use super::Worker;
use super::moves::{self, Copied};
use super::room::take;
use crate::entries::{self, Released};
use crate::error::Result;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::lock::ProcessSlot;
use crate::format::place::{Millis, SegmentId};
use crate::format::segment::{FIRST_EXPIRY, LAST_EXPIRY, Label, State, StateWord};
use crate::format::walk::{Purpose, WALK_END, WalkWord};
use crate::index::Found;
use crate::policy::{self, Judgement, RecordFacts};
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::segments::pins;
use crate::segments::read::{self, Record, Spot};
use crate::segments::statistics::Count;
use crate::segments::walk::Cursor;
use crate::sys::words::Words;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There is no walk.
    Idle,
    /// A record of so many bytes was dealt with.
    Past {
        /// Its bytes.
        bytes: u64,
        /// Whether an entry went.
        gone: bool,
    },
    /// The walk has ended.
    Ended,
    /// It waits for a sync, or for the process that owns it.
    Waits,
}

/// Which of the cursors a walk word's is.
pub fn cursor_of(at: WordAt) -> usize {
    match at {
        control::WALK_PROBATION => 0,
        control::WALK_MAIN => 1,
        _ => 2,
    }
}

/// The cursor of a walk that comes from another step or process.
pub fn resume(ground: &Ground, walk: WalkWord, state: StateWord) -> Cursor {
    let Ground { memory, geometry, .. } = ground;
    Cursor::resume(memory, geometry, walk.segment, state.generation, walk.position)
}

/// Begins a walk in place of the one that `old` says (a word as read). `false`: another process was
/// faster, or the segment is no longer what it was.
pub fn begin(
    ground: &Ground,
    at: WordAt,
    old: u64,
    segment: SegmentId,
    purpose: Purpose,
) -> Result<bool> {
    let Some(state) = ground.state(segment) else { return Ok(false) };
    if matches!(purpose, Purpose::Evict | Purpose::Compact)
        && !become_victim(ground, segment, state)?
    {
        return Ok(false);
    }
    if purpose == Purpose::Sweep && !reset_expiry(ground, segment, state)? {
        return Ok(false);
    }
    // Only walks that end with a reuse wait for the copies of one process.
    let owner = if ground.syncs() && matches!(purpose, Purpose::Evict | Purpose::Compact) {
        Some(ground.attachment()?.slot)
    } else {
        None
    };
    let walk =
        WalkWord { segment, generation_low: state.generation.low(), purpose, position: 0, owner };
    Ok(ground.memory.exchange(at, old, WalkWord::encode(Some(walk))).is_ok())
}

/// From now on nothing new goes into the segment.
fn become_victim(ground: &Ground, segment: SegmentId, seen: StateWord) -> Result<bool> {
    ground.transact(|_, changes| {
        let Some(state) = ground.state(segment).filter(|now| now.generation == seen.generation)
        else {
            return Decision::Leave(false);
        };
        match state.state {
            State::Victim => Decision::Leave(true),
            State::Sealed | State::Active => {
                let victim = StateWord { state: State::Victim, ..state };
                changes.set(ground.geometry.state_at(segment), victim.encode());
                for label in [Label::Probation, Label::Main] {
                    if ground.head(label) == Some(segment) {
                        changes.set(Ground::head_at(label), 0);
                    }
                }
                Decision::Commit(true)
            }
            State::Free | State::Draining => Decision::Leave(false),
        }
    })
}

/// The bounds of expiry are set anew by a sweep. Records that others write meanwhile widen them
/// again, and those whose header is in place already are met by the walk.
fn reset_expiry(ground: &Ground, segment: SegmentId, seen: StateWord) -> Result<bool> {
    ground.transact(|_, changes| {
        let same = ground.state(segment).is_some_and(|now| now.generation == seen.generation);
        if !same {
            return Decision::Leave(false);
        }
        changes.set(ground.geometry.row_at(segment, FIRST_EXPIRY), Millis::NEVER.get());
        changes.set(ground.geometry.row_at(segment, LAST_EXPIRY), 0);
        Decision::Commit(true)
    })
}

/// Does the next record of the walk at `at`. With `force`, what policy would keep goes.
pub fn step(ground: &Ground, worker: &mut Worker, at: WordAt, force: bool) -> Result<Stepped> {
    let raw = ground.memory.load(at);
    if raw == 0 {
        return Ok(Stepped::Idle);
    }
    let me = ground.attachment()?.slot;
    let sound = WalkWord::decode(raw).and_then(|walk| {
        let state = ground.state(walk.segment)?;
        is_sound(at, &walk, state).then_some((walk, state))
    });
    let Some((walk, state)) = sound else {
        let _ = ground.memory.exchange(at, raw, 0);
        return Ok(Stepped::Ended);
    };
    if walk.owner == Some(me) && is_inherited(worker, at, raw, walk) {
        take(ground, worker, raw)?;
        return Ok(Stepped::Past { bytes: 0, gone: false });
    }
    if walk.position == WALK_END {
        return end(ground, worker, at, raw, walk, me);
    }
    if walk.owner.is_some_and(|owner| owner != me) {
        return Ok(Stepped::Waits);
    }
    let cached = worker.cursors[cursor_of(at)].filter(|(word, _)| *word == raw);
    let mut cursor = match cached {
        Some((_, cursor)) => cursor,
        None => resume(ground, walk, state),
    };
    let next = cursor.next(&ground.memory, &ground.geometry);
    if next.is_none() && walk.purpose == Purpose::Trim && state.state == State::Active {
        // More will come here: the hand waits for it where it is.
        return Ok(Stepped::Ended);
    }
    let (position, stepped) = match next {
        None => (WALK_END, Stepped::Past { bytes: 0, gone: false }),
        Some((spot, shape)) => {
            let gone = meet(ground, worker, walk.purpose, spot, state, force)?;
            ask_ahead(ground, cursor, &mut worker.key);
            (cursor.position, Stepped::Past { bytes: shape.footprint(), gone })
        }
    };
    let new = WalkWord::encode(Some(WalkWord { position, ..walk }));
    worker.cursors[cursor_of(at)] =
        ground.memory.exchange(at, raw, new).is_ok().then_some((new, cursor));
    Ok(stepped)
}

/// Asks for the memory that the next two steps will read, which come with the next puts: the slot of the
/// next record, and what is behind that.
fn ask_ahead(ground: &Ground, mut cursor: Cursor, key: &mut Vec<u8>) {
    let Some((spot, shape)) = cursor.next(&ground.memory, &ground.geometry) else { return };
    let behind = ground.geometry.address(cursor.segment, cursor.position);
    read::prefetch(&ground.memory, behind);
    key.clear();
    if read::read_key(&ground.memory.log, spot, shape, key) {
        ground.index().prefetch(ground.hash(key));
    }
}

/// Whether a walk of this process slot was begun by another process, which had the slot before and died.
/// Its copies are not known here.
fn is_inherited(worker: &Worker, at: WordAt, raw: u64, walk: WalkWord) -> bool {
    let known = worker.cursors[cursor_of(at)].is_some_and(|(word, _)| word == raw);
    walk.position > 0 && !known
}

/// Whether a walk can go on: its segment is what it was, and the word is not damaged.
fn is_sound(at: WordAt, walk: &WalkWord, state: StateWord) -> bool {
    let is_upkeep = at == control::WALK_UPKEEP;
    let fits = match walk.purpose {
        Purpose::Trim => !is_upkeep && walk.owner.is_none(),
        Purpose::Sweep => is_upkeep && walk.owner.is_none(),
        Purpose::Evict | Purpose::Compact => is_upkeep && state.state == State::Victim,
    };
    fits && state.generation.low() == walk.generation_low && state.is_readable()
}

/// The walk has come to its end.
fn end(
    ground: &Ground,
    worker: &mut Worker,
    at: WordAt,
    raw: u64,
    walk: WalkWord,
    me: ProcessSlot,
) -> Result<Stepped> {
    match walk.purpose {
        // The next one begins behind it.
        Purpose::Trim => return Ok(Stepped::Ended),
        Purpose::Sweep => {
            if let Some(state) = ground.state(walk.segment) {
                worker.swept.note(walk.segment, state.generation, ground.now());
            }
        }
        Purpose::Evict | Purpose::Compact => {
            if walk.owner.is_some_and(|owner| owner != me) || !moves::settle(ground, worker)? {
                return Ok(Stepped::Waits);
            }
            if ground.live(walk.segment).count > 0 {
                purge(ground, worker, walk)?;
                if !moves::settle(ground, worker)? {
                    return Ok(Stepped::Waits);
                }
                if ground.live(walk.segment).count > 0 {
                    super::recount_live(ground, walk.segment)?;
                }
            }
            ground.try_free(walk.segment)?;
        }
    }
    let _ = ground.memory.exchange(at, raw, 0);
    Ok(Stepped::Ended)
}

/// Deals with a record that a walk met; whether an entry went.
fn meet(
    ground: &Ground,
    worker: &mut Worker,
    purpose: Purpose,
    spot: Spot,
    state: StateWord,
    force: bool,
) -> Result<bool> {
    let Some(record) = read::record(&ground.memory, &ground.geometry, spot) else {
        return Ok(false);
    };
    worker.key.clear();
    if !record.read_key(&ground.memory.log, &mut worker.key) {
        return Ok(false);
    }
    let hash = ground.hash(&worker.key);
    let find = || entries::find_at(ground, hash, spot.address, spot.generation);
    let mut found = find();
    if found.is_none() && purpose == Purpose::Sweep && record.lsn.is_none() {
        let me = ground.attachment()?;
        if pins::is_pinned(&ground.memory, &ground.geometry, me.slot, spot.segment, &me.locks) {
            // It may yet be published.
            entries::widen_expiry(ground, spot, record.expiry);
            return Ok(false);
        }
        // Nobody writes here: it was published just now, or its writer has given it up. Then its
        // expiry counts no more, else the segment would be due for a sweep for ever.
        found = find();
    }
    let Some(found) = found else { return Ok(false) };
    // Read again: it may have been published after it was read, and would pass for dead.
    let Some(record) = read::record(&ground.memory, &ground.geometry, spot) else {
        return Ok(false);
    };
    treat(ground, worker, purpose, found, &record, state.label, force)
}

/// Judges the entry in a slot, and carries the judgement out; whether it went.
fn treat(
    ground: &Ground,
    worker: &mut Worker,
    purpose: Purpose,
    found: Found,
    record: &Record,
    label: Label,
    force: bool,
) -> Result<bool> {
    let mut found = found;
    if found.slot.is_twin() {
        // Else an older version would be back when the newer goes.
        entries::decide_twins(ground, found.page)?;
        let slot = ground.index().slot(found.page, found.position);
        if !slot.names_same(found.slot) {
            return Ok(true);
        }
        found = Found { slot, ..found };
    }
    let spot = record.spot;
    let dead = !record.is_current(read::cleared(&ground.memory), || ground.now());
    let rewritten = match worker.rewritten {
        Some((of, at, bytes)) if of == spot.segment && at == spot.generation => bytes,
        _ => 0,
    };
    let facts = RecordFacts {
        label,
        frequency: if force { 0 } else { found.slot.frequency() },
        dead,
        budget_spent: rewritten * 2 > u64::from(ground.tail(spot.segment)) * 16,
    };
    match policy::judge(purpose, &facts) {
        Judgement::Keep(frequency) => {
            let kept = found.slot.with_frequency(frequency);
            let at = ground.index().at(found.page, found.position);
            // A reader that was faster has shown that the entry is in use.
            let _ = ground.memory.exchange(at, found.slot.word(), kept.word());
            if purpose == Purpose::Sweep {
                entries::widen_expiry(ground, spot, record.expiry);
            }
            Ok(false)
        }
        Judgement::Collect => go(ground, found, record, false, Count::Expirations),
        Judgement::Evict { ghost } => go(ground, found, record, ghost, Count::Evictions),
        Judgement::Move { label, frequency } => {
            match moves::copy(ground, worker, found, record, label, frequency)? {
                Copied::Done => {
                    let bytes = rewritten + record.shape.footprint();
                    worker.rewritten = Some((spot.segment, spot.generation, bytes));
                    Ok(false)
                }
                Copied::NoRoom => go(ground, found, record, false, Count::Evictions),
                Copied::Damaged => go(ground, found, record, false, Count::Damaged),
            }
        }
    }
}

fn go(ground: &Ground, found: Found, record: &Record, ghost: bool, why: Count) -> Result<bool> {
    let gone = entries::evict(ground, found, Some(record), ghost)? == Released::Gone;
    if gone {
        ground.count(why, 1);
    }
    Ok(gone)
}

/// Deals with the slots that still name a segment after its walk: their records could not be reached
/// from chunk to chunk. One pass over the index.
fn purge(ground: &Ground, worker: &mut Worker, walk: WalkWord) -> Result<()> {
    let Some(state) = ground.state(walk.segment) else { return Ok(()) };
    let mut page = 0;
    while page < ground.index().pages() {
        let id = crate::format::page::PageId::new(page);
        let named: Vec<Found> = ground
            .index()
            .live_on(id)
            .filter(|found| {
                let place = ground.geometry.locate(found.slot.address());
                place.is_some_and(|(segment, _)| segment == walk.segment)
            })
            .collect();
        for found in named {
            if moves::is_waiting(worker, found) {
                continue;
            }
            let record = read::spot(&ground.memory, &ground.geometry, found.slot)
                .and_then(|spot| read::record(&ground.memory, &ground.geometry, spot));
            match record {
                Some(record) => {
                    treat(ground, worker, walk.purpose, found, &record, state.label, false)?;
                }
                // Another process may have been here first.
                None => {
                    if entries::drop_slot(ground, found)? == Released::Gone {
                        ground.count(Count::Damaged, 1);
                    }
                }
            }
        }
        page += 1;
    }
    Ok(())
}
