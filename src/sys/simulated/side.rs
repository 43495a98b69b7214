//! How the tests' side is set up, and what it remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sys::clock::KernelClock;
use crate::sys::door::{Clock, Files};
use crate::sys::files::KernelFiles;

/// Bytes that a disk writes as one.
pub const SECTOR: usize = 512;
/// Bytes that a disk allocates at least.
const BLOCK: u64 = 4096;
/// Moments of a file that are kept beside the synced one.
const MOMENTS: usize = 6;
/// The clock goes on.
const GOES_ON: u64 = u64::MAX;

/// What is asked of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "as the calls of the door")]
pub enum What {
    MakeDirectory,
    FileSystem,
    Names,
    Open,
    Create,
    OpenLocks,
    Replace,
    Remove,
    SyncDirectory,
    Length,
    SetLength,
    Read,
    Allocate,
    Punch,
    Sync,
    FileId,
    SetTimes,
    Map,
    Populate,
    Resident,
    ReadAhead,
    LetGo,
    Memory,
    Lock,
    Unlock,
    LookAtLock,
    BootId,
    Random,
}

/// A call, before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub what: What,
    /// Of which file or directory.
    pub path: PathBuf,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or_default();
        write!(f, "{:?} {}", self.what, name.to_string_lossy())
    }
}

/// Where a flush of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It is about to begin.
    Begins,
    /// What was in the file is durable.
    Done,
}

type Decide = dyn FnMut(&Call) -> Option<io::Error> + Send;
type OnFlush = dyn Fn(&Path, Flush) + Send + Sync;

/// The tests' side of the door. Clones are the same one.
#[derive(Clone)]
pub struct Simulated(pub(super) Arc<State>);

pub(super) struct State {
    clock: AtomicU64,
    pub(super) boot: Mutex<Option<[u64; 2]>>,
    pub(super) random: Mutex<Option<[u64; 3]>>,
    pub(super) kind: Mutex<Option<i64>>,
    pub(super) memory: Mutex<Option<u64>>,
    decide: Mutex<Option<Box<Decide>>>,
    on_flush: Mutex<Option<Arc<OnFlush>>>,
    pub(super) disk: Mutex<Disk>,
}

/// What is known of the files.
#[derive(Default)]
pub(super) struct Disk {
    /// Blocks that it has, if it can run full.
    blocks: Option<u64>,
    /// Blocks that are allocated, by inode number; counted once it could run full.
    allocated: Option<BTreeMap<u64, BTreeSet<u64>>>,
    /// What a cut may leave of a file, the synced version first; kept only of what is remembered.
    pub(super) versions: Option<BTreeMap<PathBuf, Vec<Vec<u8>>>>,
}

impl Default for Simulated {
    fn default() -> Self {
        Self(Arc::new(State {
            clock: AtomicU64::new(GOES_ON),
            boot: Mutex::default(),
            random: Mutex::default(),
            kind: Mutex::default(),
            memory: Mutex::default(),
            decide: Mutex::default(),
            on_flush: Mutex::default(),
            disk: Mutex::default(),
        }))
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulated")
    }
}

/// How it is set up: each answers itself, so that calls can follow one another.
impl Simulated {
    /// Stops the clock at a moment, in milliseconds.
    pub fn at(self, millis: u64) -> Self {
        self.set_clock(millis);
        self
    }

    /// Is of this boot.
    pub fn in_boot(self, id: [u64; 2]) -> Self {
        *lock(&self.0.boot) = Some(id);
        self
    }

    /// Has so much memory for files.
    pub fn with_memory(self, bytes: u64) -> Self {
        *lock(&self.0.memory) = Some(bytes);
        self
    }

    /// Draws these numbers for id and seed of a store.
    pub fn with_random(self, words: [u64; 3]) -> Self {
        *lock(&self.0.random) = Some(words);
        self
    }

    /// Says of every directory that it is on a file system of this type, as statfs tells it.
    pub fn on_file_system(self, kind: i64) -> Self {
        *lock(&self.0.kind) = Some(kind);
        self
    }

    /// Keeps what a power cut may leave of the files that are flushed from now on.
    pub fn remembering(self) -> Self {
        lock(&self.0.disk).versions.get_or_insert_default();
        self
    }
}

/// What is done to it while a cache is open.
impl Simulated {
    /// Stops the clock at a moment, in milliseconds.
    pub fn set_clock(&self, millis: u64) {
        self.0.clock.store(millis, Ordering::Relaxed);
    }

    /// What the clock shows.
    pub fn clock(&self) -> u64 {
        self.millis().unwrap_or_else(|| KernelClock.now().get())
    }

    /// What a clock shows that was stopped.
    pub(super) fn millis(&self) -> Option<u64> {
        Some(self.0.clock.load(Ordering::Relaxed)).filter(|millis| *millis != GOES_ON)
    }

    /// Sets a clock that was stopped forward.
    pub fn advance(&self, millis: u64) {
        self.0.clock.fetch_add(millis, Ordering::Relaxed);
    }

    /// Asks `decide` before each call whether it fails.
    pub fn refuse(&self, decide: impl FnMut(&Call) -> Option<io::Error> + Send + 'static) {
        *lock(&self.0.decide) = Some(Box::new(decide));
    }

    /// Refuses nothing any more.
    pub fn refuse_nothing(&self) {
        *lock(&self.0.decide) = None;
    }

    /// From now on the disk has room for so many bytes of what is allocated, or for everything.
    pub fn set_space(&self, bytes: Option<u64>) {
        let mut disk = lock(&self.0.disk);
        disk.blocks = bytes.map(|bytes| bytes / BLOCK);
        disk.allocated.get_or_insert_default();
    }

    /// Tells of each flush of a file.
    pub fn on_flush(&self, tell: impl Fn(&Path, Flush) + Send + Sync + 'static) {
        *lock(&self.0.on_flush) = Some(Arc::new(tell));
    }

    /// Keeps the files as they are now: the kernel may have written any of their pages.
    pub fn note_moment(&self) {
        let mut disk = lock(&self.0.disk);
        for (path, versions) in disk.versions.iter_mut().flatten() {
            if let Ok(bytes) = std::fs::read(path) {
                versions.push(bytes);
            }
            if versions.len() > MOMENTS {
                versions.remove(1);
            }
        }
    }

    /// Makes in `to` the files of the directory `from` as a power cut may leave them: each sector as of one
    /// of the versions since the last flush, which `choose` names by file, sector and their number. Files
    /// that are not remembered are copied.
    pub fn forget(
        &self,
        from: &Path,
        to: &Path,
        mut choose: impl FnMut(&str, usize, usize) -> usize,
    ) -> io::Result<()> {
        let disk = lock(&self.0.disk);
        let mut names = KernelFiles.names(from)?;
        // In an order, so that a seed repeats a cut.
        names.sort_unstable();
        for path in names.into_iter().map(|name| from.join(name)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let now = std::fs::read(&path)?;
            let known = disk.versions.as_ref().and_then(|versions| versions.get(&path));
            let mut versions: Vec<&[u8]> = known.into_iter().flatten().map(Vec::as_slice).collect();
            versions.push(&now);
            let length = versions.iter().map(|version| version.len()).max().unwrap_or(0);
            let mut bytes = vec![0; length];
            for (sector, target) in bytes.chunks_mut(SECTOR).enumerate() {
                let at = sector * SECTOR;
                let chosen = versions[choose(&name, sector, versions.len()) % versions.len()];
                if let Some(source) = chosen.get(at..at + target.len()) {
                    target.copy_from_slice(source);
                }
            }
            std::fs::write(to.join(name), bytes)?;
        }
        Ok(())
    }

    pub(super) fn ask(&self, what: What, path: &Path) -> io::Result<()> {
        let mut decide = lock(&self.0.decide);
        let refused =
            decide.as_mut().and_then(|decide| decide(&Call { what, path: path.to_owned() }));
        refused.map_or(Ok(()), Err)
    }

    pub(super) fn tell(&self, path: &Path, flush: Flush) {
        // Not while it is held: whoever is told may use the disk.
        let tell = lock(&self.0.on_flush).clone();
        if let Some(tell) = tell {
            tell(path, flush);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// A file took the place of another, whose blocks nobody has any more.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path, replaced: Option<u64>) {
        if let Some(versions) = &mut self.versions {
            let moved = versions.remove(from);
            versions.remove(to);
            versions.extend(moved.map(|moved| (to.to_owned(), moved)));
        }
        if let (Some(allocated), Some(inode)) = (&mut self.allocated, replaced) {
            allocated.remove(&inode);
        }
    }

    /// Takes blocks for a range of a file, or is full.
    pub(super) fn take(&mut self, inode: u64, offset: u64, length: u64) -> io::Result<()> {
        let all = self.blocks.unwrap_or(u64::MAX);
        let Some(allocated) = &mut self.allocated else { return Ok(()) };
        let full = || Err(io::ErrorKind::StorageFull.into());
        let blocks = offset / BLOCK..offset.saturating_add(length).div_ceil(BLOCK);
        if blocks.end - blocks.start > all {
            return full();
        }
        let own = allocated.entry(inode).or_default();
        let more = blocks.clone().filter(|block| !own.contains(block)).count() as u64;
        let taken: u64 = allocated.values().map(|own| own.len() as u64).sum();
        if more > 0 && taken + more > all {
            return full();
        }
        allocated.entry(inode).or_default().extend(blocks);
        Ok(())
    }

    /// Gives the whole blocks of a range of a file back.
    pub(super) fn leave(&mut self, inode: u64, offset: u64, length: u64) {
        let blocks = offset.div_ceil(BLOCK)..offset.saturating_add(length) / BLOCK;
        if let Some(own) = self.allocated.as_mut().and_then(|all| all.get_mut(&inode)) {
            own.retain(|block| !blocks.contains(block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(blocks: u64) -> Disk {
        Disk { blocks: Some(blocks), allocated: Some(BTreeMap::new()), versions: None }
    }

    #[test]
    fn a_disk_is_full_when_more_blocks_are_asked_for_than_it_has_and_has_room_again_for_what_it_got_back()
     {
        let mut disk = disk(3);
        disk.take(1, 0, 2 * BLOCK).unwrap();
        disk.take(1, 100, 1).unwrap();
        disk.take(2, 0, 1).unwrap();
        assert_eq!(disk.take(2, BLOCK, 1).unwrap_err().kind(), io::ErrorKind::StorageFull);
        // A part of a block is not given back.
        disk.leave(1, 0, BLOCK - 1);
        assert!(disk.take(2, BLOCK, 1).is_err());
        disk.leave(1, 0, BLOCK);
        disk.take(2, BLOCK, 1).unwrap();
        assert!(disk.take(9, 0, u64::MAX).is_err());
        disk.renamed(Path::new("new"), Path::new("old"), Some(1));
        disk.take(9, 0, BLOCK).unwrap();
    }
}
