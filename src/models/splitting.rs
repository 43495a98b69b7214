//! Splits of a page against lookups and frequency bumps, and splits that are interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::locking::Robbing;
use super::platform::{Loom, Plain, Platform, explore};
use super::segments::{PAGES, pages, slot, spot};
use super::world::{GEOMETRY, Process, World};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::lock::ProcessId;
use crate::format::page::{PageId, Probe, page_of};
use crate::format::slot::Slot;
use crate::index::Found;

/// Hashes of two keys on page 0, of which the first stays there when page 1 is split off.
const STAYS: u64 = 0x1000_0000_0000_0002;
const MOVES: u64 = 0x2000_0000_0000_0003;

fn position(hash: u64) -> usize {
    // Either of the two groups will do; the second is the rarer case.
    Probe::new(hash, 0).group_b + 1
}

fn at(page: u64, hash: u64) -> WordAt {
    GEOMETRY.slot_at(PageId::new(page), position(hash))
}

fn slot_of(hash: u64) -> Slot {
    let spot = spot((hash & 1) as u32, 1);
    Slot::new(Probe::new(hash, 0).tag, spot.address, spot.generation, 0)
}

/// One page with both keys on it, the page to come, and the intents of two processes.
fn words(syncs: u64) -> Vec<(WordAt, u64)> {
    let mut words = vec![(PAGES, pages(1)), (control::SYNCS.first(), control::SYNCS.seal(syncs))];
    for hash in [STAYS, MOVES] {
        // What a file has beyond its pages is zero, but a death may have left anything there.
        words.extend([(at(0, hash), slot_of(hash).word()), (at(1, hash), u64::MAX)]);
    }
    words.extend((0..2).filter_map(ProcessId::new).map(|slot| (GEOMETRY.intent_at(slot, 0), 0)));
    words
}

fn find<P: Platform>(process: &Process<P>, hash: u64) -> Option<Found> {
    process.index().find(hash, |found| found.slot.names_same(slot_of(hash)).then_some(found))
}

/// Both keys are found, where they are at home; nothing else is anywhere.
fn assert_split<P: Platform>(world: Arc<World<P>>, syncs: u64) -> Arc<World<Plain>> {
    let world = world.at_rest();
    let process = Process::new(&world, 2);
    assert_eq!(world.peek(PAGES), pages(2));
    for hash in [STAYS, MOVES] {
        let found = find(&process, hash).expect("an entry is lost");
        assert_eq!(found.page, page_of(hash, 2));
    }
    assert_eq!(world.peek(at(1, STAYS)), 0, "an entry is in two places");
    let left = Slot::from_word(world.peek(at(0, MOVES)));
    if syncs == 0 {
        assert!(left.is_empty(), "an entry is in two places: {left:?}");
    } else {
        assert!(left.names_same(slot_of(MOVES)), "a foreign slot is gone before its time");
    }
    world
}

#[test]
fn a_key_that_is_there_is_found_at_every_moment_of_a_split() {
    for syncs in [0, 1] {
        explore(3, move || {
            let world = World::<Loom>::new(&words(syncs));
            let [splitter, reader] = [0, 1].map(|_| world.clone());
            Loom::together_two(
                move || assert!(Process::new(&splitter, 0).split(PageId::new(1))),
                move || {
                    let process = Process::new(&reader, 1);
                    for hash in [MOVES, STAYS, MOVES] {
                        assert!(find(&process, hash).is_some(), "a key that is there was missed");
                    }
                },
            );
            assert_split(world, syncs);
        });
    }
}

#[test]
fn a_bump_during_a_split_brings_nothing_back_and_destroys_nothing() {
    explore(3, || {
        let world = World::<Loom>::new(&words(0));
        let [splitter, reader] = [0, 1].map(|_| world.clone());
        Loom::together_two(
            move || assert!(Process::new(&splitter, 0).split(PageId::new(1))),
            move || {
                let process = Process::new(&reader, 1);
                // One bump a slot: loom lets a second one meet the first though the slot was emptied
                // in between, which no machine does. (The storm of splits bumps at will.)
                for hash in [MOVES, STAYS] {
                    let found = find(&process, hash).expect("a key that is there was missed");
                    process.index().bump(found);
                }
            },
        );
        let world = assert_split(world, 0);
        let frequency = Slot::from_word(world.peek(at(0, STAYS))).frequency();
        assert_eq!(frequency, 1, "nobody else was at the slot that stays");
    });
}

#[test]
fn a_split_interrupted_at_any_change_is_found_done_by_the_next_transaction() {
    for syncs in [0, 1] {
        for changes in 0.. {
            let world = World::<Plain>::new(&words(syncs));
            let dying = Process::mortal(&world, 0, changes);
            let is_done = dying.live(|process| process.split(PageId::new(1))).is_some();
            for hash in [STAYS, MOVES] {
                assert!(find(&Process::new(&world, 1), hash).is_some(), "missed {changes} in");
            }
            let survivor = Process::new(&world, 1);
            let split = survivor.transactions().hold(&mut Robbing).map(|held| {
                let is_there = world.peek(PAGES) == pages(2);
                assert_eq!(is_there, dying.commits() == 1, "half a split was left");
                is_there || held.split(PageId::new(1)).is_ok()
            });
            assert!(split.unwrap());
            drop((dying, survivor));
            assert_split(world, syncs);
            if is_done {
                assert!(changes > 5, "the deaths that matter were not tried");
                break;
            }
        }
    }
}

#[test]
fn a_key_is_found_while_a_split_is_interrupted_and_redone_by_another() {
    for changes in 2.. {
        let somebody_died = Arc::new(AtomicBool::new(false));
        let died = somebody_died.clone();
        explore(2, move || {
            let world = World::<Loom>::new(&words(0));
            let dying = Process::mortal(&world, 0, changes);
            let is_dead = dying.live(|process| process.split(PageId::new(1))).is_none();
            drop(dying);
            died.fetch_or(is_dead, Ordering::Relaxed);
            let [taker, reader] = [0, 1].map(|_| world.clone());
            Loom::together_two(
                move || {
                    let process = Process::new(&taker, 1);
                    process.split(PageId::new(1));
                },
                move || {
                    let process = Process::new(&reader, 2);
                    let found = find(&process, MOVES).expect("a key that is there was missed");
                    process.index().bump(found);
                    assert!(find(&process, MOVES).is_some(), "a key that is there was missed");
                },
            );
            assert_split(world, 0);
        });
        if !somebody_died.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// The slot of the key of the other scenarios is unlike these two.
#[test]
fn the_keys_of_these_scenarios_do_not_share_slots() {
    assert_ne!(position(STAYS), position(MOVES));
    assert_ne!(slot(spot(0, 1)).tag(), slot_of(MOVES).tag());
}
