//! Kill storms: processes of mixed work that are killed, stopped and continued at random moments.
//!
//! A supervisor, a process of its own, forks the workers, so that one costs less than a millisecond,
//! and keeps what the store must hold on a board outside of it. After each round all workers are
//! dead, and everything is compared: values, counters, and whether anything of theirs is left.

mod board;
mod supervisor;
mod worker;

use std::path::Path;
use std::time::Duration;

use larder::{Builder, FileCache};

use crate::children::{Process, say};
use crate::common;

/// Worker processes at a time; some of them fork one more.
const WORKERS: usize = 8;
/// Keys that no board keeps: those that everybody changes, those that everybody computes, and those
/// of the supervisor. Values of all tell their key and version.
const SHARED: u64 = 1 << 32;
const FILLED: u64 = 1 << 33;
const OWN: u64 = 1 << 34;
/// Processes and handles at a time: workers, their children, the supervisor and its second handle.
const PROCESSES: u16 = 2 * WORKERS as u16 + 4;

/// What kind of storm.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// There is room for everything, so nothing may be missing.
    roomy: bool,
    /// Workers sync, so that the barrier is at work.
    syncs: bool,
}

impl Form {
    fn of_role(role: &str) -> Self {
        Self { roomy: role.contains("roomy"), syncs: role.contains("syncs") }
    }

    fn limits(self) -> (u64, u64) {
        if self.roomy { (u64::MAX, 5 << 20) } else { (500, 5 << 19) }
    }
}

/// How everybody opens the store.
fn builder(form: Form) -> Builder {
    let (max_entries, max_bytes) = form.limits();
    FileCache::builder()
        .max_entries(max_entries)
        .max_bytes(max_bytes)
        .max_processes(PROCESSES)
        .segment_size(64 << 10)
        // Others may be stopped inside a transaction: then one waits.
        .lock_timeout(Duration::from_secs(60))
}

/// The role of the supervisor.
pub fn supervise(role: &str, directory: &Path, seed: u64) {
    say(supervisor::storm(Form::of_role(role), directory, seed));
}

/// Runs `work` in a forked child, which ends with it.
fn fork(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs Rust code and leaves by `_exit`. The thread that forks is the only one
    // of its process, or the others' locks are glibc's, which it makes good in the child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: leaves at once, without running what is the parent's.
        unsafe { libc::_exit(if done { 0 } else { 101 }) };
    }
    pid
}

fn a_storm(role: &str) {
    let dir = common::fast_directory();
    let path = dir.path().join("cache");
    let seed = common::seed();
    let said = Process::start(role, &path, seed).finish();
    let counted = said.last().unwrap();
    println!("{role}: {counted}");
    let kills: u64 = counted.split(' ').next().unwrap().parse().unwrap();
    common::evidence("storm", kills, &format!("kills in a {role}"));
    assert!(kills > 0);
}

#[test]
fn a_storm_of_kills_where_there_is_room_loses_nothing() {
    a_storm("roomy storm");
}

#[test]
fn a_storm_of_kills_under_tight_limits_costs_no_byte_and_keeps_them() {
    a_storm("tight storm");
}

#[test]
fn a_storm_of_kills_in_a_store_that_syncs_loses_nothing() {
    a_storm("roomy storm that syncs");
}

#[test]
fn a_storm_of_kills_under_tight_limits_in_a_store_that_syncs_keeps_them() {
    a_storm("tight storm that syncs");
}
