//! System calls that fail on purpose.
//!
//! A thread gives itself a seccomp filter that asks a supervisor, in the same process, what each of its
//! system calls is to give: the kernel's own answer, or an error. That takes no rights, no tracer and
//! some microseconds a call, and ends with the thread.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Random;

/// A system call that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub number: i64,
    pub arguments: [u64; 6],
}

/// What runs longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// A call that nothing else makes speaks to the supervisor: what is done between the second and the
/// third is not asked about.
const MARK: u64 = 4_200_000;
const END: u64 = MARK;
const PAUSE: u64 = MARK + 1;
const RESUME: u64 = MARK + 2;

fn mark(number: u64) {
    // SAFETY: asks about a process that there is not.
    unsafe { libc::syscall(libc::SYS_getpgid, number) };
}

/// Does something within [`run`] whose system calls are neither counted nor fail.
pub fn unharmed<T>(act: impl FnOnce() -> T) -> T {
    mark(PAUSE);
    let result = act();
    mark(RESUME);
    result
}

/// Runs `act` on a thread of its own, in which each system call gives the error that `decide` says, if
/// any. What `act` returned, unless it panicked; an error if the kernel does not allow this.
///
/// Random numbers come from `seed`, so that a run can be repeated call by call.
pub fn run<T: Send>(
    seed: u64,
    mut decide: impl FnMut(&Call) -> Option<i32>,
    act: impl FnOnce() -> T + Send,
) -> io::Result<thread::Result<T>> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let thread = scope.spawn(move || {
            // The keys of this thread's hash maps are drawn now, once.
            let _ = std::hash::RandomState::new();
            let listener = filter();
            let works = listener.is_ok();
            sender.send(listener).unwrap();
            if !works {
                return None;
            }
            let result = catch_unwind(AssertUnwindSafe(act));
            mark(END);
            Some(result)
        });
        let listener = receiver.recv().unwrap()?;
        supervise(&listener, seed, &mut decide);
        Ok(thread.join().unwrap().unwrap())
    })
}

/// Calls of the runtime, not of the store: memory of the process, its threads and signals.
const NOT_ASKED: [i64; 22] = [
    libc::SYS_futex,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_restart_syscall,
    libc::SYS_prctl,
    libc::SYS_getcwd,
    libc::SYS_clock_nanosleep,
];

/// `MADV_POPULATE_WRITE`, which allocates; all other advice is the allocator's.
const POPULATE_WRITE: u32 = 23;

/// The filter: asks about everything but [`NOT_ASKED`], anonymous memory, and what is printed.
fn program() -> Vec<libc::sock_filter> {
    let op = |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k,
    };
    let load = |offset| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let equals = |k, yes, no| op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, k);
    let answer = |k| op(libc::BPF_RET | libc::BPF_K, 0, 0, k);
    let argument = |number: u32| load(16 + 8 * number);
    let allow = answer(libc::SECCOMP_RET_ALLOW);
    let ask = answer(libc::SECCOMP_RET_USER_NOTIF);
    let mut program = vec![load(0)];
    for number in NOT_ASKED {
        program.extend([equals(number as u32, 0, 1), allow]);
    }
    let anonymous =
        op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, libc::MAP_ANONYMOUS as u32);
    let printed = op(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, 2);
    program.extend([equals(libc::SYS_mmap as u32, 0, 4), argument(3), anonymous, allow, ask]);
    program.extend([
        equals(libc::SYS_madvise as u32, 0, 4),
        argument(2),
        equals(POPULATE_WRITE, 1, 0),
        allow,
        ask,
    ]);
    program.extend([equals(libc::SYS_write as u32, 0, 4), argument(0), printed, allow, ask]);
    program.push(ask);
    program
}

/// Sets the filter for this thread alone; who holds the answer is asked.
fn filter() -> io::Result<OwnedFd> {
    let mut program = program();
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers and a program that lives through the call; only this thread changes.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let listener = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &filter,
        );
        if listener < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(listener as i32))
    }
}

/// Answers until the thread has ended what it does.
fn supervise(listener: &OwnedFd, seed: u64, decide: &mut dyn FnMut(&Call) -> Option<i32>) {
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut paused = false;
    loop {
        let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, that is open.
        let ready = unsafe { libc::poll(&mut poll, 1, 1000) };
        if begun.elapsed() > DEADLINE {
            // The thread cannot be ended alone.
            println!("\nsaid: it hangs");
            std::process::abort();
        }
        if ready <= 0 {
            continue;
        }
        // SAFETY: plain numbers, for which zero is a value, and which the call wants zeroed.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor and the buffer are what the call takes.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut asked) }
            != 0
        {
            continue;
        }
        let call = Call { number: i64::from(asked.data.nr), arguments: asked.data.args };
        // SAFETY: as above.
        let mut answer: libc::seccomp_notif_resp = unsafe { std::mem::zeroed() };
        answer.id = asked.id;
        let marked = (call.number == libc::SYS_getpgid).then_some(call.arguments[0]);
        match marked {
            Some(PAUSE) => paused = true,
            Some(RESUME) => paused = false,
            _ => {}
        }
        let error = if paused || marked.is_some() { None } else { decide(&call) };
        match error {
            Some(error) => {
                if call.number == libc::SYS_close {
                    // It closes, whatever it says.
                    // SAFETY: the thread's own descriptor, which it takes for closed.
                    unsafe { libc::close(call.arguments[0] as i32) };
                }
                answer.error = -error;
            }
            None if call.number == libc::SYS_getrandom => {
                let length = call.arguments[1] as usize;
                for at in 0..length {
                    // SAFETY: the buffer that the thread gave to be filled.
                    unsafe { *(call.arguments[0] as *mut u8).add(at) = random.next() as u8 };
                }
                answer.val = length as i64;
            }
            None => answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        }
        // SAFETY: the descriptor and the buffer are what the call takes.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &answer) };
        if marked == Some(END) {
            return;
        }
    }
}

impl Call {
    /// The call's name.
    pub fn name(&self) -> String {
        let known = [
            (libc::SYS_openat, "openat"),
            (libc::SYS_close, "close"),
            (libc::SYS_read, "read"),
            (libc::SYS_write, "write"),
            (libc::SYS_pread64, "pread"),
            (libc::SYS_pwrite64, "pwrite"),
            (libc::SYS_fstat, "fstat"),
            (libc::SYS_newfstatat, "fstatat"),
            (libc::SYS_statx, "statx"),
            (libc::SYS_fstatfs, "fstatfs"),
            (libc::SYS_fallocate, "fallocate"),
            (libc::SYS_ftruncate, "ftruncate"),
            (libc::SYS_mmap, "mmap"),
            (libc::SYS_madvise, "madvise"),
            (libc::SYS_fsync, "fsync"),
            (libc::SYS_fdatasync, "fdatasync"),
            (libc::SYS_fcntl, "fcntl"),
            (libc::SYS_getrandom, "getrandom"),
            (libc::SYS_mkdirat, "mkdirat"),
            (libc::SYS_unlinkat, "unlinkat"),
            (libc::SYS_renameat, "renameat"),
            (libc::SYS_renameat2, "renameat2"),
            (libc::SYS_getdents64, "getdents"),
            (libc::SYS_prlimit64, "prlimit"),
            (libc::SYS_lseek, "lseek"),
            (libc::SYS_ioctl, "ioctl"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_mkdir, "mkdir"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_unlink, "unlink"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_rmdir, "rmdir"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_rename, "rename"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_getrlimit, "getrlimit"),
        ];
        let found = known.iter().find(|(number, _)| *number == self.number);
        found.map_or_else(|| format!("call {}", self.number), |(_, name)| (*name).to_owned())
    }

    /// The file it is about, by the end of its path; only while the call is being asked about.
    pub fn file(&self) -> String {
        let name = self.name();
        let descriptor = match name.as_str() {
            "mmap" => self.arguments[4],
            "openat" | "mkdirat" | "unlinkat" | "fstatat" | "renameat" | "renameat2" => {
                return path(self.arguments[1]);
            }
            "mkdir" | "unlink" | "rmdir" | "rename" => return path(self.arguments[0]),
            "statx" if !path(self.arguments[1]).is_empty() => return path(self.arguments[1]),
            "getrandom" | "madvise" | "prlimit" | "getrlimit" => return String::new(),
            _ => self.arguments[0],
        };
        let link = std::fs::read_link(format!("/proc/self/fd/{}", descriptor as i32));
        link.map_or_else(|_| String::new(), |path| path.to_string_lossy().into_owned())
    }
}

fn path(pointer: u64) -> String {
    if pointer == 0 {
        return String::new();
    }
    // SAFETY: the path that the thread gave to a call, which waits.
    unsafe { CStr::from_ptr(pointer as *const libc::c_char) }.to_string_lossy().into_owned()
}
