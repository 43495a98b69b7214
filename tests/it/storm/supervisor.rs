//! The supervisor of a storm. It starts, kills, stops and continues workers, and compares after each
//! round.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use larder::{ErrorKind, FileCache};

use super::board::{Board, KEYS, RANGES};
use super::form::{FILLED, Form, OWN, PROCESSES, SHARED, WORKERS, builder, fork};
use super::worker;
use crate::common::{self, Random, check, disk, value};

/// How many moments a round has, at each of which a worker is killed or stopped, and the most
/// microseconds between them. In most rounds workers die young, in some they grow old.
const PACES: [(u64, u64); 4] = [(250, 600), (250, 1200), (250, 600), (25, 30_000)];
/// Rounds after which everything is cleared, and the store begins again.
const ROUNDS_A_LIFE: u64 = 5;

/// A worker, as the leader of a process group: itself and what it forked.
#[derive(Clone, Copy)]
struct Leader {
    pid: libc::pid_t,
    /// What is to happen to it at a later moment.
    due: Option<(u64, Due)>,
    /// The group was killed. The kernel takes its time, and the supervisor does not wait for that.
    dying: bool,
}

#[derive(Clone, Copy)]
enum Due {
    Continue,
    Kill,
}

struct Supervisor {
    form: Form,
    path: PathBuf,
    board: Board,
    cache: FileCache,
    random: Random,
    workers: Vec<Leader>,
    moment: u64,
    started: u64,
    kills: u64,
    stops: u64,
    /// Entries that were evicted when the store was filled on purpose.
    evictions: u64,
}

/// Rounds for as long as asked for. Returns what was counted.
pub fn storm(form: Form, directory: &Path, seed: u64) -> String {
    // SAFETY: two settings of this process. Children whose parent was killed become its own, and it is
    // killed when the test ends.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    let mut supervisor = Supervisor {
        form,
        path: directory.to_owned(),
        board: Board::new(),
        cache: builder(form).open(directory).unwrap(),
        random: Random::new(seed),
        workers: Vec::new(),
        moment: 0,
        started: seed << 20,
        kills: 0,
        stops: 0,
        evictions: 0,
    };
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < common::duration(3) {
        rounds += 1;
        let operations = supervisor.board.all_operations();
        supervisor.round();
        assert!(supervisor.board.all_operations() > operations, "nobody did anything");
        supervisor.examine();
        if rounds % ROUNDS_A_LIFE == 0 {
            supervisor.begin_again();
        }
    }
    let Supervisor { kills, stops, board, cache, .. } = supervisor;
    let seconds = begun.elapsed().as_secs_f64();
    format!(
        "{kills} kills ({:.0} a second), {stops} stops, {rounds} rounds, {} operations, {:?}",
        kills as f64 / seconds,
        board.all_operations(),
        cache.stats()
    )
}

impl Supervisor {
    /// Starts workers, and kills or stops some at random moments. At the end all are dead.
    fn round(&mut self) {
        self.workers = (0..WORKERS).map(|slot| self.start(slot)).collect();
        let (moments, pause_us) = PACES[self.random.below(PACES.len() as u64) as usize];
        for _ in 0..moments {
            self.moment += 1;
            std::thread::sleep(Duration::from_micros(self.random.below(pause_us)));
            for slot in 0..WORKERS {
                self.go_on(slot);
            }
            self.blow();
            let (max_entries, max_bytes) = self.form.limits();
            let (entries, bytes) = (self.cache.len(), disk(&self.path));
            assert!(entries <= max_entries, "{entries} entries");
            assert!(bytes <= max_bytes, "{bytes} bytes");
            assert!(!self.board.has_faults(), "a worker found a fault: {:?}", self.cache.stats());
        }
        for leader in std::mem::take(&mut self.workers) {
            signal(-leader.pid, libc::SIGKILL);
            while self.reap(leader.pid, 0) {}
        }
        assert!(!self.board.has_faults(), "a worker found a fault");
    }

    fn start(&mut self, slot: usize) -> Leader {
        self.started += 1;
        self.board.child(slot).store(0, Ordering::SeqCst);
        let (cache, board, form, seed) = (&self.cache, self.board, self.form, self.started);
        let pid = fork(|| {
            // SAFETY: two settings of the worker: a group of its own, and death with the supervisor.
            unsafe {
                libc::setpgid(0, 0);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            }
            worker::run(cache.clone(), board, form, slot, seed);
        });
        // SAFETY: the worker does the same. Whichever of the two is first makes the group.
        unsafe { libc::setpgid(pid, pid) };
        Leader { pid, due: None, dying: false }
    }

    /// Does what is due for a worker: starts its successor once it is dead, continues it after a stop,
    /// and kills the rest of its group.
    fn go_on(&mut self, slot: usize) {
        let Leader { pid, due, dying } = self.workers[slot];
        if dying {
            while self.reap(pid, libc::WNOHANG) {}
            // SAFETY: this asks whether there is a child of the group, and leaves its status.
            let none = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
                libc::waitid(libc::P_PGID, pid as libc::id_t, &mut info, options) < 0
            };
            if none {
                self.workers[slot] = self.start(slot);
            }
            return;
        }
        match due {
            Some((moment, what)) if moment <= self.moment => match what {
                Due::Continue => {
                    signal(-pid, libc::SIGCONT);
                    self.workers[slot].due = None;
                }
                Due::Kill => self.kill(slot),
            },
            _ => {}
        }
    }

    fn kill(&mut self, slot: usize) {
        signal(-self.workers[slot].pid, libc::SIGKILL);
        self.workers[slot].dying = true;
    }

    /// Kills or stops a worker.
    fn blow(&mut self) {
        let slot = self.random.below(WORKERS as u64) as usize;
        let Leader { pid, due, dying } = self.workers[slot];
        if dying || due.is_some() {
            return;
        }
        let later = self.moment + 1 + self.random.below(20);
        match self.random.below(20) {
            // Stopped, perhaps in the middle of a write, and continued later, it is a zombie writer.
            0..3 => {
                signal(-pid, libc::SIGSTOP);
                self.stops += 1;
                let what = if self.random.one_in(4) { Due::Kill } else { Due::Continue };
                self.workers[slot].due = Some((later, what));
            }
            // The child that it forked goes on a little.
            3..6 => {
                signal(pid, libc::SIGKILL);
                self.workers[slot].due = Some((later, Due::Kill));
            }
            6..8 => {
                // No other process has its number by now, as its parent never waits for it.
                let child = self.board.child(slot).load(Ordering::SeqCst);
                if child != 0 {
                    signal(child as libc::pid_t, libc::SIGKILL);
                }
            }
            _ => self.kill(slot),
        }
    }

    /// Takes the status of a dead process of a group; `false` if there is none. One that was not killed
    /// has found a fault.
    fn reap(&mut self, group: libc::pid_t, options: libc::c_int) -> bool {
        let mut status = 0;
        // SAFETY: this waits for children of this process.
        if unsafe { libc::waitpid(-group, &mut status, options) } <= 0 {
            return false;
        }
        let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
        assert!(killed, "a worker ended by itself: status {status:#x}");
        self.kills += 1;
        true
    }

    /// When no worker lives, everything is as the board says, the counters are exact, and nothing is
    /// held.
    fn examine(&mut self) {
        // This handle does not wait. What the dead held is free, or is taken over at once.
        let cache = self.settled_handle();
        let mut present = 0;
        for key in 0..RANGES as u64 * KEYS {
            present += u64::from(self.board.settle(&cache, key, self.form.roomy).is_some());
        }
        let mut met = 0;
        for (key, bytes) in cache.iter() {
            let key = u64::from_le_bytes(key.try_into().unwrap());
            check(key, &bytes);
            met += u64::from(key < SHARED);
        }
        // An entry may have expired between the two.
        assert!(met <= present, "{met} entries met, {present} found");
        let report = cache.verify().unwrap();
        assert!(report.is_sound() && !report.disturbed, "{report:?}");
        assert_eq!(report.counted, report.whole, "{report:?}");
        assert_eq!(cache.stats().damaged, 0, "{:?}", cache.stats());
        if self.form.roomy {
            assert_eq!(cache.stats().evictions, self.evictions, "{:?}", cache.stats());
        }
        drop(cache);
        self.nobody_is_attached();
    }

    /// A new handle that does not wait, once what the last of the dead had begun is finished.
    fn settled_handle(&self) -> FileCache {
        self.cache.insert(OWN.to_le_bytes(), value(OWN, 1, 24)).unwrap();
        let impatient = builder(self.form).lock_timeout(Duration::ZERO);
        let cache = impatient.open(&self.path).unwrap();
        for version in 0..50 {
            cache.insert(OWN.to_le_bytes(), value(OWN, version, 24)).unwrap();
        }
        // No value is being computed any more.
        for key in FILLED..FILLED + 8 {
            let got = cache.get_or_insert_with(key.to_le_bytes(), || value(key, 1, 24)).unwrap();
            check(key, &got);
        }
        cache
    }

    /// All process rows but the supervisor's own can be taken.
    fn nobody_is_attached(&self) {
        // Handles of this process would share its row.
        let another = || common::another_process(FileCache::builder()).open(&self.path);
        let all: Vec<FileCache> = (1..PROCESSES).map(|_| another().unwrap()).collect();
        let error = another().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        drop(all);
    }

    /// The whole log can be filled, and the whole of it freed: nothing is pinned, nothing leaked.
    fn begin_again(&mut self) {
        let cache = self.settled_handle();
        cache.clear().unwrap();
        let stats = cache.stats();
        let room = stats.segments * stats.segment_bytes;
        for key in 0..2 * room / 6100 {
            let key = OWN + key;
            cache.insert(key.to_le_bytes(), value(key, 2, 6000)).unwrap();
        }
        let full = cache.stats();
        assert!(full.live_bytes * 10 > room * 6, "{full:?}");
        cache.clear().unwrap();
        assert_eq!((cache.len(), cache.iter().count()), (0, 0));
        if self.form.syncs {
            cache.sync().unwrap();
        }
        cache.maintain().unwrap();
        cache.compact().unwrap();
        let empty = cache.stats();
        // The heads of both queues stay in use.
        assert!(empty.live_bytes == 0 && empty.segments_used <= 2, "{empty:?}");
        self.evictions = empty.evictions;
        self.board.cleared();
    }
}

fn signal(whom: libc::pid_t, signal: libc::c_int) {
    // SAFETY: the signal goes to a worker, or its group, that was not waited for yet.
    unsafe { libc::kill(whom, signal) };
}
