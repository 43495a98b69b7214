//! SQLite by rusqlite: a write-ahead log, and no sync (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
//! A table without rowids only where rows are small (<https://www.sqlite.org/withoutrowid.html>, "When to use").
//! A connection a thread, from a pool. Beyond memory its file is not mapped: each page of a mapping that is not
//! in memory would have what lies around it read, too.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension, params};

use crate::data::{Key, Values, key};
use crate::peer::{About, Peer, Processes, Setup};

pub const ABOUT: About = About {
    package: Some("rusqlite"),
    processes: Processes::Any,
    views: true,
    ..About::new(
        "sqlite",
        "bundled, WAL, synchronous=OFF, mapped; with --memory not, and a quarter of it as cache",
        open,
    )
};

const PUT: &str = "INSERT OR REPLACE INTO entries (key, value) VALUES (?1, ?2)";
const GET: &str = "SELECT value FROM entries WHERE key = ?1";
const REMOVE: &str = "DELETE FROM entries WHERE key = ?1";

/// Bytes of its cache where the file is mapped, and the most that is mapped.
const CACHE: u64 = 64 << 20;
const MAPPED: u64 = 16 << 30;

struct Sqlite {
    path: PathBuf,
    cache: u64,
    mapped: u64,
    idle: Mutex<Vec<Connection>>,
}

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let sqlite = Sqlite {
        path: setup.directory.join("sqlite"),
        cache: setup.cache(CACHE),
        mapped: if setup.memory.is_some() { 0 } else { MAPPED },
        idle: Mutex::default(),
    };
    let rowids = if setup.size <= 200 { "WITHOUT ROWID" } else { "" };
    sqlite.with(|connection| {
        Ok(connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB) {rowids}"
        ))?)
    })?;
    Ok(Box::new(sqlite))
}

impl Sqlite {
    fn connect(&self) -> Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(60))?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             PRAGMA cache_size = -{}; PRAGMA mmap_size = {};",
            self.cache >> 10,
            self.mapped
        ))?;
        Ok(connection)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut connection = taken.map_or_else(|| self.connect(), Ok)?;
        let result = work(&mut connection);
        idle().push(connection);
        result
    }
}

impl Peer for Sqlite {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.with(|connection| {
            connection.prepare_cached(PUT)?.execute(params![key, value])?;
            Ok(())
        })
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(GET)?;
            let found = statement.query_row([key], |row| {
                read(row.get_ref(0)?.as_blob()?);
                Ok(())
            });
            Ok(found.optional()?.is_some())
        })
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.with(|connection| {
            connection.prepare_cached(REMOVE)?.execute([key])?;
            Ok(())
        })
    }

    fn load(&self, entries: Range<u64>, values: &mut Values) -> Result<()> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            for i in entries {
                transaction.prepare_cached(PUT)?.execute(params![key(i), values.of(i)])?;
            }
            Ok(transaction.commit()?)
        })
    }

    fn exchange(&self, new: &Key, value: &[u8], old: &Key) -> Result<()> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.prepare_cached(REMOVE)?.execute([old])?;
            transaction.prepare_cached(PUT)?.execute(params![new, value])?;
            Ok(transaction.commit()?)
        })
    }
}
