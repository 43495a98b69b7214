//! Limits: those that were set last hold for all users of a store, and a lowered one holds before `open`
//! returns.
//!
//! The file `store` says which limits hold. While they are changed the control block says the lower of old
//! and new ones: so nobody takes what a lowered limit will not have. The file follows once all fit them,
//! and the control block follows the file. Whatever fails or is killed on the way leaves the old limits.

use std::sync::Arc;
use std::time::Duration;

use super::change::Changed;
use super::shared::Shared;
use crate::capacity;
use crate::directory::{
    OpeningLock, are_limits, is_attached, read_identity, read_limits, write_identity, write_limits,
};
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::control::{self, ROWS_OFFSET};
use crate::format::identity::{Identity, Limits};
use crate::format::intent::WordAt;
use crate::format::segment::ROW_BYTES;
use crate::reclaim;
use crate::request::{LimitsKept, Request};
use crate::session::{Medium, Session};

/// An opener that may change limits.
struct Change<'a> {
    request: &'a Request,
    session: &'a Session,
    shared: &'a Arc<Shared>,
}

/// Sets what this opener asks for, if it differs from what holds, and makes it hold. Where that cannot be,
/// the limits stay as they were: the answer says why, or an error does, if the opener insists.
pub fn apply(
    request: &Request,
    session: &Session,
    shared: &Arc<Shared>,
    identity: &Identity,
) -> Result<Option<LimitsKept>> {
    let options = &request.options;
    if options.read_only {
        return Ok(None);
    }
    let change = Change { request, session, shared };
    if !are_limits(&session.store.words, &identity.limits) {
        change.restore()?;
    }
    if !options.asks() {
        // Nobody is refused, or waits, for limits that he did not ask for.
        let _ = change.finish(Duration::ZERO);
        return Ok(None);
    }
    match change.set(identity) {
        Ok(()) => Ok(None),
        Err(error) if options.strict_limits => Err(error),
        Err(error) => Ok(Some(LimitsKept {
            kind: error.kind(),
            reason: error.to_string(),
            max_bytes: capacity::in_place(&session.store.geometry),
        })),
    }
}

impl Change<'_> {
    fn lock(&self, deadline: Duration) -> Result<OpeningLock<'_>> {
        let path = self.request.path(LOG_FILE);
        OpeningLock::acquire(&*self.session.attachment()?.locks, &path, deadline)
    }

    /// The words of the control block say something else than the file `store`: another process is
    /// changing them right now, died in the middle, or the words are damaged. The file counts.
    fn restore(&self) -> Result<()> {
        let _lock = match self.lock(Duration::ZERO) {
            Ok(lock) => lock,
            // Whoever changes them right now brings that to an end.
            Err(error) if error.kind() == ErrorKind::Busy => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(identity) = read_identity(self.request)? else { return Ok(()) };
        let words = &self.session.store.words;
        if !are_limits(words, &identity.limits) {
            self.prepare(&identity.limits)?;
            write_limits(words, &identity.limits);
        }
        Ok(())
    }

    /// Sets the limits that this opener asks for; `identity` is what the file `store` was found to say.
    fn set(&self, identity: &Identity) -> Result<()> {
        let words = &self.session.store.words;
        let lock_timeout = self.request.options.lock_timeout;
        let Changed { limits, beyond } = self.changed(identity);
        if limits == identity.limits && are_limits(words, &limits) {
            self.finish(lock_timeout)?;
            return beyond.map_or(Ok(()), Err);
        }
        let _lock = self.lock(lock_timeout)?;
        // Only now nobody else changes them.
        let Some(identity) = read_identity(self.request)? else { return Ok(()) };
        let Changed { limits, beyond } = self.changed(&identity);
        if beyond.is_none() || !self.request.options.strict_limits {
            self.replace(&identity, limits)?;
        }
        beyond.map_or(Ok(()), Err)
    }

    fn changed(&self, identity: &Identity) -> Changed {
        let Request { options, directory, .. } = self.request;
        Changed::by(options, directory, &identity.geometry(), identity.limits)
    }

    /// Changes limits; after an error those hold that held before. The caller holds the opening lock.
    fn replace(&self, identity: &Identity, limits: Limits) -> Result<()> {
        let words = &self.session.store.words;
        let old = identity.limits;
        if limits == old {
            return self.shrink();
        }
        self.prepare(&limits)?;
        self.refuse_holes_that_others_read(&limits)?;
        write_limits(words, &lower_of(&old, &limits));
        let done = self
            .shrink()
            .and_then(|()| write_identity(self.request, &Identity { limits, ..identity.clone() }));
        if done.is_err() {
            self.put_back(identity);
            return done;
        }
        write_limits(words, &limits);
        Ok(())
    }

    /// After a change that failed: the limits of `identity` hold again. What cannot be written has the file
    /// say the new ones, which hold by then, too.
    fn put_back(&self, identity: &Identity) {
        let limits = match read_identity(self.request) {
            Ok(Some(found)) if found.limits != identity.limits => {
                match write_identity(self.request, identity) {
                    Ok(()) => identity.limits,
                    Err(_) => found.limits,
                }
            }
            _ => identity.limits,
        };
        write_limits(&self.session.store.words, &limits);
    }

    /// Goes on where whoever lowered the limits left something that is too much: where power was cut.
    fn finish(&self, deadline: Duration) -> Result<()> {
        let store = &self.session.store;
        let entries_fit = store.load(control::ENTRIES) <= store.load(control::MAX_ENTRIES);
        if entries_fit && self.bytes_over() == 0 {
            return Ok(());
        }
        let _lock = self.lock(deadline)?;
        self.shrink()
    }

    /// Bytes granted beyond the limit.
    fn bytes_over(&self) -> u64 {
        self.session.store.granted().saturating_sub(self.session.store.share())
    }

    /// Makes the log long enough for a raised limit, durably, before a word mentions it.
    fn prepare(&self, limits: &Limits) -> Result<()> {
        let store = &self.session.store;
        let first = capacity::first_index_bytes(&store.geometry);
        let segments = capacity::segments_within(&store.geometry, limits.max_bytes, first);
        let length = store.geometry.log_bytes(segments);
        let io = |error| self.session.log_error("cannot make it longer", error);
        store.words.allocate(WordAt::log(ROWS_OFFSET), segments * ROW_BYTES).map_err(io)?;
        let file = store.words.log.file();
        if file.length().map_err(io)? < length {
            file.set_length(length).map_err(io)?;
            file.sync(true).map_err(io)?;
        }
        if store.words.log.holds(0, length) { Ok(()) } else { self.session.seen_whole() }
    }

    /// Where even reading a hole allocates, no space can be given back while others may read there.
    fn refuse_holes_that_others_read(&self, limits: &Limits) -> Result<()> {
        let Session { store, disk, .. } = self.session;
        let fits = store.granted() <= capacity::share_bytes(&store.geometry, limits.max_bytes);
        if fits || !disk.allocates_on_read() || !self.is_anybody_else_attached()? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Busy,
            &self.request.path(LOG_FILE),
            "on tmpfs max_bytes can be lowered only while nobody else uses the store, and others do",
            "Let them close it, then open it with the lower limit again.",
        ))
    }

    /// Evicts until a lowered limit holds; what went is counted, though opening may fail.
    fn shrink(&self) -> Result<()> {
        let shrunk = self.evict_beyond();
        self.session.flush_counters();
        shrunk
    }

    fn evict_beyond(&self) -> Result<()> {
        let Self { session, shared, .. } = self;
        let store = &session.store;
        let mut writer = shared.writer();
        reclaim::repair_grants(session)?;
        while store.load(control::ENTRIES) > store.load(control::MAX_ENTRIES) {
            if !reclaim::evict_one(session, &mut writer)? {
                return Err(session.busy(
                    "no more entries could be evicted",
                    "Try again, or leave max_entries as it was.",
                ));
            }
        }
        loop {
            let over = self.bytes_over();
            if over == 0 {
                return Ok(());
            }
            // Somebody may have come since.
            self.refuse_holes_that_others_read(&read_limits(&store.words))?;
            if store.syncs() {
                // What moves left behind may go only after a sync.
                shared.barrier.sync(session)?;
            }
            if session.give_back(over)? == 0 && !reclaim::make_free(session, &mut writer)? {
                return Err(session.busy(
                    "segments that others have pinned keep the store too large",
                    "Let go of views of it in all processes, and try again.",
                ));
            }
        }
    }

    fn is_anybody_else_attached(&self) -> Result<bool> {
        let me = self.session.attachment()?;
        // Other handles of this process are users, too.
        let shares = Arc::strong_count(self.shared) > 1;
        Ok(shares || is_attached(&self.session.store, &me.locks, Some(me.process)))
    }
}

/// Old limits as far as new ones are not below them.
fn lower_of(old: &Limits, new: &Limits) -> Limits {
    Limits {
        max_entries: old.max_entries.min(new.max_entries),
        max_bytes: old.max_bytes.min(new.max_bytes),
        ..*old
    }
}
