//! A file system on a loop device, whose power can be cut, and a boot id that changes with it.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::Random;

/// Bytes of a disk, sparse: the least that xfs takes.
const BYTES: u64 = 320 << 20;
/// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN`.
const SHUTDOWN: libc::Ioctl = 0x8004_587Du32 as libc::Ioctl;
const SYNC_FIRST: u32 = 0;
const FLUSH_JOURNAL: u32 = 1;
const FLUSH_NOTHING: u32 = 2;

fn last_error() -> std::io::Error {
    std::io::Error::last_os_error()
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
        }
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Tries again until it is done.
fn patiently(mut attempt: impl FnMut() -> Result<(), String>) {
    for _ in 0..200 {
        if attempt().is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    attempt().unwrap();
}

/// The kernel's boot id, for those who see this thread's mounts.
pub struct BootId {
    shown: PathBuf,
    boots: u64,
}

impl BootId {
    /// Puts a file in place of the kernel's.
    pub fn replace(root: &Path) -> Result<Self, String> {
        let mut boot = Self { shown: root.join("boot id"), boots: 0 };
        boot.next();
        let place = "/proc/sys/kernel/random/boot_id";
        run(Command::new("mount").arg("--bind").arg(&boot.shown).arg(place))?;
        Ok(boot)
    }

    /// Another boot.
    pub fn next(&mut self) {
        self.boots += 1;
        let id = format!("6c617264-6572-4000-8000-{:012x}\n", self.boots);
        fs::write(&self.shown, id).unwrap();
    }
}

/// A mounted file system in an image; unmounted when dropped.
pub struct Disk {
    kind: &'static str,
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    /// Makes and mounts a file system of this kind; says why if it cannot be had here.
    pub fn make(root: &Path, kind: &'static str) -> Result<Self, String> {
        let disk = Self { kind, image: root.join("image"), mounted: root.join("mounted") };
        File::create(&disk.image).and_then(|image| image.set_len(BYTES)).unwrap();
        fs::create_dir(&disk.mounted).unwrap();
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn mounted(&self) -> &Path {
        &self.mounted
    }

    fn mount(&self) -> Result<(), String> {
        let mut command = Command::new("mount");
        run(command.args(["-t", self.kind, "-o", "loop"]).arg(&self.image).arg(&self.mounted))
    }

    /// Cuts the power: most often with nothing written that was not before.
    pub fn cut(&self, random: &mut Random) {
        let how = match random.below(10) {
            0 => SYNC_FIRST,
            1..5 => FLUSH_JOURNAL,
            _ => FLUSH_NOTHING,
        };
        let root = File::open(&self.mounted).unwrap();
        // SAFETY: the call reads one number through the pointer.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &how) };
        assert_eq!(done, 0, "shutting down: {}", last_error());
    }

    /// The power comes back: mounted anew, its journal replayed.
    pub fn mount_again(&self) {
        // The kernel may still be letting go of files, and then of the loop device.
        patiently(|| self.unmount(0).map_err(|error| format!("umount: {error}")));
        patiently(|| self.mount());
    }

    fn unmount(&self, how: libc::c_int) -> std::io::Result<()> {
        let path = CString::new(self.mounted.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path is terminated.
        let done = unsafe { libc::umount2(path.as_ptr(), how) };
        if done == 0 { Ok(()) } else { Err(last_error()) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The loop device goes with the mount.
        let _ = self.unmount(libc::MNT_DETACH);
        if std::thread::panicking() {
            // What the fault was found in, to be looked at.
            let kept =
                std::env::temp_dir().join(format!("larder-{}-{}", self.kind, std::process::id()));
            let journal = self.image.with_file_name("journal");
            let _ = fs::create_dir_all(&kept);
            let mut copy = Command::new("cp");
            let copied = run(copy.arg("--sparse=always").args([&self.image, &journal, &kept]));
            println!("disk and journal are in {}: {copied:?}", kept.display());
        }
    }
}
