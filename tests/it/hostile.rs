//! Files that were damaged while nobody had the store open: the answer is a store or a clear error,
//! never a panic, a hang, a wrong byte, or damage to what was whole.
//!
//! Each batch of cases runs in a process of its own, with a deadline for each case; the case that
//! hung or killed it is the last that it named.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::ErrorKind;

use crate::children::{Process, say};
use crate::common::{self, Random};
use crate::exercise::{KEYS, Kind, NAMES, Sample, assert_is_clear, environment, exercise, small};

/// No case may take longer than this, on however slow a machine.
const DEADLINE: Duration = Duration::from_secs(15);
static CASES: AtomicU64 = AtomicU64::new(0);

/// Runs a role whose cases have deadlines; what it said last.
pub fn run(role: &str, seed: u64) -> String {
    let dir = common::fast_directory();
    let mut process = Process::start(role, dir.path(), seed);
    let mut last = String::from("nothing");
    while let Some(line) = process.hear() {
        last = line;
    }
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| process.finish()));
    assert!(failed.is_ok(), "{role} failed at: {last}");
    println!("{role}: {last}");
    last
}

/// Ends this process when no new case begins for too long.
pub fn set_deadlines() {
    std::thread::spawn(|| {
        let mut seen = CASES.load(Ordering::Relaxed);
        loop {
            std::thread::sleep(DEADLINE);
            let now = CASES.load(Ordering::Relaxed);
            if now == seen {
                eprintln!("the case hangs");
                std::process::abort();
            }
            seen = now;
        }
    });
}

/// Names the case that begins.
pub fn begin(case: &str) {
    CASES.fetch_add(1, Ordering::Relaxed);
    say(case);
}

/// The most memory that this process had, in bytes.
pub fn most_memory() -> u64 {
    // Not by getrusage: that counts what the process took before it became this program.
    let said = fs::read_to_string("/proc/self/status").unwrap();
    let most = said.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn contents(directory: &Path) -> Vec<Option<Vec<u8>>> {
    NAMES.iter().map(|name| fs::read(directory.join(name)).ok()).collect()
}

/// Exercises what is in a directory. An error must be clear, and leave every byte as it was. The keys
/// found when it opened, if it did.
fn survive(directory: &Path, other_boot: bool, seed: u64) -> Option<u64> {
    let before = contents(directory);
    match exercise(directory, &environment(other_boot), seed) {
        Ok(report) => Some(report.found),
        Err(error) => {
            assert_is_clear(&error);
            let same = contents(directory) == before;
            assert!(same, "an error changed a file: {error}");
            None
        }
    }
}

/// Flips bits, a few or many, in one file or in all, in the same boot and after another.
pub fn flips(directory: &Path, seed: u64) {
    set_deadlines();
    let mut opened = 0;
    let mut cases = 0;
    for kind in (0..8).map(Kind::numbered) {
        let sample = Sample::new(&directory.join(format!("{kind:?}")), kind);
        for number in 0..24 {
            let seed = seed.wrapping_add(cases);
            begin(&format!("{kind:?}, flips of seed {seed}"));
            sample.restore();
            let mut random = Random::new(seed);
            for _ in 0..1 << random.below(10) {
                flip(&sample, &mut random);
            }
            opened += u64::from(survive(&sample.path, number % 2 == 0, seed).is_some());
            cases += 1;
        }
    }
    assert!(opened > cases / 3, "{opened} of {cases} opened");
    let memory = most_memory();
    assert!(memory < 1 << 29, "{memory} bytes of memory");
    say(format!("{opened} of {cases} opened, {memory} bytes of memory"));
}

/// Flips one bit somewhere: often in the control block, seldom in the file `store`.
fn flip(sample: &Sample, random: &mut Random) {
    let (name, limit) = match random.below(100) {
        0 => ("store", u64::MAX),
        1..=30 => ("index", u64::MAX),
        31..=45 => ("log", 0x200),
        46..=55 => ("log", 0x1100),
        _ => ("log", u64::MAX),
    };
    let bytes = sample.bytes(name);
    let at = random.below((bytes.len() as u64).min(limit));
    // One that an earlier flip changed is put back but for this bit: as good as another.
    let byte = bytes[at as usize] ^ (1 << random.below(8));
    // A head that does not fit is another test's; so often, nothing else would be tested.
    if (at >= 0x30 || random.one_in(50)) && name != "store" || random.one_in(20) {
        sample.write(name, at, &[byte]);
    }
}

#[test]
fn flipped_bits_give_a_store_or_a_clear_error_and_never_a_wrong_byte() {
    run("flips", common::seed());
}

/// Damages each file as a whole.
pub fn files(directory: &Path, seed: u64) {
    set_deadlines();
    let other = Sample::new(&directory.join("other"), Kind::default());
    let mut number = 0;
    for name in NAMES {
        for way in 0..WAYS {
            for other_boot in [false, true] {
                number += 1;
                let path = directory.join(number.to_string());
                let kind = Kind::numbered(way);
                let sample = Sample::new(&path, kind);
                begin(&format!("{name} damaged in way {way}, {kind:?}, {other_boot}"));
                damage(&sample, &other, name, way, &mut Random::new(seed.wrapping_add(number)));
                let file = sample.file(name);
                if fs::metadata(&file).is_ok_and(|metadata| metadata.is_file()) {
                    survive(&path, other_boot, seed);
                } else {
                    let error = exercise(&path, &environment(other_boot), seed);
                    match error {
                        Err(error) => {
                            assert_is_clear(&error);
                            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                        }
                        Ok(_) => assert!(name == "index" && way == 0, "opened without {name}"),
                    }
                }
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
    say(format!("{number} cases"));
}

const WAYS: u64 = 14;

fn damage(sample: &Sample, other: &Sample, name: &str, way: u64, random: &mut Random) {
    let path = sample.file(name);
    let length = sample.bytes(name).len() as u64;
    let truncate = |length| {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    };
    match way {
        0 => fs::remove_file(&path).unwrap(),
        1 => truncate(0),
        2 => truncate(7),
        3 => truncate(40),
        4 => truncate(length / 2),
        5 => truncate(length - 1),
        6 => fs::write(&path, vec![0; length as usize]).unwrap(),
        7 => sample.write(name, 0, &vec![0; length.min(4096) as usize]),
        8 => {
            for _ in 0..8 {
                let at = random.below(length);
                let zeros = vec![0; random.below(9000).min(length - at) as usize];
                sample.write(name, at, &zeros);
            }
        }
        9 => fs::write(&path, other.bytes(name)).unwrap(),
        10 => {
            let more: Vec<u8> =
                (0..random.below(10_000) + 1).map(|_| random.next() as u8).collect();
            sample.write(name, length, &more);
        }
        _ => {
            fs::remove_file(&path).unwrap();
            match way {
                11 => fs::create_dir(&path).unwrap(),
                12 => make_pipe(&path),
                _ => symlink(name, &path).unwrap(),
            }
        }
    }
}

fn make_pipe(path: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is terminated.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

#[test]
fn a_file_cut_emptied_exchanged_or_replaced_gives_a_store_or_a_clear_error() {
    run("files", common::seed());
}

/// Damages single bytes of records.
pub fn records(directory: &Path, seed: u64) {
    set_deadlines();
    let mut random = Random::new(seed);
    let mut cases = 0;
    for kind in [Kind::default(), Kind { synced: true, ..Kind::default() }] {
        let sample = Sample::new(&directory.join(format!("{kind:?}")), kind);
        let log = sample.bytes("log");
        for _ in 0..40 {
            let at = loop {
                let at = CONTROL + random.below(log.len() as u64 - CONTROL);
                if log[at as usize] != 0 {
                    break at;
                }
            };
            begin(&format!("{kind:?}, byte {at} of the log, seed {seed}"));
            sample.restore();
            sample.write("log", at, &[log[at as usize] ^ (1 << random.below(8))]);
            let found = survive(&sample.path, random.one_in(2), seed).unwrap();
            assert!(found >= KEYS - 1, "{found} of {KEYS} found");
            cases += 1;
        }
    }
    say(format!("{cases} cases"));
}

/// Bytes before the first segment of the samples.
const CONTROL: u64 = 0xF0000;

#[test]
fn a_flipped_bit_in_a_record_costs_at_most_that_record() {
    run("records", common::seed());
}

#[test]
fn a_damaged_entry_is_not_there_for_any_read_and_counted_once_by_each() {
    let dir = common::fast_directory();
    let path = dir.path().join("cache");
    let sample = Sample::new(&path, Default::default());
    let cache = small().open(&path).unwrap();
    let key = 5u64;
    let name = key.to_le_bytes();
    let value = cache.get(name).unwrap();
    let log = sample.bytes("log");
    let at = log.windows(value.len()).rposition(|bytes| bytes == value).unwrap();
    sample.write("log", at as u64 + 30, &[!value[30]]);
    let damaged = || cache.stats().damaged;
    let mut before = damaged();
    let mut counted = || {
        let more = damaged() - before;
        before += more;
        more
    };
    assert!(cache.get(name).is_none());
    assert_eq!(counted(), 1);
    assert!(!cache.contains_key(name), "what get does not find is not there");
    assert_eq!(counted(), 1);
    assert!(cache.view(name).is_none());
    assert_eq!(counted(), 1);
    assert!(cache.iter().all(|(key, _)| key != name));
    assert_eq!(counted(), 1);
    assert!(cache.get_many(&[name])[0].is_none());
    assert_eq!(counted(), 1);
    assert_eq!(cache.get_or_insert_with(name, || b"anew".to_vec()).unwrap(), b"anew");
    assert_eq!(counted(), 1, "a fill");
    assert_eq!(cache.get(name).as_deref(), Some(&b"anew"[..]));
    assert_eq!(counted(), 0);
}
