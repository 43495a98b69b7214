//! Reading: lookup, and the copies that reads return.

use std::sync::atomic::Ordering;

use super::{FileCache, Process};
use crate::format::record::KEY_LIMIT;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::read::{self, Record};
use crate::segments::statistics::Count;

/// Looks this often before it gives up on an entry that others change all the time.
const TRIES: u32 = 3;

/// What one slot of equal tag came to.
enum Seen<T> {
    /// The key's entry; the answer.
    Answer(T),
    /// The key's entry expired or was cleared.
    Dead,
}

impl FileCache {
    /// The value of a key, if it is there and has not expired.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        self.get_into(key, &mut value).then_some(value)
    }

    /// Replaces the content of `value` by the value of a key; `false`, with `value` empty, if there
    /// is none. Allocates only where `value` is too small.
    pub fn get_into(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> bool {
        let key = key.as_ref();
        value.clear();
        let Ok(process) = self.process() else { return false };
        let ground = &process.ground;
        let hit = process
            .look_up(key, |found, record| {
                record.read_value(&ground.memory, &ground.geometry, key, value).then(|| {
                    ground.index().bump(found);
                })
            })
            .is_some();
        ground.count(if hit { Count::Hits } else { Count::Misses }, 1);
        hit
    }

    /// Whether a key is there and has not expired. Its value is not read, and it does not count as
    /// used.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        let answer =
            self.process().ok().and_then(|process| process.look_up(key.as_ref(), |_, _| Some(())));
        answer.is_some()
    }

    /// The value of a key without counting it as used.
    pub(super) fn peek(&self, key: &[u8]) -> Option<Vec<u8>> {
        let process = self.process().ok()?;
        let ground = &process.ground;
        let mut value = Vec::new();
        process.look_up(key, |_, record| {
            record.read_value(&ground.memory, &ground.geometry, key, &mut value).then_some(())
        })?;
        Some(value)
    }
}

impl Process {
    /// The answer of `answer` for the current entry of a key: `None` from it means that the bytes
    /// failed their check, and the key is looked up again, for they may just have been replaced.
    #[inline]
    pub(super) fn look_up<T>(
        &self,
        key: &[u8],
        mut answer: impl FnMut(Found, &Record) -> Option<T>,
    ) -> Option<T> {
        if key.len() > KEY_LIMIT {
            return None;
        }
        let ground = &self.ground;
        let hash = ground.hash(key);
        let cleared = read::cleared(&ground.memory);
        for _ in 0..TRIES {
            // A slot whose record is not there any more: perhaps it has just moved.
            let mut again = false;
            let seen = ground.index().find(hash, |found| {
                let Some(record) = readable(ground, found) else {
                    again = true;
                    return None;
                };
                if !record.has_key(&ground.memory.log, key) {
                    again |= !is_still(ground, &record);
                    return None;
                }
                if found.slot.is_twin() {
                    return newest(ground, hash, key).map(|(found, record)| {
                        if !record.is_current(cleared, || ground.now()) {
                            return Seen::Dead;
                        }
                        answer(found, &record).map_or(Seen::Dead, Seen::Answer)
                    });
                }
                if !record.is_current(cleared, || ground.now()) {
                    // A header that is just being written over looks uncommitted.
                    again |= !is_still(ground, &record);
                    return (!again).then_some(Seen::Dead);
                }
                let answered = answer(found, &record);
                again |= answered.is_none();
                answered.map(Seen::Answer)
            });
            match seen {
                Some(Seen::Answer(answer)) => return Some(answer),
                Some(Seen::Dead) => return None,
                None if !again => return None,
                None => {}
            }
        }
        ground.count(Count::Damaged, 1);
        ground.suspect.store(true, Ordering::Relaxed);
        None
    }
}

#[inline]
fn readable(ground: &Ground, found: Found) -> Option<Record> {
    read::prefetch(&ground.memory, found.slot.address());
    let spot = read::spot(&ground.memory, &ground.geometry, found.slot)?;
    read::record(&ground.memory, &ground.geometry, spot)
}

/// Whether the record's segment was not reused while it was read: then what it said of itself holds.
#[inline]
fn is_still(ground: &Ground, record: &Record) -> bool {
    read::is_still(&ground.memory, &ground.geometry, record.spot)
}

/// The newest of the versions of a key that a power cut left.
#[cold]
fn newest(ground: &Ground, hash: u64, key: &[u8]) -> Option<(Found, Record)> {
    let mut newest: Option<(Found, Record)> = None;
    let _ = ground.index().find(hash, |found| {
        let record = readable(ground, found).filter(|record| {
            let mut bytes = Vec::new();
            record.has_key(&ground.memory.log, key)
                && record.read_all(&ground.memory, &ground.geometry, &mut bytes)
        })?;
        if newest.as_ref().is_none_or(|(_, other)| record.lsn > other.lsn) {
            newest = Some((found, record));
        }
        None::<()>
    });
    newest
}
