//! Operations on a store that is damaged before and in between: each ends, with right bytes, a miss or a
//! clear error.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use larder::{Error, FileCache, View};

use super::damage::inflict;
use super::files::Files;
use super::open::read_all;
use super::sample::{BOOT, KEYS, Sample, sample};
use crate::common::{check, value};
use crate::exercise::assert_is_clear;

/// Operations of an input, at most.
const STEPS: u32 = 48;

/// A store in use.
struct Use<'a> {
    sample: &'a Sample,
    boot_id: [u64; 2],
    cache: FileCache,
    /// Views held meanwhile. What they show may be damaged under them: nobody looks.
    views: Vec<View>,
    version: u64,
    /// Whether anything was damaged yet.
    damaged: bool,
}

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let sample = sample(input.int_in_range(0..=2)?);
    sample.restore();
    let damage = |input: &mut Unstructured<'_>| {
        // Opened each time: the store may have replaced the index.
        inflict(input, &Files::open(&sample.path, sample.identity.geometry()))
    };
    let before = input.int_in_range(0..=4)?;
    for _ in 0..before {
        damage(input)?;
    }
    let boot_id = if input.ratio(3, 4)? { BOOT } else { [2, 2] };
    let cache = match sample.builder(boot_id).open(&sample.path) {
        Ok(cache) => cache,
        Err(error) => {
            assert_is_clear(&error);
            return Ok(());
        }
    };
    let (views, damaged) = (Vec::new(), before > 0);
    let mut used = Use { sample: &sample, boot_id, cache, views, version: 1, damaged };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match input.int_in_range(0..=19)? {
            0..=2 => {
                used.damaged = true;
                damage(input)?;
            }
            3 => match used.reopened(input)? {
                Ok(next) => used = next,
                Err(error) => {
                    assert_is_clear(&error);
                    return Ok(());
                }
            },
            other => used.step(input, other)?,
        }
    }
    read_all(&used.cache);
    Ok(())
}

impl<'a> Use<'a> {
    /// Closed and opened: in this boot or another, with the limits it has or others.
    fn reopened(
        mut self,
        input: &mut Unstructured<'_>,
    ) -> Result<std::result::Result<Self, Error>> {
        let Self { sample, .. } = self;
        self.views.clear();
        drop(self.cache);
        if input.ratio(1, 4)? {
            self.boot_id[0] += 1;
        }
        let mut builder = sample.builder(self.boot_id);
        match input.int_in_range(0..=5)? {
            0 => builder = builder.max_entries(input.int_in_range(1..=500)?),
            1 => builder = builder.max_bytes(input.int_in_range(1u64 << 20..=3 << 20)?),
            2 => builder = builder.time_to_live(Duration::from_millis(input.int_in_range(0..=9)?)),
            _ => {}
        }
        let opened = builder.open(&sample.path);
        let (boot_id, version, damaged) = (self.boot_id, self.version, self.damaged);
        Ok(opened.map(|cache| Use { sample, boot_id, cache, views: Vec::new(), version, damaged }))
    }

    fn step(&mut self, input: &mut Unstructured<'_>, which: u32) -> Result<()> {
        let key: u64 = input.int_in_range(0..=KEYS + 20)?;
        match which {
            4 | 5 => self.put(key, input.int_in_range(0..=3000)?, None),
            6 => {
                let ttl = Duration::from_millis(input.int_in_range(0..=20)?);
                self.put(key, 100, Some(ttl));
            }
            7 => (0..40).for_each(|more| self.put(1000 + key + more, 24, None)),
            8 => (0..10).for_each(|more| self.put(key + more, 50_000, None)),
            9 => {
                self.cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
            }
            10 => {
                if note(self.cache.remove(key.to_le_bytes())) {
                    assert_eq!(self.cache.get(key.to_le_bytes()), None, "removed");
                }
            }
            11 => {
                if let Some(view) = self.cache.view(key.to_le_bytes()) {
                    check(key, &view);
                    self.views.push(view);
                }
            }
            12 => self.views.clear(),
            13 => drop(note(self.cache.maintain())),
            14 => drop(note(self.cache.compact())),
            15 => drop(note(self.cache.sync())),
            16 => {
                // A version that damage has made later than any there is outlives it.
                let cleared = note(self.cache.clear());
                let found = self.cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
                assert!(!cleared || found.is_none() || self.damaged, "{key} was cleared");
            }
            17 => {
                self.sample.system.advance(input.int_in_range(0..=4_000_000)?);
            }
            18 => {
                self.version += 1;
                let new = value(key, self.version, 60);
                match self.cache.get_or_insert_with(key.to_le_bytes(), || new) {
                    Ok(bytes) => drop(check(key, &bytes)),
                    Err(error) => assert_is_clear(&error),
                }
            }
            _ => {
                let reader = self.sample.builder(self.boot_id).read_only(true);
                match reader.open(&self.sample.path) {
                    Ok(reader) => read_all(&reader),
                    Err(error) => assert_is_clear(&error),
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, key: u64, length: usize, ttl: Option<Duration>) {
        self.version += 1;
        let new = value(key, self.version, length);
        let done = match ttl {
            Some(ttl) => self.cache.insert_with_ttl(key.to_le_bytes(), &new, ttl),
            None => self.cache.insert(key.to_le_bytes(), &new),
        };
        let done = note(done);
        if let Some(found) = self.cache.get(key.to_le_bytes()) {
            check(key, &found);
            // Where damage hid an older version, and growth has brought that back, it may be read.
            assert!(found == new || !done || self.damaged, "another value of {key}");
        }
    }
}

/// Whether it was done; if not, the error says why.
fn note<T>(result: std::result::Result<T, Error>) -> bool {
    result.map_err(|error| assert_is_clear(&error)).is_ok()
}
