//! Power cuts, simulated: between syncs the kernel writes pages when it likes, a cut may leave each
//! page as of any moment since the last sync, or mixed of two at the grain of a sector.
//!
//! The store's files are read at random moments. A cut builds files in which each page is as of one
//! of those moments, not before what the last sync covers, and opens them as after another boot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder::internals::{Seams, SyncHook, SyncMoment};
use larder::{FileCache, Ttl};

use crate::common::{self, Random, check, value};

const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// Milliseconds that the clock shows at first.
const FIRST_MOMENT: u64 = 1_700_000_000_000;

/// Both files at a moment.
#[derive(Clone, Default)]
struct Moment {
    log: Vec<u8>,
    index: Vec<u8>,
}

impl Moment {
    fn read(directory: &Path) -> Self {
        let read = |name| std::fs::read(directory.join(name)).unwrap();
        Self { log: read("log"), index: read("index") }
    }
}

/// What the disk and the keys may be.
struct World {
    directory: PathBuf,
    random: Random,
    /// The oldest state that a cut may leave, then later ones.
    moments: Vec<Moment>,
    /// What a sync under way has flushed so far.
    flushing: Moment,
    /// Versions of each key since the last sync, the one it covered first. `None`: absent.
    history: HashMap<u64, Vec<Option<u64>>>,
    /// When versions that expire do so, in milliseconds.
    expiries: HashMap<u64, u64>,
    clock: Arc<AtomicU64>,
    cuts: u64,
}

impl World {
    /// A directory as a cut now may leave it.
    fn cut(&mut self, to: &Path) {
        self.cuts += 1;
        let mut moments = self.moments.clone();
        moments.push(Moment::read(&self.directory));
        let style = self.random.below(6);
        std::fs::create_dir(to).unwrap();
        for name in ["log", "index"] {
            let files: Vec<&Vec<u8>> = moments
                .iter()
                .map(|moment| if name == "log" { &moment.log } else { &moment.index })
                .collect();
            // Adversarial styles: all of one file old and the other new, or the control block apart.
            let fixed = match (style, name) {
                (1, "log") | (2, "index") => Some(0),
                (1, "index") | (2, "log") => Some(files.len() - 1),
                _ => None,
            };
            let length = files.iter().map(|file| file.len()).max().unwrap();
            let middle = length / PAGE / 2;
            let mut bytes = vec![0u8; length];
            for page in 0..length.div_ceil(PAGE) {
                let mixed = fixed.is_none() && self.random.one_in(8);
                let mut from = self.random.below(files.len() as u64) as usize;
                for sector in 0..PAGE / SECTOR {
                    if mixed {
                        from = self.random.below(files.len() as u64) as usize;
                    }
                    let mut chosen = fixed.unwrap_or(from);
                    chosen = match (style, name) {
                        (3, "log") if page == 0 => 0,
                        // The pages that splits emptied are new and those that they filled old, or
                        // the other way round.
                        (4, "index") if page > middle => 0,
                        (5, "index") if page <= middle => 0,
                        (4 | 5, "index") => files.len() - 1,
                        _ => chosen,
                    };
                    let at = page * PAGE + sector * SECTOR;
                    let end = (at + SECTOR).min(length);
                    let source = files[chosen];
                    if end <= source.len() {
                        bytes[at..end].copy_from_slice(&source[at..end]);
                    }
                }
            }
            std::fs::write(to.join(name), bytes).unwrap();
        }
        std::fs::copy(self.directory.join("store"), to.join("store")).unwrap();
    }

    /// Promise 3: what the sync covered and nobody touched since is there; what was touched is old,
    /// new or missing; nothing is wrong, nothing older comes back, and nothing that expired.
    fn examine(&self, cache: &FileCache) -> HashMap<u64, Vec<Option<u64>>> {
        let now = self.clock.load(Ordering::Relaxed);
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

    /// What the flushes before this one have done. (The log is flushed again only after both.)
    fn flushes(&mut self, moment: SyncMoment) {
        if moment == SyncMoment::Log && !self.flushing.index.is_empty() {
            self.moments = vec![self.flushing.clone()];
        }
    }

    fn flushed(&mut self, moment: SyncMoment) {
        let now = Moment::read(&self.directory);
        match moment {
            SyncMoment::Log => self.flushing.log = now.log,
            SyncMoment::Index => self.flushing.index = now.index,
            SyncMoment::Done => {
                self.moments = vec![std::mem::take(&mut self.flushing)];
                for versions in self.history.values_mut() {
                    let newest = versions.pop().unwrap();
                    *versions = vec![newest];
                }
            }
        }
    }
}

struct Run {
    root: tempfile::TempDir,
    seams: Seams,
    world: Arc<Mutex<World>>,
    boot: u64,
}

impl Run {
    fn open(&mut self, directory: &Path, hooked: bool) -> FileCache {
        self.boot += 1;
        let mut seams = self.seams.clone();
        seams.boot_id = Some([1, self.boot]);
        if !hooked {
            seams.sync_hook = None;
        }
        FileCache::builder().seams(seams).open(directory).unwrap()
    }
}

/// Keeps account of what syncs have flushed, and cuts the power in the middle of some.
fn cutting_hook(world: Arc<Mutex<World>>, root: PathBuf) -> SyncHook {
    SyncHook(Arc::new(move |moment| {
        let mut world = world.lock().unwrap();
        world.flushes(moment);
        if world.random.one_in(8) {
            // A cut in the middle of the sync, looked at on the side.
            let to = root.join(format!("side {}", world.cuts));
            world.cut(&to);
            let clock = Some(world.clock.clone());
            let seams = Seams { boot_id: Some([2, world.cuts]), clock, ..Seams::default() };
            let cache = FileCache::builder().seams(seams).open(&to).unwrap();
            world.examine(&cache);
            drop(cache);
            std::fs::remove_dir_all(to).unwrap();
        }
        world.flushed(moment);
    }))
}

/// What is done to a store.
#[derive(Clone, Copy)]
struct Load {
    keys: u64,
    /// Bytes of the longest value.
    longest: u64,
}

/// One store through many cuts, one after the other; how many.
fn cuts(seed: u64, load: Load, rounds: u64) -> u64 {
    let root = common::fast_directory();
    let directory = root.path().join("0");
    let clock = Arc::new(AtomicU64::new(FIRST_MOMENT));
    let world = Arc::new(Mutex::new(World {
        directory: directory.clone(),
        random: Random::new(seed),
        moments: Vec::new(),
        flushing: Moment::default(),
        history: (0..load.keys).map(|key| (key, vec![None])).collect(),
        expiries: HashMap::new(),
        clock: clock.clone(),
        cuts: 0,
    }));
    let hook = cutting_hook(world.clone(), root.path().to_owned());
    let seams = Seams { sync_hook: Some(hook), clock: Some(clock), ..Seams::default() };
    let mut run = Run { root, seams, world, boot: 0 };
    run.boot += 1;
    let mut seams = run.seams.clone();
    seams.boot_id = Some([1, run.boot]);
    let mut cache = FileCache::builder()
        .max_bytes(3 << 20)
        .max_processes(4)
        .segment_size(64 << 10)
        .seams(seams)
        .open(&directory)
        .unwrap();
    cache.sync().unwrap();
    let mut random = Random::new(seed ^ 77);
    let mut version = 0;
    for round in 1..=rounds {
        for _ in 0..random.below(4000) {
            version += 1;
            step(&mut random, &cache, &run.world, load, version);
        }
        assert_eq!(
            cache.stats().evictions,
            0,
            "there was room for everything: {:?}",
            cache.stats()
        );
        // The cut: the next directory is what it leaves of this one.
        let to = run.root.path().join(round.to_string());
        run.world.lock().unwrap().cut(&to);
        drop(cache);
        std::fs::remove_dir_all(&run.world.lock().unwrap().directory).unwrap();
        cache = run.open(&to, true);
        assert!(cache.opening().other_boot, "{:?}", cache.opening());
        let mut world = run.world.lock().unwrap();
        world.history = world.examine(&cache);
        world.directory = to.clone();
        // What is seen now is on the disk: opening has made it so.
        world.moments = vec![Moment::read(&to)];
        drop(world);
        let report = cache.verify().unwrap();
        assert_eq!(report.miscounted_segments, 0, "{report:?}");
        assert_eq!(report.counted, report.whole + report.damaged, "{report:?}");
        assert!(common::disk(&to) <= 3 << 20);
    }
    run.world.lock().unwrap().cuts
}

fn step(
    random: &mut Random,
    cache: &FileCache,
    world: &Arc<Mutex<World>>,
    load: Load,
    version: u64,
) {
    let key = random.below(load.keys);
    let touch = |new| world.lock().unwrap().history.get_mut(&key).unwrap().push(new);
    match random.below(400) {
        0 => {
            cache.sync().unwrap();
        }
        1 => {
            let mut world = world.lock().unwrap();
            let now = Moment::read(&world.directory);
            world.moments.push(now);
            if world.moments.len() > 6 {
                world.moments.remove(1);
            }
        }
        2 if random.one_in(20) => {
            cache.clear().unwrap();
            for versions in world.lock().unwrap().history.values_mut() {
                versions.push(None);
            }
        }
        3 => {
            world.lock().unwrap().clock.fetch_add(random.below(2000), Ordering::Relaxed);
        }
        4..60 => {
            cache.remove(key.to_le_bytes()).unwrap();
            touch(None);
        }
        60..100 => {
            let ttl = random.below(3000);
            let mut world = world.lock().unwrap();
            let now = world.clock.load(Ordering::Relaxed);
            world.expiries.insert(version, now + ttl);
            drop(world);
            let bytes = value(key, version, 24 + random.below(load.longest) as usize);
            let ttl = Ttl::After(Duration::from_millis(ttl));
            cache.insert_with_ttl(key.to_le_bytes(), bytes, ttl).unwrap();
            touch(Some(version));
        }
        _ => {
            let bytes = value(key, version, 24 + random.below(load.longest) as usize);
            cache.insert(key.to_le_bytes(), bytes).unwrap();
            touch(Some(version));
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
        let cache = FileCache::builder().max_bytes(3 << 20).max_processes(4).open(&path).unwrap();
        let mut moments = vec![Moment::read(&path)];
        for i in 0..6000u64 {
            let key = random.below(800);
            cache
                .insert(key.to_le_bytes(), value(key, i, 24 + random.below(900) as usize))
                .unwrap();
            if random.one_in(1500) {
                moments.push(Moment::read(&path));
            }
        }
        let history = (0..800).map(|key| (key, Vec::new())).collect();
        let mut world = World {
            directory: path.clone(),
            random: Random::new(random.next()),
            moments,
            flushing: Moment::default(),
            history,
            expiries: HashMap::new(),
            clock: Arc::default(),
            cuts: 0,
        };
        for cut in 0..5 {
            let to = root.path().join(format!("cut {cut}"));
            world.cut(&to);
            let cache = FileCache::open(&to).unwrap();
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
    }
}
