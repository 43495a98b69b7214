//! Who else is attached to a store.

use crate::format::lock::{PROCESS_LOCK_BYTES, ProcessId};
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
    locks.is_locked_elsewhere(PROCESS_LOCK_BYTES).unwrap_or(untold)
}
