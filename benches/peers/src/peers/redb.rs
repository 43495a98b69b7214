//! redb, whose `Durability::None` leaves the writing to the operating system
//! (<https://docs.rs/redb/latest/redb/enum.Durability.html>: what no later `Immediate` commit followed may
//! be lost; one comes at closing). One transaction an operation.

use std::ops::Range;

use anyhow::Result;
use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::data::{Key, Values, key};
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    views: true,
    ..About::new(
        "redb",
        "Durability::None, Immediate at closing; cache 1 GiB or a quarter of --memory",
        open,
    )
};

const ENTRIES: TableDefinition<Key, &[u8]> = TableDefinition::new("entries");

/// Bytes of its cache, by default.
const CACHE: u64 = 1 << 30;

struct Redb(Database);

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let mut builder = Builder::new();
    builder.set_cache_size(setup.cache(CACHE) as usize);
    let redb = Redb(builder.create(setup.directory.join("redb"))?);
    let transaction = redb.begin()?;
    transaction.open_table(ENTRIES)?;
    transaction.commit()?;
    Ok(Box::new(redb))
}

impl Redb {
    fn begin(&self) -> Result<WriteTransaction> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::None)?;
        Ok(transaction)
    }
}

impl Peer for Redb {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let transaction = self.begin()?;
        transaction.open_table(ENTRIES)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let table = self.0.begin_read()?.open_table(ENTRIES)?;
        Ok(table.get(key)?.map(|bytes| read(bytes.value())).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        let transaction = self.begin()?;
        transaction.open_table(ENTRIES)?.remove(key)?;
        Ok(transaction.commit()?)
    }

    /// A commit that reaches the disk, as now and then a program makes one.
    fn settle(&self) -> Result<()> {
        Ok(self.0.begin_write()?.commit()?)
    }

    fn load(&self, entries: Range<u64>, values: &mut Values) -> Result<()> {
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(ENTRIES)?;
            for i in entries {
                table.insert(key(i), values.of(i))?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn exchange(&self, new: &Key, value: &[u8], old: &Key) -> Result<()> {
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(ENTRIES)?;
            table.remove(old)?;
            table.insert(new, value)?;
        }
        Ok(transaction.commit()?)
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        // A cache that is not closed well is seen when it is opened.
        let _ = self.settle();
    }
}
