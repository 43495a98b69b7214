//! File systems of a test's own, in images and in memory, and programs that fill them.
//!
//! They are mounted for a thread or child with mounts of its own (`children::own_mounts`), and go when that ends.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system.
pub struct Disk {
    /// Where.
    pub mounted: PathBuf,
}

impl Disk {
    /// Mounts, beneath `root`, what words say: kind, MiB, and what is handed to its mkfs (for tmpfs: to mount).
    /// An error says why it cannot be had here.
    pub fn mount(root: &Path, words: &str) -> Result<Self, String> {
        let mut words = words.split(' ');
        let (kind, size) = (words.next().unwrap(), words.next().unwrap());
        let mounted = root.join("mounted");
        fs::create_dir_all(&mounted).unwrap();
        let mut mount = Command::new("mount");
        if kind == "tmpfs" {
            let options = words.fold(format!("size={size}m"), |all, word| format!("{all},{word}"));
            run(mount.args(["-t", kind, "-o", &options, kind]).arg(&mounted))?;
            return Ok(Self { mounted });
        }
        let image = root.join("image");
        let bytes = size.parse::<u64>().unwrap() << 20;
        File::create(&image).and_then(|image| image.set_len(bytes)).unwrap();
        run(Command::new(format!("mkfs.{kind}")).arg("-q").args(words).arg(&image))?;
        run(mount.args(["-t", kind, "-o", "loop"]).arg(&image).arg(&mounted))?;
        Ok(Self { mounted })
    }

    /// Another program fills it, but for some `left` bytes.
    pub fn fill(&self, name: &str, left: u64) -> PathBuf {
        let filler = self.mounted.join(name);
        let mut file = File::create(&filler).unwrap();
        for length in [1 << 20, 4096, 512, 1] {
            let piece = vec![7; length];
            while self.free() >= left + length as u64 && file.write_all(&piece).is_ok() {}
        }
        // Else the kernel has not asked the disk for all of it yet.
        let _ = file.sync_all();
        filler
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let name = std::ffi::CString::new(self.mounted.to_str().unwrap()).unwrap();
        // SAFETY: the path is terminated, and the call fills the buffer in.
        let found = unsafe {
            let mut found = std::mem::zeroed::<libc::statfs>();
            assert_eq!(libc::statfs(name.as_ptr(), &mut found), 0);
            found
        };
        found.f_bavail * found.f_bsize as u64
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
