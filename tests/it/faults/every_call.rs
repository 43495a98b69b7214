//! Every system call of a tour fails once with each error that it can give; and from some calls on,
//! every call of that name fails for the rest of the tour.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::inject::{self, Call};
use super::tour::Tour;
use crate::children::{Process, listen, say};
use crate::common::{self, Random, fast_directory};

const ERRORS: [(i32, &str); 6] = [
    (libc::EIO, "EIO"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EINTR, "EINTR"),
    (libc::EDQUOT, "EDQUOT"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EMFILE, "EMFILE"),
];

/// A call of the tour, and what it is to say instead of its answer.
#[derive(Clone, Debug)]
struct Case {
    at: usize,
    call: Call,
    errno: i32,
    /// Whether all later calls of its name fail, too.
    forever: bool,
    what: String,
}

/// The calls of a tour in which nothing fails, each with its file; `None` if this kernel asks nobody.
fn calls(seed: u64) -> Option<Vec<(Call, String)>> {
    let root = fast_directory();
    let mut tour = Tour::new(&root.path().join("cache"), seed);
    let mut calls = Vec::new();
    let note = |call: &Call| {
        let mut file = call.file();
        if Path::new(&file).is_dir() {
            file.push('/');
        }
        calls.push((call.clone(), file));
        None
    };
    match inject::run(seed, note, || tour.go()) {
        Err(error) => {
            say(format!("skipped: the kernel lets no filter ask ({error})"));
            return None;
        }
        Ok(result) => result.unwrap(),
    }
    assert!(tour.errors.is_empty(), "without a fault: {:?}", tour.errors);
    tour.check_after();
    Some(calls)
}

/// A case of each call and error, and one of each error for ever from the first, the middle and a random
/// call of each name on; those of rare calls come first, so that any prefix has some of every kind.
fn cases(calls: &[(Call, String)], random: &mut Random) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut places: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, (call, file)) in calls.iter().enumerate() {
        places.entry(call.number).or_default().push(at);
        for errno in ERRORS {
            // A directory is closed without anything to write: at most a signal comes between.
            let is_directory = file.ends_with('/');
            if call.number != libc::SYS_close || errno.0 == libc::EINTR || !is_directory {
                cases.push(case(at, call, file, errno, false));
            }
        }
    }
    for (number, places) in places {
        if number == libc::SYS_close {
            continue;
        }
        let some = [0, places.len() / 2, random.below(places.len() as u64) as usize];
        for at in some.map(|some| places[some]) {
            // Signals do not come for ever: interrupted calls are made again.
            for errno in ERRORS.into_iter().filter(|errno| errno.0 != libc::EINTR) {
                cases.push(case(at, &calls[at].0, &calls[at].1, errno, true));
            }
        }
    }
    for at in (1..cases.len()).rev() {
        cases.swap(at, random.below(at as u64 + 1) as usize);
    }
    let mut met = HashMap::new();
    let mut ranked: Vec<(u32, Case)> = Vec::new();
    for case in cases {
        let rank = met.entry((case.call.number, case.forever)).or_insert(0);
        *rank += 1;
        ranked.push((*rank, case));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, case)| case).collect()
}

fn case(at: usize, call: &Call, file: &str, errno: (i32, &str), forever: bool) -> Case {
    let file = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
    let ever = if forever { " for ever" } else { "" };
    let what = format!("call {at}, {} {file}: {}{ever}", call.name(), errno.1);
    Case { at, call: call.clone(), errno: errno.0, forever, what }
}

/// One tour with one fault; whether the call was met.
fn fail_once(case: &Case, seed: u64) -> bool {
    let root = fast_directory();
    let mut tour = Tour::new(&root.path().join("cache"), seed);
    let mut at = 0;
    let mut met = false;
    let decide = |call: &Call| {
        let due = at == case.at || case.forever && at > case.at;
        let now = due && call.number == case.call.number;
        at += 1;
        met |= now;
        now.then_some(case.errno)
    };
    let result = inject::run(seed, decide, || tour.go()).unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
    tour.check_after();
    met
}

/// The child's part: each case is named before it is tried.
pub fn failing(_directory: &Path, seed: u64) {
    let limit = common::duration(8);
    // All of it takes half an hour or more.
    let whole = limit >= Duration::from_secs(1800);
    let begun = Instant::now();
    let mut tried = 0u64;
    let mut shifted = 0u64;
    // An odd seed's tour is on a store in memory, an even one's as if on a disk.
    for seed in [seed, seed ^ 1] {
        // The first tour of a process has calls of the runtime in it that later ones have not.
        let Some(_) = calls(seed) else { return };
        let Some(calls) = calls(seed) else { return };
        let cases = cases(&calls, &mut Random::new(seed));
        let until = if seed % 2 == 0 { limit } else { limit / 2 };
        println!("{} calls, {} cases, {:?} so far", calls.len(), cases.len(), begun.elapsed());
        for case in &cases {
            if !whole && begun.elapsed() > until {
                break;
            }
            say(&case.what);
            let met = catch_unwind(AssertUnwindSafe(|| fail_once(case, seed)));
            match met {
                Ok(true) => tried += 1,
                Ok(false) => {
                    shifted += 1;
                    println!("another way: {}", case.what);
                }
                Err(_) => say(format!("FAILED: {} (seed {seed})", case.what)),
            }
        }
    }
    assert!(shifted * 20 <= tried + 40, "{shifted} of {tried} runs went another way");
    say(format!("done: {tried}"));
    listen();
}

#[test]
fn every_system_call_of_a_tour_may_fail_once() {
    let root = tempfile::tempdir().unwrap();
    let mut child = Process::start("failing", root.path(), common::seed());
    let mut last = String::new();
    let mut failed = Vec::new();
    while let Some(said) = child.hear() {
        if said.starts_with("skipped: ") {
            println!("{said}");
            return;
        }
        if said.starts_with("FAILED: ") {
            failed.push(said.clone());
        }
        if let Some(tried) = said.strip_prefix("done: ") {
            child.finish();
            assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
            common::evidence("faults", tried.parse().unwrap(), "tours with a call that failed");
            return;
        }
        last = said;
    }
    panic!("the child ended in: {last}");
}
