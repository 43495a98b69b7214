//! Kernels, containers and file systems without a call that larder needs: the error names it, and who has it.

use std::io;
use std::path::Path;

use larder::{ErrorKind, FileCache};

use crate::children::{Process, own_mounts, say};
use crate::exercise::assert_is_clear;
use crate::mounts::Disk;

/// A call that a seccomp filter refuses, and what must be in the message.
struct Refused {
    call: libc::c_long,
    /// Its third argument, if only that is refused.
    third: Option<u32>,
    number: libc::c_int,
    name: &'static str,
}

const POPULATE: Option<u32> = Some(23);

/// As old container runtimes and old kernels do it.
const ALL: [Refused; 7] = [
    Refused { call: libc::SYS_statx, third: None, number: libc::EPERM, name: "statx" },
    Refused { call: libc::SYS_statx, third: None, number: libc::ENOSYS, name: "statx" },
    Refused { call: libc::SYS_madvise, third: POPULATE, number: libc::EINVAL, name: "POPULATE" },
    Refused { call: libc::SYS_madvise, third: POPULATE, number: libc::EPERM, name: "POPULATE" },
    Refused { call: libc::SYS_madvise, third: POPULATE, number: libc::ENOSYS, name: "POPULATE" },
    Refused { call: libc::SYS_fallocate, third: None, number: libc::ENOSYS, name: "fallocate" },
    Refused { call: libc::SYS_fallocate, third: None, number: libc::EOPNOTSUPP, name: "fallocate" },
];

impl Refused {
    /// Refuses it from now on, in this process and whatever it becomes.
    fn install(&self) -> io::Result<()> {
        let step =
            |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
        let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let answer = libc::BPF_RET | libc::BPF_K;
        // The number of the call is at 0, the low half of the third argument at 32.
        let third = self.third.unwrap_or(0);
        let mut filter = [
            step(load, 0, 0, 0),
            step(equal, 0, if self.third.is_some() { 3 } else { 1 }, self.call as u32),
            step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | self.number as u32),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        if self.third.is_some() {
            filter[4] = filter[2];
            filter[2] = step(load, 0, 0, 32);
            filter[3] = step(equal, 0, 1, third);
        }
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the calls read a program that outlives them.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn expect(store: &Path, name: &str) {
    let opened = FileCache::builder().max_bytes(16 << 20).open(store);
    // What opening does not need is missed by the first put.
    let error = opened.and_then(|cache| cache.insert("another", "value")).unwrap_err();
    assert_is_clear(&error);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains(name), "{name} is not in: {error}");
    say(error);
}

/// The child's part, in which a call is refused.
pub fn without(directory: &Path, which: u64) {
    let name = ALL[which as usize].name;
    expect(&directory.join("new"), name);
    // (A store that was made before anybody attaches to it is whole.)
    assert!(name == "POPULATE" || !directory.join("new").exists(), "something was left behind");
    if name != "fallocate" {
        expect(&directory.join("cache"), name);
    }
}

/// The child's part, on ext2 or ext3.
pub fn on_an_old_disk(directory: &Path, which: u64) {
    let words = ["ext2 32", "ext3 32"][which as usize];
    match own_mounts().and_then(|()| Disk::mount(directory, words)) {
        Ok(disk) => expect(&disk.mounted.join("cache"), "fallocate"),
        Err(why) => say(format!("skipped: {words}: {why}")),
    }
}

#[test]
fn a_call_that_a_container_or_a_kernel_does_not_have_is_named() {
    for (which, refused) in ALL.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let cache =
            FileCache::builder().max_bytes(16 << 20).open(dir.path().join("cache")).unwrap();
        cache.insert("key", "value").unwrap();
        drop(cache);
        let install = move || refused.install();
        // SAFETY: system calls alone.
        let child =
            unsafe { Process::start_after(install, "without a call", dir.path(), which as u64) };
        for line in child.finish() {
            println!("{line}");
        }
    }
}

#[test]
fn a_file_system_without_fallocate_is_refused_by_that_name() {
    for which in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        for line in Process::start("on an old disk", dir.path(), which).finish() {
            println!("{line}");
        }
    }
}
