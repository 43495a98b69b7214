//! Running the program `larder`, and a cache to run it on.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use larder::FileCache;
use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_larder");

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub error: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let error = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code().unwrap(), out: output.stdout, error }
    }
}

impl Ran {
    /// What it printed, as text, of a run that ended well.
    #[track_caller]
    pub fn text(&self) -> &str {
        assert!(self.code == 0 && self.error.is_empty(), "{self:?}");
        std::str::from_utf8(&self.out).unwrap()
    }

    /// The JSON that it printed, a value a line.
    pub fn json(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, b"")
}

pub fn run_with(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read it closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

pub struct Fixture {
    pub dir: tempfile::TempDir,
    pub path: PathBuf,
}

impl Fixture {
    /// A small cache with the entries `a`: `one` and `b`: `two`, open nowhere.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let cache = FileCache::builder().max_bytes(8 << 20).open(&path).unwrap();
        cache.insert("a", "one").unwrap();
        cache.insert("b", "two").unwrap();
        Self { dir, path }
    }

    pub fn at(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn cache(&self) -> FileCache {
        FileCache::open(&self.path).unwrap()
    }

    /// Changes the first bytes in the log that are `from`.
    pub fn damage(&self, from: &[u8], to: &[u8]) {
        let log = self.path.join("log");
        let mut bytes = std::fs::read(&log).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        std::fs::write(&log, bytes).unwrap();
    }
}
