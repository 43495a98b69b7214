//! Reading: the copies that reads return.

use super::handle::FileCache;
use crate::session::Count;

impl FileCache {
    /// The value of a key, if it is there and has not expired.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        self.get_into(key, &mut value).then_some(value)
    }

    /// Replaces the content of `value` by the value of a key; `false`, with `value` empty, if there
    /// is none. Allocates only where `value` is too small.
    pub fn get_into(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> bool {
        let key = key.as_ref();
        let Ok(process) = self.process() else {
            value.clear();
            return false;
        };
        let store = &process.session.store;
        let hit = process
            .look_up(key, |found, record| {
                record.read_value(store, key, value).then(|| store.index().bump(found))
            })
            .is_some();
        if hit {
            process.session.count(Count::Hits, 1);
        } else {
            value.clear();
            process.session.count(Count::Misses, 1);
        }
        hit
    }

    /// The value of a key without counting it as used.
    pub(super) fn peek(&self, key: &[u8]) -> Option<Vec<u8>> {
        let process = self.process().ok()?;
        let store = &process.session.store;
        let mut value = Vec::new();
        process
            .look_up(key, |_, record| record.read_value(store, key, &mut value).then_some(()))?;
        Some(value)
    }

    /// The value of a key for one who has looked for it just before: damage was counted then.
    pub(super) fn peek_again(&self, key: &[u8]) -> Option<Vec<u8>> {
        let process = self.process().ok()?;
        let store = &process.session.store;
        let mut value = Vec::new();
        process.look_up_uncounted(key, |_, record| {
            record.read_value(store, key, &mut value).then_some(())
        })??;
        Some(value)
    }
}
