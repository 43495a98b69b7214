//! Words of the control block that were damaged while nobody had the store open: a counter that is
//! found wrong is counted anew, and no walk, wait or loop goes on for ever.

use std::path::Path;

use larder::internals::control;

use crate::common::{self, Random};
use crate::exercise::{Kind, Sample, assert_is_clear, environment, exercise};
use crate::hostile::{begin, run, set_deadlines};

/// Offsets of the words of the log's first page, by name.
const WORDS: [(&str, u64); 30] = [
    ("created", 0x020),
    ("lock", 0x080),
    ("entries", 0x088),
    ("pending", 0x090),
    ("pages", 0x0C0),
    ("clear lsn", 0x0C8),
    ("syncs", 0x0D0),
    ("pages durable", 0x0D8),
    ("max entries", 0x0E0),
    ("max bytes", 0x0E8),
    ("default ttl", 0x0F0),
    ("min free", 0x128),
    ("syncs begun", 0x100),
    ("syncs done", 0x108),
    ("epoch", 0x110),
    ("synced at", 0x118),
    ("active of probation", 0x140),
    ("active of main", 0x148),
    ("orders", 0x150),
    ("log granted", 0x158),
    ("index granted", 0x160),
    ("processes seen", 0x168),
    ("walk of probation", 0x180),
    ("walk of main", 0x188),
    ("walk of upkeep", 0x190),
    ("clear cursor", 0x198),
    ("sweep due", 0x1A0),
    ("duplicate cursor", 0x1A8),
    ("boot id", 0x040),
    ("log's inode", 0x050),
];

/// Offsets of states, rows and process rows.
const STATES: u64 = control::STATES_OFFSET;
const ROWS: u64 = control::ROWS_OFFSET;
const PROCESSES: u64 = control::PROCESSES_OFFSET;

/// What a word is replaced by.
fn values(old: u64) -> Vec<u64> {
    let mut values = vec![0, 1, 2, 17, 1 << 20, 1 << 32, 1 << 40, 1 << 55, 1 << 63, u64::MAX];
    values.extend([
        old ^ 1,
        old ^ 2,
        old.wrapping_add(1000),
        old.saturating_sub(100),
        !old,
        old << 12,
    ]);
    values.sort_unstable();
    values.dedup();
    values.retain(|&value| value != old);
    values
}

/// Replaces each word by many values.
pub fn counters(directory: &Path, seed: u64) {
    set_deadlines();
    let mut cases = 0u64;
    let mut random = Random::new(seed);
    let mut failures: Vec<String> = Vec::new();
    for (kind, words) in [
        (Kind::numbered(seed), &WORDS[..]),
        (Kind { bounded: true, ..Kind::default() }, &WORDS[..]),
        (Kind { synced: true, bounded: true, cleared: true }, &WORDS[..]),
    ] {
        let sample = Sample::new(&directory.join(cases.to_string()), kind);
        let mut all: Vec<(String, u64)> =
            words.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        for segment in [0, 3, 9] {
            all.push((format!("state of {segment}"), STATES + segment * 8));
            for word in 0..7 {
                all.push((format!("word {word} of {segment}"), ROWS + segment * 64 + word * 8));
            }
        }
        for word in [0, 30, 32] {
            all.push((format!("word {word} of process 0"), PROCESSES + word * 8));
        }
        for (name, at) in all {
            let old = sample.word("log", at as usize);
            for value in values(old) {
                if !random.one_in(4) {
                    continue; // All of them take minutes: each run has others.
                }
                cases += 1;
                let other_boot = cases.is_multiple_of(7);
                begin(&format!("{kind:?}: {name} is {value:#x}, was {old:#x}, {other_boot}"));
                sample.restore();
                sample.write("log", at, &value.to_le_bytes());
                let outcome = std::panic::catch_unwind(|| {
                    exercise(&sample.path, &environment(other_boot), seed.wrapping_add(cases))
                });
                let Ok(outcome) = outcome else {
                    failures.push(format!("{name} is {value:#x}: a panic"));
                    continue;
                };
                match outcome {
                    Ok(report) if report.failed > 0 => {
                        failures.push(format!("{name} is {value:#x}: {report:?}"));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        assert_is_clear(&error);
                        assert!(error.to_string().contains("epochs are used up"), "{error}");
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    crate::children::say(format!("{cases} cases"));
}

#[test]
fn a_damaged_counter_is_found_out_and_puts_go_on() {
    run("counters", common::seed());
}
