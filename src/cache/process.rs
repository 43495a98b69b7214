//! What one process has of a handle: its session, what it shares with other handles, and what a reader watches.

use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

use crate::config::{self, Durability};
use crate::directory;
use crate::error::{Error, Result};
use crate::format::control::{self, PIN_LINES};
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::open::{Opened, Shared, SourceWatch};
use crate::reclaim::Writer;
use crate::request::Request;
use crate::session::{Count, Session};

/// What one process has of a handle; a forked child makes its own. Other handles of the process have the same
/// [`Shared`].
#[derive(Debug)]
pub struct Process {
    /// The session. It goes before what it is of.
    pub session: Session,
    /// What it shares with other handles of the store.
    pub shared: Arc<Shared>,
    request: Request,
    /// What views hold, for each line of pins.
    anchors: [OnceLock<Arc<Anchor>>; PIN_LINES as usize],
    /// What shows that its memory does not show the store any more.
    source: Option<SourceWatch>,
    /// What a reader goes on with once its memory is out of date: one for each recovery, and one where the files
    /// were copied up.
    next: OnceLock<Box<Process>>,
}

/// Keeps open what views are of, though the handle goes. There is one for each line of pins: so threads that view do not
/// count up one and the same count of users.
#[derive(Debug)]
#[repr(align(128))]
pub struct Anchor(Arc<Shared>);

impl Anchor {
    /// The store.
    pub fn session(&self) -> &Session {
        self.0.session()
    }
}

impl Process {
    /// This process's part of a handle to a store that was opened, as it was asked for.
    pub fn new(opened: Opened, request: Request) -> Self {
        let Opened { session, shared, source, .. } = opened;
        let (anchors, next) = (Default::default(), OnceLock::new());
        Self { session, shared, request, anchors, source, next }
    }

    /// What a view holds that pins by a line.
    pub fn anchor(&self, line: u16) -> Arc<Anchor> {
        let anchor = &self.anchors[usize::from(line % PIN_LINES)];
        Arc::clone(anchor.get_or_init(|| Arc::new(Anchor(Arc::clone(&self.shared)))))
    }

    /// The process's one writer.
    #[inline]
    pub fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared.writer()
    }

    /// Whether its memory shows the store as it is: a private copy does until somebody changes that, and so do files of a
    /// lower layer.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.source.as_ref().is_none_or(SourceWatch::is_unchanged)
    }

    /// What takes the place of a private copy once others recovered the store, or began to, and of a lower layer's
    /// files once somebody wrote to them; made by `open` if there is none yet. An error, and so a miss, as long as they
    /// recover it.
    #[cold]
    pub fn successor(&self, open: &dyn Fn() -> Result<Process>) -> Result<&Process> {
        let mut process = self;
        while !process.is_current() {
            process = match process.next.get() {
                Some(next) => next,
                None => {
                    if !process.source.as_ref().is_some_and(SourceWatch::is_past) {
                        // Another copy would soon be as old, and this one cannot go while it is read.
                        let what = "the store is written to as of another boot";
                        return Err(process
                            .session
                            .busy(what, "Wait for the others, and try again."));
                    }
                    let next = open()?;
                    process.next.get_or_init(|| Box::new(next))
                }
            };
        }
        Ok(process)
    }

    /// Notes damage that was met for certain: the next maintenance looks into it, and so does the next opening
    /// with nobody attached.
    #[cold]
    pub fn suspect(&self) {
        if !self.session.store.words.is_seen_whole() {
            return; // What could not be looked at is not damaged.
        }
        self.shared.suspicion.raise();
        if self.session.attachment.is_some() {
            directory::suspect(&self.session.store.words);
        }
    }

    /// Looks after the files; an error where `store` is gone and cannot be put back.
    pub fn keep_files(&self) -> Result<()> {
        let Some(keeper) = &self.shared.keeper else { return Ok(()) };
        keeper.look(&self.request, &self.session, self.session.lock_timeout())
    }

    /// The share of that which a put does, now and then.
    #[cold]
    pub fn keep_files_now_and_then(&self) {
        let Some(keeper) = &self.shared.keeper else { return };
        if let Err(error) = keeper.look_now_and_then(&self.request, &self.session) {
            self.defer(error);
        }
    }

    /// Whether its files are those that the directory has now.
    pub fn has_current_files(&self) -> Result<bool> {
        let words = &self.session.store.words;
        for (mapping, name) in [(&words.log, LOG_FILE), (&words.index, INDEX_FILE)] {
            let path = self.session.directory().join(name);
            let is_at = mapping.file().is_at(&path);
            if !is_at.map_err(|error| Error::io(&path, "cannot look at it", error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes durable what was stored so far.
    pub fn sync(&self) -> Result<()> {
        self.shared.barrier.sync(&self.session)
    }

    /// In a store that syncs at intervals, the first write after one does it.
    #[inline]
    pub fn sync_before_write(&self) -> Result<()> {
        if self.is_sync_due() { self.sync() } else { Ok(()) }
    }

    /// In a store where each write is durable, makes it so.
    pub fn sync_after_write(&self) -> Result<()> {
        match self.request.options.durability {
            Durability::EachWrite => self.sync(),
            Durability::OsDecides | Durability::Every(_) => Ok(()),
        }
    }

    /// Whether the interval after which this handle syncs has passed since the store's last sync.
    #[inline]
    pub fn is_sync_due(&self) -> bool {
        let Durability::Every(interval) = self.request.options.durability else { return false };
        let synced = self.session.store.load(control::SYNCED_AT);
        has_passed(interval, synced, self.session.now().get())
    }

    /// Keeps an error of upkeep for the next maintenance: the entry is stored.
    #[cold]
    pub fn defer(&self, error: Error) {
        self.session.count(Count::UpkeepErrors, 1);
        self.shared.deferred.keep(error);
    }
}

/// Whether an interval has passed between two moments in milliseconds. (A clock that went back makes it so.)
fn has_passed(interval: Duration, then: u64, now: u64) -> bool {
    now < then || now - then >= config::millis(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_passed_in_time_and_whenever_the_clock_went_back() {
        let passed = |then, now| has_passed(Duration::from_secs(10), then, now);
        assert!(!passed(5_000, 5_000) && !passed(5_000, 14_999));
        assert!(passed(5_000, 15_000) && passed(5_000, 4_999) && passed(5_000, 0));
    }
}
