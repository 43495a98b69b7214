//! Duplicates: slots of one page and tag that may name two versions of a key. A power cut leaves them where
//! the new slot reached the disk and the emptied old one did not. Until it is decided which version is the
//! newer, the older one would be back when the newer goes.

use super::release::{Released, drop_slot, evict};
use crate::error::Result;
use crate::format::page::{GROUP_SLOTS, PageId, other_group};
use crate::index::Found;
use crate::session::{Decision, Session};
use crate::store::Store;

/// Decides the duplicates on one page: of slots that may be versions of one key, the one with the lower
/// LSN goes, and those left lose their duplicate bit. A slot whose record cannot be read keeps it.
pub fn resolve_duplicates(session: &Session, page: PageId) -> Result<()> {
    let store = &session.store;
    let duplicates = store.index().live_on(page).filter(|found| found.slot.is_duplicate());
    let keys: Vec<(Found, Option<Vec<u8>>)> =
        duplicates.map(|found| (found, key_of(store, found))).collect();
    for (found, key) in &keys {
        let Some(record) = store.record(found.slot) else { continue };
        // The newer one may be there: whoever drops that drops this one before it.
        if keys.iter().any(|(other, _)| is_pair(found, other) && store.is_lost(other.slot)) {
            continue;
        }
        let is_newer =
            |other: &Found| store.record(other.slot).is_some_and(|other| other.lsn > record.lsn);
        let is_older = key.is_some()
            && keys
                .iter()
                .any(|(other, its)| its == key && is_pair(found, other) && is_newer(other));
        if is_older {
            evict(session, *found, Some(&record), false)?;
        } else {
            unmark(session, *found)?;
        }
    }
    Ok(())
}

/// Drops a slot whose record is lost, and before it those that may be older versions of its key: without it they
/// would be back.
pub fn drop_lost(session: &Session, lost: Found) -> Result<Released> {
    if lost.slot.is_duplicate() {
        let is_version =
            |other: &Found| other.slot.is_duplicate() && is_pair(&lost, other) && *other != lost;
        let versions = session.store.index().live_on(lost.page).filter(is_version);
        for other in versions.collect::<Vec<_>>() {
            drop_slot(session, other)?;
        }
    }
    drop_slot(session, lost)
}

/// The key of a slot's record, checked as a whole.
fn key_of(store: &Store, found: Found) -> Option<Vec<u8>> {
    let record = store.record(found.slot)?;
    let mut bytes = Vec::new();
    record.read_all(store, &mut bytes).then(|| record.key_in(&bytes).to_vec())
}

/// Whether two slots of a page may be of one key: of equal tag, and in the groups of that.
fn is_pair(a: &Found, b: &Found) -> bool {
    let group = |found: &Found| found.position / GROUP_SLOTS * GROUP_SLOTS;
    a.slot.tag() == b.slot.tag()
        && (group(a) == group(b) || other_group(a.position, a.slot.tag()) == group(b))
}

/// Takes the duplicate bit from a slot.
fn unmark(session: &Session, found: Found) -> Result<()> {
    let index = session.store.index();
    session.transact(|_, changes| {
        let now = index.slot(found.page, found.position);
        if !now.names_same(found.slot) || !now.is_duplicate() {
            return Decision::Leave(());
        }
        changes.set(index.at(found.page, found.position), now.with_duplicate(false).word());
        Decision::Commit(())
    })
}
