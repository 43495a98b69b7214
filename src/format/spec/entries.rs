//! The tables of `format.md` about locks, chunks, records, index and writing.

use super::table::{Table, bits, fields, n, names, table, values};
use crate::format::address::{Address, Generation, Lsn, Millis};
use crate::format::check::{CHUNK, COMMITTED, Checker, EXPIRY, HEADER, PAYLOAD};
use crate::format::control::{COUNT_LIMIT, Geometry};
use crate::format::lock::{LockWord, OPENING_LOCK_BYTE, PROCESS_LIMIT, Phase, ProcessId};
use crate::format::lock::{PROGRESS_LOCK_BYTE, fill_lock_byte, process_lock_byte};
use crate::format::page::SPLIT_LOAD_PERCENT;
use crate::format::page::{GROUP_FACTOR, GROUP_SLOTS, PAGE_BYTES, PAGE_GROUPS, PAGE_SLOTS};
use crate::format::record::{self, COMMITTED_AT, EXPIRY_AT, HEADER_BYTES, KEY_LIMIT, PAYLOAD_AT};
use crate::format::record::{
    AHEAD_LIMIT, KNOWN_FLAGS, Shape, decode_committed, decode_expiry, encode_payload,
};
use crate::format::segment::{CHUNK_HEADER_BYTES, encode_chunk};
use crate::format::slot::{FREQUENCY_LIMIT, Slot, TAG_BITS};
use crate::store::barrier::REUSES_LIMIT;
use crate::transaction::UNCHANGED;

/// What a reader needs of them.
pub fn to_read() -> Vec<Table> {
    [records(), index()].concat()
}

/// What a writer needs besides.
pub fn to_write() -> Vec<Table> {
    [locks(), chunks(), writing()].concat()
}

fn locks() -> Vec<Table> {
    let owner = |slot| ProcessId::new(slot).unwrap();
    let word = |phase, slot, sequence| {
        LockWord { phase, owner: owner(slot), sequence: Lsn::new(sequence) }.encode()
    };
    assert_eq!(LockWord::decode(3).phase, Phase::Held);
    vec![
        names(
            "Lock bytes",
            &[
                ("process byte of row 5", n(process_lock_byte(owner(5)))),
                ("opening byte", n(OPENING_LOCK_BYTE)),
                ("progress byte", n(PROGRESS_LOCK_BYTE)),
                ("fill byte of hash 0", n(fill_lock_byte(0))),
                ("fill byte of the highest hash", n(fill_lock_byte(u64::MAX))),
            ],
        ),
        bits(
            "Lock word",
            &[
                (3, "phase"),
                (word(Phase::Free, PROCESS_LIMIT - 1, 0), "owner"),
                (word(Phase::Free, 0, u64::MAX), "sequence"),
            ],
        ),
        values(
            "Lock word",
            "Phase",
            0,
            &[
                (word(Phase::Free, 0, 0), "free"),
                (word(Phase::Held, 0, 0), "held"),
                (word(Phase::Commit, 0, 0), "commit"),
            ],
        ),
    ]
}

fn chunks() -> Vec<Table> {
    let generation = Generation::new(0);
    let checker = Checker::new(1 << 50 | 3, Address::from_units(4096), generation);
    let chunk = encode_chunk(checker, generation, u32::MAX);
    assert_eq!([chunk[0] as u32, (chunk[0] >> 32) as u32], [0, checker.chunk(chunk[1])]);
    vec![
        fields(
            "Chunks",
            &[(0, 4, "generation"), (4, 4, "check"), (8, 4, "length"), (12, 4, "reserved")],
        ),
        names("Chunks", &[("chunk header", n(CHUNK_HEADER_BYTES))]),
    ]
}

fn records() -> Vec<Table> {
    let checker = Checker::new(1 << 50 | 3, Address::from_units(4096), Generation::new(0));
    let empty = Shape { value: 0, key: 0, metadata: 0, flags: 0 };
    // Where a field's bytes are, once the check of the shape is left out.
    let place = |shape: Shape, name: &'static str| {
        let [a, b] = [shape.encode(checker, 0), empty.encode(checker, 0)];
        let differs = u128::from(a[0] ^ b[0]) | u128::from((a[1] ^ b[1]) << 16 >> 16) << 64;
        (u64::from(differs.trailing_zeros()) / 8, u64::from(differs.count_ones()) / 8, name)
    };
    assert_eq!(empty.encode(checker, u32::MAX)[0], u64::from(u32::MAX));
    let [word0, word1] = empty.encode(checker, 0);
    assert_eq!((word1 >> 48) as u16, checker.header(word0, word1));
    assert_eq!(encode_payload(1, 2), 1 | 2 << 32);
    let mask = |decodes: &dyn Fn(u64) -> u64| {
        (0..64).filter(|&bit| decodes(1 << bit) != 0).fold(0, |mask, bit| mask | 1u64 << bit)
    };
    let lsn = mask(&|word| Lsn::new(word).get());
    let millis = Millis::NEVER.get();
    let committed = record::encode_committed(checker, Lsn::new(lsn));
    assert_eq!(decode_committed(checker, committed), Some(Lsn::new(lsn)));
    let never = record::encode_expiry(checker, Millis::NEVER);
    assert_eq!(decode_expiry(checker, never), Some(Millis::NEVER));
    let records = "Records";
    vec![
        table(
            records,
            "Offset",
            [
                (0, 4, "generation"),
                place(Shape { value: u32::MAX, ..empty }, "value length"),
                place(Shape { key: u16::MAX, ..empty }, "key length"),
                place(Shape { metadata: u16::MAX, ..empty }, "metadata length"),
                place(Shape { flags: u16::MAX, ..empty }, "flags"),
                (14, 2, "header check"),
                (PAYLOAD_AT, 4, "CRC"),
                (PAYLOAD_AT + 4, 4, "creation"),
                (COMMITTED_AT, 8, "committed"),
                (EXPIRY_AT, 8, "expiry"),
            ]
            .into_iter()
            .map(|(at, size, name)| vec![n(at), n(size), name.to_owned()])
            .chain([vec![n(HEADER_BYTES), "n".to_owned(), "body".to_owned()]])
            .collect(),
        ),
        names(
            records,
            &[
                ("record header", n(HEADER_BYTES)),
                ("longest key", n(KEY_LIMIT as u64)),
                ("known flags", n(KNOWN_FLAGS)),
                ("farthest ahead", n(AHEAD_LIMIT)),
            ],
        ),
        bits("Committed word", &[(lsn, "LSN"), (!lsn, "check")]),
        bits("Expiry word", &[(millis, "expiry"), (!millis, "check")]),
        names(
            "Checks",
            &[
                ("HEADER", n(HEADER)),
                ("COMMITTED", n(COMMITTED)),
                ("EXPIRY", n(EXPIRY)),
                ("CHUNK", n(CHUNK)),
                ("PAYLOAD", n(PAYLOAD)),
            ],
        ),
    ]
}

fn index() -> Vec<Table> {
    let zero = Generation::new(0);
    let slot =
        |tag, address, generation, frequency| Slot::new(tag, address, generation, frequency).word();
    let address = Address::from_units(u64::MAX);
    let tags = (1 << TAG_BITS) - 1;
    vec![
        names(
            "The index",
            &[
                ("page", n(PAGE_BYTES)),
                ("page slots", n(PAGE_SLOTS as u64)),
                ("group slots", n(GROUP_SLOTS as u64)),
                ("page groups", n(PAGE_GROUPS)),
                ("split load", n(SPLIT_LOAD_PERCENT)),
                ("group factor", n(GROUP_FACTOR)),
                ("tag bits", n(TAG_BITS)),
                ("highest frequency", n(FREQUENCY_LIMIT)),
            ],
        ),
        bits(
            "Slot",
            &[
                (slot(0, address, zero, 0), "address"),
                (slot(0, Address::from_units(0), Generation::new(u32::MAX), 0), "generation"),
                (slot(0, Address::from_units(0), zero, FREQUENCY_LIMIT), "frequency"),
                (Slot::ghost(0, Lsn::new(0)).word(), "ghost"),
                (Slot::EMPTY.with_duplicate(true).word(), "duplicate"),
                (slot(tags, Address::from_units(0), zero, 0), "tag"),
            ],
        ),
        hashes(),
    ]
}

/// Hashes of inputs of such lengths that each way through XXH3 is taken.
fn hashes() -> Table {
    let geometry =
        Geometry { seed: 0xA01A_68BD_08E3_6CB5, level: 0, segment_shift: 16, max_processes: 1 };
    let rows = [0, 3, 8, 16, 17, 65, 128, 129, 240, 241, 1025].map(|length: usize| {
        let input: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        vec![n(length as u64), n(geometry.hash(&input))]
    });
    table("From a key to its slots", "Length", rows.to_vec())
}

fn writing() -> Vec<Table> {
    vec![names(
        "Segments",
        &[
            ("most reuses", n(REUSES_LIMIT)),
            ("unchanged", n(UNCHANGED.as_millis() as u64)),
            ("count limit", n(COUNT_LIMIT)),
        ],
    )]
}
