//! The watcher: measures the cache all the time, from outside and from inside.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use larder::FileCache;

use crate::shared::Result;

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(500);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    pub looks: u64,
    pub most_bytes: u64,
    pub most_entries: u64,
    /// What was seen when a limit did not hold for the first time.
    pub violation: Option<String>,
}

pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Watched>,
}

impl Watch {
    /// Watches until told to stop.
    pub fn start(cache: FileCache, max_bytes: u64, max_entries: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let mut watched = Watched::default();
            while !told.load(Ordering::Relaxed) {
                watched.look(&cache, max_bytes, max_entries);
                thread::sleep(PAUSE);
            }
            watched
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> Result<Watched> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the watcher failed".into())
    }
}

impl Watched {
    fn look(&mut self, cache: &FileCache, max_bytes: u64, max_entries: u64) {
        let (entries, bytes) = (cache.len(), disk_bytes(cache.directory()));
        self.looks += 1;
        self.most_entries = self.most_entries.max(entries);
        self.most_bytes = self.most_bytes.max(bytes);
        if self.violation.is_none() && (entries > max_entries || bytes > max_bytes) {
            self.violation = Some(format!(
                "a limit was exceeded: {entries} entries of {max_entries}, \
                 {bytes} bytes of disk of {max_bytes}"
            ));
        }
    }
}

/// Disk that a directory takes, itself included, as `du` counts it.
fn disk_bytes(directory: &Path) -> u64 {
    let blocks = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |file| file.blocks());
    let inside = std::fs::read_dir(directory)
        .map_or(0, |entries| entries.flatten().map(|entry| blocks(&entry.path())).sum());
    (blocks(directory) + inside) * 512
}
