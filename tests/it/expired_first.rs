//! What has expired goes before anything live: loads with times to live of many kinds, on a clock set by
//! hand. At moments when something live went, the test counts how much had expired and was still there.

use std::time::Duration;

use larder::internals::Simulated;
use larder::{Builder, FileCache, Stats, Ttl};

use crate::common::{self, Random};

const START: u64 = 1_800_000_000_000;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const YEAR: u64 = 365 * 24 * HOUR;
/// Bytes of a value, and of a record with such a value and a key of eight bytes.
const VALUE: usize = 1000;
const RECORD: u64 = (40 + 8 + VALUE as u64).next_multiple_of(16);

/// A load: so many puts, some of them in each millisecond, or one in so many.
struct Load {
    builder: Builder,
    puts: u64,
    puts_a_millisecond: u64,
    milliseconds_a_put: u64,
    /// One in so many puts that cost a live entry is looked at.
    look_at_one_in: u64,
    /// Whether the store is synced at the beginning, so that the barrier holds.
    syncs: bool,
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    stats: Stats,
    /// Looks at what had expired when something live went.
    looks: u64,
    /// The most that had expired then: of the log, and of the limit on entries, in thousandths.
    of_log: u64,
    of_entries: u64,
    /// The least that lived then, of the segments in use less two, in thousandths.
    live: u64,
    cache: FileCache,
    _dir: tempfile::TempDir,
}

impl Load {
    fn new(builder: Builder, puts: u64) -> Self {
        let builder = builder.max_processes(4);
        Self {
            builder,
            puts,
            puts_a_millisecond: 1,
            milliseconds_a_put: 1,
            look_at_one_in: 50,
            syncs: false,
        }
    }

    /// Plays it: `entry` says what the number of a put stores, and for how many milliseconds.
    fn play(self, mut entry: impl FnMut(u64) -> (u64, u64)) -> Outcome {
        let dir = common::fast_directory();
        let system = Simulated::default().at(START);
        let environment = common::of_another_process(system.environment());
        let cache = self.builder.clone().environment(system.environment());
        let cache = cache.open(dir.path().join("cache")).unwrap();
        let stats = cache.stats();
        let mut outcome =
            Outcome { stats, looks: 0, of_log: 0, of_entries: 0, live: 1000, cache, _dir: dir };
        // As another process: each does every second put.
        let other = self.builder.environment(environment).open(outcome.cache.directory()).unwrap();
        if self.syncs {
            other.sync().unwrap();
        }
        let mut costly = 0;
        for number in 0..self.puts {
            if number % self.puts_a_millisecond == 0 {
                system.advance(self.milliseconds_a_put);
            }
            let (key, ttl) = entry(number);
            let ttl = Ttl::After(Duration::from_millis(ttl));
            let cache = if number % 2 == 0 { &outcome.cache } else { &other };
            cache.insert_with_ttl(key.to_le_bytes(), [7; VALUE], ttl).unwrap();
            let stats = outcome.cache.stats();
            if stats.evictions > outcome.stats.evictions {
                costly += 1;
                if costly % self.look_at_one_in == 0 {
                    outcome.look(&stats);
                }
            }
            outcome.stats = stats;
        }
        println!(
            "{} live evicted, {} expired, {} looks: {} ‰ of the log, {} ‰ of the entries expired, {} ‰ \
             lived",
            outcome.stats.evictions,
            outcome.stats.expirations,
            outcome.looks,
            outcome.of_log,
            outcome.of_entries,
            outcome.live,
        );
        assert!(outcome.cache.verify().unwrap().is_sound());
        outcome
    }
}

impl Outcome {
    /// Counts what has expired and is still there.
    fn look(&mut self, stats: &Stats) {
        let current = self.cache.keys().count() as u64;
        let expired = stats.live_bytes.saturating_sub(current * RECORD);
        self.looks += 1;
        self.of_log = self.of_log.max(expired * 1000 / (stats.segments * stats.segment_bytes));
        let log = (stats.segments_used - 2) * stats.segment_bytes;
        self.live = self.live.min(current * RECORD * 1000 / log);
        if stats.max_entries < u64::MAX {
            let expired = stats.entries.saturating_sub(current);
            self.of_entries = self.of_entries.max(expired * 1000 / stats.max_entries);
        }
    }

    fn assert_expired_went_first(&self) {
        assert!(self.looks > 10, "too few looks to say anything: {self:?}");
        if self.stats.max_entries == u64::MAX {
            assert!(self.live >= 700, "only {} ‰ lived", self.live);
        }
        assert!(self.of_log <= 50, "{} ‰ of the log had expired", self.of_log);
        assert!(self.of_entries <= 50, "{} ‰ of the entries had expired", self.of_entries);
    }
}

/// Every tenth put is one of 10,000 keys for an hour, the others are new keys for a second.
fn one_in_ten_for_long(number: u64) -> (u64, u64) {
    if number.is_multiple_of(10) {
        (number / 10 % 10_000, HOUR)
    } else {
        (1_000_000 + number, SECOND)
    }
}

#[test]
fn entries_for_long_stay_where_those_for_a_second_leave_room_enough() {
    for (puts_a_millisecond, seconds) in [(4, 45), (8, 20)] {
        let puts = puts_a_millisecond * seconds * 1000;
        let load = Load::new(FileCache::builder().max_bytes(64 << 20), puts);
        let outcome = Load { puts_a_millisecond, ..load }.play(one_in_ten_for_long);
        assert_eq!(outcome.stats.evictions, 0);
        let kept = |key: &u64| outcome.cache.contains_key(key.to_le_bytes());
        assert_eq!((0..10_000).filter(kept).count(), 10_000);
    }
}

#[test]
fn with_one_time_for_all_what_expired_goes_first_at_any_rate() {
    for (puts_a_millisecond, ttl) in [(100, 35), (100, 70), (100, SECOND), (10, SECOND), (1, 6800)]
    {
        let load = Load::new(FileCache::builder().max_bytes(8 << 20), 60_000);
        let outcome = Load { puts_a_millisecond, ..load }.play(|number| (number, ttl));
        if puts_a_millisecond * ttl * RECORD * 2 < 8 << 20 {
            assert_eq!(outcome.stats.evictions, 0, "there is room for all: {outcome:?}");
        } else {
            outcome.assert_expired_went_first();
        }
    }
}

#[test]
fn with_times_from_a_second_to_a_year_what_expired_goes_first() {
    for (milliseconds_a_put, look_at_one_in) in [(1, 10), (100, 5), (20_000, 1)] {
        let mut random = Random::new(common::seed());
        let load = Load::new(FileCache::builder().max_bytes(8 << 20), 60_000);
        let load = Load { milliseconds_a_put, look_at_one_in, ..load };
        let outcome = load.play(|number| {
            // Each doubling of the time is as likely.
            let doublings = random.below(25);
            (number, (SECOND << doublings).min(YEAR) + random.below(SECOND << doublings))
        });
        outcome.assert_expired_went_first();
    }
}

#[test]
fn in_a_store_that_syncs_what_expired_goes_first_too() {
    let mut random = Random::new(common::seed());
    let load = Load::new(FileCache::builder().max_bytes(8 << 20), 40_000);
    let load = Load { milliseconds_a_put: 50, look_at_one_in: 10, syncs: true, ..load };
    let outcome = load.play(|number| {
        let doublings = random.below(25);
        (number, (SECOND << doublings) + random.below(SECOND << doublings))
    });
    outcome.assert_expired_went_first();
}

#[test]
fn with_times_that_fall_as_time_goes_on_what_expired_goes_first() {
    for last in [SECOND / 10, 5 * SECOND] {
        let (puts, first) = (60_000, 20 * SECOND);
        let load = Load::new(FileCache::builder().max_bytes(8 << 20), puts);
        let ttl = |number| first - (first - last) * number / puts;
        load.play(|number| (number, ttl(number))).assert_expired_went_first();
    }
}

#[test]
fn a_burst_for_a_moment_goes_before_what_is_there_for_long() {
    // Live entries of an hour fill the log; now and then come some hundred for ten milliseconds.
    let load = Load::new(FileCache::builder().max_bytes(8 << 20), 60_000);
    let burst = |number: u64| (number, if number % 4000 < 900 { 10 } else { HOUR });
    load.play(burst).assert_expired_went_first();
}

#[test]
fn what_expired_goes_first_where_entries_are_at_their_limit() {
    let limits = [(500, 8 << 20), (4000, 32 << 20), (4000, 8 << 20)];
    for (max_entries, max_bytes) in limits {
        let mut random = Random::new(common::seed());
        let builder = || FileCache::builder().max_bytes(max_bytes).max_entries(max_entries);
        let mixed = Load::new(builder(), 40_000).play(|number| {
            let doublings = random.below(25);
            (number, (SECOND << doublings) + random.below(SECOND << doublings))
        });
        mixed.assert_expired_went_first();
        let ttl = max_entries * 11 / 10;
        Load::new(builder(), 40_000).play(|number| (number, ttl)).assert_expired_went_first();
        let falling = |number| (number, 40_000 - number * 39 / 40);
        Load::new(builder(), 40_000).play(falling).assert_expired_went_first();
    }
}
