//! LMDB by heed. A cache needs no sync at each commit: `NO_SYNC`, and with it `WRITE_MAP`, which saves the
//! copy of each page (<https://docs.rs/heed/latest/heed/struct.EnvFlags.html>; a stray write of the program
//! can then destroy the store). One transaction an operation. Beyond memory with `NO_READ_AHEAD`, as its documentation
//! advises there.

use std::ops::Range;

use anyhow::Result;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithTls};

use crate::data::{Key, Values, key};
use crate::peer::{About, Peer, Processes, Setup};

pub const ABOUT: About = About {
    package: Some("heed"),
    processes: Processes::Any,
    views: true,
    ..About::new("lmdb", "heed, NO_SYNC; NO_READ_AHEAD with --memory", |setup| {
        open(setup, EnvFlags::NO_SYNC)
    })
};

pub const WRITEMAP: About = About {
    name: "lmdb-writemap",
    settings: "heed, NO_SYNC and WRITE_MAP; NO_READ_AHEAD with --memory",
    open: |setup| open(setup, EnvFlags::NO_SYNC.union(EnvFlags::WRITE_MAP)),
    ..ABOUT
};

struct Lmdb {
    env: Env<WithTls>,
    entries: Database<'static, Bytes, Bytes>,
}

fn open(setup: &Setup, flags: EnvFlags) -> Result<Box<dyn Peer>> {
    let flags = match setup.memory {
        Some(_) => flags.union(EnvFlags::NO_READ_AHEAD),
        None => flags,
    };
    let mut options = EnvOpenOptions::new();
    // The map is the bound: beyond it LMDB is full. It takes disk as it is used.
    options.map_size((2 * setup.ample() + (1 << 30)).next_multiple_of(1 << 20) as usize);
    // SAFETY: nobody but LMDB writes to the files of a directory made for it.
    let env = unsafe { options.flags(flags).open(&setup.directory) }?;
    let entries = env
        .create_databases_and_commit(env.write_txn()?, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?
        .unwrap_commit();
    Ok(Box::new(Lmdb { env, entries }))
}

impl Peer for Lmdb {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.entries.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let transaction = self.env.read_txn()?;
        Ok(self.entries.get(&transaction, key)?.map(read).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.entries.delete(&mut transaction, key)?;
        Ok(transaction.commit()?)
    }

    fn load(&self, entries: Range<u64>, values: &mut Values) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for i in entries {
            self.entries.put(&mut transaction, &key(i), values.of(i))?;
        }
        Ok(transaction.commit()?)
    }

    fn exchange(&self, new: &Key, value: &[u8], old: &Key) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.entries.delete(&mut transaction, old)?;
        self.entries.put(&mut transaction, new, value)?;
        Ok(transaction.commit()?)
    }
}
