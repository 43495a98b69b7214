//! The steps of recovery, in their order, each durable before the next where that matters.

use super::active;
use super::epoch::raise_epoch;
use super::pass::Pass;
use super::table::{clear_processes, set_control, set_segments};
use crate::directory::write_limits;
use crate::entries::{UnpublishedCopy, index_bytes, unpublished_copies};
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::control;
use crate::format::identity::Identity;
use crate::format::page::{PAGE_BYTES, PAGE_SLOTS, PageId, page_limit};
use crate::store::Store;
use crate::sys::words::Words;

/// What recovery of the files themselves is given.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    /// Makes durable what was done so far.
    pub flush: &'a dyn Fn() -> Result<()>,
    /// Tells those who wait that it moves.
    pub moved: &'a dyn Fn(),
    /// It was last used in this very boot: then the kernel has not forgotten what it could not write.
    pub same_boot: bool,
}

/// Recovers a store; `index_length` is that of the index file, all of it allocated. Without `shared` it is
/// done on a private copy, and the files stay as they are. `false`, and nothing done, if the epochs are used
/// up. (Nobody takes a new number in a private copy.)
pub fn recover(
    identity: &Identity,
    store: &Store,
    index_length: u64,
    shared: Option<Shared<'_>>,
) -> Result<bool> {
    let durable_now = || shared.map_or(Ok(()), |shared| (shared.flush)());
    let moved = || shared.map_or((), |shared| (shared.moved)());
    let same_boot = shared.is_some_and(|shared| shared.same_boot);
    let shared = shared.is_some();
    if !raise_epoch(store) && shared {
        return Ok(false);
    }
    durable_now()?;
    write_limits(&store.words, &identity.limits);
    let in_file = pages_in(store, index_length);
    let pages = pages_of(store, in_file);
    // Lost, all count as durable: what was removed before the last sync is not to come back.
    let durable = store.words.checked(control::PAGES_DURABLE).map_or(pages, |p| p.min(pages));
    let active = if shared { active::find(store) } else { Vec::new() };
    let mut pass = Pass::new(store, pages, durable, active);
    // A reader makes no page, so it needs none emptied; on tmpfs that would allocate them.
    if shared {
        empty_pages(store, pages..in_file);
    }
    pass.sift(&moved);
    durable_now()?;
    pass.count(&moved);
    let index_granted = index_bytes(in_file);
    if shared && !is_any_segment_free(store, &pass, index_granted) {
        redo_moves(store, &mut pass, pages, &moved);
    }
    durable_now()?;
    set_segments(store, &pass, shared);
    set_control(store, &pass, pages, index_granted);
    if !same_boot {
        store.words.store(control::SYNC_FAILED, 0);
    }
    clear_processes(store, shared);
    durable_now()?;
    store.words.store_checked(control::PAGES_DURABLE, pages);
    store.words.store(control::CREATED, 1);
    Ok(true)
}

/// The pages that the index has. Where nobody knows how many, no slot can be told from what a split left behind:
/// then it begins anew, with nothing in it.
fn pages_of(store: &Store, in_file: u64) -> u64 {
    let first = 1 << store.geometry.level;
    match store.words.checked(control::PAGES) {
        Some(pages) => pages.clamp(first, in_file),
        None => {
            empty_pages(store, 0..in_file);
            first
        }
    }
}

/// Pages that an index of this length may have.
fn pages_in(store: &Store, index_length: u64) -> u64 {
    let first = 1 << store.geometry.level;
    let most = page_limit(store.geometry.level);
    (index_length / PAGE_BYTES).saturating_sub(1).clamp(first, most)
}

/// Empties pages: what stands behind the last one is of splits that did not become durable.
fn empty_pages(store: &Store, pages: std::ops::Range<u64>) {
    for page in pages.map(PageId::new) {
        for position in 0..PAGE_SLOTS {
            store.words.store(store.geometry.slot_at(page, position), 0);
        }
    }
}

/// Whether the limit leaves room for more segments than have entries.
fn is_any_segment_free(store: &Store, pass: &Pass<'_>, index_granted: u64) -> bool {
    let allowed = store.share().saturating_sub(index_granted) >> store.geometry.segment_shift;
    let used = pass.live.iter().filter(|&&count| count > 0).count() as u64;
    used < allowed
}

/// Where no segment is free, moves that the end of the other boot cut short are done again, so that one
/// becomes free.
fn redo_moves(store: &Store, pass: &mut Pass<'_>, pages: u64, moved: &dyn Fn()) {
    let mut copies = Vec::new();
    let holds = |segment: SegmentId| pass.live[usize::from(segment.get())] > 0;
    unpublished_copies(store, pages, holds, |copy| {
        copies.push(copy);
        moved();
    });
    for UnpublishedCopy { found, old, new } in copies {
        // A second copy of the same.
        if pass.slot(found.page, found.position) != found.slot {
            continue;
        }
        let slot = found.slot.with_place(new.address, new.generation);
        pass.repoint(found.page, found.position, slot, old.spot.segment);
    }
}
