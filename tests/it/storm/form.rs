//! What the supervisor and its workers agree on: the form of a storm, the ranges of keys, and how a
//! process is forked.

use std::time::Duration;

use larder::{Builder, FileCache};

/// Worker processes at a time; some of them fork one more.
pub const WORKERS: usize = 8;
/// Keys from here on are on no board. These are changed by all workers at once.
pub const SHARED: u64 = 1 << 32;
/// These are computed by all workers.
pub const FILLED: u64 = 1 << 33;
/// These belong to the supervisor.
pub const OWN: u64 = 1 << 34;
/// Processes and handles at a time: workers, their children, the supervisor and its second handle.
pub const PROCESSES: u16 = 2 * WORKERS as u16 + 4;

/// What kind of storm.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// There is room for everything, so nothing may be missing.
    pub roomy: bool,
    /// Workers sync, so that the barrier is at work.
    pub syncs: bool,
}

impl Form {
    pub fn of_role(role: &str) -> Self {
        Self { roomy: role.contains("roomy"), syncs: role.contains("syncs") }
    }

    pub fn limits(self) -> (u64, u64) {
        if self.roomy { (u64::MAX, 5 << 20) } else { (500, 5 << 19) }
    }
}

/// How all processes of a storm open the store.
pub fn builder(form: Form) -> Builder {
    let (max_entries, max_bytes) = form.limits();
    FileCache::builder()
        .max_entries(max_entries)
        .max_bytes(max_bytes)
        .max_processes(PROCESSES)
        .segment_size(64 << 10)
        // Another process may be stopped inside a transaction. Then this one waits.
        .lock_timeout(Duration::from_secs(60))
}

/// Runs `work` in a forked child, which ends with it.
pub fn fork(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs Rust code and leaves by `_exit`. The thread that forks is the only one of
    // its process, or other threads hold only locks of glibc, which glibc resets in the child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: it leaves at once, and runs no exit handler of the parent.
        unsafe { libc::_exit(if done { 0 } else { 101 }) };
    }
    pid
}
