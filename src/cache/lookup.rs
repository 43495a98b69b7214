//! A lookup: each slot of the key's tag comes to one of four outcomes, and these to an answer.
//!
//! | outcome | when | then |
//! |---|---|---|
//! | answer | the key's entry, current, its bytes whole | it is returned |
//! | dead | the key's entry, expired or cleared | a miss |
//! | not ours | another key's record | the next slot |
//! | look again | no record any more, or bytes not whole | the next slot; if none answers, all again |

use super::process::Process;
use crate::format::record::KEY_LIMIT;
use crate::index::Found;
use crate::session::Count;
use crate::store::{Record, Store};

/// Looks this often before it gives up on an entry that others change all the time.
const TRIES: u32 = 3;

/// What one slot of equal tag came to.
enum Outcome<T> {
    /// The key's entry; the answer.
    Answer(T),
    /// The key's entry, which expired or was cleared.
    Dead,
    /// Another key's.
    NotOurs,
    /// It may just have moved, or been replaced.
    LookAgain,
}

impl Process {
    /// The answer of `answer` for the current entry of a key: `None` from it means that the bytes
    /// failed their check, and the key is looked up again, for they may just have been replaced.
    #[inline]
    pub fn look_up<T>(
        &self,
        key: &[u8],
        answer: impl FnMut(Found, &Record) -> Option<T>,
    ) -> Option<T> {
        self.look_up_uncounted(key, answer).unwrap_or_else(|| {
            self.met_damage(key);
            None
        })
    }

    /// Counts damage that a lookup met, and has it looked into.
    #[cold]
    fn met_damage(&self, key: &[u8]) {
        self.session.count(Count::Damaged, 1);
        self.shared.suspicion.raise();
        if self.is_damaged_for_certain(self.session.store.hash(key), key) {
            self.suspect();
        }
    }

    /// As [`Process::look_up`], for one whose damage was counted already; `None` if it found damage.
    #[inline]
    pub fn look_up_uncounted<T>(
        &self,
        key: &[u8],
        answer: impl FnMut(Found, &Record) -> Option<T>,
    ) -> Option<Option<T>> {
        self.look_up_with(key, answer, readable)
    }

    /// Whether a key has a current entry. Of a log larger than memory no values are read.
    pub fn has_entry(&self, key: &[u8]) -> bool {
        let head = |store: &Store, found: Found| {
            if store.is_beyond_memory() {
                store.ask_for_head(found.slot.address(), key);
            }
            store.record(found.slot)
        };
        self.look_up_with(key, |_, _| Some(()), head).flatten().is_some()
    }

    /// Looks a key up; `read` has the record that a slot names.
    #[inline]
    fn look_up_with<T>(
        &self,
        key: &[u8],
        mut answer: impl FnMut(Found, &Record) -> Option<T>,
        read: impl Fn(&Store, Found) -> Option<Record> + Copy,
    ) -> Option<Option<T>> {
        if key.len() > KEY_LIMIT {
            return Some(None);
        }
        let store = &self.session.store;
        let hash = store.hash(key);
        for _ in 0..TRIES {
            let mut again = false;
            let seen = store.index().find(hash, |found| {
                let record = read(store, found);
                match self.outcome((found, record), hash, key, &mut answer) {
                    Outcome::Answer(answer) => return Some(Some(answer)),
                    // Not if a slot before it may have been a newer version.
                    Outcome::Dead if !again => return Some(None),
                    Outcome::Dead | Outcome::LookAgain => again = true,
                    Outcome::NotOurs => {}
                }
                None
            });
            match seen {
                Some(answer) => return Some(answer),
                None if !again => return Some(None),
                None => {}
            }
        }
        None
    }

    /// Whether a slot of the key's tag names no whole record though nothing was committed meanwhile.
    #[cold]
    fn is_damaged_for_certain(&self, hash: u64, key: &[u8]) -> bool {
        let store = &self.session.store;
        let before = store.lsn();
        let is_whole = |found: Found| {
            store.record(found.slot).is_some_and(|record| {
                !record.has_key(store, key) || record.read_all(store, &mut Vec::new())
            })
        };
        let damaged = store.index().find(hash, |found| (!is_whole(found)).then_some(()));
        damaged.is_some() && store.lsn() == before
    }

    /// What a slot of the key's tag comes to.
    #[inline]
    fn outcome<T>(
        &self,
        (found, record): (Found, Option<Record>),
        hash: u64,
        key: &[u8],
        answer: &mut impl FnMut(Found, &Record) -> Option<T>,
    ) -> Outcome<T> {
        let store = &self.session.store;
        let Some(record) = record else { return Outcome::LookAgain };
        // A segment that was reused meanwhile had another record there, or half of one.
        let unless_reused =
            |outcome| if store.is_still(record.spot) { outcome } else { Outcome::LookAgain };
        if !record.has_key(store, key) {
            return unless_reused(Outcome::NotOurs);
        }
        if found.slot.is_duplicate() {
            return self.outcome_of_newest(hash, key, answer);
        }
        if !record.is_current(store.cleared(), || self.session.now()) {
            return unless_reused(Outcome::Dead);
        }
        answer(found, &record).map_or(Outcome::LookAgain, Outcome::Answer)
    }

    /// What the newest of the versions comes to that a power cut left of a key.
    #[cold]
    fn outcome_of_newest<T>(
        &self,
        hash: u64,
        key: &[u8],
        answer: &mut impl FnMut(Found, &Record) -> Option<T>,
    ) -> Outcome<T> {
        let store = &self.session.store;
        if may_newest_be_lost(store, hash) {
            return Outcome::Dead;
        }
        match newest(store, hash, key) {
            None => Outcome::NotOurs,
            Some((_, record)) if !record.is_current(store.cleared(), || self.session.now()) => {
                Outcome::Dead
            }
            Some((found, record)) => answer(found, &record).map_or(Outcome::Dead, Outcome::Answer),
        }
    }
}

#[inline]
fn readable(store: &Store, found: Found) -> Option<Record> {
    store.prefetch_record(found.slot.address());
    if store.is_beyond_memory() {
        store.bring_record(found.slot);
    }
    store.record(found.slot)
}

/// Whether damage has taken a segment out of use that a version of the key may be in: then an older one is not
/// the key's.
fn may_newest_be_lost(store: &Store, hash: u64) -> bool {
    store.index().find(hash, |found| store.is_lost(found.slot).then_some(())).is_some()
}

/// The newest of the versions of a key that a power cut left.
fn newest(store: &Store, hash: u64, key: &[u8]) -> Option<(Found, Record)> {
    let mut newest: Option<(Found, Record)> = None;
    let _ = store.index().find(hash, |found| {
        let record = readable(store, found).filter(|record| {
            record.has_key(store, key) && record.read_all(store, &mut Vec::new())
        })?;
        if newest.as_ref().is_none_or(|(_, other)| record.lsn > other.lsn) {
            newest = Some((found, record));
        }
        None::<()>
    });
    newest
}
