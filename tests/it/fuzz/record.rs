//! The record: one that was written is found as it was; one that was damaged is refused, or is what its
//! checks were made for, within the bytes that its segment has.

use arbitrary::{Result, Unstructured};
use larder::internals::address::{Generation, Lsn, Millis, SegmentId};
use larder::internals::check::Checker;
use larder::internals::control::{Geometry, SEGMENT_SHIFTS, STATES_OFFSET, TABLE_SEGMENTS};
use larder::internals::intent::WordAt;
use larder::internals::record::{self, HEADER_BYTES, KNOWN_FLAGS, Shape};
use larder::internals::segment::{Queue, State, StateWord};
use larder::internals::slot::Slot;
use larder::internals::{Record, Store, Words, address};

use super::paper::Paper;

/// Words of a record's header.
const HEADER_WORDS: usize = HEADER_BYTES as usize / 8;
/// Words of metadata, key and value, at most.
const BODY_WORDS: usize = 24;

/// A record as it is written, and the words around it.
struct Written {
    geometry: Geometry,
    segment: SegmentId,
    state: StateWord,
    /// Bytes from the segment's start.
    within: u64,
    shape: Shape,
    lsn: Option<Lsn>,
    expiry: Millis,
    created: u32,
    body: Vec<u8>,
}

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let Some(written) = written(input)? else { return Ok(()) };
    let checker = written.checker();
    let whole = written.words(checker);
    let slot = Slot::new(7, written.address(), written.state.generation, 1);
    let (mut words, mut state, mut word) = (whole.clone(), written.state_word(), slot.word());
    for _ in 0..input.int_in_range(0..=3)? {
        let mask: u64 = input.arbitrary()?;
        match input.int_in_range(0..=3)? {
            0 => word ^= mask,
            1 => state ^= mask,
            2 => words[input.int_in_range(0..=HEADER_WORDS - 1)?] ^= mask,
            _ => {
                let at = input.choose_index(words.len())?;
                words[at] ^= mask;
            }
        }
    }
    // Damage that its check does not show: other lengths, another version, another end.
    if input.ratio(1, 4)? {
        let forged = shape(input, u32::MAX)?;
        words[..2].copy_from_slice(&forged.encode(checker, written.state.generation.get()));
    }
    if input.ratio(1, 8)? {
        words[3] = record::encode_committed(checker, Lsn::new(input.arbitrary()?));
        words[4] = record::encode_expiry(checker, Millis::new(input.arbitrary()?));
    }
    let changed = (words != whole, state != written.state_word(), word != slot.word());
    let paper = written.paper(state, &words);
    let store = Store { words: paper, geometry: written.geometry };
    let found = store.record(Slot::from_word(word));
    if changed == (false, false, false) {
        written.assert_found(found.as_ref());
    }
    if let Some(record) = found {
        assert_is_what_its_checks_say(&store.words, &written, &record);
        if record.spot.address == written.address() && !changed.1 {
            assert_no_damage_passes(&whole, &words, &record, checker);
        }
        let (cleared, now) = (Lsn::new(input.arbitrary()?), Millis::new(input.arbitrary()?));
        let far_ahead = u64::from(record.created) * 1000 > now.get() + 300_000;
        let current = record.shape.flags & !KNOWN_FLAGS == 0
            && record.lsn.is_some_and(|lsn| lsn > cleared)
            && (record.expiry == Millis::NEVER || (now < record.expiry && !far_ahead));
        assert_eq!(record.is_current(cleared, || now), current);
    }
    Ok(())
}

fn shape(input: &mut Unstructured<'_>, value: u32) -> Result<Shape> {
    Ok(Shape {
        value: input.int_in_range(0..=value)?,
        key: input.int_in_range(0..=if value > 64 { u16::MAX } else { 64 })?,
        metadata: input.int_in_range(0..=if value > 64 { u16::MAX } else { 64 })?,
        flags: if input.ratio(1, 8)? { input.arbitrary()? } else { 0 },
    })
}

fn written(input: &mut Unstructured<'_>) -> Result<Option<Written>> {
    let geometry = Geometry {
        seed: input.arbitrary()?,
        level: 0,
        segment_shift: input.int_in_range(SEGMENT_SHIFTS)?,
        max_processes: input.int_in_range(1..=1024)?,
    };
    let segment = SegmentId::new(input.int_in_range(0..=TABLE_SEGMENTS - 1)?);
    let states = [State::Active, State::Sealed, State::Victim, State::Draining, State::Free];
    let state = StateWord {
        generation: Generation::new(input.arbitrary()?),
        state: *input.choose(&states)?,
        queue: *input.choose(&[Queue::Probation, Queue::Main])?,
        allocated: input.int_in_range(0..=geometry.segment_bytes() / 4096)? * 4096,
    };
    let within = input.int_in_range(0..=geometry.segment_units() - 1)?;
    let shape = shape(input, 64)?;
    let length = (shape.bytes() - HEADER_BYTES) as usize;
    let mut body = input.bytes(length.min(input.len()))?.to_vec();
    body.resize(length, 0x5A);
    let written = Written {
        geometry,
        segment,
        state,
        within: u64::from(within) * address::UNIT,
        shape,
        lsn: input.arbitrary::<Option<u64>>()?.map(Lsn::new).filter(|lsn| lsn.get() != 0),
        expiry: Millis::new(input.arbitrary()?),
        created: input.arbitrary()?,
        body,
    };
    // The last segments of the largest store are beyond what an address can say.
    let start = geometry.segment_start(segment) + written.within;
    Ok((written.address().bytes() == start).then_some(written))
}

impl Written {
    fn address(&self) -> address::Address {
        self.geometry.address(self.segment, (self.within / address::UNIT) as u32)
    }

    fn checker(&self) -> Checker {
        self.geometry.checker(self.address(), self.state.generation)
    }

    /// The record's words, as `format.md` says.
    fn words(&self, checker: Checker) -> Vec<u64> {
        let [word0, word1] = self.shape.encode(checker, self.state.generation.get());
        let crc = checker.payload(word0, self.created, [&self.body, b"", b""]);
        let mut words = vec![
            word0,
            word1,
            record::encode_payload(crc, self.created),
            self.lsn.map_or(0, |lsn| record::encode_committed(checker, lsn)),
            record::encode_expiry(checker, self.expiry),
        ];
        let mut body = self.body.clone();
        body.resize(BODY_WORDS * 8, 0);
        let (chunks, _) = body.as_chunks::<8>();
        words.extend(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)));
        words
    }

    /// The segment's state word as stored.
    fn state_word(&self) -> u64 {
        self.geometry.state_at(self.segment).seal(self.state.encode())
    }

    /// All that a reader may look at: the states, and what the segment's state says is allocated.
    fn paper(&self, state: u64, words: &[u64]) -> Paper {
        let mut paper = Paper::default();
        let start = self.geometry.segment_start(self.segment);
        let state_at = self.geometry.state_at(self.segment);
        let known = state_at.unseal(state).and_then(StateWord::decode);
        let allocated = known.map_or(0, |state| state.allocated);
        let end = start + allocated.min(self.geometry.segment_bytes());
        let at = self.address().bytes();
        let there = ((end.saturating_sub(at) / 8) as usize).min(words.len());
        paper.lay(WordAt::log(at), there);
        paper.lay(state_at.first(), 1);
        paper.allow(STATES_OFFSET..STATES_OFFSET + u64::from(TABLE_SEGMENTS) * 16);
        paper.allow(start..end);
        paper.store(state_at.first(), state);
        for (number, word) in words[..there].iter().enumerate() {
            paper.store(WordAt::log(at).plus(number as u64), *word);
        }
        paper
    }

    /// An undamaged record is found, as far as its segment is there.
    fn assert_found(&self, found: Option<&Record>) {
        let there = self.state.is_readable()
            && self.within + self.shape.footprint() <= self.state.allocated;
        assert_eq!(found.is_some(), there, "{:?} at {}", self.state, self.within);
        if let Some(record) = found {
            assert_eq!(record.shape, self.shape);
            assert_eq!((record.lsn, record.expiry), (self.lsn, self.expiry));
            assert_eq!((record.created, record.spot.segment), (self.created, self.segment));
        }
    }
}

/// Its header words are those that were made for it, and all of it is in the segment.
fn assert_is_what_its_checks_say(paper: &Paper, written: &Written, record: &Record) {
    let spot = record.spot;
    let checker = written.geometry.checker(spot.address, spot.generation);
    let at = WordAt::log(spot.address.bytes());
    let words: Vec<u64> = (0..HEADER_WORDS as u64).map(|i| paper.load(at.plus(i))).collect();
    assert_eq!(record.shape.encode(checker, spot.generation.get()), words[..2]);
    assert_eq!(record::encode_expiry(checker, record.expiry), words[4]);
    if let Some(lsn) = record.lsn {
        assert_eq!(record::encode_committed(checker, lsn), words[3]);
    }
    assert!(record.shape.footprint() <= spot.room);
    let (_, within) = written.geometry.locate(spot.address).unwrap();
    assert!(within + spot.room <= written.geometry.segment_bytes());
}

/// Changed bytes pass the CRC only if what it is made from was changed too.
fn assert_no_damage_passes(whole: &[u64], words: &[u64], record: &Record, checker: Checker) {
    let body = |words: &[u64]| -> Vec<u8> {
        words[HEADER_WORDS..].iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    let length = (record.shape.bytes() - HEADER_BYTES) as usize;
    if whole[0] != words[0] || whole[2] != words[2] || length > BODY_WORDS * 8 {
        return;
    }
    let (was, is) = (body(whole), body(words));
    let (crc, created) = record::decode_payload(words[2]);
    let passes = checker.payload(words[0], created, [&is[..length], b"", b""]) == crc;
    assert!(!passes || was[..length] == is[..length], "changed bytes passed their check");
}
