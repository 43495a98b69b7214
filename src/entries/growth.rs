//! Growth of the index: a put splits off a page, if there are enough entries for it and the limit has room.

use crate::error::Result;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::page::{PAGE_BYTES, PageId, page_limit, wants_split};
use crate::session::{Decision, Medium, Session};
use crate::store::Store;
use crate::sys::words::Words;

/// The index grows by at most this much at a time.
pub const GROWTH_LIMIT: u64 = 512 << 10;

/// How far a process has allocated and faulted in the index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backed(u64);

/// Splits the next page if the index wants one and has room for it; `true` if the store's limit is in the
/// way.
#[inline]
pub fn grow(session: &Session, backed: &mut Backed) -> Result<bool> {
    let store = &session.store;
    loop {
        let stored = store.words.checked(control::PAGES);
        let pages = store.index().pages();
        if stored != Some(pages) {
            repair_page_count(session)?;
        }
        if !wants_split(store.load(control::ENTRIES), pages)
            || pages >= page_limit(store.geometry.level)
        {
            return Ok(false);
        }
        let page = PageId::new(pages);
        let end = page.offset() + PAGE_BYTES;
        if end > store.load(control::INDEX_GRANTED) && !grant(session, page)? {
            return Ok(true);
        }
        if !back(session, backed, end)? {
            return Ok(false);
        }
        session.transact(|_, _| {
            if store.index().pages() == pages {
                Decision::Split(page, ())
            } else {
                Decision::Leave(())
            }
        })?;
    }
}

/// Where the number of pages is one that cannot be, stores the one that it is read as: else no split could go
/// on from there.
pub fn repair_page_count(session: &Session) -> Result<()> {
    session.transact(|_, changes| {
        let Some(pages) = session.store.index().known_pages() else { return Decision::Leave(()) };
        if session.store.words.checked(control::PAGES) == Some(pages) {
            return Decision::Leave(());
        }
        changes.set_checked(control::PAGES, pages);
        Decision::Commit(())
    })
}

/// Books bytes of the limit for a page and some more; `false` if there are none left.
fn grant(session: &Session, page: PageId) -> Result<bool> {
    let store = &session.store;
    let end = page.offset() + PAGE_BYTES;
    session.transact(|_, changes| {
        let granted = store.load(control::INDEX_GRANTED).max(page.offset());
        let more = grant_step(store, granted);
        if granted >= end || granted + more < end {
            return Decision::Leave(granted >= end);
        }
        changes.set(control::INDEX_GRANTED, granted + more);
        Decision::Commit(true)
    })
}

/// Bytes, in whole pages, that an index which was granted so many is granted at once.
fn grant_step(store: &Store, granted: u64) -> u64 {
    let share = store.share();
    let step = (share / 256).clamp(PAGE_BYTES, GROWTH_LIMIT) / PAGE_BYTES * PAGE_BYTES;
    let sum = granted.saturating_add(store.load(control::LOG_GRANTED));
    step.min(share.saturating_sub(sum)) / PAGE_BYTES * PAGE_BYTES
}

/// Allocates and faults in the granted part of the index; `false` if the disk is full.
fn back(session: &Session, backed: &mut Backed, end: u64) -> Result<bool> {
    if backed.0 >= end {
        return Ok(true);
    }
    if session.is_disk_full() {
        return Ok(false);
    }
    let store = &session.store;
    let start = PageId::new(store.index().pages()).offset().min(end - PAGE_BYTES);
    let granted = store.load(control::INDEX_GRANTED).max(end);
    let until = granted.min(start + GROWTH_LIMIT).max(end);
    if !session.leaves_free(until - start)? {
        session.note_disk_full();
        return Ok(false);
    }
    let done = store
        .words
        .index
        .extend(start, until - start)
        .and_then(|()| store.words.populate(WordAt::index(start), until - start))
        .map_err(|error| session.index_error("cannot allocate space", error));
    match done {
        Ok(()) => {
            backed.0 = until;
            Ok(true)
        }
        Err(error) if error.stops_growth() => {
            session.note_disk_full();
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Bytes of the index file for `pages` pages.
pub fn index_bytes(pages: u64) -> u64 {
    (1 + pages) * PAGE_BYTES
}
