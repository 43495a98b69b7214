//! Power cuts, simulated: between syncs the kernel writes pages when it likes, a cut may leave each
//! page as of any moment since the last sync, or mixed of two at the grain of a sector.
//!
//! The simulated side of the system remembers the files as of their last flush and of random moments. A cut
//! builds files in which each page is as of one of those, and opens them as after another boot.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder::internals::{SECTOR, Simulated, control};
use larder::{FileCache, Ttl};

use crate::common::{self, Random, check, value};

const PAGE: usize = 4096;
/// Milliseconds that the clock shows at first.
const FIRST_MOMENT: u64 = 1_700_000_000_000;

/// What the disk and the keys may be.
struct World {
    directory: PathBuf,
    random: Random,
    system: Simulated,
    /// The syncs done when it was last looked.
    syncs: u64,
    /// Versions of each key since the last sync, the one it covered first. `None`: absent.
    history: HashMap<u64, Vec<Option<u64>>>,
    /// When versions that expire do so, in milliseconds.
    expiries: HashMap<u64, u64>,
    cuts: u64,
}

impl World {
    /// A directory as a cut now may leave it.
    fn cut(&mut self, to: &Path) {
        self.cuts += 1;
        std::fs::create_dir(to).unwrap();
        let style = self.random.below(6);
        let index = std::fs::metadata(self.directory.join("index")).unwrap().len() as usize;
        let middle = index / PAGE / 2;
        let random = &mut self.random;
        let (mut from, mut mixed) = (0, false);
        let choose = |name: &str, sector: usize, versions: usize| {
            let (page, is_first) = (sector * SECTOR / PAGE, sector.is_multiple_of(PAGE / SECTOR));
            if is_first {
                mixed = random.one_in(8);
            }
            if is_first || mixed {
                from = random.below(versions as u64) as usize;
            }
            let newest = versions - 1;
            match (style, name) {
                (_, "store") => newest,
                // Adversarial styles: all of one file old and the other new, or the control block apart.
                (1, "log") | (2, "index") => 0,
                (1, "index") | (2, "log") => newest,
                (3, "log") if page == 0 => 0,
                // The pages that splits emptied are new and those that they filled old, or
                // the other way round.
                (4, "index") if page > middle => 0,
                (5, "index") if page <= middle => 0,
                (4 | 5, "index") => newest,
                _ => from,
            }
        };
        self.system.forget(&self.directory, to, choose).unwrap();
    }

    /// Promise 3: what the sync covered and nobody touched since is there; what was touched is old,
    /// new or missing; nothing is wrong, nothing older comes back, and nothing that expired.
    fn examine(&self, cache: &FileCache) -> HashMap<u64, Vec<Option<u64>>> {
        let now = self.system.clock();
        let mut found = HashMap::new();
        for (&key, versions) in &self.history {
            let version = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
            let expires = |version| self.expiries.get(version).is_some_and(|&at| at <= now);
            assert!(!version.as_ref().is_some_and(expires), "key {key}: {version:?} has expired");
            let touched = versions.len() > 1 || versions[0].as_ref().is_some_and(expires);
            let may_be = versions.contains(&version) || touched && version.is_none();
            assert!(may_be, "cut {}: key {key} is {version:?} of {versions:?}", self.cuts);
            found.insert(key, vec![version]);
        }
        found
    }

    /// What a sync that is done by now covers is what each key was before this operation.
    fn note_syncs(&mut self) {
        let mut word = [0; 8];
        let log = std::fs::File::open(self.directory.join("log")).unwrap();
        log.read_exact_at(&mut word, control::SYNCS_DONE.offset()).unwrap();
        let syncs = u64::from_le_bytes(word);
        if syncs == self.syncs {
            return;
        }
        self.syncs = syncs;
        for versions in self.history.values_mut() {
            let newest = versions.pop().unwrap();
            *versions = vec![newest];
        }
    }
}

/// Cuts the power in the middle of some syncs, and looks at what is left on the side.
fn cut_in_syncs(world: &Arc<Mutex<World>>, root: PathBuf) {
    let told = world.clone();
    world.lock().unwrap().system.on_flush(move |_, _| {
        let mut world = told.lock().unwrap();
        if !world.random.one_in(12) {
            return;
        }
        let to = root.join(format!("side {}", world.cuts));
        world.cut(&to);
        let system = Simulated::default().at(world.system.clock()).in_boot([2, world.cuts]);
        let cache = FileCache::builder().environment(system.environment()).open(&to).unwrap();
        world.examine(&cache);
        drop(cache);
        std::fs::remove_dir_all(to).unwrap();
    });
}

/// What is done to a store.
#[derive(Clone, Copy)]
struct Load {
    keys: u64,
    /// Bytes of the longest value.
    longest: u64,
}

/// A system whose clock shows `now`, which was not in this boot before.
fn after_boot(boot: u64, now: u64) -> Simulated {
    Simulated::default().at(now).in_boot([1, boot]).remembering()
}

/// One store through many cuts, one after the other; how many.
fn cuts(seed: u64, load: Load, rounds: u64) -> u64 {
    let root = common::fast_directory();
    let directory = root.path().join("0");
    let system = after_boot(0, FIRST_MOMENT);
    let mut cache = FileCache::builder()
        .max_bytes(3 << 20)
        .max_processes(4)
        .segment_size(64 << 10)
        .environment(system.environment())
        .open(&directory)
        .unwrap();
    cache.sync().unwrap();
    let world = Arc::new(Mutex::new(World {
        directory,
        random: Random::new(seed),
        system,
        syncs: 0,
        history: (0..load.keys).map(|key| (key, vec![None])).collect(),
        expiries: HashMap::new(),
        cuts: 0,
    }));
    cut_in_syncs(&world, root.path().to_owned());
    let mut random = Random::new(seed ^ 77);
    let mut version = 0;
    for round in 1..=rounds {
        for _ in 0..random.below(4000) {
            version += 1;
            step(&mut random, &cache, &world, load, version);
        }
        let stats = cache.stats();
        assert_eq!(stats.evictions, 0, "there was room for everything: {stats:?}");
        // The cut: the next directory is what it leaves of this one.
        let to = root.path().join(round.to_string());
        world.lock().unwrap().cut(&to);
        drop(cache);
        std::fs::remove_dir_all(&world.lock().unwrap().directory).unwrap();
        cache = open_after_cut(&world, &to, round);
        cut_in_syncs(&world, root.path().to_owned());
    }
    world.lock().unwrap().cuts
}

/// Opens what a cut left, as after another boot, and goes on with it. What is seen now is on the disk:
/// opening has made it so.
fn open_after_cut(world: &Arc<Mutex<World>>, directory: &Path, boot: u64) -> FileCache {
    let mut world = world.lock().unwrap();
    let system = after_boot(boot, world.system.clock());
    let cache = FileCache::builder().environment(system.environment()).open(directory).unwrap();
    assert!(cache.opening().other_boot, "{:?}", cache.opening());
    world.history = world.examine(&cache);
    world.directory = directory.to_owned();
    world.system = system;
    world.note_syncs();
    let report = cache.verify().unwrap();
    assert_eq!(report.miscounted_segments, 0, "{report:?}");
    assert_eq!(report.counted, report.whole + report.damaged, "{report:?}");
    assert!(common::disk(directory) <= 3 << 20);
    cache
}

fn step(
    random: &mut Random,
    cache: &FileCache,
    world: &Arc<Mutex<World>>,
    load: Load,
    version: u64,
) {
    let key = random.below(load.keys);
    let name = key.to_le_bytes();
    // After an operation: what it has synced first, then what it has changed.
    let done = |change: &dyn Fn(&mut World)| {
        let mut world = world.lock().unwrap();
        world.note_syncs();
        change(&mut world);
    };
    let touched = |new| done(&|world| world.history.get_mut(&key).unwrap().push(new));
    match random.below(400) {
        0 => {
            cache.sync().unwrap();
            done(&|_| {});
        }
        1 => world.lock().unwrap().system.note_moment(),
        2 if random.one_in(20) => {
            cache.clear().unwrap();
            done(&|world| world.history.values_mut().for_each(|versions| versions.push(None)));
        }
        3 => world.lock().unwrap().system.advance(random.below(2000)),
        4..60 => {
            cache.remove(name).unwrap();
            touched(None);
        }
        60..100 => {
            let ttl = random.below(3000);
            let mut known = world.lock().unwrap();
            let expiry = known.system.clock() + ttl;
            known.expiries.insert(version, expiry);
            drop(known);
            let bytes = value(key, version, 24 + random.below(load.longest) as usize);
            let ttl = Ttl::After(Duration::from_millis(ttl));
            cache.insert_with_ttl(name, bytes, ttl).unwrap();
            touched(Some(version));
        }
        _ => {
            let bytes = value(key, version, 24 + random.below(load.longest) as usize);
            cache.insert(name, bytes).unwrap();
            touched(Some(version));
        }
    }
}

#[test]
fn a_power_cut_costs_at_most_what_was_not_synced() {
    let seed = common::seed();
    let (begun, duration) = (Instant::now(), common::duration(3));
    // Overwrites of a few, moves of many, splits for very many.
    let loads = [(40, 600), (300, 600), (1500, 600), (1500, 600), (8000, 60)];
    let mut total = 0;
    for (run, (keys, longest)) in (0..).zip(loads.into_iter().cycle()) {
        if run >= loads.len() as u64 && begun.elapsed() > duration {
            break;
        }
        total += cuts(seed.wrapping_add(run), Load { keys, longest }, 6);
    }
    common::evidence("power", total, "simulated power cuts");
}

#[test]
fn a_store_that_never_synced_opens_after_a_cut_with_nothing_wrong_in_it() {
    let mut random = Random::new(common::seed());
    for _ in 0..4 {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        let system = Simulated::default().remembering();
        let builder = FileCache::builder().max_bytes(3 << 20).max_processes(4);
        let cache = builder.environment(system.environment()).open(&path).unwrap();
        for i in 0..6000u64 {
            let key = random.below(800);
            let bytes = value(key, i, 24 + random.below(900) as usize);
            cache.insert(key.to_le_bytes(), bytes).unwrap();
            if random.one_in(1500) {
                system.note_moment();
            }
        }
        let mut world = World {
            directory: path.clone(),
            random: Random::new(random.next()),
            system,
            syncs: 0,
            history: (0..800).map(|key| (key, Vec::new())).collect(),
            expiries: HashMap::new(),
            cuts: 0,
        };
        for cut in 0..5 {
            let to = root.path().join(format!("cut {cut}"));
            world.cut(&to);
            use_unsynced(&to, &mut random);
        }
    }
}

/// Uses what a cut left of a store that never synced.
fn use_unsynced(directory: &Path, random: &mut Random) {
    let cache = FileCache::open(directory).unwrap();
    for key in 0..800u64 {
        if let Some(bytes) = cache.get(key.to_le_bytes()) {
            check(key, &bytes);
        }
    }
    for i in 0..3000u64 {
        let key = random.below(800);
        cache.insert(key.to_le_bytes(), value(key, i, 500)).unwrap();
        assert_eq!(cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes)), Some(i));
    }
    // Slots whose records never reached the disk are misses until their segment is walked.
    let report = cache.verify().unwrap();
    assert_eq!(report.miscounted_segments, 0, "{report:?}");
    assert_eq!(report.counted, report.whole + report.damaged, "{report:?}");
}
