//! Records and segments of a scenario. What is done with them is the crate's own: records are written,
//! read and pinned, segments taken and freed by its sessions and stores.

use super::platform::Platform;
use super::world::{GEOMETRY, Process};
use crate::format::address::{Generation, Lsn, Millis, SegmentId, UNIT};
use crate::format::checked::CheckedAt;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::page::{PageId, Probe};
use crate::format::record::{self, HEADER_BYTES, Shape};
use crate::format::segment::{Queue, State, StateWord};
use crate::format::slot::Slot;
use crate::session::pins::begin_writing;
use crate::session::{Attributes, Writing};
use crate::store::{Spot, committed_at, transitions};
use crate::transaction::Changes;

/// The segment that all is about.
pub const SEGMENT: SegmentId = SegmentId::new(0);
/// Where its state is.
pub const STATE: CheckedAt = GEOMETRY.state_at(SEGMENT);
/// The hash of the key that all is about.
pub const HASH: u64 = 0x0123_4567_89AB_CDEF;
/// Every record's: two words of value, no key. (Whose bytes they are is what a scenario checks.)
const SHAPE: Shape = Shape { value: 16, key: 0, metadata: 0, flags: 0 };
/// Units of a record.
const RECORD_UNITS: u32 = 4;

/// Where the key's slot is.
pub fn slot_at() -> WordAt {
    GEOMETRY.slot_at(PageId::new(0), Probe::new(HASH, 0).group_a + 3)
}

/// The state word of the segment.
pub fn state(generation: u32, state: State) -> StateWord {
    let generation = Generation::new(generation);
    StateWord { generation, state, queue: Queue::Main, allocated: GEOMETRY.segment_bytes() }
}

/// Where record number `number` of the segment is, in a generation.
pub fn spot(number: u32, generation: u32) -> Spot {
    Spot {
        segment: SEGMENT,
        generation: Generation::new(generation),
        address: GEOMETRY.address(SEGMENT, 1 + number * RECORD_UNITS),
        room: u64::from(RECORD_UNITS) * UNIT,
        seen: 0,
    }
}

/// The value of the one record that is ever written at a place in a generation.
pub fn value(spot: Spot) -> [u64; 2] {
    let stamp = spot.address.units() << 32 | u64::from(spot.generation.get());
    [stamp, !stamp]
}

/// The slot of a record.
pub fn slot(spot: Spot) -> Slot {
    Slot::new(Probe::new(HASH, 0).tag, spot.address, spot.generation, 0)
}

fn word_of(spot: Spot, word: u64) -> WordAt {
    WordAt::log(spot.address.bytes()).plus(word)
}

fn value_at(spot: Spot) -> WordAt {
    word_of(spot, HEADER_BYTES / 8)
}

fn committed(spot: Spot, lsn: Lsn) -> (WordAt, u64) {
    let checker = GEOMETRY.checker(spot.address, spot.generation);
    (committed_at(spot.address), record::encode_committed(checker, lsn))
}

/// The words of a record's place, as a store of a record in this generation left them.
pub fn record_words(spot: Spot) -> Vec<(WordAt, u64)> {
    let checker = GEOMETRY.checker(spot.address, spot.generation);
    let [word0, word1] = SHAPE.encode(checker, spot.generation.get());
    let expiry = record::encode_expiry(checker, Millis::NEVER);
    let header = [word0, word1, 0, committed(spot, Lsn::new(1)).1, expiry];
    let words = header.into_iter().chain(value(spot));
    (0..).zip(words).map(|(word, value)| (word_of(spot, word), value)).collect()
}

/// The words of a record's place, nothing written there yet.
pub fn empty_words(spot: Spot) -> Vec<(WordAt, u64)> {
    record_words(spot).into_iter().map(|(at, _)| (at, 0)).collect()
}

/// Writes a record, uncommitted.
pub fn write<P: Platform>(process: &Process<P>, spot: Spot) {
    let attributes = Attributes { created: 0, expiry: Millis::NEVER, lsn: None };
    let [first, second] = value(spot).map(u64::to_le_bytes);
    process.session.write(spot, SHAPE, attributes, [b"", &first, &second]);
}

/// Publishes a record under the key.
pub fn publish<P: Platform>(process: &Process<P>, spot: Spot) {
    process.transact(|lsn| {
        let mut changes = Changes::default();
        let (at, word) = committed(spot, lsn);
        changes.set(at, word);
        changes.set(slot_at(), slot(spot).word());
        Some(changes)
    });
}

/// A put: `false` if the segment does not take it any more.
pub fn put<P: Platform>(process: &Process<P>, spot: Spot) -> bool {
    let Spot { segment, generation, .. } = spot;
    if !begin_writing(process.store(), process.me, Writing::Put, segment, generation) {
        return false;
    }
    write(process, spot);
    publish(process, spot);
    process.session.written(Writing::Put);
    true
}

/// What a lookup finds: spot and value of a record that the reader's protocol accepts. The value is
/// not checked here, and no CRC either: a scenario compares it.
pub fn look_up<P: Platform>(process: &Process<P>) -> Option<(Spot, [u64; 2])> {
    process.index().find(HASH, |found| read_slot(process, found.slot))
}

/// The record that a slot names, by the reader's protocol.
pub fn read_slot<P: Platform>(process: &Process<P>, slot: Slot) -> Option<(Spot, [u64; 2])> {
    let store = process.store();
    let record = store.record(slot)?;
    if !record.is_current(store.cleared(), || Millis::new(0)) {
        return None;
    }
    let value = copy(process, record.spot);
    store.is_still(record.spot).then_some((record.spot, value))
}

/// The bytes of a value, copied relaxed.
pub fn copy<P: Platform>(process: &Process<P>, spot: Spot) -> [u64; 2] {
    [process.world.peek(value_at(spot)), process.world.peek(value_at(spot).plus(1))]
}

/// Frees the segment, in which nothing lives: draining, then a look at the pins, then free.
pub fn free<P: Platform>(process: &Process<P>) -> bool {
    process.session.try_free(SEGMENT).unwrap()
}

/// Seals the segment, in which nothing lives any more.
pub fn seal<P: Platform>(process: &Process<P>, generation: u32) -> bool {
    process.transact(|_| {
        let active = state(generation, State::Active);
        let sealed = transitions::sealed(active).filter(|_| state_now(process) == Some(active));
        sealed.map(|sealed| {
            let mut changes = Changes::default();
            changes.set_checked(STATE, sealed.encode());
            changes
        })
    })
}

/// The segment's state word as it is now.
pub fn state_now<P: Platform>(process: &Process<P>) -> Option<StateWord> {
    process.store().any_state(SEGMENT)
}

/// The segment's state, to be modelled: the first copy, for nothing here is damaged.
pub fn state_word(generation: u32, state: State) -> (WordAt, u64) {
    (STATE.first(), STATE.seal(self::state(generation, state).encode()))
}

/// Takes a free segment in its next generation.
pub fn take<P: Platform>(process: &Process<P>) -> bool {
    process.session.take(Queue::Main, RECORD_UNITS, true).unwrap()
}

/// Evicts the key.
pub fn evict<P: Platform>(process: &Process<P>) {
    process.transact(|_| {
        let mut changes = Changes::default();
        changes.set(slot_at(), Slot::EMPTY.word());
        Some(changes)
    });
}

/// The line by which the models pin.
pub const PIN_LINE: u16 = 1;

/// The pins of a process, to be modelled.
pub fn pin_words(process: u16) -> Vec<(WordAt, u64)> {
    let slot = crate::format::lock::ProcessId::new(process).unwrap();
    vec![(GEOMETRY.pin_at(slot, SEGMENT, PIN_LINE).0, 0), (GEOMETRY.writing_at(slot, 0), 0)]
}

/// The number of pages of the index.
pub const PAGES: WordAt = control::PAGES.first();

/// A number of pages as stored.
pub const fn pages(pages: u64) -> u64 {
    control::PAGES.seal(pages)
}
