//! Which stores this process has open: so that the handles of one share what it has of it.
//!
//! A store is entered before it is attached to, and left when nothing holds its process row any more. Whoever meets an
//! entry in between waits: for the opener to end, or for the last handle to have closed. The table is looked at
//! while nobody can fork, and a child passes over what it inherits. An entry keeps nothing open.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::error::Result;
use crate::format::LOG_FILE;
use crate::request::{Request, unusable};
use crate::sys::door::DiskFile;
use crate::sys::fork::{self, Incarnation};
use crate::sys::naps::Naps;

/// What two handles have in common that share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    process: Incarnation,
    environment: usize,
    boot_id: [u64; 2],
    /// Device, inode number and birth time of the log.
    log: [u64; 3],
}

impl Key {
    /// That of who asks for a store and opened this log.
    pub fn of(request: &Request, log: &dyn DiskFile) -> Result<Self> {
        let io = |error| unusable(&request.path(LOG_FILE), error);
        let [inode, born] = log.file_id().map_err(io)?;
        Ok(Self {
            process: fork::incarnation(),
            environment: request.environment.number,
            boot_id: request.boot_id()?,
            log: [log.device().map_err(io)?, inode, born],
        })
    }
}

/// The stores that this process has open, or opens or closes just now, each with what its handles share.
#[derive(Debug)]
pub struct Registry<T>(Mutex<Table<T>>);

#[derive(Debug)]
struct Table<T> {
    entries: Vec<Entry<T>>,
    /// Of the next entry.
    number: u64,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    key: Key,
    /// `None` until it is open.
    shared: Option<Weak<T>>,
}

/// One's entry in a registry; left when it is dropped.
#[derive(Debug)]
pub struct Registered<T: 'static> {
    registry: &'static Registry<T>,
    number: u64,
}

/// What somebody who wants a store is to do.
#[derive(Debug)]
pub enum Turn<T: 'static> {
    /// Share what others have of it.
    Join(Arc<T>),
    /// Attach: until it is open, others wait.
    Attach(Registered<T>),
}

impl<T> Registry<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self(Mutex::new(Table { entries: Vec::new(), number: 0 }))
    }

    /// Enters a store, or finds it. Waits for those who open or close it just now: they wait for no handle of this
    /// process.
    pub fn enter(&'static self, key: Key) -> Turn<T> {
        let mut naps = Naps::until(Duration::MAX);
        loop {
            if let Some(turn) = self.look(key) {
                return turn;
            }
            naps.nap();
        }
    }

    /// One's turn, unless somebody opens or closes the store just now.
    fn look(&'static self, key: Key) -> Option<Turn<T>> {
        self.with(|table| {
            // What a parent had open is not ours.
            table.entries.retain(|entry| entry.key.process == key.process);
            if let Some(entry) = table.entries.iter().find(|entry| entry.key == key) {
                return entry.shared.as_ref().and_then(Weak::upgrade).map(Turn::Join);
            }
            let number = table.number;
            table.number += 1;
            table.entries.push(Entry { number, key, shared: None });
            Some(Turn::Attach(Registered { registry: self, number }))
        })
    }

    fn with<R>(&self, work: impl FnOnce(&mut Table<T>) -> R) -> R {
        // Only ever locked while nobody can fork: so no child finds it locked.
        fork::without_forks(|| work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> Registered<T> {
    /// Lets others join.
    pub fn admit(&self, shared: &Arc<T>) {
        self.registry.with(|table| {
            let own = table.entries.iter_mut().find(|entry| entry.number == self.number);
            if let Some(entry) = own {
                entry.shared = Some(Arc::downgrade(shared));
            }
        });
    }
}

impl<T> Drop for Registered<T> {
    fn drop(&mut self) {
        self.registry.with(|table| table.entries.retain(|entry| entry.number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(inode: u64) -> Key {
        let process = fork::incarnation();
        Key { process, environment: 0, boot_id: [1, 2], log: [3, inode, 4] }
    }

    struct Closing(Option<Registered<Closing>>);

    #[test]
    fn a_store_is_joined_while_it_is_open_and_waited_for_while_it_opens_or_closes() {
        static REGISTRY: Registry<Closing> = Registry::new();
        let Turn::Attach(registered) = REGISTRY.enter(key(1)) else { panic!("nobody has it") };
        assert!(REGISTRY.look(key(1)).is_none(), "it is being opened");
        assert!(matches!(REGISTRY.look(key(2)), Some(Turn::Attach(_))), "another store");
        let shared = Arc::new(Closing(Some(registered)));
        shared.0.as_ref().unwrap().admit(&shared);
        let Turn::Join(joined) = REGISTRY.enter(key(1)) else { panic!("it is open") };
        drop(shared);
        let mut closing = Arc::into_inner(joined).unwrap();
        assert!(REGISTRY.look(key(1)).is_none(), "it is being closed");
        closing.0 = None;
        assert!(matches!(REGISTRY.look(key(1)), Some(Turn::Attach(_))));
    }

    #[test]
    fn an_opener_that_fails_leaves_nothing_behind() {
        static REGISTRY: Registry<Closing> = Registry::new();
        for _ in 0..3 {
            assert!(matches!(REGISTRY.enter(key(1)), Turn::Attach(_)));
        }
        REGISTRY.with(|table| assert!(table.entries.is_empty()));
    }
}
