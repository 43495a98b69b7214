//! A store and its oracle: what is done with one key, and what holds after each operation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::internals::Simulated;
use larder::{Builder, Durability, ErrorKind, FileCache, Stats, Ttl, View};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::form::{Form, START};
use super::operations::{Key, Length, Lives, Plan, Read, Syncs, Time, name};
use super::oracle::{Checked, Life, NEVER, Oracle, value};
use crate::common;

/// Handles and views that are held at most.
pub const HANDLES: usize = 3;
const VIEWS: usize = 4;
const CENTURY: u64 = 100 * 365 * 24 * 3_600_000;

/// The failure of a call that must not fail.
pub fn fault(what: &str) -> impl FnOnce(larder::Error) -> TestCaseError + use<'_> {
    move |error| TestCaseError::fail(format!("{what}: {error}"))
}

pub struct Player {
    pub(super) form: Form,
    pub(super) dir: tempfile::TempDir,
    pub(super) system: Simulated,
    pub(super) boot: u64,
    pub(super) durability: Durability,
    pub(super) handles: Vec<FileCache>,
    pub(super) current: usize,
    pub(super) views: Vec<(View, Vec<u8>)>,
    pub(super) oracle: Oracle,
    pub(super) version: u64,
    pub(super) ttl_ms: Option<u64>,
    /// The largest value under an empty key.
    pub(super) largest: usize,
    /// Whether there was an entry of more than an eighth of a segment.
    pub(super) had_large: bool,
    /// The store in numbers, after the last operation.
    pub(super) stats: Stats,
    pub(super) inserts: u64,
    pub(super) removes: u64,
}

/// The largest value under an empty key.
pub fn largest(cache: &FileCache) -> usize {
    let refused = cache.insert("", vec![0; 1 << 20]).unwrap_err();
    refused.limit().expect("a limit") as usize
}

impl Player {
    /// A player with one handle on a new store.
    pub fn new(form: Form, plan: &Plan) -> Checked<Self> {
        let dir =
            if plan.on_disk { tempfile::tempdir().unwrap() } else { common::fast_directory() };
        let mut player = Self {
            form,
            dir,
            system: system(),
            boot: 1,
            durability: match plan.syncs {
                Syncs::Never | Syncs::First => Durability::OsDecides,
                Syncs::EachWrite => Durability::EachWrite,
                Syncs::EverySecond => Durability::Every(Duration::from_secs(1)),
            },
            handles: Vec::new(),
            current: 0,
            views: Vec::new(),
            oracle: Oracle::default(),
            version: 0,
            ttl_ms: form.ttl_ms,
            largest: 0,
            had_large: false,
            stats: Stats::default(),
            inserts: 0,
            removes: 0,
        };
        let first = form.create(player.builder());
        let first = first.open(player.path()).map_err(fault("creating"))?;
        player.largest = largest(&first);
        player.handles.push(first);
        if matches!(plan.syncs, Syncs::First) {
            player.cache().sync().map_err(fault("a sync"))?;
        }
        player.refresh();
        Ok(player)
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("cache")
    }

    pub(super) fn builder(&self) -> Builder {
        let system = self.system.clone().in_boot([9, self.boot]);
        let mut environment = system.environment();
        // Every other handle shares nothing with the others, as if it were another process's.
        environment.number += self.handles.len() % 2;
        FileCache::builder().environment(environment).durability(self.durability)
    }

    pub(super) fn cache(&self) -> FileCache {
        self.handles[self.current % self.handles.len()].clone()
    }

    pub(super) fn now(&self) -> u64 {
        self.system.clock()
    }

    /// Reads the statistics. That also adds what the handle in use has counted; no other handle counts
    /// anything meanwhile.
    pub(super) fn refresh(&mut self) {
        self.stats = self.cache().stats();
        self.oracle.evicted(self.stats.evictions);
    }

    /// What holds after each operation.
    pub(super) fn compare(&mut self) -> Checked {
        self.refresh();
        let stats = self.stats.clone();
        if self.form.roomy {
            prop_assert_eq!(stats.evictions, 0, "there was room for everything: {:?}", stats);
        }
        let length = self.cache().len();
        self.oracle.saw_length(length)?;
        prop_assert_eq!(stats.entries, length);
        prop_assert!(length <= stats.max_entries, "{} entries: {:?}", length, stats);
        let disk = common::disk(&self.path());
        prop_assert!(disk <= stats.max_bytes, "{} bytes of disk: {:?}", disk, stats);
        prop_assert_eq!(stats.damaged, 0, "{:?}", stats);
        for (view, bytes) in &self.views {
            prop_assert!(view[..] == bytes[..], "a view changed");
        }
        Ok(())
    }

    pub(super) fn length_of(&self, key: Key, length: Length) -> usize {
        let largest = self.largest - name(key).len().min(self.largest);
        match length {
            Length::Exact(length) => length.into(),
            Length::Largest(less) => largest.saturating_sub(less.into()),
            Length::TooLarge(more) => largest + 1 + usize::from(more),
        }
    }

    pub(super) fn fits(&self, key: Key, length: usize) -> bool {
        name(key).len() + length <= self.largest
    }

    pub(super) fn expiry(&self, lives: Lives) -> u64 {
        let after = match lives {
            Lives::Default => self.ttl_ms,
            Lives::Ever => None,
            Lives::Millis(after) => Some(after.into()),
        };
        after.map_or(NEVER, |after| (self.now() + after).min(NEVER))
    }

    /// Whether a key is there, by a call that does not count as a use: so the oracle learns what was
    /// evicted.
    pub(super) fn look(&mut self, key: Key) -> Checked<bool> {
        let there = self.cache().contains_key(name(key));
        self.oracle.saw_whether(key, there, self.now())?;
        Ok(there)
    }

    pub(super) fn put(&mut self, key: Key, length: Length, lives: Lives) -> Checked {
        self.version += 1;
        let length = self.length_of(key, length);
        let there = self.look(key)?;
        let ttl = match lives {
            Lives::Default => Ttl::Default,
            Lives::Ever => Ttl::Never,
            Lives::Millis(after) => Duration::from_millis(after.into()).into(),
        };
        let new = value(key, self.version, length);
        let put = self.cache().insert_with_ttl(name(key), new, ttl);
        if !self.fits(key, length) {
            let kind = put.err().map(|error| error.kind());
            prop_assert_eq!(kind, Some(ErrorKind::TooLarge), "{} bytes", length);
            return self.read(&self.cache(), key, Read::Get);
        }
        put.map_err(fault("a put"))?;
        if matches!(lives, Lives::Millis(0)) {
            self.removes += u64::from(there);
            self.oracle.remove(key);
            return Ok(());
        }
        self.stored(key, self.version, length, self.expiry(lives))?;
        self.explain(&[(key, length)])
    }

    /// An entry was stored.
    pub(super) fn stored(&mut self, key: Key, version: u64, length: usize, expiry: u64) -> Checked {
        self.inserts += 1;
        self.oracle.set(key, version, length, Life { created: self.now(), expiry });
        self.oracle.at(self.now());
        Ok(())
    }

    /// These entries were stored. Others may have been evicted for them only if there was no room, and
    /// the last of them has to be there.
    pub(super) fn explain(&mut self, stored: &[(Key, usize)]) -> Checked {
        let before = self.stats.clone();
        self.refresh();
        let size = |&(key, length): &(Key, usize)| 64 + (name(key).len() + length) as u64;
        self.had_large |= stored.iter().any(|entry| size(entry) * 8 > before.segment_bytes);
        let bytes: u64 = stored.iter().map(size).sum();
        let room = before.segments * before.segment_bytes;
        let full = self.oracle.most() + self.oracle.cleared + 1 > before.max_entries
            || (before.live_bytes + bytes) * 100 > room * 68;
        let explained = full || self.had_large || !self.views.is_empty();
        prop_assert!(
            self.stats.evictions == before.evictions || explained,
            "evicted though there was room: {:?}, then {:?}",
            before,
            self.stats
        );
        if let Some(&(key, _)) = stored.last() {
            let there = self.cache().contains_key(name(key));
            prop_assert!(there || !self.oracle.lives(key, self.now()), "{} was just stored", key);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, cache: &FileCache, key: Key, read: Read) -> Checked {
        let (name, now) = (name(key), self.now());
        match read {
            Read::Get => self.oracle.saw(key, cache.get(name).as_deref(), now),
            Read::GetInto => {
                let mut bytes = vec![7; 100];
                let hit = cache.get_into(name, &mut bytes);
                prop_assert!(hit || bytes.is_empty());
                self.oracle.saw(key, hit.then_some(&bytes[..]), now)
            }
            Read::View => self.oracle.saw(key, cache.view(name).as_deref(), now),
            Read::Contains => self.oracle.saw_whether(key, cache.contains_key(name), now),
        }
    }

    pub(super) fn hold(&mut self, key: Key) -> Checked {
        let view = self.cache().view(name(key));
        let now = self.now();
        self.oracle.saw(key, view.as_deref(), now)?;
        if self.views.len() == VIEWS {
            self.views.remove(0);
        }
        self.views.extend(view.map(|view| {
            let bytes = view.to_vec();
            (view, bytes)
        }));
        Ok(())
    }

    pub(super) fn remove(&mut self, key: Key) -> Checked {
        let there = self.look(key)?;
        let removed = self.cache().remove(name(key)).map_err(fault("a remove"))?;
        // The upkeep that a remove does may evict the key first.
        self.refresh();
        prop_assert!(!removed || there, "it was not there");
        self.oracle.saw_whether(key, removed, self.now())?;
        self.removes += u64::from(removed);
        self.oracle.remove(key);
        prop_assert!(!self.cache().contains_key(name(key)), "what was removed is there");
        Ok(())
    }

    pub(super) fn key_too_long(&self) -> Checked {
        let (cache, key) = (self.cache(), vec![1; 65_536]);
        let error = cache.insert(&key, "x").unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::TooLarge);
        prop_assert!(cache.get(&key).is_none() && cache.view(&key).is_none());
        prop_assert!(!cache.contains_key(&key));
        prop_assert!(!cache.remove(&key).map_err(fault("a remove"))?);
        Ok(())
    }

    pub(super) fn set_clock(&mut self, time: Time) -> Checked {
        let now = self.now();
        let then = match time {
            Time::Forwards(by) => now + u64::from(by),
            Time::Backwards(by) => now.saturating_sub(by.into()),
            Time::Until(key) => self.oracle.expiry(key).unwrap_or(now),
            Time::Far(true) => (now + CENTURY).min(NEVER - CENTURY),
            Time::Far(false) => 0,
        };
        self.system.set_clock(then);
        self.oracle.at(then);
        match time {
            Time::Until(key) => self.read(&self.cache(), key, Read::Get),
            _ => Ok(()),
        }
    }
}

/// What every other store is told: that it is larger than memory, so that its records are brought before they are
/// read.
fn system() -> Simulated {
    static STORES: AtomicU64 = AtomicU64::new(0);
    let system = Simulated::default().at(START);
    let fits = STORES.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    if fits { system } else { system.with_memory(0) }
}
