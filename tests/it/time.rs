//! Times to live, with a clock set by hand.

use std::time::Duration;

use larder::internals::Simulated;
use larder::{Builder, FileCache, Ttl};

use crate::common::{self, Random, check, value};

const START: u64 = 1_800_000_000_000;
const YEAR: u64 = 365 * 24 * 3_600_000;

/// A store whose clock this test sets.
struct Timed {
    _dir: tempfile::TempDir,
    system: Simulated,
    cache: FileCache,
}

impl Timed {
    fn new(builder: Builder) -> Self {
        let dir = common::fast_directory();
        let system = Simulated::default().at(START);
        let builder = builder.max_processes(4).environment(system.environment());
        let cache = builder.open(dir.path().join("cache")).unwrap();
        Self { _dir: dir, system, cache }
    }

    fn set(&self, millis: u64) {
        self.system.set_clock(millis);
    }

    fn pass(&self, millis: u64) {
        self.system.advance(millis);
    }

    fn put(&self, key: u64, length: usize, ttl: impl Into<Ttl>) {
        self.cache.insert_with_ttl(key.to_le_bytes(), value(key, 1, length), ttl).unwrap();
    }

    fn has(&self, key: u64) -> bool {
        let name = key.to_le_bytes();
        let found = self.cache.get(name);
        assert_eq!(found.is_some(), self.cache.contains_key(name));
        assert_eq!(found.is_some(), self.cache.view(name).is_some());
        found.map(|bytes| check(key, &bytes)).is_some()
    }
}

#[test]
fn an_entry_lives_to_the_last_millisecond_and_no_longer() {
    let store = Timed::new(FileCache::builder().max_bytes(4 << 20));
    store.put(0, 50, Duration::ZERO);
    store.put(1, 50, Duration::from_millis(1));
    store.put(2, 50, Duration::from_nanos(1));
    store.put(3, 50, Duration::from_secs(10));
    store.put(4, 50, Duration::MAX);
    store.put(5, 50, Ttl::Never);
    store.put(6, 50, Ttl::Default);
    assert_eq!(
        (0..7).map(|key| store.has(key)).collect::<Vec<_>>(),
        [false, true, true, true, true, true, true]
    );
    store.pass(1);
    assert!(!store.has(1) && !store.has(2) && store.has(3));
    store.pass(9998);
    assert!(store.has(3));
    store.pass(1);
    assert!(!store.has(3));
    store.pass(900 * YEAR);
    assert!((4..7).all(|key| store.has(key)));
    assert_eq!(store.cache.iter().count(), 3);
}

#[test]
fn a_time_of_zero_takes_the_old_value_away() {
    let store = Timed::new(FileCache::builder().max_bytes(4 << 20));
    store.put(1, 50, Ttl::Never);
    store.put(1, 50, Duration::ZERO);
    assert!(!store.has(1) && store.cache.is_empty());
}

#[test]
fn the_stores_own_time_holds_where_none_is_given() {
    for (time, kept) in [(1000, false), (u64::MAX / 1_000_000, true)] {
        let store = Timed::new(
            FileCache::builder().max_bytes(4 << 20).time_to_live(Duration::from_millis(time)),
        );
        store.put(1, 50, Ttl::Default);
        store.put(2, 50, Duration::from_secs(100));
        store.put(3, 50, Ttl::Never);
        store.pass(999);
        assert!(store.has(1));
        store.pass(1);
        assert_eq!(store.has(1), kept);
        assert!(store.has(2) && store.has(3));
    }
    let store = Timed::new(FileCache::builder().max_bytes(4 << 20).time_to_live(Duration::MAX));
    store.put(1, 50, Ttl::Default);
    store.pass(YEAR);
    assert!(store.has(1));
}

#[test]
fn a_clock_that_jumps_by_years_never_shows_an_expired_entry() {
    let mut random = Random::new(common::seed());
    let store = Timed::new(FileCache::builder().max_bytes(3 << 20).segment_size(64 << 10));
    let mut expiry = std::collections::HashMap::new();
    let mut hits = 0;
    for number in 0..30_000u64 {
        let key = random.below(400);
        let now = store.system.clock();
        match random.below(200) {
            0 => store.set(
                [0, 1, START - 30 * YEAR, START, START + 50 * YEAR, (1 << 48) - 2]
                    [random.below(6) as usize],
            ),
            1..10 => store.pass(random.below(5000)),
            10..20 => store.set(now.saturating_sub(random.below(3_600_000))),
            20 => {
                store.cache.maintain().unwrap();
            }
            21..120 => {
                let ttl = random.below(10_000) + 1;
                store
                    .cache
                    .insert_with_ttl(
                        key.to_le_bytes(),
                        value(key, number, 24 + random.below(3000) as usize),
                        Duration::from_millis(ttl),
                    )
                    .unwrap();
                expiry.insert(key, (number, (now + ttl).min((1 << 48) - 1)));
            }
            _ => {
                if let Some(bytes) = store.cache.get(key.to_le_bytes()) {
                    let (version, until) = expiry[&key];
                    assert_eq!(check(key, &bytes), version);
                    assert!(
                        now < until || until == (1 << 48) - 1,
                        "{key} expired at {until}: {now}"
                    );
                    hits += 1;
                }
            }
        }
    }
    assert!(hits > 1000, "{hits} hits");
    assert!(store.cache.verify().unwrap().is_sound());
}

#[test]
fn puts_go_on_when_the_clock_has_come_to_its_end() {
    let store = Timed::new(FileCache::builder().max_bytes(3 << 20).segment_size(64 << 10));
    for key in 0..600 {
        store.put(key, 3000, Duration::from_secs(5));
    }
    store.set(u64::MAX);
    for key in 0..3000 {
        store.put(key, 3000, Ttl::Never);
    }
    assert!(store.cache.verify().unwrap().is_sound());
}

#[test]
fn the_space_of_what_expired_comes_back_by_puts_of_other_keys() {
    let store = Timed::new(FileCache::builder().max_bytes(8 << 20).segment_size(128 << 10));
    for key in 0..2000 {
        store.put(key, 1000, Duration::from_secs(5));
    }
    for key in 2000..2200 {
        store.put(key, 1000, Ttl::Never);
    }
    let before = store.cache.stats();
    store.pass(70_000);
    for key in 10_000..14_000 {
        store.put(key % 500 + 10_000, 1000, Ttl::Never);
    }
    let after = store.cache.stats();
    assert_eq!(after.evictions, 0, "{after:?}");
    assert_eq!(after.entries, 700, "{after:?}");
    assert!(after.expirations >= 2000, "{after:?}");
    assert!(after.live_bytes < before.live_bytes / 2, "{before:?} {after:?}");
    assert!((2000..2200).all(|key| store.has(key)));
}

#[test]
fn the_space_of_what_expired_comes_back_by_maintain() {
    let store = Timed::new(FileCache::builder().max_bytes(8 << 20).segment_size(128 << 10));
    for key in 0..1000 {
        store.put(key, 1000, Duration::from_secs(5 + key % 3));
        store.put(key + 5000, 1000, Duration::from_secs(7200));
    }
    store.pass(70_000);
    let report = store.cache.maintain().unwrap();
    assert_eq!(report.collected, 1000, "{report:?}");
    assert_eq!((report.evicted, store.cache.len()), (0, 1000));
    let stats = store.cache.stats();
    assert!(stats.live_bytes < 1200 * 1100, "{stats:?}");
    assert_eq!(store.cache.iter().count(), 1000);
    assert!(store.cache.verify().unwrap().is_sound());
}

#[test]
fn maintain_collects_what_expires_behind_a_sweep_under_way() {
    let store = Timed::new(FileCache::builder().max_bytes(8 << 20).segment_size(128 << 10));
    for key in 0..100 {
        store.put(key, 50, Duration::from_secs(3600));
    }
    store.put(100, 50, Duration::from_secs(1));
    store.put(101, 50, Duration::from_secs(3600));
    store.pass(2_000_000);
    // A sweep is due; this put does its share of it and passes the first records.
    store.put(102, 50, Ttl::Never);
    store.pass(2_000_000);
    store.cache.maintain().unwrap();
    assert_eq!((store.cache.len(), store.cache.iter().count()), (1, 1));
}

#[test]
fn what_expired_goes_before_anything_live_for_want_of_bytes() {
    let store = Timed::new(FileCache::builder().max_bytes(4 << 20).segment_size(128 << 10));
    let room = store.cache.stats().segments * (128 << 10) / 2000;
    // The live ones are older, so eviction would meet them first.
    for key in 0..room / 2 {
        store.put(key, 1900, Ttl::Never);
    }
    for key in room / 2..room * 8 / 10 {
        store.put(key, 1900, Duration::from_secs(5));
    }
    assert_eq!(store.cache.stats().evictions, 0);
    store.pass(100_000);
    for key in 10_000..10_000 + room / 10 {
        store.put(key, 1900, Ttl::Never);
    }
    let stats = store.cache.stats();
    assert_eq!(stats.evictions, 0, "{stats:?}");
    assert!((0..room / 2).all(|key| store.has(key)));
}

#[test]
fn what_expired_goes_before_anything_live_for_want_of_entries() {
    let store = Timed::new(FileCache::builder().max_bytes(8 << 20).max_entries(1000));
    for key in 0..500 {
        store.put(key, 100, Ttl::Never);
    }
    for key in 500..1000 {
        store.put(key, 100, Duration::from_secs(5));
    }
    store.pass(6_000);
    for key in 10_000..10_500 {
        store.put(key, 100, Ttl::Never);
    }
    // In steps: a put that finds none within its share of the sweep evicts.
    let stats = store.cache.stats();
    assert!(stats.evictions <= 4, "{stats:?}");
    assert!(stats.expirations >= 496, "{stats:?}");
    let left = (0..500).filter(|key| store.has(*key)).count() as u64;
    assert_eq!(left + stats.evictions, 500);
}

/// One of several ways in which a store is used.
fn used_in_way(way: u64) -> Timed {
    let builder = FileCache::builder().max_bytes(3 << 20).segment_size(64 << 10);
    Timed::new(match way {
        0 => builder.max_bytes(16 << 20),
        1 => builder.max_entries(700),
        2 => builder.durability(larder::Durability::Every(Duration::from_secs(7))),
        _ => builder,
    })
}

#[test]
fn after_maintain_the_length_is_what_an_iterator_gives_however_the_store_was_used() {
    let mut random = Random::new(common::seed());
    let mut checks = 0;
    for round in 0..12 {
        let store = used_in_way(round % 4);
        let beside = common::of_another_process(store.system.environment());
        let beside = FileCache::builder().environment(beside);
        let beside = beside.open(store.cache.directory()).unwrap();
        for number in 0..4000u64 {
            let cache = if random.one_in(3) { &beside } else { &store.cache };
            let key = random.below(1200);
            let ttl = match random.below(4) {
                0 => Ttl::Never,
                1 => Ttl::After(Duration::from_millis(1 + random.below(100_000))),
                _ => Ttl::After(Duration::from_millis(1 + random.below(5000))),
            };
            let most = if random.one_in(20) { 20_000 } else { 1500 };
            let length = 24 + random.below(most) as usize;
            let name = key.to_le_bytes();
            match random.below(100) {
                0 => store.pass(random.below(9000)),
                1 => _ = cache.remove(name).unwrap(),
                2 if number > 1000 && random.one_in(10) => cache.sync().map(|_| ()).unwrap(),
                3 if random.one_in(20) => cache.clear().unwrap(),
                4 | 5 => {
                    cache.maintain().unwrap();
                    let listed = cache.iter().count() as u64;
                    assert_eq!(
                        cache.len(),
                        listed,
                        "round {round}, operation {number}: {:?}",
                        cache.stats()
                    );
                    checks += 1;
                }
                6..20 => _ = cache.get(name),
                _ => cache.insert_with_ttl(name, value(key, number, length), ttl).unwrap(),
            }
        }
        assert!(store.cache.verify().unwrap().is_sound());
    }
    println!("{checks} times");
}

#[test]
fn after_maintain_the_length_is_what_an_iterator_gives_by_the_real_clock_too() {
    for syncs in [false, true] {
        let dir = common::fast_directory();
        let builder = FileCache::builder().max_bytes(3 << 20).segment_size(64 << 10);
        let cache = builder.open(dir.path().join("cache")).unwrap();
        let put = |key: u64, ttl: Ttl| {
            cache.insert_with_ttl(key.to_le_bytes(), value(key, 1, 1000), ttl).unwrap();
        };
        for key in 0..500 {
            put(key, Duration::from_millis(20 + key).into());
            if syncs && key == 200 {
                cache.sync().unwrap();
            }
        }
        put(500, Ttl::Never);
        while cache.iter().count() > 1 {
            std::thread::sleep(Duration::from_millis(10));
        }
        cache.maintain().unwrap();
        assert_eq!(cache.len(), 1, "{:?}", cache.stats());
    }
}

#[test]
fn what_was_stored_under_a_clock_far_ahead_is_not_trusted_unless_it_never_expires() {
    const MINUTE: u64 = 60_000;
    let store = Timed::new(FileCache::builder().max_bytes(4 << 20));
    let day = START + 24 * 60 * MINUTE;
    store.set(day);
    store.put(1, 50, Duration::from_millis(MINUTE));
    store.put(2, 50, Ttl::Never);
    assert!(store.has(1) && store.has(2));
    for (now, there) in [
        (START, false),
        (day - 6 * MINUTE, false),
        // Clocks are set by a little now and then.
        (day - 4 * MINUTE, true),
        (day + MINUTE, false),
    ] {
        store.set(now);
        assert_eq!(
            store.has(1),
            there,
            "{} s after it was stored",
            (now as i64 - day as i64) / 1000
        );
        assert!(store.has(2));
    }
    // Stored anew, it counts at once.
    store.set(START);
    let computed = store.cache.get_or_insert_with(1u64.to_le_bytes(), || value(1, 1, 50)).unwrap();
    assert_eq!(check(1, &computed), 1);
    store.put(3, 50, Duration::from_millis(MINUTE));
    assert!(store.has(1) && store.has(3));
}

#[test]
fn a_clock_that_is_set_back_does_not_revive_what_was_stored_later() {
    let store = Timed::new(FileCache::builder().max_bytes(4 << 20));
    store.put(1, 50, Duration::from_secs(60));
    store.pass(61_000);
    assert!(!store.has(1));
    store.set(START - 301_000);
    assert!(!store.has(1) && store.cache.iter().next().is_none());
    assert!(!store.cache.remove(1u64.to_le_bytes()).unwrap());
}
