//! What becomes of a segment: pure functions from its state to the next.
//!
//! Free -> active (taken by a queue, in a new generation) -> sealed -> (victim) -> draining -> free.
//! A state is changed in a transaction, which asks here what it becomes. `None` says that the segment
//! cannot become that from the state in which it is.

use crate::format::address::Generation;
use crate::format::segment::{Live, Queue, State, StateWord};

/// A free segment that a queue takes.
pub fn taken(state: StateWord, epoch: u32, queue: Queue) -> Option<StateWord> {
    let generation = state.generation.next(epoch);
    (state.state == State::Free).then_some(StateWord {
        generation,
        state: State::Active,
        queue,
        ..state
    })
}

/// An active segment that takes no more chunks.
pub fn sealed(state: StateWord) -> Option<StateWord> {
    (state.state == State::Active).then_some(StateWord { state: State::Sealed, ..state })
}

/// A segment of which so many bytes are allocated by now.
pub fn grown(state: StateWord, generation: Generation, allocated: u64) -> Option<StateWord> {
    (state.generation == generation && state.allocated < allocated)
        .then_some(StateWord { allocated, ..state })
}

/// A segment that is about to be walked empty.
pub fn victim(state: StateWord) -> Option<StateWord> {
    matches!(state.state, State::Active | State::Sealed | State::Victim)
        .then_some(StateWord { state: State::Victim, ..state })
}

/// A sealed segment of probation that counts as main from now on.
pub fn promoted(state: StateWord) -> Option<StateWord> {
    (state.state == State::Sealed && state.queue == Queue::Probation)
        .then_some(StateWord { queue: Queue::Main, ..state })
}

/// A segment that is on its way to being free: nothing lives in it, and no queue takes chunks there.
pub fn draining(state: StateWord, live: Live, is_active: bool) -> Option<StateWord> {
    match state.state {
        // Nothing allocated: it is being punched out.
        State::Draining if state.allocated == 0 => None,
        State::Draining => Some(state),
        State::Sealed | State::Victim if !is_active && live.count == 0 => {
            Some(StateWord { state: State::Draining, ..state })
        }
        _ => None,
    }
}

/// A draining segment that nobody had pinned, in the generation in which that was asked.
pub fn freed(state: StateWord, generation: Generation, live: Live) -> Option<StateWord> {
    let drained =
        state.state == State::Draining && state.generation == generation && live.count == 0;
    drained.then_some(StateWord { state: State::Free, ..state })
}

/// A segment whose space is about to be given back: draining with nothing allocated, so that nobody takes
/// it. One that is so already was left by a process that died.
pub fn giving_back(state: StateWord) -> Option<StateWord> {
    let may = state.state == State::Free || state.state == State::Draining && state.allocated == 0;
    may.then_some(StateWord { state: State::Draining, allocated: 0, ..state })
}

/// A segment whose space was given back.
pub fn given_back(state: StateWord, generation: Generation) -> Option<StateWord> {
    (state.generation == generation && state.allocated == 0)
        .then_some(StateWord { state: State::Free, ..state })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 5] =
        [State::Free, State::Active, State::Sealed, State::Victim, State::Draining];
    const SOME: Live = Live { count: 1, units: 9 };
    const NONE: Live = Live { count: 0, units: 0 };

    fn word(state: State) -> StateWord {
        let generation = Generation::new(0x10_0005);
        StateWord { generation, state, queue: Queue::Probation, allocated: 1 << 20 }
    }

    /// The states from which a change is possible.
    fn from(change: impl Fn(StateWord) -> Option<StateWord>) -> Vec<State> {
        ALL.into_iter().filter(|&state| change(word(state)).is_some()).collect()
    }

    #[test]
    fn each_change_is_possible_from_its_states_alone() {
        let same = word(State::Free).generation;
        assert_eq!(from(|w| taken(w, 16, Queue::Main)), [State::Free]);
        assert_eq!(from(sealed), [State::Active]);
        assert_eq!(from(victim), [State::Active, State::Sealed, State::Victim]);
        assert_eq!(from(promoted), [State::Sealed]);
        let drained = [State::Sealed, State::Victim, State::Draining];
        assert_eq!(from(|w| draining(w, NONE, false)), drained);
        assert_eq!(from(|w| freed(w, same, NONE)), [State::Draining]);
        assert_eq!(from(giving_back), [State::Free]);
    }

    #[test]
    fn what_lives_or_takes_chunks_is_not_drained_and_what_lives_is_not_freed() {
        assert_eq!(from(|w| draining(w, SOME, false)), [State::Draining]);
        assert_eq!(from(|w| draining(w, NONE, true)), [State::Draining]);
        let same = word(State::Free).generation;
        assert_eq!(freed(word(State::Draining), same, SOME), None);
    }

    #[test]
    fn a_segment_that_was_used_again_meanwhile_is_neither_freed_nor_grown() {
        let earlier = Generation::new(0x10_0004);
        assert_eq!(freed(word(State::Draining), earlier, NONE), None);
        assert_eq!(grown(word(State::Active), earlier, 2 << 20), None);
        let punched = StateWord { allocated: 0, ..word(State::Draining) };
        assert_eq!(given_back(punched, earlier), None);
        assert!(given_back(punched, punched.generation).is_some());
    }

    #[test]
    fn each_taking_begins_a_new_generation_in_the_queue_that_takes() {
        let before = word(State::Free);
        let after = taken(before, 16, Queue::Main).unwrap();
        assert_ne!(after.generation, before.generation);
        assert_eq!((after.state, after.queue), (State::Active, Queue::Main));
        assert_eq!(after.allocated, before.allocated);
    }

    #[test]
    fn a_segment_that_is_being_punched_out_is_taken_by_nobody_until_its_space_is_given_back() {
        let punched = giving_back(word(State::Free)).unwrap();
        assert_eq!((punched.state, punched.allocated), (State::Draining, 0));
        assert_eq!(taken(punched, 16, Queue::Main), None);
        assert_eq!(draining(punched, NONE, false), None);
        assert_eq!(giving_back(punched), Some(punched), "its process may have died");
        let free = given_back(punched, punched.generation).unwrap();
        assert_eq!((free.state, free.allocated), (State::Free, 0));
    }
}
