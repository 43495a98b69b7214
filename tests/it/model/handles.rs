//! Handles opened and closed, and stores compared as a whole.

use larder::{Builder, ErrorKind, FileCache};
use proptest::prelude::*;

use super::operations::{KEYS, Key, Limits, MANY, Read, name};
use super::oracle::Checked;
use super::player::{HANDLES, Player, fault, largest};

impl Player {
    /// Every key in every way, the length, and the iteration.
    pub(super) fn compare_all(&mut self, cache: &FileCache) -> Checked {
        let keys = if self.form.crowds { MANY } else { KEYS };
        for key in 0..keys {
            let read = [Read::Get, Read::GetInto, Read::View, Read::Contains][key as usize % 4];
            self.read(cache, key, read)?;
        }
        let mut met = 0;
        let mut pairs: std::collections::HashMap<Vec<u8>, Vec<u8>> = cache.iter().collect();
        for key in 0..keys {
            let value = pairs.remove(&name(key));
            met += u64::from(value.is_some());
            let now = self.now();
            self.oracle.saw(key, value.as_deref(), now)?;
        }
        prop_assert!(pairs.is_empty(), "keys that nobody put: {:?}", pairs.keys());
        prop_assert!(met <= cache.len());
        self.oracle.saw_length(cache.len())
    }

    /// A reader sees what is there, and changes nothing.
    pub(super) fn compare_reader(&mut self, reader: &FileCache) -> Checked {
        self.compare_all(reader)?;
        let refused = [
            reader.insert("key 5", "x").err(),
            reader.remove("key 5").err(),
            reader.clear().err(),
            reader.sync().err(),
            reader.maintain().err(),
            reader.compact().err(),
        ];
        for error in refused {
            prop_assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::ReadOnly));
        }
        let there = reader.contains_key("new");
        prop_assert!(!there);
        let computed = reader.get_or_insert_with("new", || vec![1]);
        prop_assert!(computed.is_ok_and(|value| value == [1]));
        prop_assert!(!reader.contains_key("new"));
        self.compare_all(&reader.clone())
    }

    pub(super) fn verify(&mut self) -> Checked {
        let report = self.cache().verify().map_err(fault("a verification"))?;
        prop_assert!(report.is_sound() && !report.disturbed, "{:?}", report);
        prop_assert_eq!(report.counted, report.whole, "{:?}", report);
        Ok(())
    }

    /// After all upkeep the length is exact: expired entries are gone. Only those are left that a clock far ahead
    /// has stored.
    pub(super) fn maintain(&mut self) -> Checked {
        self.cache().maintain().map_err(fault("a maintenance"))?;
        self.oracle.cleared = 0;
        self.refresh();
        let iterated = self.cache().iter().count() as u64;
        let (length, ahead) = (self.cache().len(), self.oracle.stored_ahead(self.now()));
        prop_assert!(
            (iterated..=iterated + ahead).contains(&length),
            "of {} entries {} were left, {} of them stored ahead",
            length,
            length - iterated,
            ahead
        );
        self.compare_all(&self.cache())
    }

    /// Entries stored and removed by their keys are counted exactly.
    pub(super) fn compare_counters(&mut self) -> Checked {
        self.refresh();
        let stats = &self.stats;
        prop_assert_eq!((stats.inserts, stats.removes), (self.inserts, self.removes));
        prop_assert_eq!(stats.time_to_live_ms, self.ttl_ms);
        Ok(())
    }

    /// One more handle, perhaps with other limits. Those that cannot be had leave the old ones.
    pub(super) fn open(&mut self, limits: Limits) -> Checked {
        if self.handles.len() == HANDLES {
            self.handles.remove(0);
        }
        let builder = self.limited(limits);
        let others = !self.handles.is_empty() || !self.views.is_empty();
        let (before, ttl_ms) = (self.stats.clone(), self.ttl_ms);
        let handle = builder.open(self.path()).map_err(fault("opening"))?;
        prop_assert!(!handle.opening().created && handle.opening().began_anew.is_none());
        let stats = handle.stats();
        if let Some(kept) = &handle.opening().limits_kept {
            // Lowered on tmpfs, or under views, while others use the store.
            let may_be = kept.kind == ErrorKind::Busy && others && limits.bytes.is_some();
            prop_assert!(may_be, "{:?}", kept);
            let old = (before.max_bytes, before.max_entries, before.time_to_live_ms);
            prop_assert_eq!((stats.max_bytes, stats.max_entries, stats.time_to_live_ms), old);
            self.ttl_ms = ttl_ms;
        } else if let Some(number) = limits.bytes {
            prop_assert_eq!(stats.max_bytes, self.form.max_bytes(number));
        }
        self.handles.push(handle);
        self.current = self.handles.len() - 1;
        self.refresh();
        let cache = self.cache();
        self.compare_all(&cache)
    }

    /// All handles are closed, and the store is copied into new files.
    pub(super) fn relimit(&mut self, limits: Limits, larger: bool) -> Checked {
        if !self.handles.is_empty() {
            let busy = self.builder().relimit(self.path()).map_err(|error| error.kind());
            prop_assert_eq!(busy, Err(ErrorKind::Busy));
        }
        self.views.clear();
        self.handles.clear();
        let segment = if larger { 128 << 10 } else { 64 << 10 };
        // Where there is to be room for everything there is some for the largest value, too.
        let least = if self.form.roomy { self.stats.segment_bytes } else { 0 };
        let builder = self.limited(limits).segment_size(least.max(segment));
        let done = builder.relimit(self.path()).map_err(fault("a copy into new files"))?;
        let handle = self.builder().open(self.path()).map_err(fault("opening it"))?;
        prop_assert!(!handle.opening().created && !handle.opening().other_boot);
        prop_assert!(done.entries <= handle.len() && handle.len() <= self.oracle.most());
        self.largest = largest(&handle);
        self.handles.push(handle);
        self.current = 0;
        self.refresh();
        self.compare_all(&self.cache())
    }

    /// Options with the limits that a form allows.
    fn limited(&mut self, limits: Limits) -> Builder {
        let mut builder = self.builder();
        if let Some(entries) = limits.entries.and_then(|number| self.form.max_entries(number)) {
            builder = builder.max_entries(entries);
        }
        if let Some(number) = limits.bytes {
            builder = builder.max_bytes(self.form.max_bytes(number));
        }
        if let Some(ttl) = limits.ttl_ms.filter(|_| self.form.ttl_ms.is_some()) {
            builder = builder.time_to_live(std::time::Duration::from_millis(ttl.into()));
            self.ttl_ms = Some(ttl.into());
        }
        builder
    }

    /// All handles are closed, and the store is opened anew. That may be after another boot, which a
    /// reader sees first.
    pub(super) fn restart(&mut self, limits: Limits, boots: bool) -> Checked {
        if boots && self.stats.syncs > 0 {
            // What was removed since the last sync may be back after another boot: it might have
            // been a power cut.
            self.cache().sync().map_err(fault("a sync"))?;
        }
        self.views.clear();
        self.handles.clear();
        let reader = if boots {
            self.boot += 1;
            let reader = self.builder().read_only(true).open(self.path());
            let reader = reader.map_err(fault("a reader after another boot"))?;
            prop_assert!(reader.opening().other_boot);
            self.compare_reader_alone(&reader)?;
            Some(reader)
        } else {
            None
        };
        let handle = self.limited(limits).open(self.path()).map_err(fault("a restart"))?;
        prop_assert_eq!(handle.opening().other_boot, boots);
        prop_assert!(handle.opening().began_anew.is_none());
        self.handles.push(handle);
        self.current = 0;
        self.refresh();
        if let Some(reader) = reader {
            self.compare_reader(&reader)?;
        }
        self.compare_all(&self.cache())
    }

    /// Every key, as a reader sees it that has the store to itself.
    fn compare_reader_alone(&mut self, reader: &FileCache) -> Checked {
        let now = self.now();
        for key in 0..KEYS as Key {
            self.oracle.saw(key, reader.get(name(key)).as_deref(), now)?;
        }
        self.oracle.saw_length(reader.len())
    }
}
