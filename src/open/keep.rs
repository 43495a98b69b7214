//! What a process does for the files of a store while it is attached: programs that clean directories up are to
//! pass them by, and the file `store` is put back where it is gone all the same.
//!
//! Cleaners of systemd's kind ask for an exclusive BSD lock on a directory or file before they remove anything
//! there: so the directory and all three files are held by a shared one. Others look at the times of last use
//! and change, which a mapping hardly sets: so these are set from time to time. `store` is small and never changes,
//! and so the first to go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::directory::{OpeningLock, read_limits, write_identity};
use crate::error::Result;
use crate::format::identity::Identity;
use crate::format::{LOG_FILE, STORE_FILE};
use crate::request::Request;
use crate::session::Session;
use crate::sys::door::SharedFile;

/// Looks that puts ask for are at least so far apart, in milliseconds.
const LOOK_EVERY: u64 = 1000;
/// The files are kept young so often, in milliseconds: cleaners count in days.
const RENEW_EVERY: u64 = 3_600_000;

/// How a process keeps the files of its store, where the handle that looks has them.
#[derive(Debug)]
pub struct Keeper {
    /// The store's, but for its limits: those are in the control block.
    identity: Identity,
    /// The directory and `store`, held open for their locks.
    held: Mutex<Vec<SharedFile>>,
    looked_at: AtomicU64,
    renewed_at: AtomicU64,
}

impl Keeper {
    /// What is to keep the files of a store, once they are held: [`Keeper::renew`].
    pub fn new(identity: Identity, session: &Session) -> Self {
        let now = session.clock.coarse().get();
        Self {
            identity,
            held: Mutex::default(),
            looked_at: AtomicU64::new(now),
            renewed_at: AtomicU64::new(now),
        }
    }

    /// Looks after the files, unless that was done within the last second.
    pub fn look_now_and_then(&self, request: &Request, session: &Session) -> Result<()> {
        let now = session.clock.coarse().get();
        let is_due = now.abs_diff(self.looked_at.load(Ordering::Relaxed)) >= LOOK_EVERY;
        if is_due { self.look(request, session, Duration::ZERO) } else { Ok(()) }
    }

    /// Looks after the files: `store` is put back where it is gone, for which it may wait so long.
    pub fn look(&self, request: &Request, session: &Session, patience: Duration) -> Result<()> {
        let now = session.clock.coarse().get();
        self.looked_at.store(now, Ordering::Relaxed);
        let is_gone = !request.files().exists(&request.path(STORE_FILE));
        if is_gone && !self.put_back(request, session, patience)? {
            return Ok(());
        }
        if is_gone || now.abs_diff(self.renewed_at.load(Ordering::Relaxed)) >= RENEW_EVERY {
            self.renewed_at.store(now, Ordering::Relaxed);
            self.renew(request, session);
        }
        Ok(())
    }

    /// Puts `store` back, unless the directory has another store by now, or none; whether it is there.
    fn put_back(&self, request: &Request, session: &Session, patience: Duration) -> Result<bool> {
        let Ok(attachment) = session.attachment() else { return Ok(false) };
        let path = request.path(LOG_FILE);
        let _lock = OpeningLock::acquire(&*attachment.locks, &path, patience)?;
        if !attachment.locks.is_at(&path) {
            return Ok(false);
        }
        if !request.files().exists(&request.path(STORE_FILE)) {
            let limits = read_limits(&session.store.words);
            write_identity(request, &Identity { limits, ..self.identity.clone() })?;
        }
        Ok(true)
    }

    /// Holds the files that the directory has now, and keeps them young: when a handle is opened, which may have replaced
    /// `store`, and from time to time. What cannot be done for them is no reason to fail.
    pub fn renew(&self, request: &Request, session: &Session) {
        let files = request.files();
        let directory = files.open_directory(&request.directory).ok();
        let store = files.open(&request.path(STORE_FILE), false).ok().flatten();
        let words = &session.store.words;
        let mapped = [words.log.file(), words.index.file()];
        for file in mapped.into_iter().chain(&store) {
            let _ = file.keep_young();
        }
        let held: Vec<SharedFile> = directory.into_iter().chain(store).collect();
        for file in mapped.into_iter().chain(&held) {
            let _ = file.hold();
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}
