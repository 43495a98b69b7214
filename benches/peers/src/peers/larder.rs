//! larder, with its defaults.

use std::collections::BTreeMap;

use anyhow::Result;
use larder::FileCache;
use larder::internals::{Environment, Simulated};

use crate::data::Key;
use crate::peer::{About, Peer, Processes, Setup};

pub const ABOUT: About = About {
    bounded: true,
    processes: Processes::Any,
    views: true,
    ..About::new("larder", "defaults", open)
};

/// A boot that never was.
const OTHER_BOOT: [u64; 2] = [7, 7];

struct Larder(FileCache);

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let builder = FileCache::builder().max_bytes(setup.max_bytes.unwrap_or_else(|| setup.ample()));
    let environment = match setup.other_boot {
        true => Simulated::default().in_boot(OTHER_BOOT).environment(),
        false => Environment::default(),
    };
    let builder = builder.environment(environment);
    Ok(Box::new(Larder(builder.open(setup.directory.join("cache"))?)))
}

impl Peer for Larder {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.0.insert(key, value)?)
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        Ok(self.0.get_into(key, value))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let view = self.0.view(key);
        if let Some(view) = &view {
            read(view);
        }
        Ok(view.is_some())
    }

    fn get_many(&self, keys: &[Key]) -> Result<usize> {
        Ok(self.0.get_many(keys).iter().flatten().filter(|value| !value.is_empty()).count())
    }

    fn put_many(&self, entries: &[(Key, Vec<u8>)]) -> Result<()> {
        Ok(self.0.insert_many(entries)?)
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.0.remove(key)?;
        Ok(())
    }

    fn details(&self) -> BTreeMap<String, f64> {
        let stats = self.0.stats();
        let details = [
            ("entries", stats.entries),
            ("live_bytes", stats.live_bytes),
            ("log_bytes", stats.log_bytes),
            ("index_bytes", stats.index_bytes),
            ("evictions", stats.evictions),
            ("moves", stats.moves),
            ("damaged", stats.damaged),
        ];
        details.map(|(name, value)| (name.to_owned(), value as f64)).into()
    }
}
