//! The files of the tour. They are found once, and have the same numbers in all processes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::shared::Result;

/// The files and bytes at which the search ends: enough for a tour.
const MOST_FILES: usize = 200_000;
const MOST_BYTES: u64 = 4 << 30;
/// Keys and headers take room beside the bytes of a file.
const HEADER_BYTES: u64 = 64;

/// Files in the order in which the tour takes them.
pub struct Catalogue {
    /// The directory.
    pub root: PathBuf,
    /// Paths from there, which are the keys, with their sizes.
    pub files: Vec<(PathBuf, u64)>,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files and directories that could not be read.
    pub unreadable: u64,
    /// Files larger than the largest entry.
    pub too_large: u64,
    /// Whether the search ended early, with enough.
    pub is_cut: bool,
    /// When it was made, in seconds. A file that changed since then cannot be compared.
    made: i64,
}

impl Catalogue {
    /// The files under `root`, but for those of the cache. Symbolic links are not followed.
    pub fn walk(root: &Path, cache: &Path) -> Result<Self> {
        let mut found = Self::empty(root);
        let cache = fs::canonicalize(cache).ok();
        fs::read_dir(root).map_err(|error| format!("{}: {error}", root.display()))?;
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(root.join(&directory)) else {
                found.unreadable += 1;
                continue;
            };
            for entry in entries.flatten() {
                let path = directory.join(entry.file_name());
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        let whole = fs::canonicalize(entry.path()).ok();
                        if cache.is_none() || whole != cache {
                            directories.push(path);
                        }
                    }
                    Ok(kind) if kind.is_file() => found.consider(path),
                    _ => {}
                }
            }
        }
        found.shuffle();
        Ok(found)
    }

    fn empty(root: &Path) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            root: root.to_owned(),
            files: Vec::new(),
            bytes: 0,
            unreadable: 0,
            too_large: 0,
            is_cut: false,
            made: now.as_secs() as i64,
        }
    }

    fn consider(&mut self, path: PathBuf) {
        if self.files.len() >= MOST_FILES || self.bytes >= MOST_BYTES {
            self.is_cut = true;
            return;
        }
        match File::open(self.root.join(&path)).and_then(|file| file.metadata()) {
            Ok(metadata) => {
                self.bytes += metadata.len();
                self.files.push((path, metadata.len()));
            }
            Err(_) => self.unreadable += 1,
        }
    }

    /// Shuffles, in the same way each time, so that files of one directory are not neighbours.
    fn shuffle(&mut self) {
        self.files.sort();
        let mut random = Random::new(1);
        for last in (1..self.files.len()).rev() {
            self.files.swap(last, random.below(last + 1));
        }
    }

    /// Leaves out what does not fit an entry, which may be as large as a segment.
    pub fn leave_out_larger_than(&mut self, segment_bytes: u64) {
        let before = self.files.len();
        self.files.retain(|(path, size)| {
            size + path.as_os_str().len() as u64 + HEADER_BYTES <= segment_bytes
        });
        self.too_large = (before - self.files.len()) as u64;
        self.bytes = self.files.iter().map(|(_, size)| size).sum();
    }

    /// How many files, from the first on, take no more than these bytes and are no more than this
    /// number. At least one.
    pub fn fitting(&self, mut bytes: u64, most: u64) -> usize {
        let fits = self.files.iter().take(most as usize).take_while(|(path, size)| {
            let needed = size + path.as_os_str().len() as u64 + HEADER_BYTES;
            bytes.checked_sub(needed).map(|left| bytes = left).is_some()
        });
        fits.count().max(1)
    }

    /// The key of a file.
    pub fn key(&self, number: usize) -> &[u8] {
        self.files[number].0.as_os_str().as_bytes()
    }

    /// The bytes of a file now; `None` if it has vanished.
    pub fn read(&self, number: usize) -> Option<Vec<u8>> {
        fs::read(self.root.join(&self.files[number].0)).ok()
    }

    /// Whether a file was changed since the catalogue was made.
    pub fn has_changed(&self, number: usize) -> bool {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(self.root.join(&self.files[number].0));
        metadata.map_or(true, |now| now.ctime() >= self.made || now.len() != self.files[number].1)
    }

    /// Leaves it in `work` for the other processes.
    pub fn save(&self, work: &Path) -> Result<()> {
        let mut bytes = format!("{}\0", self.made).into_bytes();
        for (path, size) in &self.files {
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            write!(bytes, "\0{size}\0")?;
        }
        Ok(fs::write(work.join("catalogue"), bytes)?)
    }

    /// The one that [`Catalogue::save`] left.
    pub fn load(work: &Path, root: &Path) -> Result<Self> {
        let bytes = fs::read(work.join("catalogue"))?;
        let mut fields = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec);
        let mut found = Self::empty(root);
        found.made = String::from_utf8(fields.next().unwrap_or_default())?.parse()?;
        while let (Some(path), Some(size)) = (fields.next(), fields.next()) {
            let size: u64 = String::from_utf8(size)?.parse()?;
            found.files.push((OsString::from_vec(path).into(), size));
            found.bytes += size;
        }
        Ok(found)
    }
}

/// A small generator of random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % limit as u64) as usize
    }
}
