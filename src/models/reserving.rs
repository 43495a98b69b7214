//! Reservation: segments taken, allocated and cut into chunks by several processes, some of which die.

use std::sync::{Arc, Mutex};

use shuttle::rand::{Rng, thread_rng};

use super::platform::{Actor, Loom, Plain, Platform, Shuttle, draw, explore};
use super::world::{GEOMETRY, Process, SEGMENTS, World};
use crate::format::address::{Generation, SegmentId, UNIT};
use crate::format::control;
use crate::format::intent::{INTENT_WORDS, WordAt};
use crate::format::lock::ProcessId;
use crate::format::segment::{
    FIRST_EXPIRY, GRANTED, LAST_EXPIRY, LIVE, ORDER, Queue, STAMP, State, StateWord, TAIL,
    decode_chunk,
};
use crate::session::{Chunks, Wanted, Writing};
use crate::store::{Spot, active_at};

/// Units of a record that gets a chunk of its own.
const LARGE: u32 = 20;
/// Chunks that a scenario has room for in a segment.
const CHUNKS: u32 = 4;

fn segments() -> impl Iterator<Item = SegmentId> {
    (0..SEGMENTS as u16).map(SegmentId::new)
}

/// A store of free segments of which nothing is allocated: the words that reservation changes.
fn words() -> Vec<(WordAt, u64)> {
    let free = StateWord {
        generation: Generation::new(1),
        state: State::Free,
        queue: Queue::Main,
        allocated: 0,
    };
    let mut words =
        vec![(control::ORDERS, 0), (control::LOG_GRANTED, 0), (active_at(Queue::Main), 0)];
    for segment in segments() {
        let at = GEOMETRY.state_at(segment);
        words.push((at.first(), at.seal(free.encode())));
        let row = [TAIL, LIVE, GRANTED, FIRST_EXPIRY, LAST_EXPIRY, ORDER, STAMP];
        words.extend(row.map(|word| (GEOMETRY.row_at(segment, word), 0)));
        for chunk in 0..CHUNKS {
            let at = WordAt::log(GEOMETRY.address(segment, chunk * (LARGE + 1)).bytes());
            words.extend([(at, 0), (at.plus(1), 0)]);
        }
    }
    for process in (0..GEOMETRY.max_processes).filter_map(ProcessId::new) {
        words.push((GEOMETRY.writing_at(process, 0), 0));
    }
    words
}

/// With the intents, for scenarios in which processes die.
fn mortal_words() -> Vec<(WordAt, u64)> {
    let mut words = words();
    for process in (0..GEOMETRY.max_processes).filter_map(ProcessId::new) {
        let intent = 0..=2 * INTENT_WORDS as u64;
        words.extend(intent.map(|word| (GEOMETRY.intent_at(process, word), 0)));
    }
    words
}

/// Room for a large record.
fn reserve<P: Platform>(process: &Process<P>) -> Spot {
    let wanted = Wanted { queue: Queue::Main, which: Writing::Put, units: LARGE, last: true };
    let spot = process.session.reserve(&mut Chunks::default(), wanted).unwrap().unwrap();
    process.session.written(Writing::Put);
    spot
}

/// What holds once nobody changes anything: each spot has room of its own within what is reserved and
/// allocated, the tail is where the chunks end, and what is granted is booked.
fn assert_reserved(world: Arc<World<Plain>>, spots: &[Spot]) {
    let process = Process::new(&world, 3);
    let store = process.store();
    let mut granted = 0;
    let mut active = Vec::new();
    for segment in segments() {
        let state = store.state(segment).unwrap();
        granted += store.row(segment, GRANTED);
        if state.state == State::Active {
            active.push(segment);
        }
        let tail = store.tail(segment);
        let mut end = 0;
        while end < tail {
            let address = GEOMETRY.address(segment, end);
            let at = WordAt::log(address.bytes());
            let checker = GEOMETRY.checker(address, state.generation);
            let header = [store.load(at), store.load(at.plus(1))];
            end += decode_chunk(checker, state.generation, header).expect("no chunk in the tail");
        }
        assert_eq!(end, tail, "a chunk reaches beyond the tail");
        assert!(u64::from(tail) * UNIT <= state.allocated, "reserved, and not allocated");
    }
    assert_eq!(store.load(control::LOG_GRANTED), granted, "a grant that is not booked");
    assert_eq!(store.active(Queue::Main).into_iter().collect::<Vec<_>>(), active);
    let units = |spot: &Spot| {
        let start = spot.address.units();
        start..start + u64::from(LARGE)
    };
    for (number, spot) in spots.iter().enumerate() {
        let (_, within) = GEOMETRY.locate(spot.address).unwrap();
        assert!(within + spot.room <= u64::from(store.tail(spot.segment)) * UNIT);
        for other in &spots[..number] {
            let apart =
                units(spot).start >= units(other).end || units(other).start >= units(spot).end;
            assert!(apart, "two writers in the same room: {spot:?}, {other:?}");
        }
    }
}

#[test]
fn two_processes_that_reserve_at_once_take_one_segment_and_have_room_of_their_own() {
    explore(2, || {
        let world = World::<Loom>::new(&words());
        let spots = Arc::new(Mutex::new(Vec::new()));
        let [one, other] = [0, 1].map(|me| {
            let (world, spots) = (world.clone(), spots.clone());
            move || {
                let spot = reserve(&Process::new(&world, me));
                spots.lock().unwrap().push(spot);
            }
        });
        Loom::together_two(one, other);
        let spots = spots.lock().unwrap().clone();
        assert_eq!(spots.len(), 2);
        assert_reserved(world.at_rest(), &spots);
    });
}

#[test]
fn a_process_that_dies_anywhere_in_a_reservation_leaves_nothing_booked_twice_or_half_taken() {
    for changes in 0.. {
        let world = World::<Plain>::new(&mortal_words());
        let dying = Process::mortal(&world, 0, changes);
        let dead = dying.live(reserve);
        let survivor = Process::new(&world, 1);
        let mut spots: Vec<Spot> = vec![reserve(&survivor), reserve(&survivor)];
        spots.extend(dead);
        drop((dying, survivor));
        assert_reserved(world, &spots);
        if dead.is_some() {
            assert!(changes > 40, "it should have died more often: {changes}");
            return;
        }
    }
}

#[test]
fn rooms_stay_apart_in_a_storm_of_processes_that_reserve_and_die() {
    draw(2_000, || {
        let world = World::<Shuttle>::new(&mortal_words());
        let spots = Arc::new(Mutex::new(Vec::new()));
        let storm = |me: u16| -> Actor {
            let (world, spots) = (world.clone(), spots.clone());
            Box::new(move || {
                // About as many changes as a reservation with all that comes before it.
                let process = Process::mortal(&world, me, thread_rng().gen_range(0..80));
                let spot = process.live(|process| {
                    process.world.set_dead(process.me, false);
                    process.transactions().settle_row();
                    reserve(process)
                });
                spots.lock().unwrap().extend(spot);
            })
        };
        Shuttle::together((0..3).map(storm).collect());
        let last = Process::new(&world, 3);
        let spot = reserve(&last);
        drop(last);
        spots.lock().unwrap().push(spot);
        let spots = spots.lock().unwrap().clone();
        assert_reserved(world.at_rest(), &spots);
    });
}
