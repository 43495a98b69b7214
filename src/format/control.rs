//! The control block: the first bytes of the log file, and where everything in it stands.
//!
//! A page with the header of the file and the words that all processes share, then a page with the second
//! copies of the checked ones; then the state words of 4,096 segments, twice, and their rows; then room that
//! is reserved for cut-offs and namespaces; then the process rows; rounded up to 64 KiB. Words that every put
//! changes and words that every get reads stand in different cache lines.

use super::address::{Address, Generation, SegmentId};
use super::check::Checker;
use super::checked::CheckedAt;
use super::intent::{INTENT_WORDS, WordAt};
use super::lock::{PROCESS_LIMIT, ProcessId};
use super::page::{PAGE_BYTES, PAGE_SLOTS, PageId};
use super::segment::{CHUNK_HEADER_BYTES, ROW_BYTES};

/// First eight bytes of the log file.
pub const LOG_MAGIC: u64 = u64::from_le_bytes(*b"larderLG");
/// First eight bytes of the index file.
pub const INDEX_MAGIC: u64 = u64::from_le_bytes(*b"larderIX");

/// Segments that the table can name.
pub const TABLE_SEGMENTS: u16 = 4096;
/// Fewest segments that a store works with.
pub const SEGMENTS_FLOOR: u64 = 8;
/// Smallest and largest segment, as powers of two.
pub const SEGMENT_SHIFTS: std::ops::RangeInclusive<u32> = 16..=28;
/// The most that an index begins with, as a power of two of pages.
pub const LEVEL_LIMIT: u32 = 16;
/// Bytes of a process row.
pub const PROCESS_ROW_BYTES: u64 = 1088;
/// The control block's length is a multiple of this, so that pages of 64 KiB work.
pub const CONTROL_ALIGNMENT: u64 = 64 << 10;

/// Offsets in the first page of the log and, as far as [`CREATED`], of the index.
pub const MAGIC: WordAt = WordAt::log(0x000);
/// Format version in the low 32 bits, CRC-32 of magic, version and store id in the high ones.
pub const VERSION: WordAt = WordAt::log(0x008);
/// Store id, two words.
pub const STORE_ID: WordAt = WordAt::log(0x010);
/// 1 once creation is complete.
pub const CREATED: WordAt = WordAt::log(0x020);

/// Boot id, two words.
pub const BOOT_ID: WordAt = WordAt::log(0x040);
/// Inode number and birth time (nanoseconds) of the log and of the index: four words.
pub const FILE_IDS: WordAt = WordAt::log(0x050);

/// The lock word.
pub const LOCK: WordAt = WordAt::log(0x080);
/// Entries: live slots at home.
pub const ENTRIES: WordAt = WordAt::log(0x088);
/// Entries that a `clear` left to upkeep.
pub const PENDING: WordAt = WordAt::log(0x090);

/// Pages of the index, `n`.
pub const PAGES: CheckedAt = checked(0x0C0, 0x4D6);
/// Records up to this LSN were cleared.
pub const CLEAR_LSN: CheckedAt = checked(0x0C8, 0x3A9);
/// 1 once this store was synced: the barrier holds.
pub const SYNCS: CheckedAt = checked(0x0D0, 0x65C);
/// Pages of the index that a completed sync covers.
pub const PAGES_DURABLE: CheckedAt = checked(0x0D8, 0x293);
/// The most entries.
pub const MAX_ENTRIES: WordAt = WordAt::log(0x0E0);
/// The most bytes of disk.
pub const MAX_BYTES: WordAt = WordAt::log(0x0E8);
/// Default time to live in milliseconds; 2^48 - 1 and above: never.
pub const DEFAULT_TTL: WordAt = WordAt::log(0x0F0);

/// Syncs begun.
pub const SYNCS_BEGUN: WordAt = WordAt::log(0x100);
/// The highest number of the syncs that are done.
pub const SYNCS_DONE: WordAt = WordAt::log(0x108);
/// The epoch: raised by every first opening after another boot.
pub const EPOCH: CheckedAt = checked(0x110, 0x7E5);
/// Moment of the last completed sync, milliseconds.
pub const SYNCED_AT: WordAt = WordAt::log(0x118);

/// 1 after a sync failed: what is durable is not known until another boot.
pub const SYNC_FAILED: WordAt = WordAt::log(0x120);
/// Bytes of the file system to leave free.
pub const MIN_FREE: WordAt = WordAt::log(0x128);

/// Segment that takes new chunks for probation: number + 1, or 0.
pub const ACTIVE_PROBATION: WordAt = WordAt::log(0x140);
/// Segment that takes new chunks for main: number + 1, or 0.
pub const ACTIVE_MAIN: WordAt = WordAt::log(0x148);
/// Segments taken so far.
pub const ORDERS: WordAt = WordAt::log(0x150);
/// Bytes granted to segments in use or kept.
pub const LOG_GRANTED: WordAt = WordAt::log(0x158);
/// Bytes granted to the index file, header page included.
pub const INDEX_GRANTED: WordAt = WordAt::log(0x160);
/// Process rows that were ever in use: the highest number + 1.
pub const PROCESSES_SEEN: WordAt = WordAt::log(0x168);

/// The walk of probation's clock hand.
pub const WALK_PROBATION: WordAt = WordAt::log(0x180);
/// The walk of main's clock hand.
pub const WALK_MAIN: WordAt = WordAt::log(0x188);
/// The walk of upkeep: it sweeps, compacts or evicts.
pub const WALK_UPKEEP: WordAt = WordAt::log(0x190);
/// The next block of 64 slots, counted over all pages, that upkeep after a `clear` looks at.
pub const CLEAR_CURSOR: WordAt = WordAt::log(0x198);
/// When some segment is next worth sweeping, milliseconds.
pub const SWEEP_DUE: WordAt = WordAt::log(0x1A0);
/// The next page on which upkeep decides duplicates, + 1; 0: there are none.
pub const DUPLICATE_CURSOR: WordAt = WordAt::log(0x1A8);

/// Words that count up by one can have come this far, and no further.
pub const COUNT_LIMIT: u64 = 1 << 56;

/// The checked words, and what they are called. Damage to one copy costs nothing, to both an error or a miss.
pub const CHECKED: [(CheckedAt, &str); 5] = [
    (PAGES, "the number of pages"),
    (CLEAR_LSN, "the clear LSN"),
    (SYNCS, "whether the store was ever synced"),
    (PAGES_DURABLE, "the number of durable pages"),
    (EPOCH, "the epoch"),
];

/// The word at an offset in the first page, with its second copy at the same offset in the second page.
const fn checked(offset: u64, label: u64) -> CheckedAt {
    CheckedAt::new(offset, SECOND_COPIES + offset, label)
}

/// Offset of the page with the second copies of the checked words.
pub const SECOND_COPIES: u64 = PAGE_BYTES;
/// Offset of the state words.
pub const STATES_OFFSET: u64 = SECOND_COPIES + PAGE_BYTES;
/// Offset of their second copies.
pub const SECOND_STATES_OFFSET: u64 = STATES_OFFSET + TABLE_SEGMENTS as u64 * 8;
/// Offset of the rows of the segment table.
pub const ROWS_OFFSET: u64 = SECOND_STATES_OFFSET + TABLE_SEGMENTS as u64 * 8;
/// Offset of the room for cut-offs: 2,048 of 16 bytes, and 8 bytes a segment. Nothing is in it yet, so that it
/// takes no disk.
pub const CUT_OFFS_OFFSET: u64 = ROWS_OFFSET + TABLE_SEGMENTS as u64 * ROW_BYTES;
/// Offset of the room for namespaces: 1,024 rows of 512 bytes. Nothing is in it yet, either.
pub const NAMESPACES_OFFSET: u64 = CUT_OFFS_OFFSET + 4096 * 16;
/// Offset of the process rows.
pub const PROCESSES_OFFSET: u64 = NAMESPACES_OFFSET + 1024 * 512;

/// Offset of the intent in a process row.
pub const PROCESS_INTENT: u64 = 0x000;
/// Offset of the two words that say into which segment the process writes (number + 1, or 0):
/// one for puts, one for moves. They pin it as a bit does.
pub const PROCESS_WRITING: u64 = 0x150;
/// Offset of the pins in a process row: lines of bits, each line for all segments.
pub const PROCESS_PINS: u64 = 0x180;
/// Lines of pins: a thread keeps to one, so that threads do not write into each other's cache lines.
pub const PIN_LINES: u16 = 8;
/// Bits of a line. Segments whose numbers are equal modulo this have one bit, and are pinned together.
pub const PIN_LINE_BITS: u16 = 512;
/// Offset of the statistics in a process row.
pub const PROCESS_STATISTICS: u64 = 0x380;
/// Words of statistics in a process row.
pub const STATISTICS_WORDS: u64 = 24;

const _: () = assert!(PROCESS_INTENT + 8 + INTENT_WORDS as u64 * 16 <= PROCESS_WRITING);
const _: () = assert!(PROCESS_WRITING + 16 <= PROCESS_PINS);
const _: () =
    assert!(PROCESS_PINS + PIN_LINES as u64 * PIN_LINE_BITS as u64 / 8 <= PROCESS_STATISTICS);
const _: () = assert!(PROCESSES_OFFSET.is_multiple_of(64) && PROCESS_ROW_BYTES.is_multiple_of(64));
const _: () = assert!(PROCESS_PINS.is_multiple_of(64) && PIN_LINE_BITS == 8 * 64);
const _: () = assert!(PROCESS_STATISTICS + STATISTICS_WORDS * 8 == PROCESS_ROW_BYTES);
const _: () = assert!(PAGE_SLOTS as u64 * 8 == PAGE_BYTES);

/// What never changes in a store's life, and where that puts things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Seed of the key hash and of all checks.
    pub seed: u64,
    /// log2 of the index pages at creation.
    pub level: u32,
    /// log2 of the segment size.
    pub segment_shift: u32,
    /// Process rows.
    pub max_processes: u16,
}

impl Geometry {
    /// A geometry from numbers that were read, if it is one that can be.
    pub fn checked(self) -> Option<Self> {
        let sound = self.level <= LEVEL_LIMIT
            && SEGMENT_SHIFTS.contains(&self.segment_shift)
            && (1..=PROCESS_LIMIT).contains(&self.max_processes);
        sound.then_some(self)
    }

    /// The hash of a key: XXH3-64 with the store's seed.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(key, self.seed)
    }

    /// Bytes of the control block: where the first segment begins.
    #[inline]
    pub const fn control_bytes(&self) -> u64 {
        (PROCESSES_OFFSET + self.max_processes as u64 * PROCESS_ROW_BYTES)
            .next_multiple_of(CONTROL_ALIGNMENT)
    }

    /// Bytes of disk that the control block takes at most: all but the room in which nothing is yet.
    pub const fn control_cost(&self) -> u64 {
        let rows = self.max_processes as u64 * PROCESS_ROW_BYTES;
        CUT_OFFS_OFFSET + (PROCESSES_OFFSET + rows).next_multiple_of(PAGE_BYTES) - PROCESSES_OFFSET
    }

    /// Bytes of a segment.
    #[inline]
    pub const fn segment_bytes(&self) -> u64 {
        1 << self.segment_shift
    }

    /// Bytes of the log file when it has `segments` segments.
    pub const fn log_bytes(&self, segments: u64) -> u64 {
        self.control_bytes() + (segments << self.segment_shift)
    }

    /// Bytes of the log that the mapping covers: all that the table can name.
    pub const fn mapped_bytes(&self) -> u64 {
        self.log_bytes(TABLE_SEGMENTS as u64)
    }

    /// Byte position of a segment's start.
    #[inline]
    pub const fn segment_start(&self, segment: SegmentId) -> u64 {
        self.control_bytes() + (segment.index() << self.segment_shift)
    }

    /// The segment that holds an address, and the address's distance from its start in bytes;
    /// `None` in the control block or beyond the table.
    #[inline]
    pub fn locate(&self, address: Address) -> Option<(SegmentId, u64)> {
        let offset = address.bytes().checked_sub(self.control_bytes())?;
        let segment = offset >> self.segment_shift;
        (segment < u64::from(TABLE_SEGMENTS))
            .then(|| (SegmentId::new(segment as u16), offset & (self.segment_bytes() - 1)))
    }

    /// The address `units` units into a segment.
    #[inline]
    pub const fn address(&self, segment: SegmentId, units: u32) -> Address {
        Address::from_bytes(self.segment_start(segment) + units as u64 * super::address::UNIT)
    }

    /// Units in a segment.
    #[inline]
    pub const fn segment_units(&self) -> u32 {
        (self.segment_bytes() / super::address::UNIT) as u32
    }

    /// The largest record: what fits a segment beside one chunk header.
    pub const fn record_limit(&self) -> u64 {
        self.segment_bytes() - CHUNK_HEADER_BYTES
    }

    /// The state word of a segment.
    #[inline]
    pub const fn state_at(&self, segment: SegmentId) -> CheckedAt {
        let at = segment.index() * 8;
        CheckedAt::new(STATES_OFFSET + at, SECOND_STATES_OFFSET + at, 0)
    }

    /// A word of a segment's row.
    #[inline]
    pub const fn row_at(&self, segment: SegmentId, word: u64) -> WordAt {
        WordAt::log(ROWS_OFFSET + segment.index() * ROW_BYTES + word * 8)
    }

    /// Offset of a process row in the log file.
    pub const fn process_offset(&self, process: ProcessId) -> u64 {
        PROCESSES_OFFSET + process.get() as u64 * PROCESS_ROW_BYTES
    }

    /// A word of a process row's intent: 0 is its head.
    #[inline]
    pub const fn intent_at(&self, process: ProcessId, word: u64) -> WordAt {
        WordAt::log(self.process_offset(process) + PROCESS_INTENT + word * 8)
    }

    /// The word that says into which segment a process puts (0) or moves (1).
    #[inline]
    pub const fn writing_at(&self, process: ProcessId, which: u64) -> WordAt {
        WordAt::log(self.process_offset(process) + PROCESS_WRITING + which * 8)
    }

    /// The word that holds a process's pin of a segment in a line, and the pin's bit in it.
    #[inline]
    pub const fn pin_at(&self, process: ProcessId, segment: SegmentId, line: u16) -> (WordAt, u64) {
        let bit = segment.index() % PIN_LINE_BITS as u64;
        (self.pin_word_at(process, line, bit / 64), 1 << (bit % 64))
    }

    /// A word of a line of a process's pins.
    #[inline]
    pub const fn pin_word_at(&self, process: ProcessId, line: u16, word: u64) -> WordAt {
        let line = line as u64 * (PIN_LINE_BITS as u64 / 8);
        WordAt::log(self.process_offset(process) + PROCESS_PINS + line + word * 8)
    }

    /// A word of a process's statistics.
    pub const fn statistic_at(&self, process: ProcessId, word: u64) -> WordAt {
        WordAt::log(self.process_offset(process) + PROCESS_STATISTICS + word * 8)
    }

    /// A slot of the index.
    #[inline]
    pub const fn slot_at(&self, page: PageId, position: usize) -> WordAt {
        WordAt::index(page.offset() + position as u64 * 8)
    }

    /// The checks for a place.
    #[inline]
    pub fn checker(&self, address: Address, generation: Generation) -> Checker {
        Checker::new(self.seed, address, generation)
    }
}

/// The word behind the magic of log and index: version, and a CRC of magic, version and store id.
pub fn encode_version(magic: u64, version: u32, store_id: [u64; 2]) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&magic.to_le_bytes());
    crc.update(&version.to_le_bytes());
    for word in store_id {
        crc.update(&word.to_le_bytes());
    }
    u64::from(version) | (u64::from(crc.finalize()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry =
        Geometry { seed: 1, level: 3, segment_shift: 20, max_processes: 1024 };

    #[test]
    fn every_address_is_in_the_segment_it_was_made_for() {
        for id in [0, 1, 4095] {
            let segment = SegmentId::new(id);
            let address = GEOMETRY.address(segment, 17);
            assert_eq!(GEOMETRY.locate(address), Some((segment, 17 * 16)));
        }
        assert_eq!(GEOMETRY.locate(Address::from_units(3)), None);
        let beyond = Address::from_bytes(GEOMETRY.mapped_bytes());
        assert_eq!(GEOMETRY.locate(beyond), None);
    }

    #[test]
    fn the_largest_store_fits_the_address_bits_but_for_its_last_segment() {
        let largest = Geometry { segment_shift: 28, ..GEOMETRY };
        assert!(largest.mapped_bytes() <= (1 << 40) + largest.control_bytes());
    }

    #[test]
    fn the_control_block_is_a_multiple_of_64_kib() {
        assert_eq!(GEOMETRY.control_bytes() % CONTROL_ALIGNMENT, 0);
        assert!(GEOMETRY.control_bytes() < 3 << 20);
        assert!(GEOMETRY.control_cost() < GEOMETRY.control_bytes());
    }
}
