//! Reading a record: from a slot to checked bytes, without a lock.
//!
//! Everything may be damaged, or be changed by another process while it is read. The order of the
//! checks: state and generation of the segment, bounds, header, committed word, expiry; then key and
//! value are compared or copied as they stand; then, after an acquire fence, state and generation
//! again; then the CRC.

use super::readings::Store;
use crate::format::address::{Address, Generation, Lsn, Millis, SegmentId, UNIT};
use crate::format::check::Checker;
use crate::format::intent::WordAt;
use crate::format::record::{self, AHEAD_LIMIT, COMMITTED_AT, EXPIRY_AT, HEADER_BYTES, Shape};
use crate::format::segment::StateWord;
use crate::format::slot::Slot;
use crate::sys::words::Words;

/// Where a record is, or is about to be written: a segment in one generation, and an address in it.
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
    /// First copy of the segment's state word as it was when a reader looked the spot up.
    pub seen: u64,
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
    /// Creation, seconds since 1970.
    pub created: u32,
    word0: u64,
    crc: u32,
    checker: Checker,
}

impl<W: Words> Store<W> {
    /// Asks the processor for the first lines of a record that is about to be read. By itself it would ask
    /// for those behind the header only once the header has come.
    #[inline]
    pub fn prefetch_record(&self, address: Address) {
        self.words.prefetch(WordAt::log(address.bytes()), 3 * 64);
    }

    /// The spot of the record that a slot names, if its segment is of the slot's generation. A walk,
    /// which has no slot, uses [`Store::spot_at`].
    #[inline]
    pub fn spot(&self, slot: Slot) -> Option<Spot> {
        let spot = self.spot_at(slot.address())?;
        (spot.generation.low() == slot.generation_low()).then_some(spot)
    }

    /// The spot of an address, if its segment may be looked at.
    #[inline]
    pub fn spot_at(&self, address: Address) -> Option<Spot> {
        let (state, spot) = self.spot_in_any_state(address)?;
        state.is_readable().then_some(spot)
    }

    /// The spot of an address, whatever its segment is doing, with the segment's state.
    #[inline]
    pub fn spot_in_any_state(&self, address: Address) -> Option<(StateWord, Spot)> {
        let (segment, within) = self.geometry.locate(address)?;
        let at = self.geometry.state_at(segment);
        let seen = self.words.load(at.first());
        let state = self.words.unseal(at, seen).and_then(StateWord::decode)?;
        let room = state.allocated.min(self.geometry.segment_bytes()).checked_sub(within)?;
        Some((state, Spot { segment, generation: state.generation, address, room, seen }))
    }

    /// Whether a spot's segment is still what it was. A fence keeps what was read before from being read
    /// after that.
    // Always: each read ends with it.
    #[inline(always)]
    pub fn is_still(&self, spot: Spot) -> bool {
        self.words.acquire_fence();
        // Nearly always the very same word.
        let now = self.words.load(self.geometry.state_at(spot.segment).first());
        now == spot.seen || self.is_still_readable(spot)
    }

    #[cold]
    fn is_still_readable(&self, spot: Spot) -> bool {
        self.any_state(spot.segment)
            .is_some_and(|state| state.generation == spot.generation && state.is_readable())
    }

    /// Whether a spot's segment still takes records in the spot's generation.
    #[inline]
    pub fn still_takes(&self, spot: Spot) -> bool {
        self.state(spot.segment)
            .is_some_and(|state| state.generation == spot.generation && state.is_writable())
    }

    /// Lengths in the header at a spot, if it was written for this spot and its record fits.
    #[inline]
    pub fn shape(&self, spot: Spot) -> Option<Shape> {
        if spot.room < HEADER_BYTES {
            return None;
        }
        let header = self.words.load_all(WordAt::log(spot.address.bytes()));
        decode_shape(self.checker(spot), spot, header)
    }

    /// The record that a slot names, its key and value not looked at yet.
    #[inline]
    pub fn record(&self, slot: Slot) -> Option<Record> {
        self.record_at(self.spot(slot)?)
    }

    /// The record at a spot, its key and value not looked at yet.
    #[inline]
    pub fn record_at(&self, spot: Spot) -> Option<Record> {
        if spot.room < HEADER_BYTES {
            return None;
        }
        let header = self.words.load_all(WordAt::log(spot.address.bytes()));
        let [word0, word1, payload, committed, expiry] = header;
        let checker = self.checker(spot);
        let shape = decode_shape(checker, spot, [word0, word1])?;
        let (crc, created) = record::decode_payload(payload);
        let lsn = record::decode_committed(checker, committed);
        let expiry = record::decode_expiry(checker, expiry)?;
        Some(Record { spot, shape, lsn, expiry, created, word0, crc, checker })
    }

    /// Whether the record at a spot expires then, by its own word.
    pub fn has_expiry(&self, spot: Spot, expiry: Millis) -> bool {
        let at = WordAt::log(spot.address.bytes() + EXPIRY_AT);
        self.load(at) == record::encode_expiry(self.checker(spot), expiry)
    }

    /// The checks for what is at a spot.
    #[inline]
    pub fn checker(&self, spot: Spot) -> Checker {
        self.geometry.checker(spot.address, spot.generation)
    }
}

/// Where a record's committed word is.
#[inline]
pub fn committed_at(address: Address) -> WordAt {
    WordAt::log(address.bytes() + COMMITTED_AT)
}

#[inline]
fn decode_shape(checker: Checker, spot: Spot, words: [u64; 2]) -> Option<Shape> {
    let shape = Shape::decode(checker, spot.generation.get(), words)?;
    (shape.footprint() <= spot.room).then_some(shape)
}

/// Appends the key of a record of this shape, unchecked.
pub fn read_key(store: &Store, spot: Spot, shape: Shape, key: &mut Vec<u8>) -> bool {
    let start = spot.address.bytes() + HEADER_BYTES + u64::from(shape.metadata);
    store.words.log.read_into(start, usize::from(shape.key), key)
}

impl Record {
    /// Bytes of it in the log, in units.
    pub fn units(&self) -> u32 {
        (self.shape.footprint() / UNIT) as u32
    }

    /// Whether a reader may return it: committed, understood, neither expired nor cleared. `now` is
    /// called only for a record that expires at all.
    #[inline]
    pub fn is_current(&self, cleared: Lsn, now: impl FnOnce() -> Millis) -> bool {
        self.shape.is_known()
            && self.lsn.is_some_and(|lsn| lsn > cleared)
            && (self.expiry == Millis::NEVER || self.is_in_its_time(now()))
    }

    /// Whether it has not expired, and was not stored under a clock that is far ahead of this one. (Whether a
    /// record that never expires may be returned is no question of clocks.)
    #[inline]
    fn is_in_its_time(&self, now: Millis) -> bool {
        now < self.expiry && u64::from(self.created) * 1000 <= now.get() + AHEAD_LIMIT
    }

    /// Whether a clear took it, or nobody ever published it.
    pub fn is_cleared(&self, cleared: Lsn) -> bool {
        self.lsn.is_none_or(|lsn| lsn <= cleared)
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
    pub fn has_key(&self, store: &Store, key: &[u8]) -> bool {
        usize::from(self.shape.key) == key.len()
            && store.words.log.equals(self.body() + u64::from(self.shape.metadata), key)
    }

    /// Appends its key, unchecked.
    pub fn read_key(&self, store: &Store, key: &mut Vec<u8>) -> bool {
        read_key(store, self.spot, self.shape, key)
    }

    /// Appends metadata, key and value, checked, to `bytes`; what was appended is taken back if the
    /// check fails.
    pub fn read_all(&self, store: &Store, bytes: &mut Vec<u8>) -> bool {
        let start = bytes.len();
        let length = (self.shape.bytes() - HEADER_BYTES) as usize;
        let whole = store.words.log.read_into(self.body(), length, bytes)
            && store.is_still(self.spot)
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
    // Always: it has two callers by now, and a get is the shorter for not calling it.
    #[inline(always)]
    pub fn read_value(&self, store: &Store, key: &[u8], value: &mut Vec<u8>) -> bool {
        value.clear();
        let log = &store.words.log;
        let mut metadata = Vec::new();
        let whole = log.read_into(self.value_offset(), self.shape.value as usize, value)
            && (self.shape.metadata == 0
                || log.read_into(self.body(), usize::from(self.shape.metadata), &mut metadata))
            && store.is_still(self.spot)
            && self.check([&metadata, key, value]);
        if !whole {
            value.clear();
        }
        whole
    }

    /// The value in place, checked, of a record whose segment the caller has pinned.
    pub fn pinned_value<'a>(&self, store: &'a Store) -> Option<&'a [u8]> {
        let length = (self.shape.bytes() - HEADER_BYTES) as usize;
        let bytes = store.words.log.pinned(self.body(), length)?;
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
