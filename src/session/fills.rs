//! Whose turn it is to compute a value: one caller's, over all threads and processes.
//!
//! The caller who computes holds a byte lock that ends with its process: if that is killed, another
//! computes. Byte locks do not keep threads apart, so within the process a table stands before them. A
//! thread that is computing already never waits for a second fill: it tries once, and computes without
//! the lock if it cannot have it. So no circle of waiting threads can close among those that compute
//! themselves. What a computation hands to other threads is not known here: there a deadline ends the wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::sys::door::Locks;

/// A look at another thread's fill at least this often: it may have ended unseen.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The fills of this process: lock bytes, and the threads that compute for them.
#[derive(Debug, Default)]
pub struct Fills {
    computing: Mutex<HashMap<u64, ThreadId>>,
    ended: Condvar,
}

thread_local! {
    /// What this thread computes: whose fills, and lock bytes.
    static COMPUTING: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A fill under way; ends when dropped, also by a panic of the closure.
#[derive(Debug)]
pub struct Filling<'a> {
    fills: &'a Fills,
    byte: u64,
    /// `None`: it goes on without the lock, which another has.
    locks: Option<&'a dyn Locks>,
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn<'a> {
    /// Ours: compute.
    Ours(Filling<'a>),
    /// Another thread's, which may have stored the value by now.
    Look,
    /// Another process's: nap, then look.
    Nap,
    /// This thread's already: its computation asks for its own value.
    Circle,
}

impl Fills {
    /// Whose turn it is to compute for a lock byte.
    pub fn turn<'a>(&'a self, locks: &'a dyn Locks, byte: u64) -> io::Result<Turn<'a>> {
        // In a thread that is ending its list may be gone. Then nothing is known of its fills, and it is taken
        // for one that computes: it waits for nobody.
        let (nested, circle) = COMPUTING
            .try_with(|own| (!own.borrow().is_empty(), own.borrow().contains(&self.name(byte))))
            .unwrap_or((true, false));
        if circle {
            return Ok(Turn::Circle);
        }
        let me = thread::current().id();
        let mut computing = self.computing();
        match computing.get(&byte) {
            Some(thread) if *thread == me => return Ok(Turn::Circle),
            Some(_) if nested => return Ok(Turn::Ours(self.without_lock(byte))),
            Some(_) => {
                let waited = self.ended.wait_timeout(computing, LOOK_EVERY);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                return Ok(Turn::Look);
            }
            None => {}
        }
        if locks.try_lock(byte)? {
            computing.insert(byte, me);
            return Ok(Turn::Ours(self.filling(byte, Some(locks))));
        }
        Ok(if nested { Turn::Ours(self.without_lock(byte)) } else { Turn::Nap })
    }

    /// A fill beside that of another, who has the lock.
    pub fn without_lock(&self, byte: u64) -> Filling<'_> {
        self.filling(byte, None)
    }

    fn filling<'a>(&'a self, byte: u64, locks: Option<&'a dyn Locks>) -> Filling<'a> {
        let _ = COMPUTING.try_with(|own| own.borrow_mut().push(self.name(byte)));
        Filling { fills: self, byte, locks }
    }

    /// A lock byte of these fills, among those of all caches that a thread uses.
    fn name(&self, byte: u64) -> (usize, u64) {
        (std::ptr::from_ref(self).addr(), byte)
    }

    fn computing(&self) -> MutexGuard<'_, HashMap<u64, ThreadId>> {
        self.computing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        let name = self.fills.name(self.byte);
        let _ = COMPUTING.try_with(|own| own.borrow_mut().retain(|other| *other != name));
        let Some(locks) = self.locks else { return };
        // A lock that cannot be let go ends with the process.
        let _ = locks.unlock(self.byte);
        self.fills.computing().remove(&self.byte);
        self.fills.ended.notify_all();
    }
}
