//! Views: a value in place, without a copy.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::handle::FileCache;
use super::process::{Anchor, Process};
use crate::index::Found;
use crate::session::{Count, Pin, Session};
use crate::store::Record;
use crate::sys::fork;

/// Bytes that are copied sooner than their segment is pinned.
const COPIED_LENGTH: u32 = 4096;

/// A value, read in place where that is possible.
///
/// It stays as it was however the entry changes: while a view lives, the segment it is in is not
/// reused. So let it go soon; a value to keep is better copied. In a forked child an inherited view
/// panics when it is read, since it was the parent's.
pub struct View(Kind);

enum Kind {
    Pinned(Pinned),
    Owned(Vec<u8>),
}

struct Pinned {
    /// What it is of; left alone in a forked child.
    anchor: Option<Arc<Anchor>>,
    process: fork::Incarnation,
    pin: Pin,
    offset: u64,
    length: usize,
}

impl FileCache {
    /// The value of a key without a copy, if it is there and has not expired. Costs a checksum of the
    /// entry.
    pub fn view(&self, key: impl AsRef<[u8]>) -> Option<View> {
        let key = key.as_ref();
        let process = self.process().ok()?;
        let mut copy = Vec::new();
        let view = process.look_up(key, |found, record| {
            let view = self.view_of(process, key, (found, record), &mut copy)?;
            process.session.store.index().bump(found);
            Some(view)
        });
        process.session.count(if view.is_some() { Count::Hits } else { Count::Misses }, 1);
        if view.as_ref().is_some_and(|view| !view.is_in_place()) {
            process.session.count(Count::ViewCopies, 1);
        }
        view
    }

    /// Whether a key is there and has not expired: whether [`FileCache::get`] would find it. Does not count as
    /// use. Costs a checksum of the entry, as a view does; a large value is not copied where a view is in place.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        let key = key.as_ref();
        let Ok(process) = self.process() else { return false };
        let mut copy = Vec::new();
        let seen = process.look_up(key, |found, record| {
            if record.shape.value <= COPIED_LENGTH {
                return record.read_value(&process.session.store, key, &mut copy).then_some(());
            }
            self.view_of(process, key, (found, record), &mut copy).map(drop)
        });
        seen.is_some()
    }

    /// A view of a record that a slot names, in place if that may be.
    fn view_of(
        &self,
        process: &Process,
        key: &[u8],
        (found, record): (Found, &Record),
        copy: &mut Vec<u8>,
    ) -> Option<View> {
        if let Some(pin) = process.pin(record) {
            return view_pinned(process, pin, key, (found, record));
        }
        record
            .read_value(&process.session.store, key, copy)
            .then(|| View(Kind::Owned(std::mem::take(copy))))
    }
}

/// A view of a record whose segment is pinned. What was read before the pin is read again: now it stays.
fn view_pinned(
    process: &Process,
    pin: Pin,
    key: &[u8],
    (found, record): (Found, &Record),
) -> Option<View> {
    // From here on the pin goes with it.
    let view = View(Kind::Pinned(Pinned {
        anchor: Some(process.anchor(pin.line)),
        process: fork::incarnation(),
        pin,
        offset: record.value_offset(),
        length: record.shape.value as usize,
    }));
    let store = &process.session.store;
    let again = store.record(found.slot)?;
    let same = again.shape == record.shape && again.lsn == record.lsn;
    (same && again.has_key(store, key) && again.pinned_value(store).is_some()).then_some(view)
}

impl Process {
    /// Pins a record's segment, if another one may be pinned and this one is still what it was.
    fn pin(&self, record: &Record) -> Option<Pin> {
        let Session { store, attachment, pins, .. } = &self.session;
        let me = attachment.as_ref()?;
        let pin = Pin::by_this_thread(record.spot.segment);
        let pinned = pins.may_pin(store, me.process, pin, &me.locks)
            && pins.pin(store, me.process, pin, record.spot.generation);
        pinned.then_some(pin)
    }
}

impl View {
    /// Whether the value is read in place; otherwise it is a copy.
    pub fn is_in_place(&self) -> bool {
        matches!(self.0, Kind::Pinned(_))
    }
}

impl Deref for View {
    type Target = [u8];

    #[expect(clippy::panic, reason = "documented: the pin was the parent's")]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kind::Owned(bytes) => bytes,
            Kind::Pinned(pinned) => {
                if pinned.process != fork::incarnation() {
                    panic!("a view was made before this process was forked: make a new one");
                }
                let bytes = pinned.anchor.as_ref().and_then(|anchor| {
                    let log = &anchor.session().store.words.log;
                    log.pinned(pinned.offset, pinned.length)
                });
                bytes.unwrap_or_default()
            }
        }
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match &self.0 {
            Kind::Owned(bytes) => bytes.len(),
            Kind::Pinned(pinned) => pinned.length,
        };
        write!(f, "View({length} bytes)")
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let Some(anchor) = self.anchor.take() else { return };
        if self.process != fork::incarnation() {
            std::mem::forget(anchor); // The parent's, and so is the pin.
            return;
        }
        let session = anchor.session();
        if let Some(me) = &session.attachment {
            session.pins.unpin(&session.store, me.process, self.pin);
        }
    }
}
