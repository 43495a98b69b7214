//! overlayfs: a reader of files of a lower layer notices when a writer has them copied up.

use std::path::{Path, PathBuf};
use std::process::Command;

use larder::internals::Simulated;
use larder::{Builder, FileCache};

use crate::children::own_mounts;

const KEYS: u32 = 200;

/// Directories to mount, one over the other.
struct Layers {
    lower: PathBuf,
    merged: PathBuf,
    _dir: tempfile::TempDir,
}

fn mount(arguments: &[&str]) -> Result<(), String> {
    let done = Command::new("mount").args(arguments).output().map_err(|error| error.to_string())?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into()) }
}

impl Layers {
    /// Of mounts of this thread's own; the upper layer is in memory, and the lower one if it is to be, too.
    /// `prepare` fills the lower one.
    fn new(both_in_memory: bool, prepare: impl FnOnce(&Path)) -> Result<Self, String> {
        own_mounts()?;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let [memory, merged] = ["memory", "merged"].map(path);
        let lower = if both_in_memory { memory.join("lower") } else { path("lower") };
        std::fs::create_dir(&memory).unwrap();
        std::fs::create_dir(&merged).unwrap();
        mount(&["-t", "tmpfs", "none", memory.to_str().unwrap()])?;
        let [upper, work] = ["upper", "work"].map(|name| memory.join(name));
        for made in [&lower, &upper, &work] {
            std::fs::create_dir(made).unwrap();
        }
        prepare(&lower.join("cache"));
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        mount(&["-t", "overlay", "overlay", "-o", &options, merged.to_str().unwrap()])?;
        Ok(Self { lower, merged, _dir: dir })
    }

    fn cache(&self) -> PathBuf {
        self.merged.join("cache")
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        for mounted in [&self.merged, &self.lower.with_file_name("memory")] {
            let _ = Command::new("umount").arg("-l").arg(mounted).output();
        }
    }
}

fn key(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

fn fill(path: &Path, builder: Builder) {
    let cache = builder.max_bytes(8 << 20).open(path).unwrap();
    for number in 0..KEYS {
        cache.insert(key(number), b"old").unwrap();
    }
}

fn reader(path: &Path) -> FileCache {
    FileCache::builder().read_only(true).open(path).unwrap()
}

/// What a reader finds once a writer of the upper layer has overwritten, removed and added entries.
fn is_followed(layers: &Layers, readers: &[FileCache]) {
    for reader in readers {
        assert_eq!(reader.get(key(1)).as_deref(), Some(&b"old"[..]));
    }
    let writer = FileCache::open(layers.cache()).unwrap();
    for round in 0..3u32 {
        writer.insert(key(1), round.to_string()).unwrap();
        writer.remove(key(10 + round)).unwrap();
        writer.insert(key(KEYS + round), b"new").unwrap();
        for reader in readers {
            assert_eq!(reader.get(key(1)), Some(round.to_string().into_bytes()));
            assert_eq!(reader.view(key(10 + round)).as_deref(), None);
            assert!(
                !reader.contains_key(key(10 + round)) && reader.contains_key(key(KEYS + round))
            );
            assert_eq!(reader.len(), u64::from(KEYS));
            assert_eq!(reader.iter().count(), KEYS as usize);
        }
    }
    for number in 0..5000u32 {
        writer.insert(key(number), [7; 3000]).unwrap();
    }
    writer.clear().unwrap();
    assert!(readers.iter().all(|reader| reader.get(key(20)).is_none() && reader.is_empty()));
}

#[test]
fn a_reader_of_a_lower_layer_follows_a_writer_who_had_it_copied_up() {
    for both_in_memory in [true, false] {
        let layers = Layers::new(both_in_memory, |path| fill(path, FileCache::builder()));
        let Ok(layers) = layers.inspect_err(|why| println!("skipped: no overlayfs ({why})")) else {
            return;
        };
        let first = reader(&layers.cache());
        is_followed(&layers, &[first, reader(&layers.cache())]);
    }
}

#[test]
fn a_reader_that_met_the_log_copied_up_and_the_index_not_yet_follows_too() {
    let layers = Layers::new(true, |path| fill(path, FileCache::builder()));
    let Ok(layers) = layers.inspect_err(|why| println!("skipped: no overlayfs ({why})")) else {
        return;
    };
    let log = layers.cache().join("log");
    drop(std::fs::OpenOptions::new().write(true).open(log).unwrap());
    let half = reader(&layers.cache());
    is_followed(&layers, &[half]);
}

#[test]
fn a_private_copy_of_a_lower_layer_of_another_boot_is_left_for_what_a_writer_recovered() {
    let layers = Layers::new(true, |path| {
        let other_boot = Simulated::default().in_boot([7, 2]).environment();
        fill(path, FileCache::builder().environment(other_boot));
    });
    let Ok(layers) = layers.inspect_err(|why| println!("skipped: no overlayfs ({why})")) else {
        return;
    };
    let private = reader(&layers.cache());
    assert!(private.opening().other_boot);
    is_followed(&layers, &[private]);
}
