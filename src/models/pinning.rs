//! Views and stopped writers against the reuse of their segment.

use super::platform::{Loom, Plain, Platform, explore};
use super::segments::*;
use super::world::{Process, World};
use crate::format::intent::WordAt;
use crate::format::segment::State;
use crate::session::pins;
use crate::session::{Pin, Writing};
use crate::sys::words::Words;

/// A segment in this state, a record of its first generation in it, and one slot that names it.
fn words(first: State) -> Vec<(WordAt, u64)> {
    let old = spot(0, 1);
    let mut words = [record_words(old), pin_words(0)].concat();
    words.push(state_word(1, first));
    words.push((slot_at(), slot(old).word()));
    words
}

/// Reuses the segment, if it is not pinned: evicts, frees, takes, and puts another record there.
fn reuse<P: Platform>(process: &Process<P>) -> bool {
    evict(process);
    // Asked twice, as upkeep does: once it is draining, the pins are all that is looked at again.
    let is_free = free(process) || free(process);
    is_free && take(process) && put(process, spot(0, 2))
}

#[test]
fn the_bytes_under_a_view_do_not_change_while_it_is_held() {
    explore(3, || {
        let world = World::<Loom>::new(&words(State::Sealed));
        let [viewer, reuser] = [0, 1].map(|_| world.clone());
        Loom::together_two(
            move || {
                let process = Process::new(&viewer, 0);
                let Some((spot, _)) = look_up(&process) else { return };
                let (segment, generation) = (spot.segment, spot.generation);
                let (pins, me) = (&process.session.pins, &process.me);
                let pin = Pin { segment, line: PIN_LINE };
                if pins.pin(process.store(), *me, pin, generation) {
                    assert_eq!(copy(&process, spot), value(spot), "changed under a view");
                    pins.unpin(process.store(), *me, pin);
                }
            },
            move || {
                reuse(&Process::new(&reuser, 1));
            },
        );
    });
}

#[test]
fn a_stopped_writer_that_wakes_up_writes_nothing_into_a_segment_that_was_reused() {
    explore(3, || {
        let world = World::<Loom>::new(&words(State::Sealed));
        let [stopped, reuser] = [0, 1].map(|_| world.clone());
        let is_reused = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let reused = is_reused.clone();
        Loom::together_two(
            move || {
                let process = Process::new(&stopped, 0);
                // It reserved its chunk before the segment was sealed.
                let spot = spot(0, 1);
                let (segment, generation) = (spot.segment, spot.generation);
                let (me, which) = (process.me, Writing::Put);
                if pins::begin_writing(process.store(), me, which, segment, generation) {
                    write(&process, spot);
                    pins::end_writing(process.store(), me, which);
                }
            },
            move || {
                let done = reuse(&Process::new(&reuser, 1));
                reused.store(done, std::sync::atomic::Ordering::Relaxed);
            },
        );
        if is_reused.load(std::sync::atomic::Ordering::Relaxed) {
            let (spot, found) =
                look_up(&Process::new(&world.at_rest(), 2)).expect("the new record is lost");
            assert_eq!((spot.generation.get(), found), (2, value(spot)));
        }
    });
}

#[test]
fn pins_of_the_dead_hold_nothing_up_and_those_of_the_living_do() {
    for is_dead in [false, true] {
        for view in [false, true] {
            let world = World::<Plain>::new(&words(State::Sealed));
            let pinner = Process::new(&world, 0);
            let spot = spot(0, 1);
            let (segment, generation) = (spot.segment, spot.generation);
            let pinned = if view {
                let pin = Pin { segment, line: PIN_LINE };
                pinner.session.pins.pin(pinner.store(), pinner.me, pin, generation)
            } else {
                pins::begin_writing(pinner.store(), pinner.me, Writing::Put, segment, generation)
            };
            assert!(pinned);
            world.set_dead(pinner.me, is_dead);
            assert_eq!(reuse(&Process::new(&world, 1)), is_dead);
            // Whoever gets the row next clears them before it counts as alive for others' pins.
            pins::clear_pins(pinner.store(), pinner.me);
            assert!(pin_words(0).iter().all(|(at, _)| pinner.load(*at) == 0));
        }
    }
}
