//! What a `clear` and another boot leave to upkeep.

use crate::entries;
use crate::error::Result;
use crate::format::control;
use crate::format::page::{PAGE_SLOTS, PageId};
use crate::index::Found;
use crate::session::{Count, Decision, Session};
use crate::sys::words::Words;

/// Slots looked at in one step.
const BLOCK_SLOTS: u64 = 64;
const BLOCKS_A_PAGE: u64 = PAGE_SLOTS as u64 / BLOCK_SLOTS;

/// Collects what was cleared from the next few slots; `true` if nothing is left to do.
pub fn clear_step(session: &Session) -> Result<bool> {
    let store = &session.store;
    if store.load(control::PENDING) == 0 {
        return Ok(true);
    }
    let block = store.load(control::CLEAR_CURSOR);
    let page = PageId::new(block / BLOCKS_A_PAGE);
    if page.get() >= store.index().pages() {
        return end_clear(session, block).map(|()| true);
    }
    let cleared = store.cleared();
    let first = (block % BLOCKS_A_PAGE * BLOCK_SLOTS) as usize;
    let block_slots = first..first + BLOCK_SLOTS as usize;
    let in_block = |found: &Found| block_slots.contains(&found.position);
    let slots: Vec<Found> = store.index().live_on(page).filter(in_block).collect();
    for found in slots {
        let record = store.record(found.slot);
        if record.as_ref().is_none_or(|record| record.is_cleared(cleared)) {
            entries::evict(session, found, record.as_ref(), false)?;
            session.count(Count::Expirations, 1);
        }
    }
    let _ = store.words.exchange(control::CLEAR_CURSOR, block, block + 1);
    Ok(false)
}

/// All that was there at the clear has been looked at.
fn end_clear(session: &Session, block: u64) -> Result<()> {
    let store = &session.store;
    let cleared = store.cleared();
    session.transact(|_, changes| {
        if store.cleared() != cleared || store.load(control::CLEAR_CURSOR) != block {
            return Decision::Leave(());
        }
        changes.set(control::PENDING, 0);
        changes.set(control::CLEAR_CURSOR, 0);
        Decision::Commit(())
    })
}

/// Collects an entry at least that nobody can read any more, cleared or an older version of its key; `false` if
/// there is none. Goes over the index until it finds one: so all calls together go over it once.
pub fn collect_unreadable(session: &Session) -> Result<bool> {
    let entries = || session.store.load(control::ENTRIES);
    let before = entries();
    for step in [clear_step, duplicate_step] {
        while !step(session)? {
            if entries() < before {
                return Ok(true);
            }
        }
    }
    Ok(entries() < before)
}

/// Decides the duplicates of the next page; `true` if there are none left.
pub fn duplicate_step(session: &Session) -> Result<bool> {
    let words = &session.store.words;
    let cursor = words.load(control::DUPLICATE_CURSOR);
    let Some(page) = cursor.checked_sub(1) else { return Ok(true) };
    if page >= session.store.index().pages() {
        let _ = words.exchange(control::DUPLICATE_CURSOR, cursor, 0);
        return Ok(words.load(control::DUPLICATE_CURSOR) == 0);
    }
    entries::resolve_duplicates(session, PageId::new(page))?;
    let _ = words.exchange(control::DUPLICATE_CURSOR, cursor, cursor + 1);
    Ok(false)
}
