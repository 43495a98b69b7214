//! Damage that no checksum shows: one field of a store's files is set, through the encoders of the
//! format, to another value, and every check that covers it is made right again.

use std::fs;

use arbitrary::{Result, Unstructured};
use larder::internals::address::{Address, Generation, Lsn, Millis, SegmentId};
use larder::internals::checked::{CheckedAt, VALUE_BITS};
use larder::internals::control;
use larder::internals::identity::Identity;
use larder::internals::intent::WordAt;
use larder::internals::lock::{LockWord, Phase, ProcessId};
use larder::internals::record::{self, COMMITTED_AT, EXPIRY_AT, HEADER_BYTES, PAYLOAD_AT};
use larder::internals::segment::{self, Queue, State};
use larder::internals::slot::Slot;
use larder::internals::walk::{Purpose, WalkWord};

use super::files::Files;
use super::words::WORDS;

const WALKS: [WordAt; 3] = [control::WALK_PROBATION, control::WALK_MAIN, control::WALK_UPKEEP];

/// A field of a store's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A word of the control block, or of a process row.
    Word(WordAt),
    /// A checked word of the control block, by its number: both copies.
    Checked(usize),
    /// Phase, owner or sequence of the lock word.
    Lock(u8),
    /// Segment, generation, purpose, position or owner of a walk.
    Walk(usize, u8),
    /// A word of a segment's row.
    Row(u16, u64),
    /// Generation, state, queue or allocated length in a segment's state word, or all of it.
    State(u16, u8),
    /// Units of a chunk: of a segment, its number there.
    Chunk(u16, usize),
    /// Address, generation, frequency, tag, ghost or duplicate of the n-th live slot of a page.
    Slot(u64, usize, u8),
    /// Lengths of value, key and metadata, flags, generation, LSN, expiry or creation of the record
    /// that this slot names.
    Record(u64, usize, u8),
    /// A number of the file `store`.
    Store(u8),
    /// The version, or half of the store's id, in the head of log (0) or index (1).
    Head(u8, u8),
}

impl Field {
    /// Its value, if there is such a field.
    pub fn get(self, files: &Files) -> Option<u64> {
        Some(match self {
            Self::Word(at) => files.word(at),
            Self::Checked(number) => files.checked(checked(number))?,
            Self::Lock(part) => {
                let lock = LockWord::decode(files.word(control::LOCK));
                match part {
                    0 => files.word(control::LOCK) & 3,
                    1 => lock.owner.get().into(),
                    _ => lock.sequence.get(),
                }
            }
            Self::Walk(which, part) => walk_part(files, WALKS[which % 3], part),
            Self::Row(segment, word) => {
                files.word(files.geometry.row_at(SegmentId::new(segment), word % 8))
            }
            Self::State(segment, part) => {
                let state = files.state(SegmentId::new(segment))?;
                match part {
                    0 => state.generation.get().into(),
                    1 => state.state as u64,
                    2 => state.queue as u64,
                    3 => state.allocated / 4096,
                    _ => state.encode(),
                }
            }
            Self::Chunk(segment, number) => files.chunk(SegmentId::new(segment), number)?.1.into(),
            Self::Slot(page, number, part) => {
                let slot = files.slot(page, number)?.1;
                match part {
                    0 => slot.address().units(),
                    1 => slot.generation_low().into(),
                    2 => slot.frequency().into(),
                    3 => slot.tag().into(),
                    4 => slot.is_ghost().into(),
                    _ => slot.is_duplicate().into(),
                }
            }
            Self::Record(page, number, part) => {
                let (address, generation, shape) = files.record(files.slot(page, number)?.1)?;
                let at = |offset: u64| files.word(WordAt::log(address.bytes() + offset));
                match part {
                    0 => shape.value.into(),
                    1 => shape.key.into(),
                    2 => shape.metadata.into(),
                    3 => shape.flags.into(),
                    4 => generation.get().into(),
                    5 => Lsn::new(at(COMMITTED_AT)).get(),
                    6 => at(EXPIRY_AT) & Millis::NEVER.get(),
                    _ => record::decode_payload(at(PAYLOAD_AT)).1.into(),
                }
            }
            Self::Store(part) => {
                let identity = files.identity()?;
                let Identity { limits, .. } = identity;
                match part {
                    0 => identity.store_id[0],
                    1 => identity.seed,
                    2 => identity.segment_shift.into(),
                    3 => identity.level.into(),
                    4 => identity.max_processes.into(),
                    5 => limits.max_entries,
                    6 => limits.max_bytes,
                    7 => limits.ttl_ms.unwrap_or(u64::MAX),
                    _ => limits.min_free,
                }
            }
            Self::Head(file, part) => {
                files.word(head(file, if part == 0 { control::VERSION } else { control::STORE_ID }))
                    & if part == 0 { u64::from(u32::MAX) } else { u64::MAX }
            }
        })
    }

    /// Bits of its value.
    pub fn bits(self) -> u32 {
        match self {
            Self::Word(_) | Self::Row(..) => 64,
            Self::Checked(_) => VALUE_BITS,
            Self::Lock(part) => [2, 10, 52][usize::from(part.min(2))],
            Self::Walk(_, part) => [12, 4, 2, 24, 11][usize::from(part.min(4))],
            Self::State(_, part) => [32, 3, 1, 17, 53][usize::from(part.min(4))],
            Self::Chunk(..) => 32,
            Self::Slot(_, _, part) => [36, 4, 2, 20, 1, 1][usize::from(part.min(5))],
            Self::Record(_, _, part) => [32, 16, 16, 16, 32, 52, 48, 32][usize::from(part.min(7))],
            Self::Store(part) => [64, 64, 32, 32, 16, 64, 64, 64, 64][usize::from(part.min(8))],
            Self::Head(_, part) => [32, 64][usize::from(part.min(1))],
        }
    }

    /// Sets it, with every check that covers it.
    pub fn set(self, files: &Files, value: u64) -> Option<()> {
        match self {
            Self::Word(at) => files.set(at, value),
            Self::Checked(number) => files.set_checked(checked(number), value),
            Self::Lock(part) => set_lock(files, part, value),
            Self::Walk(which, part) => set_walk(files, WALKS[which % 3], part, value),
            Self::Row(segment, word) => {
                files.set(files.geometry.row_at(SegmentId::new(segment), word % 8), value);
            }
            Self::State(segment, part) => set_state(files, SegmentId::new(segment), part, value)?,
            Self::Chunk(segment, number) => {
                let id = SegmentId::new(segment);
                let (start, _) = files.chunk(id, number)?;
                let generation = files.state(id)?.generation;
                let address = files.geometry.address(id, start);
                let checker = files.geometry.checker(address, generation);
                let header = segment::encode_chunk(checker, generation, value as u32);
                files.set(WordAt::log(address.bytes()), header[0]);
                files.set(WordAt::log(address.bytes()).plus(1), header[1]);
            }
            Self::Slot(page, number, part) => set_slot(files, page, number, part, value)?,
            Self::Record(page, number, part) => {
                let (_, slot) = files.slot(page, number)?;
                set_record(files, slot, part, value)?;
            }
            Self::Store(part) => set_store(files, part, value)?,
            Self::Head(file, part) => set_head(files, file, part, value),
        }
        Some(())
    }

    /// Any field.
    pub fn any(input: &mut Unstructured<'_>) -> Result<Self> {
        let segment = input.int_in_range(0..=20u16)?;
        let page = input.int_in_range(0..=3u64)?;
        let number = usize::from(input.arbitrary::<u8>()?);
        let part: u8 = input.int_in_range(0..=8)?;
        Ok(match input.int_in_range(0..=13)? {
            0 | 1 => Self::Word(*input.choose(&WORDS)?),
            2 => {
                let offset = input.int_in_range(0..=4 * control::PROCESS_ROW_BYTES / 8)? * 8;
                Self::Word(WordAt::log(control::PROCESSES_OFFSET + offset))
            }
            3 => Self::Lock(part % 3),
            4 => Self::Walk(number % 3, part % 5),
            5 | 6 => Self::Row(segment, part.into()),
            7 | 8 => Self::State(segment, part % 4),
            9 => Self::Chunk(segment, number % 16),
            10 => Self::Slot(page, number, part % 6),
            11 => Self::Record(page, number, part % 8),
            12 => Self::Store(part % 9),
            _ => Self::Head(number as u8 % 2, part % 2),
        })
    }

    /// What it is set to, for a value that is there: nothing, everything, off by one, a bit, and what
    /// others of its kind say.
    pub fn values(self, old: u64, others: &[u64]) -> Vec<u64> {
        let most = u64::MAX >> (64 - self.bits());
        let mut values = vec![0, 1, most, most - 1, most / 2 + 1, old ^ 1, old << 1, !old];
        values.extend([old.wrapping_add(1), old.wrapping_sub(1), old.wrapping_add(1000)]);
        values.extend([old / 2, 1 << 20, 1 << 33, 1 << 55]);
        values.extend(others);
        values.iter_mut().for_each(|value| *value &= most);
        values.sort_unstable();
        values.dedup();
        values.retain(|&value| value != old);
        values
    }
}

const NO_WALK: WalkWord = WalkWord {
    segment: SegmentId::new(0),
    generation_low: 1,
    purpose: Purpose::Sweep,
    position: 0,
    owner: None,
};

fn head(file: u8, at: WordAt) -> WordAt {
    if file == 0 { at } else { WordAt::index(at.offset()) }
}

fn set_lock(files: &Files, part: u8, value: u64) {
    let lock = LockWord::decode(files.word(control::LOCK));
    let word = match part {
        0 => lock.encode() & !3 | value & 3,
        1 => lock.owned_by(ProcessId::new(value as u16 & 1023).unwrap_or(lock.owner)).encode(),
        _ => LockWord { sequence: Lsn::new(value), ..lock }.in_phase(Phase::Free).encode(),
    };
    files.set(control::LOCK, word);
}

fn set_walk(files: &Files, at: WordAt, part: u8, value: u64) {
    let mut walk = WalkWord::decode(files.word(at)).unwrap_or(NO_WALK);
    match part {
        0 => walk.segment = SegmentId::new(value as u16 & 0xFFF),
        1 => walk.generation_low = value as u8 & 15,
        2 => {
            let all = [Purpose::Sweep, Purpose::Compact, Purpose::Evict, Purpose::Trim];
            walk.purpose = all[value as usize % 4];
        }
        3 => walk.position = value as u32,
        _ => walk.owner = value.checked_sub(1).and_then(|owner| ProcessId::new(owner as u16)),
    }
    files.set(at, WalkWord::encode(Some(walk)));
}

fn walk_part(files: &Files, at: WordAt, part: u8) -> u64 {
    let walk = WalkWord::decode(files.word(at)).unwrap_or(NO_WALK);
    match part {
        0 => walk.segment.get().into(),
        1 => walk.generation_low.into(),
        2 => walk.purpose as u64,
        3 => walk.position.into(),
        _ => walk.owner.map_or(0, |owner| u64::from(owner.get()) + 1),
    }
}

fn checked(number: usize) -> CheckedAt {
    control::CHECKED[number % control::CHECKED.len()].0
}

fn set_state(files: &Files, segment: SegmentId, part: u8, value: u64) -> Option<()> {
    let mut state = files.state(segment)?;
    match part {
        0 => state.generation = Generation::new(value as u32),
        1 => {
            let all = [State::Free, State::Active, State::Sealed, State::Victim, State::Draining];
            state.state = all[value as usize % 5];
        }
        2 => state.queue = [Queue::Probation, Queue::Main][value as usize % 2],
        3 => state.allocated = (value & 0x1_FFFF) * 4096,
        _ => {}
    }
    let whole = if part < 4 { state.encode() } else { value };
    files.set_checked(files.geometry.state_at(segment), whole);
    Some(())
}

fn set_slot(files: &Files, page: u64, number: usize, part: u8, value: u64) -> Option<()> {
    let (at, slot) = files.slot(page, number)?;
    let (mut tag, mut address) = (slot.tag(), slot.address());
    let mut generation = Generation::new(slot.generation_low().into());
    let mut frequency = slot.frequency();
    match part {
        0 => address = Address::from_units(value),
        1 => generation = Generation::new(value as u32),
        2 => frequency = value as u8,
        3 => tag = value as u32 & 0xF_FFFF,
        4 => {
            files.set(at, Slot::ghost(tag, Lsn::new(address.units())).word());
            return Some(());
        }
        _ => {}
    }
    let duplicate = if part == 5 { value & 1 == 1 } else { slot.is_duplicate() };
    files.set(at, Slot::new(tag, address, generation, frequency).with_duplicate(duplicate).word());
    Some(())
}

fn set_record(files: &Files, slot: Slot, part: u8, value: u64) -> Option<()> {
    let (address, mut generation, mut shape) = files.record(slot)?;
    let checker = files.geometry.checker(address, generation);
    let at = |offset: u64| WordAt::log(address.bytes() + offset);
    match part {
        5 => {
            let word = record::encode_committed(checker, Lsn::new(value));
            files.set(at(COMMITTED_AT), word);
            return Some(());
        }
        6 => {
            files.set(at(EXPIRY_AT), record::encode_expiry(checker, Millis::new(value)));
            return Some(());
        }
        7 => {
            // Changed bytes stay what they are: a right checksum over them nobody could tell.
            let body = files.body(address, shape)?;
            let payload = |created| checker.payload(files.word(at(0)), created, [&body, b"", b""]);
            let (crc, created) = record::decode_payload(files.word(at(PAYLOAD_AT)));
            if payload(created) != crc {
                return None;
            }
            let crc = payload(value as u32);
            files.set(at(PAYLOAD_AT), record::encode_payload(crc, value as u32));
            return Some(());
        }
        0 => shape.value = value as u32,
        1 => shape.key = value as u16,
        2 => shape.metadata = value as u16,
        3 => shape.flags = value as u16,
        _ => generation = Generation::new(value as u32),
    }
    let checker = files.geometry.checker(address, generation);
    let words = shape.encode(checker, generation.get());
    files.set(at(0), words[0]);
    files.set(at(8), words[1]);
    Some(())
}

fn set_store(files: &Files, part: u8, value: u64) -> Option<()> {
    let mut identity = files.identity()?;
    let limits = &mut identity.limits;
    match part {
        5 => limits.max_entries = value,
        6 => limits.max_bytes = value,
        7 => limits.ttl_ms = Some(value).filter(|&ttl| ttl != u64::MAX),
        8 => limits.min_free = value,
        0 => identity.store_id[0] = value,
        1 => identity.seed = value,
        2 => identity.segment_shift = value as u32,
        3 => identity.level = value as u32,
        _ => identity.max_processes = value as u16,
    }
    fs::write(&files.store, identity.encode().ok()?).ok()
}

fn set_head(files: &Files, file: u8, part: u8, value: u64) {
    let id = head(file, control::STORE_ID);
    let version =
        if part == 0 { value as u32 } else { files.word(head(file, control::VERSION)) as u32 };
    if part != 0 {
        files.set(id, value);
    }
    let magic = files.word(head(file, control::MAGIC));
    let word = control::encode_version(magic, version, [files.word(id), files.word(id.plus(1))]);
    files.set(head(file, control::VERSION), word);
}

/// Some damage, of any kind that leaves the files as long as they are.
pub fn inflict(input: &mut Unstructured<'_>, files: &Files) -> Result<()> {
    if input.ratio(1, 8)? {
        let raw = input.arbitrary::<u64>()? & !(1 << 62);
        // Anywhere, or in a record: metadata, key or value.
        let slot = files.slot(raw % 2, raw as usize / 2 % 256).filter(|_| raw & 512 != 0);
        let at = match slot {
            Some((_, slot)) => WordAt::log(slot.address().bytes() + HEADER_BYTES + raw % 64),
            None => WordAt::from_raw(raw),
        };
        let length = input.int_in_range(1..=16)?;
        files.scribble(at, input.bytes(length)?);
        return Ok(());
    }
    let field = Field::any(input)?;
    let Some(old) = field.get(files) else { return Ok(()) };
    let other = Field::any(input)?.get(files).unwrap_or(0);
    let values = field.values(old, &[other]);
    let value = if input.ratio(1, 4)? {
        input.arbitrary()?
    } else {
        values[input.choose_index(values.len())?]
    };
    // A field that is gone meanwhile cannot be damaged.
    let _ = field.set(files, value);
    Ok(())
}
