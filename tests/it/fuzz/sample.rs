//! Small stores that are damaged and used, put back before each input: always the same bytes (clock, boot
//! and seed are set by hand), so that an input means the same in every process.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use larder::internals::Simulated;
use larder::internals::identity::Identity;
use larder::{Builder, FileCache};

use crate::common::value;

/// Keys 0..KEYS are in the stores, in version 1; so many that the index was split.
pub const KEYS: u64 = 230;
/// The boot in which they were made.
pub const BOOT: [u64; 2] = [1, 1];
const NOW: u64 = 1_700_000_000_000;
const NAMES: [&str; 2] = ["log", "index"];
const PAGE: usize = 4096;

/// A store that nobody uses, and the bytes of its files.
pub struct Sample {
    /// Its directory.
    pub path: PathBuf,
    /// What its file `store` says.
    pub identity: Identity,
    /// What its clock shows.
    pub system: Simulated,
    store: Vec<u8>,
    files: [Content; 2],
}

/// A file's length, and the pages in it that are not all zero.
struct Content {
    length: u64,
    pages: Vec<(u64, Vec<u8>)>,
}

/// The samples of this process, by number: one that never synced, one that did, one that was cleared.
pub fn sample(number: usize) -> MutexGuard<'static, Sample> {
    static SAMPLES: [OnceLock<Mutex<Sample>>; 3] = [const { OnceLock::new() }; 3];
    let number = number % SAMPLES.len();
    let sample = SAMPLES[number].get_or_init(|| {
        let path = home().join(number.to_string());
        Mutex::new(Sample::new(&path, number))
    });
    sample.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory of this process, in memory if there is such a place. A fuzzer ends without a farewell:
/// those of the dead are removed here.
pub fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        const PREFIX: &str = "larder-fuzz-";
        for entry in fs::read_dir(&base).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix(PREFIX).filter(|owner| owner.parse::<u32>().is_ok());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let home = base.join(format!("{PREFIX}{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        home
    })
}

impl Sample {
    pub fn new(path: &Path, number: usize) -> Self {
        let words = [3, 5, 0x51E1_93BA_7C44_D2F7];
        let system = Simulated::default().at(NOW).in_boot(BOOT).with_random(words);
        let builder = FileCache::builder()
            .max_bytes(3 << 19)
            .max_entries(if number == 1 { u64::MAX } else { 400 })
            .max_processes(2)
            .segment_size(64 << 10)
            .environment(system.environment());
        let cache = builder.open(path).unwrap();
        if number == 2 {
            for key in 0..50u64 {
                cache.insert(key.to_le_bytes(), value(key, 0, 100)).unwrap();
            }
            cache.clear().unwrap();
        }
        for key in 0..KEYS + 20 {
            // Some make segments full, one is as large as a chunk.
            let length = if key % 16 == 0 { 6000 } else { 24 + key as usize % 60 };
            let ttl = (key % 10 == 0).then_some(Duration::from_secs(3600));
            cache.insert_with_ttl(key.to_le_bytes(), value(key, 1, length), ttl).unwrap();
            if number == 1 && key == KEYS / 2 {
                cache.sync().unwrap();
            }
        }
        for key in KEYS..KEYS + 20 {
            cache.remove(key.to_le_bytes()).unwrap();
        }
        assert_eq!((cache.len(), cache.stats().evictions), (KEYS, 0));
        drop(cache);
        Self::keep(path, &system)
    }

    /// The store in a directory, as it is. Nobody uses it.
    pub fn keep(path: &Path, system: &Simulated) -> Self {
        for name in NAMES {
            fs::hard_link(path.join(name), path.with_extension(name)).unwrap();
        }
        let store = fs::read(path.join("store")).unwrap();
        Self {
            path: path.to_owned(),
            identity: Identity::decode(&store).unwrap(),
            system: system.clone(),
            store,
            files: NAMES.map(|name| Content::of(&fs::read(path.join(name)).unwrap())),
        }
    }

    /// Puts the files' bytes back, into the same files, so that the boot stays the same.
    pub fn restore(&self) {
        self.system.set_clock(NOW);
        fs::write(self.path.join("store"), &self.store).unwrap();
        for (name, content) in NAMES.iter().zip(&self.files) {
            let (path, kept) = (self.path.join(name), self.path.with_extension(name));
            let inode = |path: &Path| fs::metadata(path).map(|metadata| metadata.ino()).ok();
            if inode(&path) != inode(&kept) {
                let _ = fs::remove_file(&path);
                fs::hard_link(kept, &path).unwrap();
            }
            content.write(&OpenOptions::new().write(true).open(path).unwrap());
        }
    }

    /// To open it in the boot of this id.
    pub fn builder(&self, boot_id: [u64; 2]) -> Builder {
        // Where damage says that somebody holds the lock, it is not let go.
        let patience = Duration::from_millis(1);
        let system = self.system.clone().in_boot(boot_id);
        FileCache::builder().lock_timeout(patience).environment(system.environment())
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        let pages = (0..).step_by(PAGE).zip(bytes.chunks(PAGE));
        let filled = pages.filter(|(_, page)| page.iter().any(|&byte| byte != 0));
        Self {
            length: bytes.len() as u64,
            pages: filled.map(|(offset, page)| (offset, page.to_vec())).collect(),
        }
    }

    /// Replaces a file's content by this; what is zero stays a hole.
    fn write(&self, file: &File) {
        file.set_len(0).unwrap();
        file.set_len(self.length).unwrap();
        for (offset, page) in &self.pages {
            file.write_all_at(page, *offset).unwrap();
        }
    }
}
