//! Power cuts, simulated: between syncs the kernel writes pages when it likes, a cut may leave each
//! page as of any moment since the last sync, or mixed of two at the grain of a sector.
//!
//! The store's files are read at random moments. A cut builds files in which each page is as of one
//! of those moments, not before what the last sync covers, and opens them as after another boot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use larder::FileCache;
use larder::testing::{Seams, SyncHook, SyncMoment};

use crate::common::{self, Random, check, value};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

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
    /// The store in use: it tells whether it had to evict.
    cache: Option<FileCache>,
    cuts: u64,
}

impl World {
    /// A directory as a cut now may leave it.
    fn cut(&mut self, to: &Path) {
        self.cuts += 1;
        let mut moments = self.moments.clone();
        moments.push(Moment::read(&self.directory));
        let style = self.random.below(4);
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
            let mut bytes = vec![0u8; length];
            for page in 0..length.div_ceil(PAGE) {
                let mixed = fixed.is_none() && self.random.one_in(8);
                let mut from = self.random.below(files.len() as u64) as usize;
                for sector in 0..PAGE / SECTOR {
                    if mixed {
                        from = self.random.below(files.len() as u64) as usize;
                    }
                    let mut chosen = fixed.unwrap_or(from);
                    if style == 3 && name == "log" && page == 0 {
                        chosen = 0;
                    }
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

    fn evictions(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| cache.stats().evictions)
    }

    /// Promise 3: what the sync covered and nobody touched since is there; what was touched is old,
    /// new or missing; nothing is wrong and nothing older comes back.
    fn examine(&self, cache: &FileCache) -> HashMap<u64, Vec<Option<u64>>> {
        let mut found = HashMap::new();
        let mut lost = Vec::new();
        for (&key, versions) in &self.history {
            let version = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
            let touched = versions.len() > 1;
            let may_be = versions.contains(&version) || version.is_none();
            assert!(may_be, "cut {}: key {key} is {version:?} of {versions:?}", self.cuts);
            if !touched && !versions.contains(&version) {
                lost.push((key, versions));
            }
            found.insert(key, vec![version]);
        }
        // Known to happen where no segment was free at the last cut; no more than were evicted.
        let evictions = self.evictions();
        assert!(lost.len() as u64 <= evictions, "cut {}, {evictions} evicted: {lost:?}", self.cuts);
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
            let seams = Seams { boot_id: Some([2, world.cuts]), ..Seams::default() };
            let cache = FileCache::builder().seams(seams).open(&to).unwrap();
            world.examine(&cache);
            drop(cache);
            std::fs::remove_dir_all(to).unwrap();
        }
        world.flushed(moment);
    }))
}

/// One store through many cuts, one after the other, with `keys` keys.
fn cuts(seed: u64, keys: u64, rounds: u64) -> u64 {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("0");
    let world = Arc::new(Mutex::new(World {
        directory: directory.clone(),
        random: Random::new(seed),
        moments: Vec::new(),
        flushing: Moment::default(),
        history: (0..keys).map(|key| (key, vec![None])).collect(),
        cache: None,
        cuts: 0,
    }));
    let hook = cutting_hook(world.clone(), root.path().to_owned());
    let seams = Seams { sync_hook: Some(hook), ..Seams::default() };
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
            step(&mut random, &cache, &run.world, keys, version);
        }
        let evicted = cache.stats().evictions;
        assert!(evicted < 100, "the test wants room for everything: {:?}", cache.stats());
        if evicted > 0 {
            println!("ended early: no segment was free after cut {round}, {evicted} evicted");
            break;
        }
        // The cut: the next directory is what it leaves of this one.
        let to = run.root.path().join(round.to_string());
        run.world.lock().unwrap().cut(&to);
        run.world.lock().unwrap().cache = None;
        drop(cache);
        std::fs::remove_dir_all(&run.world.lock().unwrap().directory).unwrap();
        cache = run.open(&to, true);
        assert!(cache.opening().other_boot, "{:?}", cache.opening());
        let mut world = run.world.lock().unwrap();
        world.history = world.examine(&cache);
        world.directory = to.clone();
        world.cache = Some(cache.clone());
        // What is seen now is on the disk: opening has made it so.
        world.moments = vec![Moment::read(&to)];
        drop(world);
        let report = cache.verify().unwrap();
        assert_eq!(report.miscounted_segments, 0, "{report:?}");
        assert_eq!(report.counted, report.whole + report.damaged, "{report:?}");
        assert!(common::disk(&to) <= 3 << 20);
    }
    // The hook holds the world, and the world a handle of the store whose hook it is.
    let mut world = run.world.lock().unwrap();
    world.cache = None;
    world.cuts
}

fn step(
    random: &mut Random,
    cache: &FileCache,
    world: &Arc<Mutex<World>>,
    keys: u64,
    version: u64,
) {
    let key = random.below(keys);
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
        2..60 => {
            cache.remove(key.to_le_bytes()).unwrap();
            touch(None);
        }
        _ => {
            let length = 24 + random.below(600) as usize;
            cache.insert(key.to_le_bytes(), value(key, version, length)).unwrap();
            touch(Some(version));
        }
    }
}

#[test]
fn a_power_cut_costs_at_most_what_was_not_synced() {
    let seed = common::seed();
    let mut total = 0;
    for (run, keys) in [(0, 40), (1, 300), (2, 1500), (3, 1500)] {
        total += cuts(seed.wrapping_add(run), keys, 6);
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
            cache: None,
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
