//! Attaching: the files mapped, and a process row taken.

use std::sync::Arc;

use super::anew::replace;
use crate::directory::{
    AttachedLocks, IndexFile, OpeningLock, disorder, is_still_in_order, map, open_index, open_log,
};
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
use crate::sys::space::FileSystem;
use crate::sys::words::{Words, update};
use crate::transaction::Transactions;

/// What came of attaching.
#[derive(Debug)]
pub enum Attached {
    /// The store in its files, recovered if need be, and a process row.
    To(Box<(Store, Attachment)>),
    /// An empty store took its place: its epochs were used up. It has to be opened from the start.
    BegunAnew,
}

/// Attaches, in constant time where the store is in order, else under the opening lock.
pub fn attach(
    request: &Request,
    identity: &Identity,
    file_system: FileSystem,
    opening: &mut Opening,
) -> Result<Attached> {
    let path = request.path(LOG_FILE);
    let boot_id = request.boot_id()?;
    if let Some((store, attachment)) = attach_in_order(request, identity, boot_id)? {
        return Ok(Attached::To(Box::new((store, attachment))));
    }
    let locks = open_locks(request)?;
    let lock = OpeningLock::acquire(&*locks, &path, request.options.lock_timeout)?;
    let Some(store) = recover_shared(request, identity, &lock, boot_id, opening)? else {
        replace(request, file_system, &lock)?;
        return Ok(Attached::BegunAnew);
    };
    // Under the lock: whoever is attached keeps the store in order, also for boot ids that differ.
    let process = free_row(request, &store, &*locks)?;
    settle(request, &store, &*locks, process)?;
    drop(lock);
    Ok(Attached::To(Box::new((store, attachment(process, locks)))))
}

/// The store and a process row, if it is in order without a look at who else is attached.
fn attach_in_order(
    request: &Request,
    identity: &Identity,
    boot_id: [u64; 2],
) -> Result<Option<(Store, Attachment)>> {
    let log = open_log(request, identity, true)?;
    let locks = open_locks(request)?;
    let geometry = identity.geometry();
    let IndexFile::Whole(index) = open_index(request, identity, true)? else { return Ok(None) };
    if disorder(request, &geometry, [&*log, &*index], boot_id, || false)?.is_some() {
        return Ok(None);
    }
    let store = map(request, geometry, log, index, Access::Shared)?;
    let process = free_row(request, &store, &*locks).or_else(|error| {
        // Whoever copies the store into new files holds all rows, and this lock.
        let lock_timeout = request.options.lock_timeout;
        OpeningLock::acquire(&*locks, &request.path(LOG_FILE), lock_timeout)?;
        Err(error)
    })?;
    if !is_still_in_order(&store.words, boot_id) {
        return Ok(None);
    }
    settle(request, &store, &*locks, process)?;
    Ok(Some((store, attachment(process, locks))))
}

fn attachment(process: ProcessId, locks: Box<dyn Locks>) -> Attachment {
    Attachment { process, locks: Arc::new(AttachedLocks::new(locks)) }
}

fn open_locks(request: &Request) -> Result<Box<dyn Locks>> {
    let path = request.path(LOG_FILE);
    request.files().open_locks(&path, true).map_err(|error| unusable(&path, error))
}

/// Makes a process row one's own whose byte is locked: finishes what its last owner had begun.
fn settle(request: &Request, store: &Store, locks: &dyn Locks, process: ProcessId) -> Result<()> {
    let path = request.path(LOG_FILE);
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
    Ok(())
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
