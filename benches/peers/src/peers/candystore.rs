//! candystore, with its defaults; told how many entries to expect, and not to hold its compaction back
//! (<https://docs.rs/candystore/latest/candystore/struct.Config.html>).

use anyhow::Result;
use candystore::{CandyStore, Config, MAX_USER_VALUE_SIZE};

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    largest: MAX_USER_VALUE_SIZE,
    ..About::new("candystore", "defaults, capacity as needed, compaction at 256 MiB/s", open)
};

struct Candy(CandyStore);

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let config = Config {
        initial_capacity: setup.entries as usize,
        compaction_throughput_bytes_per_sec: 256 << 20,
        ..Config::default()
    };
    Ok(Box::new(Candy(CandyStore::open(&setup.directory, config)?)))
}

impl Peer for Candy {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.set(key, value)?;
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        let found = self.0.get(key)?;
        let hit = found.is_some();
        *value = found.unwrap_or_default();
        Ok(hit)
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.0.remove(key)?;
        Ok(())
    }
}
