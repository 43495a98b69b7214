//! The control block: its words mean the same when they are written again, no place in it is another's,
//! and whatever lock word and intents a dead process left are taken over in a few steps.

use arbitrary::{Result, Unstructured};
use larder::internals::address::{Generation, Lsn, SegmentId};
use larder::internals::checked::VALUE_BITS;
use larder::internals::control::{self, Geometry, TABLE_SEGMENTS};
use larder::internals::intent::{INTENT_WORDS, IntentHead, WordAt};
use larder::internals::lock::{LockWord, Phase, ProcessId};
use larder::internals::page::{PAGE_SLOTS, PageId};
use larder::internals::segment::{BarrierStamp, Live, Queue, ROW_BYTES, State, StateWord};
use larder::internals::walk::{Purpose, WALK_END, WalkWord};
use larder::internals::{Changes, Liveness, Patience, Transactions, Verdict, Words};

use super::paper::Paper;

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0..=3)? {
        0 => read(input.arbitrary()?, input.arbitrary()?),
        1 => written(input)?,
        2 => places(input)?,
        _ => takeover(input)?,
    }
    Ok(())
}

/// Any word: its meaning is the same when it is written and read again.
fn read(word: u64, other: u64) {
    let lock = LockWord::decode(word);
    assert_eq!(LockWord::decode(lock.encode()), lock);
    assert!(lock.encode() == word || word & 3 == 3);
    assert_eq!(LockWord::decode(lock.next().encode()), lock.next());
    let head = IntentHead::decode(word);
    assert_eq!(IntentHead::decode(head.encode()), head);
    assert!(!matches!(head, IntentHead::Words(count) if count > INTENT_WORDS));
    let walk = WalkWord::decode(word);
    assert_eq!(WalkWord::decode(WalkWord::encode(walk)), walk);
    assert!(
        walk.is_none_or(|walk| walk.position <= WALK_END && walk.segment.get() < TABLE_SEGMENTS)
    );
    let value = word & ((1 << VALUE_BITS) - 1);
    if let Some(state) = StateWord::decode(value) {
        assert_eq!(state.encode(), value);
    }
    for (at, name) in control::CHECKED {
        assert_eq!(at.unseal(at.seal(value)), Some(value), "{name}");
        assert!(at.unseal(word).is_none_or(|found| at.seal(found) == word), "{name}");
    }
    let live = Live::decode(word);
    assert_eq!(live.encode(), word);
    let units = other as u32;
    assert!(live.minus(units).count <= live.count && live.minus(units).units <= live.units);
    assert!(live.plus(units).count >= live.count && live.plus(units).units >= live.units);
    assert_eq!(BarrierStamp::decode(word).encode(), word);
    let generation = Generation::new(word as u32);
    let next = generation.next(units & 0xFFFF);
    assert_eq!(next.low(), generation.low().wrapping_add(1) & 15);
    assert!(next.get() > generation.get() || generation.get() == u32::MAX);
}

/// Any value: it comes back.
fn written(input: &mut Unstructured<'_>) -> Result<()> {
    let owner = ProcessId::new(input.int_in_range(0..=1023)?);
    let phase = *input.choose(&[Phase::Free, Phase::Held, Phase::Commit])?;
    if let Some(owner) = owner {
        let lock = LockWord { phase, owner, sequence: Lsn::new(input.arbitrary()?) };
        assert_eq!(LockWord::decode(lock.encode()), lock);
    }
    let count = input.int_in_range(0..=INTENT_WORDS)?;
    let page = PageId::new(input.int_in_range(0..=(1 << 48) - 1)?);
    for head in [IntentHead::None, IntentHead::Words(count), IntentHead::Split(page)] {
        assert_eq!(IntentHead::decode(head.encode()), head);
    }
    let purposes = [Purpose::Sweep, Purpose::Compact, Purpose::Evict, Purpose::Trim];
    let walk = WalkWord {
        segment: SegmentId::new(input.int_in_range(0..=TABLE_SEGMENTS - 1)?),
        generation_low: input.int_in_range(0..=15)?,
        purpose: *input.choose(&purposes)?,
        position: input.int_in_range(0..=WALK_END)?,
        owner: owner.filter(|_| count % 2 == 0),
    };
    assert_eq!(WalkWord::decode(WalkWord::encode(Some(walk))), Some(walk));
    let states = [State::Active, State::Sealed, State::Victim, State::Draining, State::Free];
    let state = StateWord {
        generation: Generation::new(input.arbitrary()?),
        state: *input.choose(&states)?,
        queue: *input.choose(&[Queue::Probation, Queue::Main])?,
        allocated: input.int_in_range(0..=0x1_FFFFu64)? * 4096,
    };
    assert_eq!(StateWord::decode(state.encode()), Some(state));
    let version = input.arbitrary()?;
    let word = control::encode_version(control::LOG_MAGIC, version, input.arbitrary()?);
    assert_eq!(word as u32, version);
    Ok(())
}

/// Every place of the control block is within it, and none overlaps another.
fn places(input: &mut Unstructured<'_>) -> Result<()> {
    let geometry = Geometry {
        seed: input.arbitrary()?,
        level: input.int_in_range(0..=17)?,
        segment_shift: input.int_in_range(15..=29)?,
        max_processes: input.int_in_range(0..=1025)?,
    };
    let Some(geometry) = geometry.checked() else { return Ok(()) };
    let segment = SegmentId::new(input.int_in_range(0..=TABLE_SEGMENTS - 1)?);
    let Some(slot) = ProcessId::new(input.int_in_range(0..=geometry.max_processes - 1)?) else {
        return Ok(());
    };
    let mut places = vec![
        (control::DUPLICATE_CURSOR, 8),
        (geometry.state_at(segment).first(), 8),
        (geometry.state_at(segment).second(), 8),
        (geometry.row_at(segment, 0), ROW_BYTES),
        (geometry.intent_at(slot, 0), 8 + 16 * INTENT_WORDS as u64),
        (geometry.writing_at(slot, 0), 16),
        (geometry.pin_at(slot, segment, control::PIN_LINES - 1).0, 8),
        (geometry.statistic_at(slot, 0), control::STATISTICS_WORDS * 8),
        (WordAt::log(geometry.control_bytes()), 0),
    ];
    let order = places.clone();
    places.sort_unstable();
    assert_eq!(places, order);
    for pair in places.windows(2) {
        assert!(pair[0].0.offset() + pair[0].1 <= pair[1].0.offset(), "{pair:?}");
    }
    let units = input.int_in_range(0..=geometry.segment_units() - 1)?;
    let address = geometry.address(segment, units);
    let start = geometry.segment_start(segment) + u64::from(units) * 16;
    // The last segments of the largest store are beyond what an address can say.
    if address.bytes() == start {
        assert_eq!(geometry.locate(address), Some((segment, u64::from(units) * 16)));
    }
    assert!(start < geometry.mapped_bytes());
    Ok(())
}

/// Process rows of the small control block.
const PROCESSES: u16 = 4;
const PAGES: u64 = 5;

/// Who is dead, and how often somebody waited.
struct Others {
    dead: u16,
    waits: u32,
}

impl Liveness for Others {
    fn is_dead(&self, slot: ProcessId) -> bool {
        slot.get() >= PROCESSES || self.dead >> slot.get() & 1 == 1
    }
}

impl Patience for Others {
    fn wait(&mut self, _: LockWord) -> Verdict {
        self.waits += 1;
        assert!(self.waits < 100, "the lock is waited for without end");
        if self.waits.is_multiple_of(4) { Verdict::Expired } else { Verdict::Unchanged }
    }
}

/// Attaches and takes the lock over whatever is there.
fn takeover(input: &mut Unstructured<'_>) -> Result<()> {
    let level = input.int_in_range(0..=2)?;
    let geometry = Geometry { seed: 1, level, segment_shift: 16, max_processes: PROCESSES };
    let mut paper = Paper::default();
    paper.lay(WordAt::log(0), 0x1200 / 8);
    paper.lay(
        WordAt::log(control::PROCESSES_OFFSET),
        usize::from(PROCESSES) * (control::PROCESS_ROW_BYTES / 8) as usize,
    );
    paper.lay(WordAt::index(PageId::new(0).offset()), PAGES as usize * PAGE_SLOTS);
    paper.allow_all();
    for at in [control::PAGES, control::SYNCS, control::PAGES_DURABLE] {
        paper.store_checked(at, input.int_in_range(0..=PAGES)?);
    }
    let owner: u16 = input.int_in_range(0..=PROCESSES)?;
    let lock = input.arbitrary::<u64>()? >> 1 & !0x3FFF;
    let lock = lock | u64::from(owner) << 2 | input.int_in_range(0..=3u64)?;
    paper.store(control::LOCK, lock);
    for slot in (0..PROCESSES).filter_map(ProcessId::new) {
        intent(input, &paper, &geometry, slot, lock)?;
    }
    let Some(me) = ProcessId::new(input.int_in_range(0..=PROCESSES - 1)?) else { return Ok(()) };
    let others = Others { dead: input.arbitrary()?, waits: 0 };
    let transactions = Transactions { words: &paper, geometry: &geometry, me, liveness: &others };
    let before = LockWord::decode(lock).sequence;
    transactions.settle_row();
    let settled = LockWord::decode(paper.load(control::LOCK));
    assert!(settled.owner != me || settled.phase == Phase::Free, "{settled:?} of {me:?}");
    assert!(settled.sequence >= before, "a version came back");
    let mut patience = Others { dead: 0, waits: 0 };
    let Ok(held) = transactions.hold(&mut patience) else {
        // Only a living process keeps it.
        let stuck = LockWord::decode(paper.load(control::LOCK));
        assert!(stuck.phase == Phase::Commit && !others.is_dead(stuck.owner), "{stuck:?}");
        return Ok(());
    };
    let lsn = held.lsn();
    assert!(lsn >= before, "a version came back");
    let mut changes = Changes::default();
    changes.set(control::ENTRIES, input.arbitrary()?);
    changes.set_checked(control::CLEAR_LSN, input.arbitrary()?);
    held.commit(&changes).unwrap();
    for (at, value) in changes.iter() {
        assert_eq!(paper.load(at), value);
    }
    let free = LockWord::decode(paper.load(control::LOCK));
    assert_eq!((free.phase, free.sequence), (Phase::Free, Lsn::new(lsn.get() + 1)));
    Ok(())
}

/// Some intent in a process row: often one that can be.
fn intent(
    input: &mut Unstructured<'_>,
    paper: &Paper,
    geometry: &Geometry,
    slot: ProcessId,
    lock: u64,
) -> Result<()> {
    let count = input.int_in_range(0..=INTENT_WORDS + 1)?;
    let head = match input.int_in_range(0..=3)? {
        0 => input.arbitrary()?,
        1 => IntentHead::Split(PageId::new(input.int_in_range(0..=PAGES)?)).encode(),
        _ => IntentHead::Words(count).encode(),
    };
    paper.store(geometry.intent_at(slot, 0), head);
    for pair in 0..count.min(INTENT_WORDS) as u64 {
        let number = input.int_in_range(0..=PAGE_SLOTS as u64)?;
        let (at, value) = match input.int_in_range(0..=5)? {
            0 => (WordAt::from_raw(input.arbitrary()?), input.arbitrary()?),
            1 => (WordAt::log(number % 64 * 8), input.arbitrary()?),
            2 => (control::LOCK, lock ^ input.arbitrary::<u64>()?),
            3 => (geometry.intent_at(slot, number), input.arbitrary()?),
            _ => (WordAt::index(number * 8), input.arbitrary()?),
        };
        paper.store(geometry.intent_at(slot, 1 + 2 * pair), at.raw());
        paper.store(geometry.intent_at(slot, 2 + 2 * pair), value);
    }
    Ok(())
}
