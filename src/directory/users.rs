//! Who else is attached to a store.

use crate::format::LOG_FILE;
use crate::format::lock::{PROCESS_LIMIT, ProcessId};
use crate::request::Request;
use crate::store::Store;
use crate::sys::door::Locks;
use crate::sys::words::Words;
use crate::transaction::Liveness;

/// Whether any process but `but` is attached.
pub fn is_attached(
    store: &Store<impl Words>,
    locks: &impl Liveness,
    but: Option<ProcessId>,
) -> bool {
    store.processes().any(|process| Some(process) != but && !locks.is_dead(process))
}

/// Whether any process is attached to the log that these locks are of, whatever is in it; `untold` where the
/// kernel does not tell.
pub fn is_any_attached(locks: &dyn Locks, untold: bool) -> bool {
    // The byte of a row is its number.
    locks.is_locked_elsewhere(0..u64::from(PROCESS_LIMIT)).unwrap_or(untold)
}

/// Whether anybody is attached to the store for certain.
pub fn is_in_use(request: &Request) -> bool {
    let locks = request.files().open_locks(&request.path(LOG_FILE), false);
    locks.is_ok_and(|locks| is_any_attached(&*locks, false))
}
