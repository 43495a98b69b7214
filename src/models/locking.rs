//! The lock: holders that are robbed, and counters that several processes raise.

use std::sync::Arc;

use super::platform::{Loom, Plain, Platform, explore};
use super::world::{Process, World};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::lock::{LockWord, Phase};
use crate::transaction::{Changes, Patience, Robbed, Verdict};

/// Words that every transaction raises by one, all of them: they are equal whenever nobody commits.
pub const COUNTERS: [WordAt; 2] = [control::ENTRIES, control::PENDING];

/// Adds one to each counter, in a transaction; whatever was committed must be seen whole in it.
pub fn raise<P: Platform>(process: &Process<P>) {
    process.transact(|_| Some(raised(process)));
}

/// The words that [`raise`] stores.
pub fn raised<P: Platform>(process: &Process<P>) -> Changes {
    let mut changes = Changes::default();
    for at in COUNTERS {
        changes.update(process.words(), at, |count| count + 1);
    }
    changes
}

/// The counters, in the end: each must be `expected`, and the lock free.
pub fn assert_counted<P: Platform>(world: Arc<World<P>>, expected: u64) {
    let world = world.at_rest();
    for at in COUNTERS {
        assert_eq!(world.peek(at), expected, "a transaction was lost, or stored in part");
    }
    let lock = LockWord::decode(world.peek(control::LOCK));
    assert_eq!(lock.phase, Phase::Free);
}

#[test]
fn no_update_is_lost_when_two_writers_rob_each_other() {
    explore(3, || {
        let world = World::<Loom>::new(&COUNTERS.map(|at| (at, 0)));
        let [one, other] = [0, 1].map(|_| world.clone());
        Loom::together_two(
            move || raise(&Process::new(&one, 0)),
            move || {
                let process = Process::new(&other, 1);
                raise(&process);
                raise(&process);
            },
        );
        assert_counted(world, 3);
    });
}

#[test]
fn giving_up_does_not_free_a_lock_that_was_robbed() {
    explore(3, || {
        let world = World::<Loom>::new(&COUNTERS.map(|at| (at, 0)));
        let [idle, robber] = [0, 1].map(|_| world.clone());
        Loom::together_two(
            move || {
                let process = Process::new(&idle, 0);
                assert!(!process.transact(|_| None));
                raise(&process);
            },
            move || raise(&Process::new(&robber, 1)),
        );
        assert_counted(world, 2);
    });
}

#[test]
fn a_robbed_holder_cannot_commit_and_stores_nothing() {
    // The robber of the first has not done anything yet; that of the second has committed.
    for robbers_commits in 0..2 {
        let world = World::<Plain>::new(&COUNTERS.map(|at| (at, 0)));
        let [robbed, robber] = [0, 1].map(|me| Process::new(&world, me));
        let (transactions, others) = (robbed.transactions(), robber.transactions());
        let held = transactions.hold(&mut Robbing).unwrap();
        let changes = raised(&robbed);
        let mut robbing = Some(others.hold(&mut Robbing).unwrap());
        if robbers_commits == 1 {
            robbing.take().unwrap().commit(&raised(&robber)).unwrap();
        }
        assert_eq!(held.commit(&changes), Err(Robbed));
        drop(robbing);
        drop((robbed, robber));
        assert_counted(world, robbers_commits);
    }
}

/// Robs without waiting, where nobody else runs.
pub struct Robbing;

impl Patience for Robbing {
    fn wait(&mut self, _: LockWord) -> Verdict {
        Verdict::Unchanged
    }
}
