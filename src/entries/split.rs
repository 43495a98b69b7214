//! Upkeep of the index: its growth by page splits, and the decision about twins.

use super::locate::record_of;
use super::release::{Released, evict};
use crate::config;
use crate::error::{ErrorKind, Result};
use crate::format::control;
use crate::format::page::{PAGE_BYTES, PageId, other_group, page_limit, wants_split};
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::sys::space;
use crate::sys::words::Words;

/// The index grows by at most this much at a time.
pub const GROWTH_LIMIT: u64 = 512 << 10;

/// How far a process has allocated and faulted in the index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backed(u64);

/// Splits the next page if the index wants it and has room; whether the store's limit is in the way.
pub fn grow(ground: &Ground, backed: &mut Backed) -> Result<bool> {
    let words = &ground.memory;
    loop {
        let pages = ground.index().pages();
        if words.load(control::PAGES) != pages {
            mend_pages(ground)?;
        }
        if !wants_split(words.load(control::ENTRIES), pages)
            || pages >= page_limit(ground.geometry.level)
        {
            return Ok(false);
        }
        let page = PageId::new(pages);
        let end = page.offset() + PAGE_BYTES;
        if end > words.load(control::INDEX_GRANTED) {
            let share = ground.share();
            let step = (share / 256).clamp(PAGE_BYTES, GROWTH_LIMIT) / PAGE_BYTES * PAGE_BYTES;
            let granted = ground.transact(|_, changes| {
                let granted = words.load(control::INDEX_GRANTED).max(page.offset());
                let sum = granted.saturating_add(words.load(control::LOG_GRANTED));
                let more = step.min(share.saturating_sub(sum)) / PAGE_BYTES * PAGE_BYTES;
                if granted >= end || granted + more < end {
                    return Decision::Leave(granted >= end);
                }
                changes.set(control::INDEX_GRANTED, granted + more);
                Decision::Commit(true)
            })?;
            if !granted {
                return Ok(true);
            }
        }
        if !back(ground, backed, end)? {
            return Ok(false);
        }
        ground.transact(|_, _| {
            if ground.index().pages() == pages {
                Decision::Split(page, ())
            } else {
                Decision::Leave(())
            }
        })?;
    }
}

/// Stores the number of pages that it is taken for, where damage has made it one that cannot be: else
/// no split could go on from there.
pub fn mend_pages(ground: &Ground) -> Result<()> {
    ground.transact(|_, changes| {
        let pages = ground.index().pages();
        if ground.memory.load(control::PAGES) == pages {
            return Decision::Leave(());
        }
        changes.set(control::PAGES, pages);
        Decision::Commit(())
    })
}

/// Allocates and faults in the granted part of the index; `false` if the disk is full.
fn back(ground: &Ground, backed: &mut Backed, end: u64) -> Result<bool> {
    if backed.0 >= end {
        return Ok(true);
    }
    if ground.is_disk_full() {
        return Ok(false);
    }
    let start = PageId::new(ground.index().pages()).offset().min(end - PAGE_BYTES);
    let granted = ground.memory.load(control::INDEX_GRANTED).max(end);
    let until = granted.min(start + GROWTH_LIMIT).max(end);
    let file = ground.memory.index.file();
    if !ground.leaves_free(until - start)? {
        return Ok(false);
    }
    let done = space::extend(file, start, until - start)
        .and_then(|()| {
            ground.memory.index.note_length(until);
            ground.memory.index.populate(start, until - start)
        })
        .map_err(|error| ground.index_error("cannot allocate space", error));
    match done {
        Ok(()) => {
            backed.0 = until;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::Full => Ok(false),
        Err(error) => Err(error),
    }
}

/// Decides the twins on one page: of slots that may be versions of one key, the one with the lower
/// LSN goes, and those left lose their mark.
pub fn decide_twins(ground: &Ground, page: PageId) -> Result<()> {
    let index = ground.index();
    let twins: Vec<Found> = index.live_on(page).filter(|found| found.slot.is_twin()).collect();
    let mut keys: Vec<(Found, Option<Vec<u8>>)> = Vec::new();
    for found in twins {
        let key = record_of(ground, found).and_then(|record| {
            let mut bytes = Vec::new();
            record
                .read_all(&ground.memory, &ground.geometry, &mut bytes)
                .then(|| record.key_in(&bytes).to_vec())
        });
        keys.push((found, key));
    }
    let is_pair = |a: &Found, b: &Found| {
        let group = |found: &Found| found.position / 16 * 16;
        a.slot.tag() == b.slot.tag()
            && (group(a) == group(b) || other_group(a.position, a.slot.tag()) == group(b))
    };
    for (found, key) in &keys {
        let Some(record) = record_of(ground, *found) else { continue };
        let is_older = key.is_some()
            && keys.iter().any(|(other, its)| {
                let newer = record_of(ground, *other).is_some_and(|its| its.lsn > record.lsn);
                its == key && is_pair(found, other) && newer
            });
        if is_older && evict(ground, *found, Some(&record), false)? == Released::Changed {
            continue;
        }
        if !is_older {
            unmark(ground, *found)?;
        }
    }
    Ok(())
}

/// Takes the twin bit from a slot.
fn unmark(ground: &Ground, found: Found) -> Result<()> {
    let index = ground.index();
    ground.transact(|_, changes| {
        let now = index.slot(found.page, found.position);
        if !now.names_same(found.slot) || !now.is_twin() {
            return Decision::Leave(());
        }
        changes.set(index.at(found.page, found.position), now.with_twin(false).word());
        Decision::Commit(())
    })
}

/// Bytes of the index file for `pages` pages.
pub fn index_bytes(pages: u64) -> u64 {
    (1 + pages) * PAGE_BYTES
}

/// Segments that the store may have beside an index of its present size.
pub fn segments_allowed(ground: &Ground) -> u64 {
    let granted = ground.memory.load(control::INDEX_GRANTED);
    config::segments_within(&ground.geometry, ground.memory.load(control::MAX_BYTES), granted)
        .min(config::segments_limit(&ground.geometry))
}
