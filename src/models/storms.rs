//! Larger scenarios under random schedules: many operations, many deaths, many heirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::rand::{Rng, thread_rng};

use super::dying::{self, attach_and_raise};
use super::locking::{assert_counted, raise};
use super::platform::{Actor, Platform, Shuttle, draw};
use super::segments::{self, *};
use super::world::{GEOMETRY, Process, World};
use crate::format::intent::WordAt;
use crate::format::lock::ProcessId;
use crate::format::page::{PAGE_SLOTS, PageId, Probe, is_home, page_of};
use crate::format::segment::State;
use crate::format::slot::Slot;
use crate::session::Pin;

#[test]
fn counters_are_exact_through_a_storm_of_deaths_and_heirs() {
    draw(3_000, || {
        let world = World::<Shuttle>::new(&dying::words());
        let commits = Arc::new(AtomicU64::new(0));
        let storm = |me: u16| -> Actor {
            let (world, commits) = (world.clone(), commits.clone());
            Box::new(move || {
                for _ in 0..3 {
                    // About as many changes as two transactions make.
                    let process = Process::mortal(&world, me, thread_rng().gen_range(0..40));
                    process.live(|process| {
                        attach_and_raise(process);
                        raise(process);
                    });
                    commits.fetch_add(process.commits(), Ordering::Relaxed);
                }
            })
        };
        Shuttle::together((0..3).map(storm).collect());
        let last = Process::new(&world, 3);
        raise(&last);
        drop(last);
        assert_counted(world, commits.load(Ordering::Relaxed) + 1);
    });
}

/// Twelve keys on the first page.
fn keys() -> impl Iterator<Item = u64> {
    (0..12u64).map(|key| key << 59 | key)
}

fn position(hash: u64) -> usize {
    Probe::new(hash, 0).group_a + 7
}

fn index_words(pages: u64) -> Vec<(WordAt, u64)> {
    let mut words = vec![(segments::PAGES, segments::pages(1))];
    for (key, hash) in keys().enumerate() {
        let spot = spot(key as u32, 1);
        let slot = Slot::new(Probe::new(hash, 0).tag, spot.address, spot.generation, 0);
        for page in 0..pages {
            let word = if page == 0 { slot.word() } else { u64::MAX };
            words.push((GEOMETRY.slot_at(PageId::new(page), position(hash)), word));
        }
    }
    let slots = (0..GEOMETRY.max_processes).filter_map(ProcessId::new);
    words.extend(slots.map(|slot| (GEOMETRY.intent_at(slot, 0), 0)));
    words
}

#[test]
fn no_key_is_missed_or_doubled_in_a_storm_of_splits_deaths_and_bumps() {
    const PAGES: u64 = 5;
    draw(2_000, || {
        let world = World::<Shuttle>::new(&index_words(PAGES));
        let splitting = |me: u16, lives: u32| -> Actor {
            let world = world.clone();
            Box::new(move || {
                for life in 1..=lives {
                    let changes = thread_rng().gen_range(0..120);
                    let changes = if life == lives { usize::MAX } else { changes };
                    let process = Process::mortal(&world, me, changes);
                    process.live(|process| {
                        process.world.set_dead(process.me, false);
                        process.transactions().settle_row();
                        for page in 1..PAGES {
                            process.split(PageId::new(page));
                        }
                    });
                }
            })
        };
        let reader = world.clone();
        let reading: Actor = Box::new(move || {
            let process = Process::new(&reader, 3);
            for hash in keys().chain(keys()) {
                let found = process.index().find(hash, Some).expect("a key was missed");
                process.index().bump(found);
            }
        });
        Shuttle::together(vec![splitting(0, 3), splitting(1, 2), reading]);
        let world = world.at_rest();
        let process = Process::new(&world, 3);
        assert_eq!(process.index().pages(), PAGES);
        for hash in keys() {
            let found = process.index().find(hash, Some).expect("an entry is lost");
            assert_eq!(found.page, page_of(hash, PAGES));
        }
        let pages = (0..PAGES).map(PageId::new);
        let slots = pages.flat_map(|page| (0..PAGE_SLOTS).map(move |position| (page, position)));
        let slots: Vec<_> = slots
            .map(|(page, position)| {
                (page, Slot::from_word(world.peek(GEOMETRY.slot_at(page, position))))
            })
            .filter(|(_, slot)| !slot.is_empty())
            .collect();
        assert_eq!(slots.len(), keys().count(), "entries are doubled");
        assert!(slots.iter().all(|(page, slot)| is_home(*page, *slot, 0, PAGES)));
    });
}

#[test]
fn readers_and_views_see_whole_records_while_a_segment_is_used_again_and_again() {
    draw(3_000, || {
        let first = spot(0, 1);
        let mut words = [record_words(first), empty_words(spot(1, 1))].concat();
        words.extend((0..4).flat_map(pin_words));
        words.push(state_word(1, State::Active));
        words.push((slot_at(), slot(first).word()));
        let world = World::<Shuttle>::new(&words);
        let mut actors: Vec<Actor> = Vec::new();
        for me in 0..2 {
            let world = world.clone();
            actors.push(Box::new(move || use_again(&Process::new(&world, me))));
        }
        for me in 2..4 {
            let world = world.clone();
            actors.push(Box::new(move || (0..4).for_each(|_| view(&Process::new(&world, me)))));
        }
        Shuttle::together(actors);
    });
}

/// Goes on with the segment wherever it finds it.
fn use_again(process: &Process<Shuttle>) {
    for _ in 0..12 {
        let now = state_now(process).unwrap();
        let generation = now.generation.get();
        match now.state {
            State::Active => {
                put(process, spot(u32::from(process.me.get()), generation));
                evict(process);
                seal(process, generation);
            }
            State::Free => _ = take(process),
            _ => _ = free(process),
        }
    }
}

/// Looks the key up, and views it if it is there: bytes are its record's, and stay so.
fn view(process: &Process<Shuttle>) {
    let Some((spot, found)) = look_up(process) else { return };
    assert_eq!(found, value(spot), "foreign bytes");
    let (segment, generation) = (spot.segment, spot.generation);
    let pin = Pin { segment, line: PIN_LINE };
    if process.session.pins.pin(process.store(), process.me, pin, generation) {
        for _ in 0..3 {
            assert_eq!(copy(process, spot), value(spot), "changed under a view");
        }
        process.session.pins.unpin(process.store(), process.me, pin);
    }
}
