//! The permit: whether something live may go, or too much may have expired instead. A look at all segments
//! holds until a moment, and for some transactions of all processes: so not each eviction looks.

use super::facts::Facts;
use super::writer::{Permit, Writer};
use crate::format::address::Millis;
use crate::format::control;
use crate::policy;
use crate::session::Session;

/// A look holds for as many transactions as there are entries, divided by this. (A put is one, an eviction another.)
const PARTS: u64 = 64;
/// The same where nothing expires, and how many transactions it holds for there at least.
const PARTS_FOR_EVER: u64 = 24;
const LEAST_FOR_EVER: u64 = 40;

/// Whether an entry that lives may go for want of bytes.
pub fn may_evict_for_bytes(session: &Session, writer: &mut Writer) -> bool {
    writer.permit.unconditional || is_permitted(session, writer, true)
}

/// Whether an entry that lives may go where entries are at their limit.
pub fn may_evict_for_entries(session: &Session, writer: &mut Writer) -> bool {
    is_permitted(session, writer, false)
}

fn is_permitted(session: &Session, writer: &mut Writer, for_bytes: bool) -> bool {
    let first = session.store.lsn().get();
    if writer.permit.holds(first, || session.clock.coarse(), for_bytes) {
        return true;
    }
    let from = session.clock.coarse();
    let facts = Facts::gather(session, 1, &writer.swept);
    let Some(until) = policy::may_evict_until(&facts.store(), for_bytes) else { return false };
    let (parts, least) = match until {
        Millis::NEVER => (PARTS_FOR_EVER, LEAST_FOR_EVER),
        _ => (PARTS, 1),
    };
    let last = first + (session.store.load(control::ENTRIES) / parts).max(least);
    let unconditional = writer.permit.unconditional;
    writer.permit = Permit { within: Some((from, until)), for_bytes, first, last, unconditional };
    true
}
