//! Who else is attached to a store.

use crate::format::lock::ProcessId;
use crate::store::Store;
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
