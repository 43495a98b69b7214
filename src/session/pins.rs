//! Pins: how a segment in use is kept from being reused.
//!
//! Whoever needs the bytes of a segment to stay (a view, a writer) says so in the process's own row,
//! fences, and looks again whether the segment is still what it was. Whoever reuses a segment
//! declares it draining, fences, and looks for pins. One of the two sees the other (Dekker's
//! argument over sequentially consistent fences). Draining is never undone, and pins of a process
//! that the kernel says is gone do not count, so nothing that dies leaves anything locked.
//!
//! A process row has eight lines of pins, and a segment is pinned by its bit in any of them. Each thread keeps to a line, of
//! the row and of the counts here. So up to eight threads that view never write to a cache line of another's.

use std::cell::Cell;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::format::address::{Generation, SegmentId};
use crate::format::control::{PIN_LINE_BITS, PIN_LINES, PROCESSES_SEEN, TABLE_SEGMENTS};
use crate::format::lock::{PROCESS_LIMIT, ProcessId};
use crate::store::Store;
use crate::sys::words::{Words, update};
use crate::transaction::Liveness;

/// Which of a process's two writing words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A put.
    Put,
    /// A move.
    Move,
}

/// Words of a line.
const LINE_WORDS: usize = PIN_LINE_BITS as usize / 64;

/// A bit for each segment of the table.
pub type Segments = [u64; TABLE_SEGMENTS as usize / 64];

/// While views pin this part of the segments, in all processes together, no more are pinned: so views cannot keep
/// the cache from reusing its space.
const PINNED_PART: u32 = 4;
/// Lines of all processes that are as many as this part of the segments, at most, may each pin one segment without a look at
/// the others', which would fetch the cache lines that these write to.
const UNSEEN_PART: u32 = 8;

/// A segment that is pinned, and the line by which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The segment.
    pub segment: SegmentId,
    /// The line.
    pub line: u16,
}

impl Pin {
    /// A pin of a segment by the line of this thread.
    pub fn by_this_thread(segment: SegmentId) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        thread_local! {
            static LINE: Cell<u16> = const { Cell::new(u16::MAX) };
        }
        let line = LINE.with(|own| {
            if own.get() == u16::MAX {
                own.set(NEXT.fetch_add(1, Ordering::Relaxed) % PIN_LINES);
            }
            own.get()
        });
        Self { segment, line }
    }
}

/// Counts this process's pins, by line and segment: only the first sets the shared bit, only the last clears it.
#[derive(Debug)]
pub struct Pins {
    lines: Box<[Line]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Line {
    counts: [AtomicU32; PIN_LINE_BITS as usize],
    /// Shared bits that are set.
    set: AtomicU32,
    /// Held while a shared bit changes.
    bits: Mutex<()>,
}

impl Default for Pins {
    fn default() -> Self {
        let line = |_| Line {
            counts: [const { AtomicU32::new(0) }; PIN_LINE_BITS as usize],
            set: AtomicU32::new(0),
            bits: Mutex::new(()),
        };
        Self { lines: (0..PIN_LINES).map(line).collect() }
    }
}

impl Pins {
    fn line(&self, pin: Pin) -> (&Line, &AtomicU32) {
        let line = &self.lines[usize::from(pin.line % PIN_LINES)];
        (line, &line.counts[usize::from(pin.segment.get() % PIN_LINE_BITS)])
    }

    /// Whether one more segment may be pinned.
    pub fn may_pin(
        &self,
        store: &Store<impl Words>,
        me: ProcessId,
        pin: Pin,
        liveness: &impl Liveness,
    ) -> bool {
        let segments = u32::from(store.segment_count());
        let processes = store.load(PROCESSES_SEEN).clamp(1, u64::from(PROCESS_LIMIT)) as u32;
        let (line, _) = self.line(pin);
        if line.set.load(Ordering::Relaxed) == 0
            && u32::from(pin.line) < segments / UNSEEN_PART / processes
        {
            return true;
        }
        pinned_by_views(store, me, liveness) * PINNED_PART <= segments
    }

    /// Pins a segment if it still is readable in this generation.
    pub fn pin(
        &self,
        store: &Store<impl Words>,
        me: ProcessId,
        pin: Pin,
        generation: Generation,
    ) -> bool {
        let Store { words, geometry } = store;
        let (line, count) = self.line(pin);
        let more = |count| if count == 0 { None } else { Some(count + 1) };
        if count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            let _bits = line.bits.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, bit) = geometry.pin_at(me, pin.segment, pin.line);
            update(words, at, |word| Some(word | bit));
            if count.fetch_add(1, Ordering::AcqRel) == 0 {
                line.set.fetch_add(1, Ordering::Relaxed);
            }
        }
        words.fence();
        let stays = store
            .any_state(pin.segment)
            .is_some_and(|state| state.generation == generation && state.is_readable());
        if !stays {
            self.unpin(store, me, pin);
        }
        stays
    }

    /// Lets a pin go.
    pub fn unpin(&self, store: &Store<impl Words>, me: ProcessId, pin: Pin) {
        let (line, count) = self.line(pin);
        let less = |count| if count <= 1 { None } else { Some(count - 1) };
        if count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_err() {
            let _bits = line.bits.lock().unwrap_or_else(PoisonError::into_inner);
            if count.fetch_sub(1, Ordering::AcqRel) == 1 {
                line.set.fetch_sub(1, Ordering::Relaxed);
                let (at, bit) = store.geometry.pin_at(me, pin.segment, pin.line);
                update(&store.words, at, |word| Some(word & !bit));
            }
        }
    }
}

/// Says that this process writes into a segment, if that still takes records in this generation.
#[inline]
pub fn begin_writing(
    store: &Store<impl Words>,
    me: ProcessId,
    which: Writing,
    segment: SegmentId,
    generation: Generation,
) -> bool {
    let Store { words, geometry } = store;
    words.store(geometry.writing_at(me, which as u64), segment.index() + 1);
    words.fence();
    let takes = store
        .any_state(segment)
        .is_some_and(|state| state.generation == generation && state.is_writable());
    if !takes {
        end_writing(store, me, which);
    }
    takes
}

/// Says that this process no longer writes there.
#[inline]
pub fn end_writing(store: &Store<impl Words>, me: ProcessId, which: Writing) {
    store.words.store(store.geometry.writing_at(me, which as u64), 0);
}

/// Whether any living process has a segment pinned. To be asked of a segment that is draining: the
/// fence here is the other half of the one in [`Pins::pin`] and [`begin_writing`].
pub fn is_pinned(
    store: &Store<impl Words>,
    me: ProcessId,
    segment: SegmentId,
    liveness: &impl Liveness,
) -> bool {
    store.words.fence();
    store.processes().any(|process| {
        let views = |line| {
            let (at, bit) = store.geometry.pin_at(process, segment, line);
            store.load(at) & bit != 0
        };
        let writes =
            |which| store.load(store.geometry.writing_at(process, which)) == segment.index() + 1;
        let pinned = (0..PIN_LINES).any(views) || writes(0) || writes(1);
        pinned && (process == me || !liveness.is_dead(process))
    })
}

/// A word of a process's pins, of all its lines together.
fn views(store: &Store<impl Words>, process: ProcessId, word: u64) -> u64 {
    let in_line = |line| store.load(store.geometry.pin_word_at(process, line, word));
    (0..PIN_LINES).fold(0, |pinned, line| pinned | in_line(line))
}

/// How many segments living processes have pinned by views.
fn pinned_by_views(store: &Store<impl Words>, me: ProcessId, liveness: &impl Liveness) -> u32 {
    let pinned_in = |word| {
        store.processes().fold(0u64, |pinned, process| {
            let bits = views(store, process, word);
            let adds = bits & !pinned != 0 && (process == me || !liveness.is_dead(process));
            if adds { pinned | bits } else { pinned }
        })
    };
    let segments = store.segment_count();
    let words = u64::from(segments.min(PIN_LINE_BITS).div_ceil(64));
    let bits: u32 = (0..words).map(|word| pinned_in(word).count_ones()).sum();
    bits * u32::from(segments.div_ceil(PIN_LINE_BITS))
}

/// The segments that living processes have pinned, by views or because they write there.
pub fn pinned(store: &Store<impl Words>, me: ProcessId, liveness: &impl Liveness) -> Segments {
    let mut pinned: Segments = [0; TABLE_SEGMENTS as usize / 64];
    let used = usize::from(store.segment_count()).div_ceil(64);
    for process in store.processes() {
        let mut own: Segments = [0; TABLE_SEGMENTS as usize / 64];
        let (line, behind) = own[..used].split_at_mut(used.min(LINE_WORDS));
        for (word, bits) in (0..).zip(&mut *line) {
            *bits = views(store, process, word);
        }
        for bits in behind.chunks_mut(LINE_WORDS) {
            bits.copy_from_slice(&line[..bits.len()]);
        }
        for which in 0..2 {
            let writing = store.load(store.geometry.writing_at(process, which));
            if (1..=u64::from(TABLE_SEGMENTS)).contains(&writing) {
                own[(writing as usize - 1) / 64] |= 1 << ((writing - 1) % 64);
            }
        }
        let any = own.iter().any(|&bits| bits != 0);
        if any && (process == me || !liveness.is_dead(process)) {
            pinned.iter_mut().zip(own).for_each(|(all, own)| *all |= own);
        }
    }
    pinned
}

/// Clears the pins that a dead process left in a row that is about to be used again.
pub fn clear_pins(store: &Store<impl Words>, process: ProcessId) {
    let Store { words, geometry } = store;
    for line in 0..PIN_LINES {
        for word in 0..LINE_WORDS as u64 {
            words.store(geometry.pin_word_at(process, line, word), 0);
        }
    }
    words.store(geometry.writing_at(process, 0), 0);
    words.store(geometry.writing_at(process, 1), 0);
}
