//! What is kept where a store is copied into new files and not all of it has room.
//!
//! Segments are filled one after the other. So the number of a segment's taking, and the place in it, tell how
//! old an entry is, without a look at its record.

use crate::format::address::SegmentId;
use crate::format::segment::Queue;

/// The slots of so many entries are gathered and sorted at a time (16 MiB).
const BATCH: u64 = 1 << 20;

/// A segment of the old store, with what lives in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldSegment {
    /// Its number among the takings of segments.
    pub order: u64,
    /// Which it is.
    pub segment: SegmentId,
    /// Its queue.
    pub queue: Queue,
    /// Entries in it.
    pub entries: u64,
    /// How many of these were read of late.
    pub hot: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes that were written to it.
    pub tail: u64,
}

/// A place in the log as it was written: the order of a segment, and bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(pub u64, pub u64);

/// Which entries are copied: what was written since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of those that were read of late.
    hot: Since,
    /// Of the others.
    cold: Since,
}

/// Room for entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Kept {
    /// What has room: of the entries that were read of late the newest, in up to three quarters of it; then the
    /// newest of the others; then more of those that were read. How large these are is not known: as large as
    /// others of their segment.
    pub fn of(segments: &[OldSegment], room: Room) -> Self {
        let most =
            Room { entries: room.entries - room.entries / 4, bytes: room.bytes - room.bytes / 4 };
        let hot = |room| newest(segments, room, |aged| aged.part(aged.hot));
        let (_, of_hot) = hot(most);
        let cold = |aged: &OldSegment| aged.part(aged.entries - aged.hot);
        let (cold, of_cold) = newest(segments, room.less(of_hot), cold);
        Self { hot: hot(room.less(of_cold)).0, cold }
    }

    /// Whether an entry that was written at this place is copied.
    pub fn has(&self, at: Since, frequency: u8) -> bool {
        at >= if frequency > 0 { self.hot } else { self.cold }
    }
}

impl Room {
    fn less(self, taken: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(taken.entries),
            bytes: self.bytes.saturating_sub(taken.bytes),
        }
    }
}

impl OldSegment {
    /// The room that so many of its entries take.
    fn part(&self, entries: u64) -> Room {
        Room { entries, bytes: scaled(self.bytes, entries, self.entries) }
    }
}

/// Since when all that the segments have of something has room, and how much of that it takes.
fn newest(segments: &[OldSegment], room: Room, of: impl Fn(&OldSegment) -> Room) -> (Since, Room) {
    let mut left = room;
    let taken =
        |left: Room| Room { entries: room.entries - left.entries, bytes: room.bytes - left.bytes };
    for aged in segments.iter().rev() {
        let Room { entries, bytes } = of(aged);
        if entries <= left.entries && bytes <= left.bytes {
            left = Room { entries: left.entries - entries, bytes: left.bytes - bytes };
            continue;
        }
        // The end of this one still fits.
        let fits =
            scaled(aged.tail, left.entries, entries).min(scaled(aged.tail, left.bytes, bytes));
        let fits = fits.min(aged.tail);
        left.entries = left.entries.saturating_sub(scaled(entries, fits, aged.tail));
        left.bytes = left.bytes.saturating_sub(scaled(bytes, fits, aged.tail));
        return (Since(aged.order, aged.tail - fits), taken(left));
    }
    (Since(0, 0), taken(left))
}

/// `whole * part / of`, or `whole` where that is more or cannot be told.
fn scaled(whole: u64, part: u64, of: u64) -> u64 {
    let scaled = u128::from(whole) * u128::from(part.min(of)) / u128::from(of.max(1));
    if of == 0 { whole } else { scaled as u64 }
}

/// The segments in groups of so few entries that their slots fit into memory, but for those of a segment that
/// has more alone.
pub fn batches(segments: &[OldSegment]) -> Vec<&[OldSegment]> {
    let (mut batches, mut rest) = (Vec::new(), segments);
    while !rest.is_empty() {
        let mut entries = 0;
        let fits = |aged: &&OldSegment| {
            entries += aged.entries;
            entries <= BATCH
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(order: u64, entries: u64, hot: u64) -> OldSegment {
        let (segment, queue) = (SegmentId::new(order as u16), Queue::Probation);
        OldSegment { order, segment, queue, entries, hot, bytes: entries * 8, tail: entries * 10 }
    }

    fn kept(segments: &[OldSegment], entries: u64, bytes: u64) -> (Since, Since) {
        let Kept { hot, cold } = Kept::of(segments, Room { entries, bytes });
        (hot, cold)
    }

    #[test]
    fn all_is_kept_that_has_room() {
        let segments = [aged(3, 10, 0), aged(5, 10, 5), aged(9, 10, 10)];
        assert_eq!(kept(&segments, u64::MAX, u64::MAX), (Since(0, 0), Since(0, 0)));
        assert_eq!(kept(&segments, 30, 240), (Since(0, 0), Since(0, 0)));
        assert_eq!(kept(&[], 1, 1), (Since(0, 0), Since(0, 0)));
    }

    #[test]
    fn where_not_all_has_room_the_newest_is_kept_and_what_was_read_before_the_rest() {
        let segments = [aged(3, 10, 2), aged(5, 10, 2), aged(9, 10, 0)];
        // Four that were read, ten of the newest, half of the eight others before.
        assert_eq!(kept(&segments, 18, u64::MAX), (Since(0, 0), Since(5, 50)));
        assert_eq!(kept(&segments, u64::MAX, 18 * 8), (Since(0, 0), Since(5, 50)));
        // Of those that were read three quarters, and a quarter of others.
        assert_eq!(
            kept(&[aged(1, 100, 100), aged(2, 100, 0)], 40, u64::MAX),
            (Since(1, 700), Since(2, 900))
        );
        assert_eq!(kept(&segments, 0, 0), (Since(5, 100), Since(9, 100)));
        // Whatever a row says.
        let (most, tail) = (u64::MAX, 10);
        let wild = OldSegment { entries: most, hot: most, bytes: most, tail, ..aged(4, 1, 1) };
        assert_eq!(kept(&[wild, aged(5, 1, 1)], 5, u64::MAX), (Since(4, 10), Since(0, 0)));
    }

    #[test]
    fn a_batch_has_few_entries_or_one_segment_and_none_is_forgotten() {
        let sizes = [BATCH / 2, BATCH / 2, 1, 3 * BATCH, BATCH];
        let segments: Vec<OldSegment> = (0..)
            .zip(sizes)
            .map(|(at, entries)| OldSegment { entries, ..aged(at, 1, 0) })
            .collect();
        let lengths: Vec<usize> = batches(&segments).iter().map(|batch| batch.len()).collect();
        assert_eq!(lengths, [2, 1, 1, 1]);
        assert_eq!(batches(&segments).concat(), segments);
        assert!(batches(&[]).is_empty());
    }
}
