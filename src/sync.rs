//! The sync: a barrier. What was stored before it began is on the disk when it has ended, and what
//! the last one covered is not destroyed before the next.

use std::sync::PoisonError;

use crate::entries;
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::page::PageId;
use crate::segments::statistics::Count;
use crate::segments::{Ground, SyncMoment};
use crate::sys::words::{Words, update};
use crate::sys::{files, space};

/// Makes durable what was stored so far.
pub fn barrier(ground: &Ground) -> Result<()> {
    let words = &ground.memory;
    ground.attachment()?;
    refuse_after_failure(ground)?;
    // From now on moves, splits and reuse wait for syncs.
    update(words, control::SYNCS, |syncs| (syncs == 0).then_some(1));
    decide_twins(ground)?;
    // Never behind one that is done, whatever the counters hold; but numbers that only damage makes
    // are not counted on, for they would soon come to their end.
    let done = words.load(control::SYNCS_DONE);
    let next = |count: u64| if count < control::COUNT_LIMIT { count + 1 } else { 1 };
    let begun = update(words, control::SYNCS_BEGUN, |begun| Some(next(begun.max(done))));
    let begun = begun.unwrap_or(1);
    // One at a time: of two flushes through one open file the kernel tells only one of what it could
    // not write, and the other would vouch for it.
    let _flushing = ground.flushing.lock().unwrap_or_else(PoisonError::into_inner);
    refuse_after_failure(ground)?;
    if (begun..control::COUNT_LIMIT).contains(&words.load(control::SYNCS_DONE)) {
        return Ok(()); // Another's flush began after this sync.
    }
    // Those that began by now are covered, whoever is to flush for them.
    let covers = words.load(control::SYNCS_BEGUN).max(begun);
    if let Err(error) = flush(ground) {
        // The kernel forgets what it could not write: no later sync can vouch for it.
        words.store(control::SYNC_FAILED, 1);
        return Err(error);
    }
    // Nor can one that another process's failure was told to meanwhile.
    refuse_after_failure(ground)?;
    at(ground, SyncMoment::Done);
    let is_behind = |done: u64| done < covers || done >= control::COUNT_LIMIT;
    update(words, control::SYNCS_DONE, |done| is_behind(done).then_some(covers));
    words.store(control::SYNCED_AT, ground.now().get());
    ground.count(Count::Syncs, 1);
    Ok(())
}

/// Log, then index, then the log once more where it is to tell of an index that grew.
fn flush(ground: &Ground) -> Result<()> {
    let words = &ground.memory;
    let pages = ground.index().pages();
    finish_creation(ground)?;
    flush_log(ground)?;
    flush_index(ground)?;
    if words.load(control::PAGES_DURABLE) >= pages {
        return Ok(());
    }
    update(words, control::PAGES_DURABLE, |old| (old < pages).then_some(pages));
    flush_log(ground)
}

/// A creator that failed or died at the last step has not made the files' names durable.
fn finish_creation(ground: &Ground) -> Result<()> {
    let words = &ground.memory;
    if words.load(control::CREATED) != 0 {
        return Ok(());
    }
    files::sync_directory(&ground.directory)
        .map_err(|error| Error::io(&ground.directory, "cannot make its names durable", error))?;
    words.store(control::CREATED, 1);
    words.store(WordAt::index(control::CREATED.offset()), 1);
    Ok(())
}

fn flush_log(ground: &Ground) -> Result<()> {
    at(ground, SyncMoment::Log);
    space::sync(ground.memory.log.file())
        .map_err(|error| ground.log_error("cannot make it durable", error))
}

fn flush_index(ground: &Ground) -> Result<()> {
    at(ground, SyncMoment::Index);
    space::sync(ground.memory.index.file())
        .map_err(|error| ground.index_error("cannot make it durable", error))
}

fn at(ground: &Ground, moment: SyncMoment) {
    if let Some(hook) = &ground.sync_hook {
        hook.0(moment);
    }
}

/// No slot that may be one of two versions is made durable undecided.
fn decide_twins(ground: &Ground) -> Result<()> {
    let words = &ground.memory;
    loop {
        let cursor = words.load(control::TWIN_CURSOR);
        let Some(page) = cursor.checked_sub(1) else { return Ok(()) };
        if page >= ground.index().pages() {
            let _ = words.exchange(control::TWIN_CURSOR, cursor, 0);
            continue;
        }
        entries::decide_twins(ground, PageId::new(page))?;
        let _ = words.exchange(control::TWIN_CURSOR, cursor, cursor + 1);
    }
}

fn refuse_after_failure(ground: &Ground) -> Result<()> {
    if ground.memory.load(control::SYNC_FAILED) == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Io,
        &ground.directory.join(LOG_FILE),
        "an earlier sync failed, so what is durable is not known",
        "Check the disk; delete the directory, or restart the machine, before relying on syncs.",
    ))
}
