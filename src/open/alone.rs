//! Having a store alone: for its copying into new files.
//!
//! Whoever attaches takes a process row, and whoever creates, recovers or resizes takes the opening lock. So
//! who holds the opening lock and the bytes of all rows has the store alone. (But for readers, which nobody
//! knows of.)

use crate::directory::OpeningLock;
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::lock::{ProcessId, process_lock_byte};
use crate::request::Request;
use crate::session::Session;
use crate::sys::door::Locks;

/// A store that nobody else can attach to until this is dropped.
#[derive(Debug)]
pub struct Alone<'a> {
    locks: &'a dyn Locks,
    /// Process rows that nobody is attached by.
    rows: Vec<ProcessId>,
    opening: OpeningLock<'a>,
}

impl<'a> Alone<'a> {
    /// Has the store alone; `Busy` if anybody else is attached.
    pub fn acquire(request: &Request, session: &'a Session) -> Result<Self> {
        let me = session.attachment()?;
        let (locks, path) = (&*me.locks, request.path(LOG_FILE));
        let opening = OpeningLock::acquire(locks, &path, request.options.lock_timeout)?;
        let mut alone = Self { locks, rows: Vec::new(), opening };
        let all = (0..session.store.geometry.max_processes).filter_map(ProcessId::new);
        for process in all.filter(|process| *process != me.process) {
            let locked = locks.try_lock(process_lock_byte(process));
            if !locked.map_err(|error| Error::io(&path, "cannot lock it", error))? {
                return Err(in_use(request));
            }
            alone.rows.push(process);
        }
        Ok(alone)
    }

    /// Shows those who wait that this process moves: see [`OpeningLock::moved`].
    pub fn moved(&self) {
        self.opening.moved();
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        for process in &self.rows {
            // A lock that cannot be let go ends with the description.
            let _ = self.locks.unlock(process_lock_byte(*process));
        }
    }
}

fn in_use(request: &Request) -> Error {
    Error::new(
        ErrorKind::Busy,
        &request.directory,
        "others use the store, which can be copied into new files only while nobody does",
        "Let them close it, and try again.",
    )
}
