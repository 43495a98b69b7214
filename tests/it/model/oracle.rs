//! The map that a cache is compared with: what it must return, what it may have lost.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::operations::Key;
use crate::common;

pub type Checked<T = ()> = Result<T, TestCaseError>;

/// What never expires.
pub const NEVER: u64 = (1 << 48) - 1;

/// When an entry was stored, and when it expires.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub created: u64,
    pub expiry: u64,
}

impl Life {
    /// Whether a store serves it at this time. A record tells its creation in 32 bits of seconds.
    fn holds(self, now: u64) -> bool {
        let created = u64::from((self.created / 1000) as u32) * 1000;
        self.expiry == NEVER || (now < self.expiry && created <= now + 300_000)
    }
}

/// An entry as it was last set.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    version: u64,
    length: usize,
    life: Life,
    /// The clock was out of its life at some time: even if it was set again, the entry may be gone.
    has_expired: bool,
}

/// The bytes of a version of a key.
pub fn value(key: Key, version: u64, length: usize) -> Vec<u8> {
    let mut bytes = common::value(u64::from(key), version, length);
    bytes.truncate(length);
    bytes
}

#[derive(Debug, Default)]
pub struct Oracle {
    entries: HashMap<Key, Entry>,
    /// Evictions that no missing entry accounts for yet: so many more may be missing.
    slack: u64,
    evictions: u64,
    /// Entries that were cleared and may still take room.
    pub cleared: u64,
}

impl Oracle {
    pub fn set(&mut self, key: Key, version: u64, length: usize, life: Life) {
        let entry = Entry { version, length, life, has_expired: false };
        self.entries.insert(key, entry);
    }

    pub fn remove(&mut self, key: Key) {
        self.entries.remove(&key);
    }

    pub fn clear(&mut self) {
        self.cleared += self.entries.len() as u64;
        self.entries.clear();
    }

    /// When a key's entry expires, if it does.
    pub fn expiry(&self, key: Key) -> Option<u64> {
        self.entries.get(&key).map(|entry| entry.life.expiry).filter(|&expiry| expiry != NEVER)
    }

    /// The clock shows `now`.
    pub fn at(&mut self, now: u64) {
        for entry in self.entries.values_mut() {
            entry.has_expired |= !entry.life.holds(now);
        }
    }

    /// Whether a hit on a key would be right now.
    pub fn lives(&self, key: Key, now: u64) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.life.holds(now))
    }

    /// Entries that have not expired, and are not served because a clock far ahead has stored them.
    pub fn stored_ahead(&self, now: u64) -> u64 {
        let ahead = |entry: &&Entry| now < entry.life.expiry && !entry.life.holds(now);
        self.entries.values().filter(ahead).count() as u64
    }

    /// The store has evicted so many by now.
    pub fn evicted(&mut self, evictions: u64) {
        self.slack += evictions.saturating_sub(self.evictions);
        self.evictions = evictions;
    }

    /// Entries of which it is not known that they are gone.
    pub fn most(&self) -> u64 {
        self.entries.len() as u64
    }

    /// A key was looked for and its value found, or not: was that right? What an eviction has taken is
    /// forgotten.
    pub fn saw(&mut self, key: Key, found: Option<&[u8]>, now: u64) -> Checked {
        self.saw_whether(key, found.is_some(), now)?;
        let (Some(entry), Some(found)) = (self.entries.get(&key), found) else { return Ok(()) };
        let right = value(key, entry.version, entry.length);
        prop_assert!(found == right, "key {} has not the value it was set to: {:?}", key, entry);
        Ok(())
    }

    pub fn saw_whether(&mut self, key: Key, hit: bool, now: u64) -> Checked {
        let entry = self.entries.get(&key).copied();
        if hit {
            prop_assert!(self.lives(key, now), "key {key} is found at {now}: {entry:?}");
            return Ok(());
        }
        let Some(entry) = entry else { return Ok(()) };
        if !entry.has_expired {
            prop_assert!(self.slack > 0, "key {key} is missing at {now}: {entry:?}");
            self.slack -= 1;
            self.entries.remove(&key);
        }
        Ok(())
    }

    /// A length was told: was that right?
    pub fn saw_length(&self, length: u64) -> Checked {
        let stay = self.entries.values().filter(|entry| !entry.has_expired).count() as u64;
        let least = stay.saturating_sub(self.slack);
        let most = self.most();
        prop_assert!((least..=most).contains(&length), "length {length}, not {least} to {most}");
        Ok(())
    }
}
