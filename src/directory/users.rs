//! Who else is attached to a store.

use crate::format::lock::ProcessSlot;
use crate::store::Store;
use crate::sys::words::Words;
use crate::transaction::Liveness;

/// Whether any process but `but` is attached.
pub fn is_attached(
    store: &Store<impl Words>,
    locks: &impl Liveness,
    but: Option<ProcessSlot>,
) -> bool {
    store.processes().any(|slot| Some(slot) != but && !locks.is_dead(slot))
}
