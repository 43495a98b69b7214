//! The tables of `format.md` about files, control block, segment table and process rows.

use super::table::{Table, bits, fields, n, names, table, text, values};
use crate::format::address::{ADDRESS_BITS, GENERATION_COUNT_BITS, Generation, LSN_BITS};
use crate::format::address::{LSN_COUNT_BITS, Millis, SegmentId, UNIT};
use crate::format::checked::{CHECK_FACTOR, CheckedAt, VALUE_BITS};
use crate::format::control::*;
use crate::format::identity::{IDENTITY_LIMIT, Identity, Limits, STORE_MAGIC};
use crate::format::intent::{INTENT_WORDS, IntentHead, WordAt};
use crate::format::lock::{PROCESS_LIMIT, ProcessId};
use crate::format::page::PageId;
use crate::format::segment::*;
use crate::format::walk::{Purpose, WALK_END, WalkWord};
use crate::format::{DRAFT_DIRECTORY, FORMAT_VERSION, INDEX_FILE, LOG_FILE, STORE_FILE, TAG_FILE};
use crate::session::counters::{COUNTS, Count};

/// What a reader needs of them.
pub fn to_read() -> Vec<Table> {
    [words(), files(), store(), header(), checked(), used_by_readers(), state_word()].concat()
}

/// What a writer needs besides.
pub fn to_write() -> Vec<Table> {
    [control(), rows(), walks(), processes()].concat()
}

fn words() -> Vec<Table> {
    vec![names(
        "Words",
        &[
            ("unit", n(UNIT)),
            ("address bits", n(ADDRESS_BITS)),
            ("LSN bits", n(LSN_BITS)),
            ("LSN count bits", n(LSN_COUNT_BITS)),
            ("generation count bits", n(GENERATION_COUNT_BITS)),
            ("never", n(Millis::NEVER.get())),
        ],
    )]
}

fn files() -> Vec<Table> {
    vec![names(
        "The three files",
        &[
            ("identity file", STORE_FILE.to_owned()),
            ("log file", LOG_FILE.to_owned()),
            ("index file", INDEX_FILE.to_owned()),
            ("draft directory", DRAFT_DIRECTORY.to_owned()),
            ("tag file", TAG_FILE.to_owned()),
            ("store magic", text(&STORE_MAGIC)),
            ("log magic", text(&LOG_MAGIC.to_le_bytes())),
            ("index magic", text(&INDEX_MAGIC.to_le_bytes())),
            ("format version", n(FORMAT_VERSION)),
            ("identity limit", n(IDENTITY_LIMIT as u64)),
        ],
    )]
}

fn store() -> Vec<Table> {
    let heading = "The file `store`";
    let identity = Identity {
        store_id: [101, 102],
        seed: 103,
        segment_shift: 20,
        level: 5,
        max_processes: 64,
        limits: Limits { max_entries: 107, max_bytes: 108, ttl_ms: Some(109), min_free: 110 },
    };
    let bytes = identity.encode().unwrap();
    assert_eq!(bytes[..8], STORE_MAGIC);
    assert_eq!(bytes[8..12], FORMAT_VERSION.to_le_bytes());
    let length = bytes.len() as u32 - 20;
    assert_eq!(bytes[12..16], length.to_le_bytes());
    // Numbers below 128 are one byte each: the payload tells the order of its fields.
    assert_eq!(bytes[16..26], [101, 102, 103, 20, 5, 64, 107, 108, 1, 109]);
    assert_eq!(bytes[26..bytes.len() - 4], [110]);
    let head = [("0", "8", "magic"), ("8", "4", "version"), ("12", "4", "length")];
    let rest = [("16", "n", "payload"), ("16+n", "4", "CRC")];
    let row = |(a, b, c): (&str, &str, &str)| vec![a.to_owned(), b.to_owned(), c.to_owned()];
    let names = "store_id[0] store_id[1] seed segment_shift level max_processes max_entries \
                 max_bytes ttl_ms min_free";
    let payload = names.split_whitespace().enumerate().map(|(order, name)| {
        let kind = if name == "ttl_ms" { "option" } else { "varint" };
        vec![n(order as u64 + 1), kind.to_owned(), name.to_owned()]
    });
    vec![
        table(heading, "Offset", head.into_iter().chain(rest).map(row).collect()),
        table(heading, "Order", payload.collect()),
        super::table::names(
            heading,
            &[
                ("smallest segment shift", n(*SEGMENT_SHIFTS.start())),
                ("largest segment shift", n(*SEGMENT_SHIFTS.end())),
                ("highest level", n(LEVEL_LIMIT)),
                ("most processes", n(PROCESS_LIMIT)),
            ],
        ),
    ]
}

fn word(at: WordAt, field: &'static str) -> (u64, u64, &'static str) {
    (at.offset(), 8, field)
}

fn header() -> Vec<Table> {
    assert_eq!(encode_version(LOG_MAGIC, 7, [1, 2]) as u32, 7);
    vec![fields(
        "The header of `log` and `index`",
        &[
            word(MAGIC, "magic"),
            (VERSION.offset(), 4, "version"),
            (VERSION.offset() + 4, 4, "CRC"),
            (STORE_ID.offset(), 16, "store id"),
            word(CREATED, "created"),
        ],
    )]
}

fn checked() -> Vec<Table> {
    let heading = "Checked words";
    let value = (1 << VALUE_BITS) - 1;
    for (at, name) in CHECKED {
        assert_eq!(at.second().offset() - at.first().offset(), SECOND_COPIES, "{name}");
        assert_eq!(at.seal(7).wrapping_mul(CHECK_FACTOR) >> VALUE_BITS, at.label());
    }
    let label = |at: CheckedAt| n(at.label());
    let geometry = Geometry { seed: 1, level: 0, segment_shift: 16, max_processes: 1 };
    vec![
        bits(heading, &[(value, "value"), (!value, "check")]),
        names(
            heading,
            &[
                ("value bits", n(VALUE_BITS)),
                ("check factor", n(CHECK_FACTOR)),
                ("second copies", n(SECOND_COPIES)),
                ("label of pages", label(PAGES)),
                ("label of clear LSN", label(CLEAR_LSN)),
                ("label of syncs", label(SYNCS)),
                ("label of pages durable", label(PAGES_DURABLE)),
                ("label of epoch", label(EPOCH)),
                ("label of a state word", label(geometry.state_at(SegmentId::new(3)))),
            ],
        ),
    ]
}

fn used_by_readers() -> Vec<Table> {
    vec![fields(
        "The words that a reader uses",
        &[
            (BOOT_ID.offset(), 16, "boot id"),
            (FILE_IDS.offset(), 32, "file ids"),
            word(LOCK, "lock"),
            word(PAGES.first(), "pages"),
            word(CLEAR_LSN.first(), "clear LSN"),
            word(PAGES_DURABLE.first(), "pages durable"),
            word(MAX_BYTES, "max bytes"),
            word(SYNCS_BEGUN, "syncs begun"),
            word(SYNCS_DONE, "syncs done"),
            word(EPOCH.first(), "epoch"),
            word(ORDERS, "orders"),
        ],
    )]
}

fn control() -> Vec<Table> {
    let control = "The control block";
    vec![
        names(
            control,
            &[
                ("control alignment", n(CONTROL_ALIGNMENT)),
                ("table segments", n(TABLE_SEGMENTS)),
                ("fewest segments", n(SEGMENTS_FLOOR)),
                ("second page", n(SECOND_COPIES)),
                ("segment states", n(STATES_OFFSET)),
                ("second states", n(SECOND_STATES_OFFSET)),
                ("segment rows", n(ROWS_OFFSET)),
                ("cut-offs", n(CUT_OFFS_OFFSET)),
                ("namespaces", n(NAMESPACES_OFFSET)),
                ("process rows", n(PROCESSES_OFFSET)),
            ],
        ),
        fields(
            control,
            &[
                (0, BOOT_ID.offset(), "header"),
                (BOOT_ID.offset(), 16, "boot id"),
                (FILE_IDS.offset(), 32, "file ids"),
                word(LOCK, "lock"),
                word(ENTRIES, "entries"),
                word(PENDING, "pending"),
                word(PAGES.first(), "pages"),
                word(CLEAR_LSN.first(), "clear LSN"),
                word(SYNCS.first(), "syncs"),
                word(PAGES_DURABLE.first(), "pages durable"),
                word(MAX_ENTRIES, "max entries"),
                word(MAX_BYTES, "max bytes"),
                word(DEFAULT_TTL, "default TTL"),
                word(SYNCS_BEGUN, "syncs begun"),
                word(SYNCS_DONE, "syncs done"),
                word(EPOCH.first(), "epoch"),
                word(SYNCED_AT, "synced at"),
                word(SYNC_FAILED, "sync failed"),
                word(MIN_FREE, "min free"),
                word(ACTIVE_PROBATION, "active of probation"),
                word(ACTIVE_MAIN, "active of main"),
                word(ORDERS, "orders"),
                word(LOG_GRANTED, "log granted"),
                word(INDEX_GRANTED, "index granted"),
                word(PROCESSES_SEEN, "processes seen"),
                word(WALK_PROBATION, "walk of probation"),
                word(WALK_MAIN, "walk of main"),
                word(WALK_UPKEEP, "walk of upkeep"),
                word(CLEAR_CURSOR, "clear cursor"),
                word(SWEEP_DUE, "sweep due"),
                word(DUPLICATE_CURSOR, "duplicate cursor"),
            ],
        ),
    ]
}

fn state_word() -> Vec<Table> {
    let none = StateWord {
        generation: Generation::new(0),
        state: State::Free,
        queue: Queue::Probation,
        allocated: 0,
    };
    let state = |state| StateWord { state, ..none }.encode();
    let queue = |queue| StateWord { queue, ..none }.encode();
    let every = StateWord { generation: Generation::new(u32::MAX), ..none }.encode();
    let allocated = StateWord { allocated: 0x1_FFFF * ALLOCATION_PAGE, ..none }.encode();
    // Three bits, though not all values are in use: a value beyond is not decoded.
    assert!((5..8).all(|value| StateWord::decode(value << 32).is_none()));
    assert_eq!(ALLOCATION_PAGE, 4096);
    vec![
        bits(
            "State word",
            &[
                (every, "generation"),
                (7 << 32, "state"),
                (queue(Queue::Main), "queue"),
                (allocated, "allocated"),
            ],
        ),
        values(
            "State word",
            "State",
            32,
            &[
                (state(State::Free), "free"),
                (state(State::Active), "active"),
                (state(State::Sealed), "sealed"),
                (state(State::Victim), "victim"),
                (state(State::Draining), "draining"),
            ],
        ),
        values(
            "State word",
            "Queue",
            35,
            &[(queue(Queue::Probation), "probation"), (queue(Queue::Main), "main")],
        ),
    ]
}

fn rows() -> Vec<Table> {
    assert_eq!(Live { count: 1, units: 2 }.encode(), 1 << 32 | 2);
    let row = |word: u64, name: &'static str| (word * 8, 8, name);
    let stamp = |moved_after, counted_since, reuses| {
        BarrierStamp { moved_after, counted_since, reuses }.encode()
    };
    assert_eq!(stamp(u32::MAX, 0, 0), STAMP_MASK);
    vec![
        fields(
            "Row",
            &[
                row(TAIL, "tail"),
                row(LIVE, "live"),
                row(GRANTED, "granted"),
                row(FIRST_EXPIRY, "first expiry"),
                row(LAST_EXPIRY, "last expiry"),
                row(ORDER, "order"),
                row(STAMP, "stamp"),
                row(HORIZON, "horizon"),
            ],
        ),
        bits(
            "Barrier stamp",
            &[
                (stamp(u32::MAX, 0, 0), "moved after"),
                (stamp(0, u32::MAX, 0), "counted since"),
                (stamp(0, 0, u8::MAX), "reuses"),
            ],
        ),
        horizon(),
    ]
}

fn horizon() -> Table {
    assert_eq!((HORIZON + 1) * 8, ROW_BYTES);
    bits(
        "Horizon",
        &[
            (Horizon { until: Millis::NEVER, expiring: 0 }.encode(), "until"),
            (Horizon { expiring: u16::MAX, ..Horizon::UNKNOWN }.encode(), "expiring"),
        ],
    )
}

fn walks() -> Vec<Table> {
    let none = WalkWord {
        segment: SegmentId::new(0),
        generation_low: 0,
        purpose: Purpose::Sweep,
        position: 0,
        owner: None,
    };
    let of = |purpose| WalkWord::encode(Some(WalkWord { purpose, ..none }));
    let base = of(Purpose::Sweep);
    let owned = |slot| {
        let owner = ProcessId::new(slot);
        WalkWord::encode(Some(WalkWord { owner, ..none })) ^ base
    };
    let differs = |walk: WalkWord| WalkWord::encode(Some(walk)) ^ base;
    vec![
        bits(
            "Walk word",
            &[
                (differs(WalkWord { position: u32::MAX, ..none }), "position"),
                (differs(WalkWord { segment: SegmentId::new(4095), ..none }), "segment"),
                (differs(WalkWord { generation_low: 15, ..none }), "generation"),
                (15 << base.trailing_zeros(), "purpose"),
                (owned(PROCESS_LIMIT - 1) ^ owned(0), "owner"),
                (owned(0), "owned"),
            ],
        ),
        names("Walk word", &[("walk end", n(WALK_END))]),
        values(
            "Walk word",
            "Purpose",
            40,
            &[
                (of(Purpose::Sweep), "sweep"),
                (of(Purpose::Compact), "compact"),
                (of(Purpose::Evict), "evict"),
                (of(Purpose::Trim), "trim"),
            ],
        ),
    ]
}

fn processes() -> Vec<Table> {
    let split = IntentHead::Split(PageId::new((1 << 48) - 1)).encode();
    let counts = [
        (Count::Hits, "hits"),
        (Count::Misses, "misses"),
        (Count::Inserts, "inserts"),
        (Count::Removes, "removes"),
        (Count::Evictions, "evictions"),
        (Count::Expirations, "expirations"),
        (Count::Moves, "moves"),
        (Count::BytesPut, "bytes put"),
        (Count::BytesMoved, "bytes moved"),
        (Count::Damaged, "damaged"),
        (Count::Unstored, "unstored"),
        (Count::ViewCopies, "view copies"),
        (Count::SegmentsTaken, "segments taken"),
        (Count::Syncs, "syncs"),
        (Count::UpkeepErrors, "upkeep errors"),
    ];
    assert_eq!(counts.len(), COUNTS);
    let counts = counts.map(|(count, name)| (count as u64 * 8, 8, name));
    vec![
        fields(
            "Process rows",
            &[
                (PROCESS_INTENT, 8 + INTENT_WORDS as u64 * 16, "intent"),
                (PROCESS_WRITING, 16, "writing"),
                (PROCESS_PINS, u64::from(PIN_LINES) * u64::from(PIN_LINE_BITS) / 8, "pins"),
                (PROCESS_STATISTICS, STATISTICS_WORDS * 8, "statistics"),
            ],
        ),
        names(
            "Process rows",
            &[
                ("process row", n(PROCESS_ROW_BYTES)),
                ("intent pairs", n(INTENT_WORDS as u64)),
                ("statistics words", n(STATISTICS_WORDS)),
            ],
        ),
        bits(
            "Intent head",
            &[(0xFF, "kind"), (0xFF << 8, "count"), (split ^ (split & 0xFF), "page")],
        ),
        values(
            "Intent head",
            "Intent",
            0,
            &[
                (IntentHead::None.encode(), "none"),
                (IntentHead::Words(0).encode(), "words"),
                (IntentHead::Split(PageId::new(0)).encode(), "split"),
            ],
        ),
        names("Intent head", &[("index bit", n(WordAt::index(0).raw()))]),
        fields("Statistics", &counts),
    ]
}
