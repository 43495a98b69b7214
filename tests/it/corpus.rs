//! The fuzz targets without a fuzzer: their bodies over the inputs that a fuzzer found worth keeping
//! (`fuzz/corpus`), and over random ones for some seconds.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::children::say;
use crate::common::{self, Random};
use crate::fuzz::{self, Body, TARGETS, sample};
use crate::hostile::{begin, run, set_deadlines};

/// Targets that use files: for their processes, which have deadlines.
const USING_FILES: [&str; 2] = ["open", "damaged"];
/// The longest random input.
const LONGEST: u64 = 400;

/// The saved inputs of a target, with their names.
fn saved(target: &str) -> Vec<(String, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return Vec::new(); // Packed for a registry: the targets and their inputs stay at home.
    }
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(fuzz.join("corpus").join(target))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    assert!(!inputs.is_empty(), "no saved input of {target}");
    inputs.sort_unstable();
    inputs
}

/// Random bytes, or a saved input with some of its bytes changed.
fn random_input(random: &mut Random, saved: &[(String, Vec<u8>)]) -> Vec<u8> {
    if random.one_in(2) || saved.is_empty() {
        return (0..random.below(LONGEST)).map(|_| random.next() as u8).collect();
    }
    let mut bytes = saved[random.below(saved.len() as u64) as usize].1.clone();
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match bytes.get_mut(at) {
            Some(byte) => *byte = random.next() as u8,
            None => bytes.extend(random.next().to_le_bytes()),
        }
    }
    bytes
}

/// Runs a target over its saved inputs and over random ones; how many those were.
fn cases(target: &str, body: Body, seed: u64, name: impl Fn(String)) -> u64 {
    let saved = saved(target);
    for (number, bytes) in &saved {
        name(format!("{target}, saved input {number}"));
        fuzz::run(body, bytes);
    }
    let mut cases = saved.len() as u64;
    let share = common::duration(6) / TARGETS.len() as u32;
    let begun = Instant::now();
    while begun.elapsed() < share {
        let seed = seed.wrapping_add(cases);
        name(format!("{target}, random input of seed {seed}"));
        fuzz::run(body, &random_input(&mut Random::new(seed), &saved));
        cases += 1;
    }
    cases
}

#[test]
fn decoders_take_saved_and_random_inputs() {
    let seed = common::seed();
    let decoders = TARGETS.iter().filter(|(target, _)| !USING_FILES.contains(target));
    let all = decoders.map(|(target, body)| {
        let last = std::cell::RefCell::new(String::new());
        let ran = std::panic::AssertUnwindSafe(|| {
            cases(target, *body, seed, |case| last.replace(case).clear())
        });
        std::panic::catch_unwind(ran).unwrap_or_else(|_| panic!("failed at: {}", last.borrow()))
    });
    common::evidence("fuzz", all.sum(), "inputs of the decoders");
}

/// In a process of its own: opening, and operations on what is damaged.
pub fn fuzzed(seed: u64) {
    set_deadlines();
    let using_files = TARGETS.iter().filter(|(target, _)| USING_FILES.contains(target));
    let all = using_files.map(|(target, body)| cases(target, *body, seed, |case| begin(&case)));
    let cases: u64 = all.sum();
    fs::remove_dir_all(sample::home()).unwrap();
    say(cases);
}

#[test]
fn opening_and_using_damaged_stores_takes_saved_and_random_inputs() {
    let cases = run("fuzzed", common::seed()).parse().unwrap();
    common::evidence("fuzz", cases, "damaged stores opened and used");
}
