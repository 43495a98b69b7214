//! What the library asks of the kernel, seen by strace: nothing for a get, space ahead of time for
//! puts, and never a thread.

use std::path::Path;
use std::process::Command;

use larder::FileCache;

use crate::children::{Process, say};
use crate::common::value;

/// A system call that nothing else makes: begins part `number` of a role.
fn mark(number: i64) {
    // SAFETY: asks about a process that there is not.
    unsafe { libc::syscall(libc::SYS_getpgid, MARK + number) };
}

const MARK: i64 = 4_100_000;
/// Puts may ask the kernel once for so many bytes written.
const BYTES_A_CALL: u64 = 256 << 10;
const COUNTS: [u64; 2] = [150_000, 40_000];
const LENGTHS: [usize; 2] = [100, 1024];

/// The child's part: fresh growth and overwrites of values of one length, then gets.
pub fn counted(directory: &Path, which: u64) {
    let cache = FileCache::builder().max_bytes(256 << 20).open(directory.join("cache")).unwrap();
    let (count, length) = (COUNTS[which as usize], LENGTHS[which as usize]);
    let new = value(1, 1, length);
    let mut buffer = Vec::with_capacity(length);
    cache.insert(0u64.to_le_bytes(), &new).unwrap();
    assert!(cache.get_into(0u64.to_le_bytes(), &mut buffer));
    mark(1);
    for key in 0..count {
        cache.insert(key.to_le_bytes(), &new).unwrap();
    }
    mark(2);
    for _ in 0..20_000 {
        for key in [0, count / 2, count - 1] {
            assert!(cache.get_into(key.to_le_bytes(), &mut buffer));
        }
        assert!(!cache.get_into(u64::MAX.to_le_bytes(), &mut buffer));
    }
    mark(3);
    drop(cache);
    // Steady: as much again and again, in a store that is full of it.
    let limit = (count * (length as u64 + 64) * 2).max(8 << 20);
    let cache = FileCache::builder().max_bytes(limit).open(directory.join("steady")).unwrap();
    for key in 0..3 * count {
        cache.insert((key % count).to_le_bytes(), &new).unwrap();
    }
    mark(4);
    for key in 0..2 * count {
        cache.insert((key % count).to_le_bytes(), &new).unwrap();
    }
    mark(5);
    for key in 0..count {
        cache.remove(key.to_le_bytes()).unwrap();
    }
    mark(6);
    say("done");
}

/// The system calls of each part, by name.
fn parts(trace: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![Vec::new()];
    let mut marked = None;
    for line in trace.lines() {
        let Some((process, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with(&format!("getpgid({}", MARK / 1_000)) {
            parts.push(Vec::new());
            marked = Some(process);
        } else if marked == Some(process) && !call.starts_with(['+', '-', '<']) {
            parts.last_mut().unwrap().push(call);
        } else if marked.is_some() {
            assert!(!call.starts_with("clone"), "a thread was started: {line}");
        }
    }
    parts
}

fn trace(which: u64) {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is missing, or may not trace");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("trace");
    let strace = ["strace", "-f", "-qq", "-o", out.to_str().unwrap()];
    assert_eq!(Process::start_under(&strace, "counted", dir.path(), which).finish(), ["done"]);
    let trace = std::fs::read_to_string(&out).unwrap();
    let parts = parts(&trace);
    assert_eq!(parts.len(), 7, "a mark is missing");
    for part in &parts[1..] {
        assert!(!part.iter().any(|call| call.starts_with("clone")), "a thread was started");
    }
    assert_eq!(parts[2], [""; 0], "gets made system calls");
    let (count, length) = (COUNTS[which as usize], LENGTHS[which as usize] as u64);
    for (part, puts) in [(1, count), (4, 2 * count)] {
        let written = puts * (length + 48).next_multiple_of(16);
        let budget = written / BYTES_A_CALL;
        let mut names: Vec<&str> =
            parts[part].iter().map(|call| call.split('(').next().unwrap()).collect();
        names.sort_unstable();
        let all = names.len() as u64;
        println!("part {part}: {all} calls of {budget} for {written} bytes");
        names.dedup();
        // Memory of the process itself (brk, mmap) may grow with its tables.
        let known = ["brk", "fallocate", "fstat", "madvise", "mmap", "munmap", "mremap", "statx"];
        let known = |name: &&str| known.contains(name) || *name == "prlimit64";
        assert!(names.iter().all(known), "puts call {names:?}");
        assert!(all <= budget.max(8), "{all} calls, of {budget}: {:#?}", summary(&parts[part]));
    }
    println!("removes: {} calls", parts[5].len());
    assert!(parts[5].len() < 100, "{:#?}", summary(&parts[5]));
}

fn summary(calls: &[&str]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for call in calls {
        *counts.entry(call.split('(').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn gets_make_no_system_call_and_puts_of_100_bytes_few() {
    trace(0);
}

#[test]
fn gets_make_no_system_call_and_puts_of_a_kibibyte_few() {
    trace(1);
}
