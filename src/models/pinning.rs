//! Views and stopped writers against the reuse of their segment.

use super::platform::{Loom, Plain, Platform, explore};
use super::segments::*;
use super::world::{GEOMETRY, Process, World};
use crate::format::intent::WordAt;
use crate::format::segment::State;
use crate::segments::pins::{self, Writing};
use crate::sys::words::Words;

/// A segment in this state, a record of its first generation in it, and one slot that names it.
fn words(first: State) -> Vec<(WordAt, u64)> {
    let old = spot(0, 1);
    let mut words = [record_words(old), pin_words(0)].concat();
    words.push((STATE, state(1, first).encode()));
    words.push((slot_at(), slot(old).word()));
    words
}

/// Reuses the segment, if it is not pinned: evicts, frees, takes, and puts another record there.
fn reuse<P: Platform>(process: &Process<P>, from: State) -> bool {
    evict(process);
    // Asked twice, as upkeep does: once it is draining, the pins are all that is looked at again.
    let is_free = free(process, 1, from) || free(process, 1, from);
    is_free && take(process, 1) && put(process, spot(0, 2))
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
                let Process { pins, me, .. } = &process;
                if pins.pin(&process, &GEOMETRY, *me, segment, generation) {
                    assert_eq!(copy(&process, spot), value(spot), "changed under a view");
                    pins.unpin(&process, &GEOMETRY, *me, segment);
                }
            },
            move || {
                reuse(&Process::new(&reuser, 1), State::Sealed);
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
                if pins::begin_writing(&process, &GEOMETRY, me, which, segment, generation) {
                    write(&process, spot);
                    pins::end_writing(&process, &GEOMETRY, me, which);
                }
            },
            move || {
                let done = reuse(&Process::new(&reuser, 1), State::Sealed);
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
                pinner.pins.pin(&pinner, &GEOMETRY, pinner.me, segment, generation)
            } else {
                pins::begin_writing(
                    &pinner,
                    &GEOMETRY,
                    pinner.me,
                    Writing::Put,
                    segment,
                    generation,
                )
            };
            assert!(pinned);
            world.set_dead(pinner.me, is_dead);
            assert_eq!(reuse(&Process::new(&world, 1), State::Sealed), is_dead);
            // Whoever gets the slot next clears them before it counts as alive for others' pins.
            pins::clear_pins(&pinner, &GEOMETRY, pinner.me);
            assert!(pin_words(0).iter().all(|(at, _)| pinner.load(*at) == 0));
        }
    }
}
