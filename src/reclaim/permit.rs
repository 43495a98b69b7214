//! The permit: whether something live may go, or too much may have expired instead. A look at all segments
//! holds until a moment, for so much, and until another segment is taken: so not each eviction looks.

use super::facts::Facts;
use super::writer::{Permit, Writer};
use crate::format::control;
use crate::policy;
use crate::session::Session;

/// A look holds for the eviction of one part of the log, or of the most entries, in so many.
const PARTS: u64 = 128;

/// Whether an entry of `units` that lives may go for want of bytes.
pub fn may_evict_for_bytes(session: &Session, writer: &mut Writer, units: u32) -> bool {
    writer.permit.unconditional || is_permitted(session, writer, units, true)
}

/// Whether an entry that lives may go where entries are at their limit.
pub fn may_evict_for_entries(session: &Session, writer: &mut Writer) -> bool {
    is_permitted(session, writer, 0, false)
}

fn is_permitted(session: &Session, writer: &mut Writer, units: u32, for_bytes: bool) -> bool {
    let orders = session.store.load(control::ORDERS);
    let now = session.clock.coarse();
    if !writer.permit.holds(now, orders, for_bytes) {
        let facts = Facts::gather(session, 1, &writer.swept);
        let store = facts.store();
        let Some(until) = policy::may_evict_until(&store, for_bytes) else { return false };
        writer.permit = Permit {
            within: Some((now, until)),
            for_bytes,
            orders,
            units: store.allowed * u64::from(store.segment_units) / PARTS,
            entries: (store.max_entries / PARTS).max(1),
            ..writer.permit
        };
    }
    let permit = &mut writer.permit;
    permit.units = permit.units.saturating_sub(u64::from(units));
    permit.entries -= 1;
    true
}
