//! Instructions of one operation, counted by callgrind: a number that hardly differs from run to run
//! and from machine to machine, so that a few per cent more are seen as what they are.
//!
//! `cargo bench --bench instructions` compares with what stands below, and fails above the tolerance.
//! It counts a loop over many keys inside [`measured`] and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails by panic"
)]

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use larder::FileCache;
use larder::internals::Simulated;

/// Keys in the store.
const KEYS: u64 = 50_000;
/// Operations counted.
const OPERATIONS: u64 = 10_000;
/// Per cent above which a count is a regression, and below which it wants to be written down.
const TOLERANCE: f64 = 4.0;

/// What was counted with rustc 1.95 on an x86-64 with AVX2.
const EXPECTED: [(&str, u64); 13] = [
    ("get 100", 1068),
    ("get 1024", 1621),
    ("miss 100", 297),
    ("contains 100", 1258),
    ("put 100", 2926),
    ("put 1024", 3556),
    ("overwrite 100", 3492),
    ("overwrite 1024", 4124),
    ("churn 100", 5615),
    ("churn 1024", 7287),
    ("mixed-1 1024", 33000),
    ("mixed-100 1024", 22700),
    ("mixed-20000 1024", 34000),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, name, directory] = arguments.as_slice()
        && !name.starts_with('-')
    {
        play(name, Path::new(directory));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: there is no valgrind to count instructions (apt install valgrind)");
        return ExitCode::SUCCESS;
    }
    let mut regressed = false;
    println!("{:<16}{:>12}{:>12}{:>10}", "operation", "expected", "counted", "");
    for (name, expected) in EXPECTED {
        let counted = count(name);
        let percent = (counted as f64 / expected as f64 - 1.0) * 100.0;
        // How much a sweep finds depends on how keys hash, and so on the store's seed.
        let tolerance = if name.starts_with("mixed") { f64::INFINITY } else { TOLERANCE };
        let verdict = if percent > tolerance { "  MORE" } else { "" };
        regressed |= percent > tolerance;
        println!("{name:<16}{expected:>12}{counted:>12}{percent:>+9.1}%{verdict}");
    }
    if regressed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Instructions of one operation.
fn count(name: &str) -> u64 {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .arg(directory.path().join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "valgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split("Collected :").nth(1));
    let collected: u64 = collected.and_then(|n| n.trim().parse().ok()).expect("a count");
    collected / OPERATIONS
}

/// Only this is counted.
#[inline(never)]
fn measured(mut operation: impl FnMut(u64)) {
    for i in 0..OPERATIONS {
        operation(i);
    }
}

/// A key, all bits of which vary.
fn key(i: u64) -> [u8; 16] {
    let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..].copy_from_slice(&i.to_be_bytes());
    key
}

/// Prepares a store, and does what `name` says.
fn play(name: &str, directory: &Path) {
    let (operation, size) = name.split_once(' ').unwrap();
    let value = vec![7; size.parse().unwrap()];
    let entry = value.len() as u64 + 64;
    // Puts for times from a second to a year, one in so many milliseconds, into a full store.
    let millis = operation.strip_prefix("mixed-").map(|millis| millis.parse().unwrap());
    let system = Simulated::default().at(1_800_000_000_000);
    let builder = FileCache::builder();
    let builder = match operation {
        "churn" => builder.max_bytes((KEYS * entry / 2).max(4 << 20)),
        _ if millis.is_some() => {
            builder.max_bytes(KEYS * entry / 2).environment(system.environment())
        }
        _ => builder.max_bytes(KEYS * entry * 4),
    };
    let cache = builder.open(directory).unwrap();
    let fill = if operation == "churn" || millis.is_some() { 2 * KEYS } else { KEYS };
    let put = |i: u64| match millis {
        None => cache.insert(key(i), &value).unwrap(),
        Some(millis) => {
            system.advance(millis);
            let ttl =
                Duration::from_secs(1 << ((i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 25));
            cache.insert_with_ttl(key(i), &value, ttl).unwrap();
        }
    };
    (0..fill).for_each(put);
    let mut found = Vec::new();
    // Keys in no order that the store knows.
    let some = |i: u64| key(i.wrapping_mul(7919) % KEYS);
    match operation {
        "get" => measured(|i| assert!(black_box(&cache).get_into(some(i), &mut found))),
        "miss" => measured(|i| assert!(!black_box(&cache).get_into(key(fill + i), &mut found))),
        "contains" => measured(|i| assert!(black_box(&cache).contains_key(some(i)))),
        "put" | "churn" => measured(|i| cache.insert(key(fill + i), &value).unwrap()),
        _ if millis.is_some() => measured(|i| put(fill + i)),
        "overwrite" => measured(|i| cache.insert(some(i), &value).unwrap()),
        _ => panic!("no such operation: {name}"),
    }
}
