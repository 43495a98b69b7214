//! sled 0.34, the last that is no alpha; `Mode::HighThroughput`
//! (<https://docs.rs/sled/0.34/sled/enum.Mode.html>), a cache as large as the data
//! where memory has no limit.

use anyhow::Result;
use sled::{Config, Db, Mode};

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About { views: true, ..About::new("sled", SETTINGS, open) };

const SETTINGS: &str = "HighThroughput, cache as large as the data or a quarter of --memory";

struct Sled(Db);

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let config = Config::new()
        .path(setup.directory.join("sled"))
        .mode(Mode::HighThroughput)
        .cache_capacity(setup.cache(setup.ample()));
    Ok(Box::new(Sled(config.open()?)))
}

impl Peer for Sled {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.insert(key, value)?;
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.0.get(key)?.map(|bytes| read(&bytes)).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.0.remove(key)?;
        Ok(())
    }
}
