//! Attaching: the files mapped, and a process row taken.

use crate::directory::{IndexFile, OpeningLock, is_in_order, map, open_index, open_log};
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::control::{self, PROCESS_ROW_BYTES};
use crate::format::identity::Identity;
use crate::format::intent::WordAt;
use crate::format::lock::{Phase, ProcessId, process_lock_byte};
use crate::format::page::PAGE_BYTES;
use crate::recovery::recover_shared;
use crate::request::{Opening, Request, unusable};
use crate::session::{Attachment, Medium, pins};
use crate::store::Store;
use crate::sys::door::{Access, Locks};
use crate::sys::words::{Words, update};
use crate::transaction::Transactions;

/// The store in its files, recovered if need be, and a process row.
pub fn attach(
    request: &Request,
    identity: &Identity,
    opening: &mut Opening,
) -> Result<(Store, Attachment)> {
    let path = request.path(LOG_FILE);
    let log = open_log(request, identity, true)?;
    let locks = request.files().open_locks(&path, true).map_err(|error| unusable(&path, error))?;
    let boot_id = request.boot_id()?;
    let geometry = identity.geometry();
    let in_order = match open_index(request, identity, true)? {
        IndexFile::Whole(index) => {
            is_in_order(request, &geometry, &*log, &*index, boot_id)?.then_some(index)
        }
        IndexFile::Unusable(_) => None,
    };
    let store = match in_order {
        Some(index) => map(request, geometry, log, index, Access::Shared)?,
        None => {
            let lock = OpeningLock::acquire(&*locks, &path, request.options.lock_timeout)?;
            let store = recover_shared(request, identity, &locks, boot_id, opening)?;
            drop(lock);
            store
        }
    };
    let attachment = join(request, &store, locks)?;
    Ok((store, attachment))
}

/// Takes a process row, after finishing what its last owner had begun.
fn join(request: &Request, store: &Store, locks: Box<dyn Locks>) -> Result<Attachment> {
    let path = request.path(LOG_FILE);
    let process = free_row(request, store, &*locks)?;
    let number = u64::from(process.get());
    let Store { words, geometry } = store;
    if store.load(control::PROCESSES_SEEN) <= number {
        // A row may lie on two pages.
        let begin = geometry.process_offset(process);
        let end = (begin + PROCESS_ROW_BYTES).next_multiple_of(PAGE_BYTES);
        let begin = begin / PAGE_BYTES * PAGE_BYTES;
        let start = WordAt::log(begin);
        words
            .allocate(start, end - begin)
            .and_then(|()| words.populate(start, end - begin))
            .map_err(|error| Error::io(&path, "cannot allocate a process row", error))?;
    }
    Transactions { words, geometry, me: process, liveness: &locks }.settle_row();
    words.store(geometry.intent_at(process, 0), 0);
    pins::clear_pins(store, process);
    update(words, control::PROCESSES_SEEN, |seen| (seen <= number).then_some(number + 1));
    Ok(Attachment { process, locks })
}

/// Locks the byte of a row that nobody has. Rather one that the lock word does not name: what its owner
/// began is finished all the same.
fn free_row(request: &Request, store: &Store, locks: &dyn Locks) -> Result<ProcessId> {
    let io = |error| Error::io(&request.path(LOG_FILE), "cannot lock it", error);
    let processes = store.geometry.max_processes;
    let lock = store.lock();
    let named = (lock.phase != Phase::Free).then_some(lock.owner);
    let all = || (0..processes).filter_map(ProcessId::new);
    let preferred = all().filter(|process| Some(*process) != named);
    for process in preferred.chain(named.filter(|process| process.get() < processes)) {
        if locks.try_lock(process_lock_byte(process)).map_err(io)? {
            return Ok(process);
        }
    }
    Err(Error::new(
        ErrorKind::Busy,
        &request.directory,
        format!("{processes} processes are attached, as many as this store allows"),
        "Let some users go, or create a store with more max_processes.",
    ))
}
