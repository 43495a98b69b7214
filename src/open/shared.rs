//! What the handles of one store in a process share: an attachment, the mapping, one writer, and what is remembered
//! between calls.
//!
//! Each handle has a session of its own on it, with its directory and its patience. The last one that goes closes it;
//! only then may another attach in its place (see [`super::registry`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keep::Keeper;
use super::registry::{Registered, Registry};
use crate::error::Error;
use crate::reclaim::{Suspicion, Writer};
use crate::session::{Fills, Session};
use crate::sync::Barrier;

/// The stores that this process has open.
pub static OPEN: Registry<Shared> = Registry::new();

/// What the handles of one store in a process share. A reader shares it with nobody.
#[derive(Debug)]
pub struct Shared {
    /// The session of nobody, from which those of the handles come. Closed first.
    session: Session,
    writer: Mutex<Writer>,
    /// Its syncs.
    pub barrier: Arc<Barrier>,
    /// Whether it met damage.
    pub suspicion: Suspicion,
    /// Errors that the next maintenance is to tell.
    pub deferred: Deferred,
    /// Values that are being computed.
    pub fills: Fills,
    /// What looks after the files of a store to which it is attached.
    pub keeper: Option<Keeper>,
    /// Its place in the registry: left last, once nothing holds the process row any more.
    registered: Option<Registered<Shared>>,
}

/// Errors of upkeep that came when an entry was stored already, so that the put did not fail.
#[derive(Debug, Default)]
pub struct Deferred(Mutex<Option<Error>>);

impl Shared {
    /// What is shared from now on, with a session that is given up to it.
    pub fn new(
        session: Session,
        keeper: Option<Keeper>,
        registered: Option<Registered<Self>>,
    ) -> Self {
        let barrier = Arc::<Barrier>::default();
        Self {
            session,
            writer: Mutex::new(Writer::new(Arc::clone(&barrier))),
            barrier,
            suspicion: Suspicion::default(),
            deferred: Deferred::default(),
            fills: Fills::default(),
            keeper,
            registered,
        }
    }

    /// The store, as who shares it sees it without a handle.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The process's one writer.
    #[inline]
    pub fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic cannot leave shared words half changed: each change is one transaction.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets further handles of this process join, from now on.
    pub fn admit(self: &Arc<Self>) {
        if let Some(registered) = &self.registered {
            registered.admit(self);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.session.flush_counters();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.session.give_chunks_back(&mut writer.chunks);
    }
}

impl Deferred {
    /// The oldest error that was kept, once.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps an error, unless there is an older one.
    pub fn keep(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn of_several_errors_the_oldest_is_told_and_only_once() {
        let deferred = Deferred::default();
        for what in ["first", "second"] {
            deferred.keep(Error::new(ErrorKind::Io, Path::new("/c"), what, "Look."));
        }
        assert!(deferred.take().unwrap().to_string().contains("first"));
        assert!(deferred.take().is_none());
    }
}
