//! The epoch: raised first of all, so that nothing of the last one, however much of it reached the disk,
//! passes for something of the next.

use crate::format::address::{GENERATION_COUNT_BITS, Lsn, SegmentId};
use crate::format::control::{self, TABLE_SEGMENTS};
use crate::format::lock::{LockWord, Phase, ProcessId};
use crate::store::Store;
use crate::sys::words::Words;

/// Epochs that generations and LSNs have room for.
const EPOCH_LIMIT: u32 = 1 << (32 - GENERATION_COUNT_BITS);

/// Raises the epoch, and frees the lock in it; `false` if there is none left.
pub fn raise_epoch(store: &Store) -> bool {
    let lock = store.lsn().epoch();
    let word = store.words.checked(control::EPOCH).and_then(|word| u32::try_from(word).ok());
    let generations = (0..TABLE_SEGMENTS)
        .filter_map(|id| store.any_state(SegmentId::new(id)))
        .map(|state| state.generation.epoch());
    let next = next_epoch(lock, word.unwrap_or(u32::MAX), generations);
    let (Some(epoch), Some(owner)) = (next, ProcessId::new(0)) else {
        return false;
    };
    store.words.store_checked(control::EPOCH, u64::from(epoch));
    let free = LockWord { phase: Phase::Free, owner, sequence: Lsn::first_of(epoch) };
    store.words.store(control::LOCK, free.encode());
    true
}

/// An epoch after those of lock, word and generations; `None` if there is none left. Where lock and word
/// agree, no generation is further ahead than by a carry; where they do not, one is damaged, and not the
/// one that leaves room. (A later epoch than need be does no harm.)
fn next_epoch(lock: u32, word: u32, generations: impl Iterator<Item = u32>) -> Option<u32> {
    let agree = lock == word || Some(lock) == word.checked_add(1);
    let most = if agree { lock.saturating_add(1) } else { EPOCH_LIMIT - 3 };
    let known =
        generations.chain([lock, word]).filter(|&epoch| epoch <= most).max().unwrap_or(lock);
    // One for the new epoch, and one for counts that carried into theirs and were not written back.
    Some(known.saturating_add(2)).filter(|&epoch| epoch < EPOCH_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(lock: u32, word: u32, generations: &[u32]) -> Option<u32> {
        next_epoch(lock, word, generations.iter().copied())
    }

    #[test]
    fn the_next_epoch_is_two_after_the_newest_that_can_be() {
        assert_eq!(next(5, 5, &[1, 5, 4]), Some(7));
        assert_eq!(next(5, 5, &[6]), Some(8), "a count that carried");
        assert_eq!(next(6, 5, &[5]), Some(8), "the lock's count carried");
    }

    #[test]
    fn a_damaged_generation_does_not_use_the_epochs_up() {
        assert_eq!(next(5, 5, &[60_000]), Some(7));
        assert_eq!(next(5, u32::MAX, &[5]), Some(7), "the word is damaged");
        assert_eq!(
            next(60_000, 5, &[5]),
            Some(60_002),
            "one of them is, and a later one is no harm"
        );
    }

    #[test]
    fn when_the_epochs_are_used_up_there_is_none() {
        assert_eq!(next(EPOCH_LIMIT - 3, EPOCH_LIMIT - 3, &[]), Some(EPOCH_LIMIT - 1));
        assert_eq!(next(EPOCH_LIMIT - 2, EPOCH_LIMIT - 2, &[]), None);
    }
}
