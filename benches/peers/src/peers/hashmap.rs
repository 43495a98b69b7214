//! A map behind a lock: what one writes first.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    package: None,
    persists: false,
    views: true,
    ..About::new("hashmap", "Mutex<HashMap<[u8; 16], Vec<u8>>>", open)
};

struct Map(Mutex<HashMap<Key, Vec<u8>>>);

fn open(_: &Setup) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Map(Mutex::default())))
}

impl Map {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Map {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.lock().insert(*key, value.to_vec());
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let map = self.lock();
        let found = map.get(key);
        if let Some(bytes) = found {
            value.extend_from_slice(bytes);
        }
        Ok(found.is_some())
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.lock().get(key).map(|bytes| read(bytes)).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.lock().remove(key);
        Ok(())
    }
}
