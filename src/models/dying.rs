//! Deaths in a transaction: whoever comes next finds all of it stored, or none.
//!
//! Each test goes through all the changes at which a process can die. Whether it got as far as
//! COMMIT is known outside of the model, and says what must be found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::locking::{COUNTERS, assert_counted, raise};
use super::platform::{Loom, Platform, explore};
use super::world::{GEOMETRY, Process, World};
use crate::format::intent::{IntentHead, WordAt};
use crate::format::lock::ProcessId;
use crate::session::pins;
use crate::sys::words::Words;

/// The counters, and the intents of all processes.
pub fn words() -> Vec<(WordAt, u64)> {
    let mut words: Vec<_> = COUNTERS.map(|at| (at, 0)).into();
    for slot in (0..GEOMETRY.max_processes).filter_map(ProcessId::new) {
        words.extend((0..=2 * COUNTERS.len() as u64).map(|n| (GEOMETRY.intent_at(slot, n), 0)));
    }
    words
}

/// What a scenario did, counted outside of the model.
#[derive(Default)]
struct Ghost {
    commits: AtomicU64,
    was_killed: AtomicBool,
}

impl Ghost {
    /// Lets a process raise the counters, and counts it if it reached COMMIT.
    fn raise<P: Platform>(&self, process: &Process<P>) {
        self.note(process, raise);
    }

    fn note<P: Platform>(&self, process: &Process<P>, body: impl FnOnce(&Process<P>)) {
        if process.live(body).is_none() {
            self.was_killed.store(true, Ordering::Relaxed);
        }
        self.commits.fetch_add(process.commits(), Ordering::Relaxed);
    }
}

/// Explores a scenario for 0, 1, 2, ... changes before a death, until nobody dies any more.
fn for_every_death(
    preemptions: usize,
    scenario: impl Fn(usize, &Arc<World<Loom>>, &Arc<Ghost>) + Send + Sync + Clone + 'static,
) {
    for changes in 0.. {
        let somebody_died = Arc::new(AtomicBool::new(false));
        let (scenario, died) = (scenario.clone(), somebody_died.clone());
        explore(preemptions, move || {
            let world = World::<Loom>::new(&words());
            let ghost = Arc::new(Ghost::default());
            scenario(changes, &world, &ghost);
            assert_counted(world, ghost.commits.load(Ordering::Relaxed));
            died.fetch_or(ghost.was_killed.load(Ordering::Relaxed), Ordering::Relaxed);
        });
        if !somebody_died.load(Ordering::Relaxed) {
            assert!(changes >= 5, "nobody got as far as to store");
            return;
        }
    }
}

#[test]
fn a_transaction_whose_owner_dies_at_any_change_is_finished_or_never_was() {
    for_every_death(2, |changes, world, ghost| {
        let [(dying, its), (survivor, others)] = [0, 1].map(|_| (world.clone(), ghost.clone()));
        Loom::together_two(
            move || its.raise(&Process::mortal(&dying, 0, changes)),
            move || others.raise(&Process::new(&survivor, 1)),
        );
        // Whatever the dead left when the other was done already.
        ghost.raise(&Process::new(world, 2));
    });
}

#[test]
fn a_taker_that_dies_in_its_own_redo_is_finished_by_a_third() {
    // The first dies at each change from its COMMIT on: its intent is five words, and the lock.
    for first in 7..=9 {
        for_every_death(2, move |changes, world, ghost| {
            let dead = Process::mortal(world, 0, first);
            ghost.raise(&dead);
            assert_eq!(dead.commits(), 1, "it was to die after its COMMIT");
            ghost.was_killed.store(false, Ordering::Relaxed);
            let [(taker, its), (third, others)] = [0, 1].map(|_| (world.clone(), ghost.clone()));
            Loom::together_two(
                move || its.raise(&Process::mortal(&taker, 1, changes)),
                move || others.raise(&Process::new(&third, 2)),
            );
            // The third may have been done before the taker died.
            ghost.raise(&Process::new(world, 3));
        });
    }
}

#[test]
fn a_process_row_attached_anew_settles_what_the_lock_says_of_its_last_owner() {
    for_every_death(2, |changes, world, ghost| {
        ghost.raise(&Process::mortal(world, 0, changes));
        let [(heir, its), (other, others)] = [0, 1].map(|_| (world.clone(), ghost.clone()));
        Loom::together_two(
            move || its.note(&Process::new(&heir, 0), attach_and_raise),
            move || others.raise(&Process::new(&other, 1)),
        );
    });
}

#[test]
fn an_heir_that_dies_while_it_settles_its_slot_is_finished_by_others() {
    // The last owner died with one word of two stored.
    for_every_death(2, |changes, world, ghost| {
        ghost.raise(&Process::mortal(world, 0, 8));
        ghost.was_killed.store(false, Ordering::Relaxed);
        let [(heir, its), (other, others)] = [0, 1].map(|_| (world.clone(), ghost.clone()));
        Loom::together_two(
            move || its.note(&Process::mortal(&heir, 0, changes), attach),
            move || others.raise(&Process::new(&other, 1)),
        );
        ghost.raise(&Process::new(world, 2));
    });
}

#[test]
fn a_slow_taker_does_not_take_over_from_an_heir_what_the_dead_had_committed() {
    // Row 0 dies in COMMIT, its taker in turn, and the heir of row 0 takes over from that one: the
    // lock names row 0 again, for the same transaction. A third saw it named the first time.
    for taker_changes in 6..=7 {
        explore(2, move || {
            let world = World::<Loom>::new(&words());
            let ghost = Arc::new(Ghost::default());
            ghost.raise(&Process::mortal(&world, 0, 8));
            let [(heir, its), (slow, others)] = [0, 1].map(|_| (world.clone(), ghost.clone()));
            Loom::together_two(
                move || {
                    its.raise(&Process::mortal(&heir, 1, taker_changes));
                    its.note(&Process::new(&heir, 0), attach_and_raise);
                },
                move || others.raise(&Process::new(&slow, 2)),
            );
            ghost.raise(&Process::new(&world, 3));
            assert_counted(world, ghost.commits.load(Ordering::Relaxed));
        });
    }
}

/// Attaches to a row whose owner is dead, and raises the counters.
pub fn attach_and_raise<P: Platform>(process: &Process<P>) {
    attach(process);
    raise(process);
}

/// Attaches to a row whose owner is dead.
fn attach<P: Platform>(process: &Process<P>) {
    process.world.set_dead(process.me, false);
    process.transactions().settle_row();
    // Only then is it cleared: until then it may be what finishes the last owner's transaction.
    process.words().store(GEOMETRY.intent_at(process.me, 0), IntentHead::None.encode());
    pins::clear_pins(process.store(), process.me);
}
