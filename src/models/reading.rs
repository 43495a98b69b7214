//! A reader against writers: it takes a record whole and never another's bytes.

use super::platform::{Loom, Platform, explore};
use super::segments::*;
use super::world::{Process, World};
use crate::format::segment::State;

/// Looks the key up; what it finds must be the bytes of the record that the slot named.
fn look_up_whole(process: &Process<Loom>) -> Option<u32> {
    look_up(process).map(|(spot, found)| {
        assert_eq!(found, value(spot), "foreign bytes were taken for those of {spot:?}");
        spot.generation.get() << 16 | (spot.address.units() & 0xFFFF) as u32
    })
}

#[test]
fn a_reader_of_an_entry_being_replaced_finds_the_old_or_the_new_one_whole() {
    explore(3, || {
        let (old, new) = (spot(0, 1), spot(1, 1));
        let mut words = [record_words(old), empty_words(new)].concat();
        words.push(state_word(1, State::Active));
        words.push((slot_at(), slot(old).word()));
        let world = World::<Loom>::new(&words);
        let [writer, reader] = [0, 1].map(|_| world.clone());
        Loom::together_two(
            move || assert!(put(&Process::new(&writer, 0), new)),
            move || {
                let process = Process::new(&reader, 1);
                let first = look_up_whole(&process).expect("a key that is there was missed");
                let second = look_up_whole(&process).expect("a key that is there was missed");
                assert!(first <= second, "an old value came back");
            },
        );
    });
}

#[test]
fn a_reader_never_takes_the_bytes_of_a_later_use_of_a_segment() {
    explore(3, || {
        let old = spot(0, 1);
        let mut words = record_words(old);
        words.push(state_word(1, State::Sealed));
        words.push((slot_at(), slot(old).word()));
        let world = World::<Loom>::new(&words);
        let [writer, reader] = [0, 1].map(|_| world.clone());
        Loom::together_two(
            move || {
                let process = Process::new(&writer, 0);
                evict(&process);
                assert!(free(&process));
                assert!(take(&process));
                assert!(put(&process, spot(0, 2)));
            },
            move || {
                look_up_whole(&Process::new(&reader, 1));
            },
        );
    });
}

#[test]
fn a_segment_taken_by_one_process_is_filled_by_another_without_harm_to_a_reader() {
    explore(2, || {
        let old = spot(0, 1);
        let mut words = record_words(old);
        words.push(state_word(1, State::Sealed));
        words.push((slot_at(), slot(old).word()));
        let world = World::<Loom>::new(&words);
        let [taker, writer, reader] = [0, 1, 2].map(|_| world.clone());
        Loom::together(vec![
            Box::new(move || {
                let process = Process::<Loom>::new(&taker, 0);
                assert!(free(&process));
                assert!(take(&process));
            }),
            Box::new(move || {
                // The generation of its chunk it knows from the word that says so.
                let process = Process::new(&writer, 1);
                if state_now(&process) == Some(state(2, State::Active)) {
                    assert!(put(&process, spot(0, 2)));
                }
            }),
            Box::new(move || {
                look_up_whole(&Process::new(&reader, 2));
            }),
        ]);
    });
}
