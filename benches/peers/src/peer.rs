//! What every peer can do, and what is said of it in its rows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::data::{Key, Values, key};

/// A store under measurement. All of them are called through this one door, so that each pays the same
/// for the call.
pub trait Peer: Send + Sync {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()>;

    /// Replaces the content of `value` by the key's; `false` if there is none.
    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool>;

    /// Shows the value where it lies; see [`About::views`].
    fn view(&self, _key: &Key, _read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        bail!("no views")
    }

    fn remove(&self, key: &Key) -> Result<()>;

    /// How many of several keys are there, their values read.
    fn get_many(&self, _keys: &[Key]) -> Result<usize> {
        bail!("one key at a time")
    }

    fn put_many(&self, _entries: &[(Key, Vec<u8>)]) -> Result<()> {
        bail!("one entry at a time")
    }

    /// Puts entries that are to be measured later: by batches where the peer has them.
    fn load(&self, entries: Range<u64>, values: &mut Values) -> Result<()> {
        for i in entries {
            self.put(&key(i), values.of(i))?;
        }
        Ok(())
    }

    /// One in, one out, for those that bound nothing themselves.
    fn exchange(&self, new: &Key, value: &[u8], old: &Key) -> Result<()> {
        self.put(new, value)?;
        self.remove(old)
    }

    /// Waits for what the peer does in the background.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// What else it tells of itself.
    fn details(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}

/// A peer as it is chosen, opened and judged.
pub struct About {
    pub name: &'static str,
    /// The crate it comes in, if it is one.
    pub package: Option<&'static str>,
    /// How it is set up.
    pub settings: &'static str,
    pub open: fn(&Setup) -> Result<Box<dyn Peer>>,
    /// Whether entries are on disk; else they go with the process.
    pub persists: bool,
    /// Whether it keeps a bound itself; else it is told what to remove: the oldest.
    pub bounded: bool,
    /// Whether several processes may use one directory at a time.
    pub processes: Processes,
    /// Whether readers and writers may be several threads.
    pub threads: bool,
    pub views: bool,
    /// Whether it is no store to choose, but a lower bound of what one could cost.
    pub lower_bound: bool,
    /// The largest value.
    pub largest: usize,
    /// It is measured with no more entries than these: otherwise it takes hours.
    pub most_entries: u64,
    /// Whether it works where memory holds only a part of the store.
    pub beyond_memory: bool,
    /// Threads that read at a time beyond memory.
    pub readers: usize,
    /// Bytes of disk that the smallest entry takes, where that is much.
    pub least_disk: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    One,
    Readers,
    Any,
}

impl About {
    /// A peer of which nothing is known but that it is on disk, for one process.
    pub const fn new(
        name: &'static str,
        settings: &'static str,
        open: fn(&Setup) -> Result<Box<dyn Peer>>,
    ) -> Self {
        Self {
            name,
            package: Some(name),
            settings,
            open,
            persists: true,
            bounded: false,
            processes: Processes::One,
            threads: true,
            views: false,
            lower_bound: false,
            largest: usize::MAX,
            most_entries: u64::MAX,
            beyond_memory: true,
            readers: 1,
            least_disk: 0,
        }
    }
}

/// What a peer is opened for.
#[derive(Default)]
pub struct Setup {
    pub directory: PathBuf,
    /// Entries that it will be asked to hold at a time.
    pub entries: u64,
    /// Bytes of a value.
    pub size: usize,
    /// The bound that a bounded one has to keep. None: all entries fit.
    pub max_bytes: Option<u64>,
    /// The memory that it has to stay within, its pages of files included. None: no limit.
    pub memory: Option<u64>,
    /// As if the machine had been started again since.
    pub other_boot: bool,
}

impl Setup {
    /// Bytes of keys and values.
    pub fn payload(&self) -> u64 {
        self.entries * (self.size + size_of::<Key>()) as u64
    }

    /// Bytes of a peer's own cache: a quarter of the memory that it has to stay within, or as many as it would
    /// have without a limit.
    pub fn cache(&self, without_limit: u64) -> u64 {
        self.memory.map_or(without_limit, |memory| memory / 4)
    }

    /// Room enough for what a peer adds to the payload, and for what it leaves lying for a while.
    pub fn ample(&self) -> u64 {
        (self.entries * (self.size as u64 + 100) * 3).max(1024 * self.size as u64).max(64 << 20)
    }
}
