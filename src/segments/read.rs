//! Reading a record: from a slot to checked bytes, without a lock.
//!
//! Everything may be damaged, or be changed by another process while it is read. The order of the
//! checks: state and generation of the segment, bounds, header, committed word, expiry; then key and
//! value are compared or copied as they stand; then, after an acquire fence, state and generation
//! again; then the CRC.

use crate::format::check::Checker;
use crate::format::control::{self, Geometry};
use crate::format::intent::WordAt;
use crate::format::place::{Address, Generation, Lsn, Millis, SegmentId};
use crate::format::record::{self, HEADER_BYTES, Shape};
use crate::format::segment::StateWord;
use crate::format::slot::Slot;
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::words::Words;

/// Where a slot's record is, so far as its segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its segment.
    pub segment: SegmentId,
    /// The segment's generation when it was looked at.
    pub generation: Generation,
    /// The record's address.
    pub address: Address,
    /// Bytes from the address to the end of what is allocated.
    pub room: u64,
}

/// A record's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub spot: Spot,
    /// Lengths and flags.
    pub shape: Shape,
    /// The transaction that published it; `None` if it is not committed.
    pub lsn: Option<Lsn>,
    /// When it expires.
    pub expiry: Millis,
    /// Creation, seconds since the epoch.
    pub created: u32,
    word0: u64,
    crc: u32,
    checker: Checker,
}

/// Asks the processor for the first lines of a record that is about to be read: what is behind the header
/// is known to be wanted only once that has come.
#[inline]
pub fn prefetch(words: &impl Words, address: Address) {
    let start = WordAt::log(address.bytes());
    for line in 0..3 {
        words.prefetch(start.plus(line * 8));
    }
}

/// The record's spot, if a slot's segment is of the slot's generation. `slot` is of the index; a
/// walk uses [`spot_in`].
#[inline]
pub fn spot(words: &impl Words, geometry: &Geometry, slot: Slot) -> Option<Spot> {
    let spot = spot_in(words, geometry, slot.address())?;
    (spot.generation.low() == slot.generation_low()).then_some(spot)
}

/// The spot of an address, if its segment may be looked at.
#[inline]
pub fn spot_in(words: &impl Words, geometry: &Geometry, address: Address) -> Option<Spot> {
    let (segment, within) = geometry.locate(address)?;
    let state = StateWord::decode(words.load(geometry.state_at(segment)))?;
    let room = state.allocated.min(geometry.segment_bytes()).checked_sub(within)?;
    state.is_readable().then_some(Spot { segment, generation: state.generation, address, room })
}

/// Whether a spot's segment is still what it was. The fence keeps the reads before it before it.
#[inline]
pub fn is_still(words: &impl Words, geometry: &Geometry, spot: Spot) -> bool {
    words.acquire_fence();
    StateWord::decode(words.load(geometry.state_at(spot.segment)))
        .is_some_and(|state| state.generation == spot.generation && state.is_readable())
}

/// Lengths in the header at a spot, if it was written for this spot and its record fits.
#[inline]
pub fn shape(words: &impl Words, geometry: &Geometry, spot: Spot) -> Option<Shape> {
    if spot.room < HEADER_BYTES {
        return None;
    }
    let header = words.load_all(WordAt::log(spot.address.bytes()));
    let checker = geometry.checker(spot.address, spot.generation);
    decode_shape(checker, spot, header)
}

/// The record at a spot, its key and value not looked at yet.
#[inline]
pub fn record(words: &impl Words, geometry: &Geometry, spot: Spot) -> Option<Record> {
    if spot.room < HEADER_BYTES {
        return None;
    }
    let header = words.load_all(WordAt::log(spot.address.bytes()));
    let [word0, word1, payload, committed, expiry] = header;
    let checker = geometry.checker(spot.address, spot.generation);
    let shape = decode_shape(checker, spot, [word0, word1])?;
    let (crc, created) = record::decode_payload(payload);
    let lsn = record::decode_committed(checker, committed);
    let expiry = record::decode_expiry(checker, expiry)?;
    Some(Record { spot, shape, lsn, expiry, created, word0, crc, checker })
}

/// Appends the key of a record of this shape, unchecked.
pub fn read_key(log: &Mapping, spot: Spot, shape: Shape, key: &mut Vec<u8>) -> bool {
    let start = spot.address.bytes() + HEADER_BYTES + u64::from(shape.metadata);
    log.read_into(start, usize::from(shape.key), key)
}

#[inline]
fn decode_shape(checker: Checker, spot: Spot, words: [u64; 2]) -> Option<Shape> {
    let shape = Shape::decode(checker, spot.generation.get(), words)?;
    (shape.footprint() <= spot.room).then_some(shape)
}

impl Record {
    /// Bytes of it in the log, in units.
    pub fn units(&self) -> u32 {
        (self.shape.footprint() / crate::format::place::UNIT) as u32
    }

    /// Whether a reader may return it: committed, understood, neither expired nor cleared. `now` is
    /// asked only of a record that expires at all.
    #[inline]
    pub fn is_current(&self, cleared: Lsn, now: impl FnOnce() -> Millis) -> bool {
        self.shape.is_known()
            && self.lsn.is_some_and(|lsn| lsn > cleared)
            && (self.expiry == Millis::NEVER || now() < self.expiry)
    }

    /// Offset of the metadata in the log.
    fn body(&self) -> u64 {
        self.spot.address.bytes() + HEADER_BYTES
    }

    /// Offset of the value in the log.
    pub fn value_offset(&self) -> u64 {
        self.body() + u64::from(self.shape.metadata) + u64::from(self.shape.key)
    }

    /// Whether its key is `key`; unchecked yet.
    #[inline]
    pub fn has_key(&self, log: &Mapping, key: &[u8]) -> bool {
        usize::from(self.shape.key) == key.len()
            && log.equals(self.body() + u64::from(self.shape.metadata), key)
    }

    /// Appends its key, unchecked.
    pub fn read_key(&self, log: &Mapping, key: &mut Vec<u8>) -> bool {
        read_key(log, self.spot, self.shape, key)
    }

    /// Appends metadata, key and value, checked, to `bytes`; what was appended is taken back if the
    /// check fails.
    pub fn read_all(&self, memory: &Memory, geometry: &Geometry, bytes: &mut Vec<u8>) -> bool {
        let start = bytes.len();
        let length = (self.shape.bytes() - HEADER_BYTES) as usize;
        let whole = memory.log.read_into(self.body(), length, bytes)
            && is_still(memory, geometry, self.spot)
            && self.check([&bytes[start..], b"", b""]);
        if !whole {
            bytes.truncate(start);
        }
        whole
    }

    /// The key in what [`Record::read_all`] appended.
    pub fn key_in<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.shape.metadata);
        bytes.get(start..start + usize::from(self.shape.key)).unwrap_or_default()
    }

    /// Replaces `value` by the value of a record whose key was found equal to `key`; `false`, with
    /// `value` empty, if the bytes do not pass their check.
    #[inline]
    pub fn read_value(
        &self,
        memory: &Memory,
        geometry: &Geometry,
        key: &[u8],
        value: &mut Vec<u8>,
    ) -> bool {
        value.clear();
        let mut metadata = Vec::new();
        let whole = memory.log.read_into(self.value_offset(), self.shape.value as usize, value)
            && (self.shape.metadata == 0
                || memory.log.read_into(
                    self.body(),
                    usize::from(self.shape.metadata),
                    &mut metadata,
                ))
            && is_still(memory, geometry, self.spot)
            && self.check([&metadata, key, value]);
        if !whole {
            value.clear();
        }
        whole
    }

    /// The value in place, checked, of a record whose segment the caller has pinned.
    pub fn pinned_value<'a>(&self, log: &'a Mapping) -> Option<&'a [u8]> {
        let length = (self.shape.bytes() - HEADER_BYTES) as usize;
        let bytes = log.pinned(self.body(), length)?;
        self.check([bytes, b"", b""]).then(|| {
            let before = usize::from(self.shape.metadata) + usize::from(self.shape.key);
            &bytes[before..]
        })
    }

    #[inline]
    fn check(&self, parts: [&[u8]; 3]) -> bool {
        self.checker.payload(self.word0, self.created, parts) == self.crc
    }
}

/// Records up to this LSN were cleared.
#[inline]
pub fn cleared(words: &impl Words) -> Lsn {
    Lsn::new(words.load(control::CLEAR_LSN))
}
