//! What a `clear` and another boot leave to upkeep.

use crate::entries;
use crate::error::Result;
use crate::format::control;
use crate::format::page::PageId;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::segments::read;
use crate::segments::statistics::Count;
use crate::sys::words::Words;

/// Slots looked at in one step.
const BLOCK_SLOTS: u64 = 64;
const BLOCKS_A_PAGE: u64 = crate::format::page::PAGE_SLOTS as u64 / BLOCK_SLOTS;

/// Collects what was cleared from the next few slots; `true` if nothing is left to do.
pub fn clear_step(ground: &Ground) -> Result<bool> {
    let words = &ground.memory;
    if words.load(control::PENDING) == 0 {
        return Ok(true);
    }
    let block = words.load(control::CLEAR_CURSOR);
    let page = PageId::new(block / BLOCKS_A_PAGE);
    let cleared = read::cleared(words);
    if page.get() >= ground.index().pages() {
        // All that was there at the clear has been looked at.
        ground.transact(|_, changes| {
            if read::cleared(words) != cleared || words.load(control::CLEAR_CURSOR) != block {
                return Decision::Leave(());
            }
            changes.set(control::PENDING, 0);
            changes.set(control::CLEAR_CURSOR, 0);
            Decision::Commit(())
        })?;
        return Ok(true);
    }
    let first = (block % BLOCKS_A_PAGE * BLOCK_SLOTS) as usize;
    let slots: Vec<Found> = ground
        .index()
        .live_on(page)
        .filter(|found| (first..first + BLOCK_SLOTS as usize).contains(&found.position))
        .collect();
    for found in slots {
        let record = read::spot(words, &ground.geometry, found.slot)
            .and_then(|spot| read::record(words, &ground.geometry, spot));
        let is_cleared =
            record.as_ref().is_none_or(|record| record.lsn.is_none_or(|lsn| lsn <= cleared));
        if is_cleared {
            entries::evict(ground, found, record.as_ref(), false)?;
            ground.count(Count::Expirations, 1);
        }
    }
    let _ = words.exchange(control::CLEAR_CURSOR, block, block + 1);
    Ok(false)
}

/// Decides the twins of the next page; `true` if there are none left.
pub fn twin_step(ground: &Ground) -> Result<bool> {
    let words = &ground.memory;
    let cursor = words.load(control::TWIN_CURSOR);
    let Some(page) = cursor.checked_sub(1) else { return Ok(true) };
    if page >= ground.index().pages() {
        let _ = words.exchange(control::TWIN_CURSOR, cursor, 0);
        return Ok(words.load(control::TWIN_CURSOR) == 0);
    }
    entries::decide_twins(ground, PageId::new(page))?;
    let _ = words.exchange(control::TWIN_CURSOR, cursor, cursor + 1);
    Ok(false)
}
