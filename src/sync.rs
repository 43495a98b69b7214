//! The sync: a barrier. What was stored before it began is on the disk when it has ended, and what
//! the last one covered is not destroyed before the next.

use std::sync::{Mutex, PoisonError};

use crate::entries;
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::page::PageId;
use crate::session::{Count, Session};
use crate::sys::words::{Words, raise, update};

/// The syncs of one session.
#[derive(Debug, Default)]
pub struct Barrier {
    /// Held while the files are flushed. One at a time: of two flushes through one open file the kernel
    /// tells only one of what it could not write, and the other would vouch for it.
    flushing: Mutex<()>,
}

impl Barrier {
    /// Makes durable what was stored so far.
    pub fn sync(&self, session: &Session) -> Result<()> {
        let words = &session.store.words;
        session.attachment()?;
        refuse_after_failure(session)?;
        // From now on moves, splits and reuse wait for syncs.
        raise(words, control::SYNCS, 1);
        resolve_all_duplicates(session)?;
        // Never behind one that is done, whatever the counters hold; but numbers that only damage makes
        // are not counted on, for they would soon come to their end.
        let done = words.load(control::SYNCS_DONE);
        let next = |count: u64| if count < control::COUNT_LIMIT { count + 1 } else { 1 };
        let begun = update(words, control::SYNCS_BEGUN, |begun| Some(next(begun.max(done))));
        let begun = begun.unwrap_or(1);
        let _flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        refuse_after_failure(session)?;
        if (begun..control::COUNT_LIMIT).contains(&words.load(control::SYNCS_DONE)) {
            return Ok(()); // Another's flush began after this sync.
        }
        // Those that began by now are covered, whoever is to flush for them.
        let covers = words.load(control::SYNCS_BEGUN).max(begun);
        if let Err(error) = flush(session) {
            // The kernel forgets what it could not write: no later sync can vouch for it.
            words.store(control::SYNC_FAILED, 1);
            return Err(error);
        }
        // Nor can one that another process's failure was told to meanwhile.
        refuse_after_failure(session)?;
        let is_behind = |done: u64| done < covers || done >= control::COUNT_LIMIT;
        update(words, control::SYNCS_DONE, |done| is_behind(done).then_some(covers));
        words.store(control::SYNCED_AT, session.now().get());
        session.count(Count::Syncs, 1);
        Ok(())
    }
}

/// Log, then index, then the log once more where it is to tell of an index that grew.
fn flush(session: &Session) -> Result<()> {
    let words = &session.store.words;
    let pages = session.store.index().pages();
    finish_creation(session)?;
    flush_log(session)?;
    let flushed = words.index.sync();
    flushed.map_err(|error| session.index_error("cannot make it durable", error))?;
    if words.checked(control::PAGES_DURABLE).is_some_and(|durable| durable >= pages) {
        return Ok(());
    }
    raise(words, control::PAGES_DURABLE, pages);
    flush_log(session)
}

fn flush_log(session: &Session) -> Result<()> {
    let flushed = session.store.words.log.sync();
    flushed.map_err(|error| session.log_error("cannot make it durable", error))
}

/// A creator that failed or died at the last step has not made the files' names durable.
fn finish_creation(session: &Session) -> Result<()> {
    let words = &session.store.words;
    if words.load(control::CREATED) != 0 {
        return Ok(());
    }
    session.sync_directory()?;
    words.store(control::CREATED, 1);
    words.store(WordAt::index(control::CREATED.offset()), 1);
    Ok(())
}

/// No slot that may be one of two versions is made durable undecided.
fn resolve_all_duplicates(session: &Session) -> Result<()> {
    let words = &session.store.words;
    loop {
        let cursor = words.load(control::DUPLICATE_CURSOR);
        let Some(page) = cursor.checked_sub(1) else { return Ok(()) };
        if page >= session.store.index().pages() {
            let _ = words.exchange(control::DUPLICATE_CURSOR, cursor, 0);
            continue;
        }
        entries::resolve_duplicates(session, PageId::new(page))?;
        let _ = words.exchange(control::DUPLICATE_CURSOR, cursor, cursor + 1);
    }
}

fn refuse_after_failure(session: &Session) -> Result<()> {
    if session.store.load(control::SYNC_FAILED) == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Io,
        &session.directory().join(LOG_FILE),
        "an earlier sync failed, so what is durable is not known",
        "Check the disk, and restart the machine before relying on syncs: what needs none goes on.",
    ))
}
