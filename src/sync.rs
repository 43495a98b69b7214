//! The sync: a barrier. What was stored before it began is on the disk when it has ended, and what
//! the last one covered is not destroyed before the next.

use crate::entries;
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::control;
use crate::format::page::PageId;
use crate::segments::statistics::Count;
use crate::segments::{Ground, SyncMoment};
use crate::sys::space;
use crate::sys::words::{Words, update};

/// Makes durable what was stored so far.
pub fn barrier(ground: &Ground) -> Result<()> {
    let words = &ground.memory;
    ground.attachment()?;
    if words.load(control::SYNC_FAILED) != 0 {
        return Err(failed(ground));
    }
    // From now on moves, splits and reuse wait for syncs.
    update(words, control::SYNCS, |syncs| (syncs == 0).then_some(1));
    decide_twins(ground)?;
    // Never behind one that is done, whatever the counters hold.
    let done = words.load(control::SYNCS_DONE);
    let begun = update(words, control::SYNCS_BEGUN, |begun| Some(begun.max(done).wrapping_add(1)));
    let begun = begun.unwrap_or(1);
    let pages = ground.index().pages();
    let flushed = flush_log(ground).and_then(|()| flush_index(ground)).and_then(|()| {
        if words.load(control::PAGES_DURABLE) >= pages {
            return Ok(());
        }
        update(words, control::PAGES_DURABLE, |old| (old < pages).then_some(pages));
        flush_log(ground)
    });
    if let Err(error) = flushed {
        // The kernel forgets what it could not write: no later sync can vouch for it.
        words.store(control::SYNC_FAILED, 1);
        return Err(error);
    }
    at(ground, SyncMoment::Done);
    update(words, control::SYNCS_DONE, |done| (done < begun).then_some(begun));
    words.store(control::SYNCED_AT, ground.now().get());
    ground.count(Count::Syncs, 1);
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

fn failed(ground: &Ground) -> Error {
    Error::new(
        ErrorKind::Io,
        &ground.directory.join(LOG_FILE),
        "an earlier sync failed, so what is durable is not known",
        "Check the disk; delete the directory, or restart the machine, before relying on syncs.",
    )
}
