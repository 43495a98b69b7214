//! A tour: everything that can be done with a store, on a small one, with what must be true of each key
//! kept outside. Whatever fails meanwhile, a read gives a value that the key may have, or nothing where
//! something was evicted; an error is clear and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::internals::Simulated;
use larder::{Builder, Durability, Error, ErrorKind, FileCache, OnDamage, Ttl};

use super::inject::unharmed;
use crate::common::{Random, check, disk, value};
use crate::exercise::assert_is_clear;

const START: u64 = 1_800_000_000_000;
/// `f_type` of ext4: on a directory in memory the store then does what it does on a disk.
const EXT4: i64 = 0xEF53;
pub const LIMIT: u64 = 5 << 19;
const RAISED: u64 = 6 << 19;

/// What a key may be: versions, or absent.
type Versions = Vec<Option<u64>>;

pub struct Tour {
    directory: PathBuf,
    system: Simulated,
    random: Random,
    expected: BTreeMap<u64, Versions>,
    expiry: BTreeMap<u64, u64>,
    version: u64,
    boot: u64,
    /// Entries that were evicted, and so may be missing.
    evicted: u64,
    /// Whether a sync has failed.
    sync_failed: bool,
    /// Whether the length of a file may not be told: what lies behind the end as last seen is missed, and
    /// found again later.
    pub is_blind: bool,
    /// Errors so far.
    pub errors: Vec<String>,
}

impl Tour {
    pub fn new(directory: &Path, seed: u64) -> Self {
        Self::on(Simulated::default(), directory, seed)
    }

    /// A tour on a system that may refuse something.
    pub fn on(system: Simulated, directory: &Path, seed: u64) -> Self {
        let system = system.at(START);
        let on_disk = seed.is_multiple_of(2);
        let system = if on_disk { system.on_file_system(EXT4) } else { system };
        Self {
            directory: directory.to_owned(),
            system,
            random: Random::new(seed),
            expected: BTreeMap::new(),
            expiry: BTreeMap::new(),
            version: 0,
            boot: 0,
            evicted: 0,
            sync_failed: false,
            is_blind: false,
            errors: Vec::new(),
        }
    }

    fn builder(&self) -> Builder {
        let system = self.system.clone();
        // The first is the kernel's.
        let system = if self.boot > 0 { system.in_boot([7, self.boot]) } else { system };
        let patience = Duration::from_millis(200);
        FileCache::builder()
            .environment(system.environment())
            .lock_timeout(patience)
            .on_damage(OnDamage::BeginAnew)
            .strict_limits(true)
    }

    /// The builder of a new store.
    fn small(&self) -> Builder {
        self.builder().max_bytes(LIMIT).max_processes(4).segment_size(64 << 10)
    }

    /// Opens, again if something was in the way; `None` if it still is.
    fn open(&mut self, builder: &Builder) -> Option<FileCache> {
        let before = self.errors.len();
        let directory = self.directory.clone();
        let cache = (0..2).find_map(|_| self.note(builder.open(&directory)));
        assert!(cache.is_some() || self.errors.len() > before);
        cache
    }

    /// A result, or a clear error about a file of the store.
    fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                assert_is_clear(&error);
                let path = error.path();
                let known = path.starts_with(&self.directory) || path.starts_with("/proc/sys");
                assert!(known, "an error about another file: {error}");
                let message = error.to_string();
                assert!(error.kind() != ErrorKind::Damaged, "{error}");
                self.sync_failed |= message.contains("durable");
                self.errors.push(message);
                None
            }
        }
    }

    fn may_be(&mut self, key: u64) -> &mut Versions {
        self.expected.entry(key).or_insert_with(|| vec![None])
    }

    fn put(&mut self, cache: &FileCache, key: u64, length: u64, ttl: impl Into<Ttl>) {
        self.version += 1;
        let (version, ttl) = (self.version, ttl.into());
        let new = value(key, version, length as usize);
        let failed_before = self.sync_failed;
        let stored = cache.insert_with_ttl(key.to_le_bytes(), &new, ttl);
        match self.note(stored) {
            Some(()) => {
                *self.may_be(key) = vec![Some(version)];
                self.expiry.remove(&key);
                if let Ttl::After(time) = ttl {
                    let until = self.system.clock() + time.as_millis() as u64;
                    self.expiry.insert(key, until);
                }
                let found = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
                assert_eq!(found, Some(version), "what was just stored");
            }
            // Stored, but the sync after it failed.
            None if self.sync_failed || failed_before => self.may_be(key).push(Some(version)),
            None => {}
        }
        self.read(cache, key);
    }

    fn remove(&mut self, cache: &FileCache, key: u64) {
        let removed = cache.remove(key.to_le_bytes());
        match self.note(removed) {
            Some(_) => *self.may_be(key) = vec![None],
            None if self.sync_failed => self.may_be(key).push(None),
            None => {}
        }
        self.read(cache, key);
    }

    /// Reads a key in one of the ways; whether it is missing though nothing says it may be.
    fn read(&mut self, cache: &FileCache, key: u64) -> bool {
        let name = key.to_le_bytes();
        let version = match self.random.below(3) {
            0 => cache.view(name).map(|view| check(key, &view)),
            _ => cache.get(name).map(|bytes| check(key, &bytes)),
        };
        let now = self.system.clock();
        let is_expired = self.expiry.get(&key).is_some_and(|&until| until <= now);
        let may_be = self.may_be(key);
        if version.is_none() {
            return !may_be.contains(&None) && !is_expired;
        }
        assert!(may_be.contains(&version), "key {key} is {version:?}, not of {may_be:?}");
        let is_alone = may_be.len() == 1;
        assert!(!is_expired || !is_alone, "key {key} has expired");
        false
    }

    /// Reads everything: no more is missing than was evicted.
    fn read_all(&mut self, cache: &FileCache) {
        self.evicted = self.evicted.max(cache.stats().evictions);
        let keys: Vec<u64> = self.expected.keys().copied().collect();
        let mut missing: Vec<u64> = keys.into_iter().filter(|&key| self.read(cache, key)).collect();
        if self.is_blind {
            missing.clear();
        }
        assert!(
            missing.len() as u64 <= self.evicted,
            "{} evicted, but missing: {missing:?}",
            self.evicted
        );
        // What was evicted stays so.
        for key in missing {
            self.may_be(key).push(None);
        }
        for (key, bytes) in cache.iter() {
            let key = u64::from_le_bytes(key.try_into().unwrap());
            let version = check(key, &bytes);
            assert!(self.may_be(key).contains(&Some(version)), "{key} in the iterator");
        }
    }

    fn bounds(&self, cache: &FileCache) {
        let (taken, limit) = unharmed(|| (disk(&self.directory), cache.stats().max_bytes));
        assert!(taken <= limit.max(LIMIT), "{taken} bytes of disk, of {limit}");
    }

    /// Goes on the tour. What keeps failing ends it early.
    pub fn go(&mut self) {
        let _ = self
            .first_use()
            .and_then(|()| self.later())
            .and_then(|()| self.other_boots())
            .and_then(|()| self.lost());
    }

    /// Creation, values of all sizes, growth of the index, fills, times to live, syncs, moves.
    fn first_use(&mut self) -> Option<()> {
        let cache = self.open(&self.small())?;
        for key in 0..40 {
            let length = 24 + self.random.below(3000);
            self.put(&cache, key, length, Ttl::Never);
        }
        self.put(&cache, 40, 60_000, Ttl::Never);
        // More than a page of the index takes.
        for key in 1000..1300 {
            self.put(&cache, key, 24, Ttl::Never);
        }
        for key in 20..60 {
            self.put(&cache, key % 40, 500, Ttl::Never);
        }
        for key in 1000..1040 {
            self.remove(&cache, key);
        }
        self.fill(&cache, 5000);
        self.read_all(&cache);
        for key in 2000..2100 {
            self.put(&cache, key, 1000, Duration::from_secs(5));
        }
        self.system.advance(70_000);
        self.note(cache.maintain());
        self.sync(&cache);
        self.read_all(&cache);
        // Overwritten until there is more dead space than the log has: live ones are moved.
        for round in 0..12 {
            for key in 100..190 {
                self.put(&cache, key + round % 2, 1500, Ttl::Never);
            }
        }
        self.sync(&cache);
        self.note(cache.compact());
        self.read_all(&cache);
        self.bounds(&cache);
        Some(())
    }

    fn fill(&mut self, cache: &FileCache, key: u64) {
        let new = value(key, 1, 100);
        let filled = cache.get_or_insert_with(key.to_le_bytes(), || new.clone());
        if let Some(found) = self.note(filled) {
            assert_eq!(found, new);
            // A value that cannot be stored is returned all the same.
            let unstored = cache.stats().unstored > 0;
            *self.may_be(key) = if unstored { vec![None, Some(1)] } else { vec![Some(1)] };
        }
    }

    fn sync(&mut self, cache: &FileCache) {
        let failed = self.sync_failed;
        let done = self.note(cache.sync());
        assert!(done.is_none() || !failed, "a sync after one that failed");
    }

    /// Reopening, several users at once, other limits, every write durable, eviction, a clear.
    fn later(&mut self) -> Option<()> {
        let cache = self.open(&self.builder())?;
        self.read_all(&cache);
        let second = self.open(&self.builder().max_bytes(RAISED))?;
        let reader = self.open(&self.builder().read_only(true))?;
        for key in 3000..3600 {
            self.put(if key % 2 == 0 { &cache } else { &second }, key, 3000, Ttl::Never);
            self.read(&reader, key);
        }
        // What they counted is seen by others when they close.
        drop((cache, second));
        self.read_all(&reader);
        drop(reader);
        let cache = self.open(&self.builder().max_bytes(LIMIT).max_entries(500))?;
        self.bounds(&cache);
        assert!(cache.len() <= 500, "{} entries", cache.len());
        drop(cache);
        let cache =
            self.open(&self.builder().max_entries(400).durability(Durability::EachWrite))?;
        for key in 4000..4010 {
            self.put(&cache, key, 100, Ttl::Never);
            self.remove(&cache, key - 5);
        }
        self.read_all(&cache);
        if self.note(cache.clear()).is_some() {
            self.expected.values_mut().for_each(|versions| *versions = vec![None]);
        } else if self.sync_failed {
            self.expected.values_mut().for_each(|versions| versions.push(None));
        }
        for key in 4000..4100 {
            self.put(&cache, key, 700, Ttl::Never);
        }
        self.note(cache.maintain());
        self.read_all(&cache);
        self.bounds(&cache);
        Some(())
    }

    /// A reader's private recovery, a shared one, and use after it.
    fn other_boots(&mut self) -> Option<()> {
        self.boot += 1;
        let reader = self.open(&self.builder().read_only(true))?;
        self.read_all(&reader);
        drop(reader);
        self.sync_failed = false;
        let cache = self.open(&self.builder())?;
        for key in 4050..4150 {
            self.put(&cache, key, 900, Ttl::Never);
        }
        self.sync(&cache);
        self.note(cache.compact());
        self.read_all(&cache);
        self.bounds(&cache);
        Some(())
    }

    /// The file `store` is gone and comes back, then it is lost and the store begins anew.
    fn lost(&mut self) -> Option<()> {
        let cache = self.open(&self.builder())?;
        let store = self.directory.join("store");
        unharmed(|| std::fs::remove_file(&store).unwrap());
        let kept = cache.maintain();
        self.note(kept);
        let is_current = cache.is_current();
        assert!(self.note(is_current).is_none_or(|is_current| is_current));
        let is_lost = !unharmed(|| store.exists());
        drop(cache);
        if !is_lost {
            let cache = self.open(&self.builder())?;
            self.read_all(&cache);
        }
        unharmed(|| _ = std::fs::remove_file(&store));
        self.expected.values_mut().for_each(|versions| *versions = vec![None]);
        self.sync_failed = false;
        let before = self.errors.len();
        let cache = self.open(&self.small())?;
        // Where something failed once it had begun anew, that was told instead.
        let is_told = cache.opening().began_anew.is_some() || self.errors.len() > before;
        assert!(is_told && cache.is_empty());
        self.put(&cache, 7000, 300, Ttl::Never);
        self.read_all(&cache);
        self.bounds(&cache);
        Some(())
    }

    /// What must hold when nothing fails any more.
    pub fn check_after(mut self) {
        self.is_blind = false;
        for boot in [self.boot, self.boot + 1] {
            // What a failed sync left undone stays so until the machine starts again.
            self.sync_failed &= boot == self.boot;
            self.boot = boot;
            self.errors.clear();
            // A limit that was lowered beside a sync that failed may wait for the next start, too.
            let builder = if self.sync_failed { self.builder() } else { self.small() };
            let limit = if self.sync_failed { RAISED } else { LIMIT };
            // Every process row is to be had.
            let users: Vec<FileCache> =
                (0..4).map(|_| builder.open(&self.directory).unwrap()).collect();
            let cache = &users[0];
            self.read_all(cache);
            let report = cache.verify().unwrap();
            assert!(report.is_sound() && !report.disturbed, "{report:?}");
            assert!(disk(&self.directory) <= limit, "{} bytes of disk", disk(&self.directory));
            for key in 6000..6100 {
                self.put(cache, key, 1500, Ttl::Never);
            }
            self.sync(cache);
            self.note(cache.compact());
            self.note(cache.maintain());
            self.read_all(cache);
            assert!(self.errors.is_empty() || self.sync_failed, "{:?}", self.errors);
            let report = cache.verify().unwrap();
            assert!(report.is_sound() && !report.disturbed, "{report:?}");
            assert!(disk(&self.directory) <= limit, "{} bytes of disk", disk(&self.directory));
        }
    }
}
