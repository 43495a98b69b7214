//! The lower bound of what a store beyond memory could cost: a file in which each entry has its place, known
//! without looking. A read is one `pread` of the exact bytes, with reading ahead turned off; puts in the
//! order of the entries are one `pwrite` after the other. It checks nothing, compares no keys and has no
//! index. Bounded, it is a ring: the oldest is written over.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use anyhow::Result;
use rustix::fs::{Advice, fadvise};

use crate::data::Key;
use crate::peer::{About, Peer, Processes, Setup};

pub const ABOUT: About = About {
    package: None,
    bounded: true,
    processes: Processes::Any,
    lower_bound: true,
    ..About::new("raw-file", "pread and pwrite at places known without looking", open)
};

pub const BY_TWO: About =
    About { name: "raw-file-2", settings: "the same, read by two threads", readers: 2, ..ABOUT };

pub const BY_EIGHT: About =
    About { name: "raw-file-8", settings: "the same, read by eight threads", readers: 8, ..ABOUT };

struct RawFile {
    file: File,
    size: usize,
    places: u64,
}

/// The first bytes of what was never put, or was removed.
const NOTHING: [u8; 8] = [0; 8];

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(setup.directory.join("file"))?;
    fadvise(&file, 0, None, Advice::Random)?;
    Ok(Box::new(RawFile { file, size: setup.size, places: setup.entries }))
}

impl RawFile {
    /// Where an entry is; none: a key that no entry has.
    fn offset(&self, key: &Key) -> Option<u64> {
        let i = u64::from_le_bytes(*key.last_chunk()?);
        (i >> 63 == 0).then(|| i % self.places * self.size as u64)
    }
}

impl Peer for RawFile {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let Some(offset) = self.offset(key) else { return Ok(()) };
        Ok(self.file.write_all_at(value, offset)?)
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        let Some(offset) = self.offset(key) else { return Ok(false) };
        // Of the right length already, but for the first time.
        value.resize(self.size, 0);
        match self.file.read_exact_at(value, offset) {
            Ok(()) => Ok(!value.starts_with(&NOTHING)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.put(key, &NOTHING)
    }
}
