//! cacache: files named by their content, and an index file a key. Its synchronous interface with xxHash,
//! which it offers where no adversary writes (<https://docs.rs/cacache/latest/cacache/enum.Algorithm.html>).

use std::path::PathBuf;

use anyhow::Result;
use cacache::{Algorithm, Error, RemoveOpts};

use crate::data::Key;
use crate::peer::{About, Peer, Processes, Setup};

pub const ABOUT: About = About {
    processes: Processes::Any,
    most_entries: 20_000,
    ..About::new("cacache", "synchronous, Xxh3, entries removed fully", open)
};

struct Cacache(PathBuf);

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Cacache(setup.directory.clone())))
}

/// Its keys are text.
fn name(key: &Key) -> String {
    format!("{:032x}", u128::from_be_bytes(*key))
}

impl Peer for Cacache {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        cacache::write_sync_with_algo(Algorithm::Xxh3, &self.0, name(key), value)?;
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        match cacache::read_sync(&self.0, name(key)) {
            Ok(bytes) => *value = bytes,
            Err(Error::EntryNotFound(..)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    fn remove(&self, key: &Key) -> Result<()> {
        Ok(RemoveOpts::new().remove_fully(true).remove_sync(&self.0, name(key))?)
    }
}
