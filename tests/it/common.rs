//! What several modules use: random numbers from a printed seed, values that tell what they are, and
//! the disk that a directory takes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::Builder;
use larder::internals::Environment;

/// A small generator (xorshift64*), so that a printed seed repeats a run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The seed of a run: from `LARDER_TEST_SEED_BASE`, else drawn; printed, so that it can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("LARDER_TEST_SEED_BASE")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()) ^ nanos());
    println!("seed: LARDER_TEST_SEED_BASE={seed}");
    seed
}

fn nanos() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_nanos() as u64
}

/// How long a stress runs: `LARDER_TEST_SECONDS`, else `usual`.
pub fn duration(usual: u64) -> Duration {
    let seconds =
        std::env::var("LARDER_TEST_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(usual))
}

/// What a test of the proof has shown, for the command that collects it. A violation is a panic.
pub fn evidence(kind: &str, cases: u64, what: &str) {
    println!("evidence: kind={kind} cases={cases} what={what}");
}

/// A value that says which key and version it is, all through: any foreign or torn byte shows.
pub fn value(key: u64, version: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(key ^ version.rotate_left(32) ^ 0x5EED);
    let mut bytes = Vec::with_capacity(length + 24);
    bytes.extend_from_slice(&key.to_le_bytes());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&(length as u64).to_le_bytes());
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length.max(24));
    bytes
}

/// The version in a value of `key`, all of whose bytes must be right.
pub fn check(key: u64, bytes: &[u8]) -> u64 {
    assert!(bytes.len() >= 24, "a value of key {key} is cut short: {bytes:?}");
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (version, length) = (word(8), word(16) as usize);
    assert!(length <= 1 << 30 && bytes == value(key, version, length), "key {key} has wrong bytes");
    version
}

/// A new directory in memory, where syncs cost nothing, if there is such a place.
pub fn fast_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Options of a handle that shares nothing but the files with others, as if it were another process's.
pub fn another_process(builder: Builder) -> Builder {
    builder.environment(of_another_process(Environment::default()))
}

/// An environment whose handles share nothing but the files with those of others.
pub fn of_another_process(environment: Environment) -> Environment {
    // None of these is an address.
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    Environment { number: NEXT.fetch_add(2, Ordering::Relaxed), ..environment }
}

/// Bytes of disk that a directory takes, with everything in it.
pub fn disk(path: &Path) -> u64 {
    let blocks = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |m| m.blocks() * 512);
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| blocks(&entry.unwrap().path())).sum::<u64>() + blocks(path)
}
