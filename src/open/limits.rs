//! Limits: the newest opener's hold for all, and a lowered one holds before `open` returns.

use std::sync::Arc;

use crate::config;
use crate::directory::{
    OpeningLock, are_limits, is_attached, read_identity, read_limits, write_identity, write_limits,
};
use crate::error::Result;
use crate::format::LOG_FILE;
use crate::format::control::{self, ROWS_OFFSET};
use crate::format::identity::{Identity, Limits};
use crate::format::intent::WordAt;
use crate::format::segment::ROW_BYTES;
use crate::reclaim::{self, Writer};
use crate::request::Request;
use crate::session::{Medium, Session};
use crate::sync::Barrier;

/// An opener that may change limits.
struct Change<'a> {
    request: &'a Request,
    session: &'a Session,
    barrier: &'a Arc<Barrier>,
}

/// Sets what this opener asks for, if it differs from what holds, and makes it hold.
pub fn apply(
    request: &Request,
    session: &Session,
    barrier: &Arc<Barrier>,
    identity: Identity,
) -> Result<()> {
    let options = &request.options;
    if options.read_only {
        return Ok(());
    }
    let change = Change { request, session, barrier };
    let words = &session.store.words;
    if !are_limits(words, &identity.limits) {
        change.restore()?;
    }
    let asks = options.max_entries.is_some()
        || options.max_bytes.is_some()
        || options.ttl_ms.is_some()
        || options.min_free.is_some();
    if !asks {
        // Whoever did not ask for the limits is not refused for what they cannot be brought to.
        let _ = change.finish();
        return Ok(());
    }
    let geometry = session.store.geometry;
    let wanted = || options.change(&request.directory, geometry, read_limits(words));
    if wanted()?.is_none() {
        return change.finish();
    }
    let _lock = change.lock()?;
    let Some(limits) = wanted()? else { return change.shrink() };
    change.prepare(&limits)?;
    write_identity(request, &Identity { limits, ..identity })?;
    write_limits(words, &limits);
    change.shrink()
}

impl Change<'_> {
    fn lock(&self) -> Result<OpeningLock<'_>> {
        let path = self.request.path(LOG_FILE);
        let locks = &self.session.attachment()?.locks;
        OpeningLock::acquire(&**locks, &path, self.request.options.lock_timeout)
    }

    /// The words of the control block say something else than the file `store`: another process is
    /// changing them right now, died in the middle, or the words are damaged. The file counts.
    fn restore(&self) -> Result<()> {
        let _lock = self.lock()?;
        let Some(identity) = read_identity(self.request)? else { return Ok(()) };
        let words = &self.session.store.words;
        if are_limits(words, &identity.limits) {
            return Ok(());
        }
        self.prepare(&identity.limits)?;
        write_limits(words, &identity.limits);
        self.shrink()
    }

    /// Goes on where whoever lowered the limits failed or died before all was gone that is too much.
    fn finish(&self) -> Result<()> {
        let store = &self.session.store;
        let entries_fit = store.load(control::ENTRIES) <= store.load(control::MAX_ENTRIES);
        if entries_fit && self.bytes_over() == 0 {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.shrink()
    }

    /// Bytes granted beyond the limit.
    fn bytes_over(&self) -> u64 {
        self.session.store.granted().saturating_sub(self.session.store.share())
    }

    /// Makes the log long enough for a raised limit, durably, before a word mentions it.
    fn prepare(&self, limits: &Limits) -> Result<()> {
        let store = &self.session.store;
        let first = config::first_index_bytes(&store.geometry);
        let segments = config::segments_within(&store.geometry, limits.max_bytes, first);
        let length = store.geometry.log_bytes(segments);
        let io = |error| self.session.log_error("cannot make it longer", error);
        store.words.allocate(WordAt::log(ROWS_OFFSET), segments * ROW_BYTES).map_err(io)?;
        let file = store.words.log.file();
        if file.length().map_err(io)? < length {
            file.set_length(length).map_err(io)?;
            file.sync(true).map_err(io)?;
        }
        store.words.log.holds(0, length);
        Ok(())
    }

    /// Evicts until a lowered limit holds; what went is counted, though opening may fail.
    fn shrink(&self) -> Result<()> {
        let shrunk = self.evict_beyond();
        self.session.flush_counters();
        shrunk
    }

    fn evict_beyond(&self) -> Result<()> {
        let Self { session, barrier, .. } = self;
        let store = &session.store;
        let mut writer = Writer::new(Arc::clone(barrier));
        reclaim::repair_grants(session)?;
        while store.load(control::ENTRIES) > store.load(control::MAX_ENTRIES) {
            if !reclaim::evict_one(session, &mut writer)? {
                break;
            }
        }
        loop {
            let over = self.bytes_over();
            if over == 0 {
                return Ok(());
            }
            if session.disk.allocates_on_read() && self.is_anybody_else_attached()? {
                return Err(session.busy(
                    "on tmpfs the limit can be lowered only while nobody else uses the store, and \
                     another process does",
                    "Let the others close it, or leave max_bytes as it was.",
                ));
            }
            if store.syncs() {
                // What moves left behind may go only after a sync.
                barrier.sync(session)?;
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
        Ok(is_attached(&self.session.store, &me.locks, Some(me.process)))
    }
}
