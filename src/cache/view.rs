//! Views: a value in place, without a copy.

use std::fmt;
use std::ops::Deref;

use super::FileCache;
use crate::format::place::SegmentId;
use crate::segments::pins;
use crate::segments::read;
use crate::segments::statistics::Count;
use crate::sys::fork;

/// Views of this part of the segments at a time, in all processes together, are in place; further
/// ones are copies, so that views cannot keep the cache from reusing its space.
const PINNED_PART: u32 = 4;

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
    cache: FileCache,
    process: fork::Generation,
    segment: SegmentId,
    offset: u64,
    length: usize,
}

impl FileCache {
    /// The value of a key without a copy, if it is there and has not expired. Costs a checksum of the
    /// entry.
    pub fn view(&self, key: impl AsRef<[u8]>) -> Option<View> {
        let key = key.as_ref();
        let process = self.process().ok()?;
        let ground = &process.ground;
        let mut copy = Vec::new();
        let view = process.look_up(key, |found, record| {
            let segment = record.spot.segment;
            let pinned = self.may_pin().and_then(|me| {
                let generation = record.spot.generation;
                let pin =
                    ground.pins.pin(&ground.memory, &ground.geometry, me, segment, generation);
                pin.then_some(me)
            });
            let Some(me) = pinned else {
                let whole = record.read_value(&ground.memory, &ground.geometry, key, &mut copy);
                return whole.then(|| {
                    ground.index().bump(found);
                    ground.count(Count::ViewCopies, 1);
                    View(Kind::Owned(std::mem::take(&mut copy)))
                });
            };
            // What was read before the pin is read again: now it stays.
            let pinned = Pinned {
                cache: self.clone(),
                process: fork::generation(),
                segment,
                offset: record.value_offset(),
                length: record.shape.value as usize,
            };
            let view = View(Kind::Pinned(pinned));
            let again = read::spot(&ground.memory, &ground.geometry, found.slot)
                .and_then(|spot| read::record(&ground.memory, &ground.geometry, spot))
                .filter(|again| again.shape == record.shape && again.lsn == record.lsn)?;
            debug_assert_eq!(Some(me), ground.attachment.as_ref().map(|own| own.slot));
            let whole = again.has_key(&ground.memory.log, key)
                && again.pinned_value(&ground.memory.log).is_some();
            whole.then(|| {
                ground.index().bump(found);
                view
            })
        });
        ground.count(if view.is_some() { Count::Hits } else { Count::Misses }, 1);
        view
    }

    /// This process, if it may pin another segment.
    fn may_pin(&self) -> Option<crate::format::lock::ProcessSlot> {
        let ground = &self.process().ok()?.ground;
        let me = ground.attachment.as_ref()?;
        let segments = ground.segment_count();
        let pinned = pins::count(&ground.memory, &ground.geometry, segments, me.slot, &me.locks);
        (pinned * PINNED_PART <= u32::from(segments)).then_some(me.slot)
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
                if pinned.process != fork::generation() {
                    panic!("a view was made before this process was forked: make a new one");
                }
                let bytes = pinned.cache.process().ok().and_then(|process| {
                    process.ground.memory.log.pinned(pinned.offset, pinned.length)
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
        if self.process != fork::generation() {
            return; // The parent's pin.
        }
        if let Ok(process) = self.cache.process() {
            let ground = &process.ground;
            if let Some(me) = &ground.attachment {
                ground.pins.unpin(&ground.memory, &ground.geometry, me.slot, self.segment);
            }
        }
    }
}
