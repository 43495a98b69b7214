//! What the stepped child does: a command at a time, between two marks.

use std::path::Path;
use std::time::Duration;

use larder::internals::Simulated;
use larder::{Builder, FileCache, OnDamage};

use crate::children::{listen, say};
use crate::common::value;

/// The smallest store there is: every page of it is copied for every kill.
pub const MAX_BYTES: u64 = 1_100_000;
/// Tester and child, each with a handle, and one more.
pub const MAX_PROCESSES: u16 = 3;

/// The options of child and tester. `entries` 0: no limit.
pub fn builder(entries: u64, boot: u64) -> Builder {
    let builder = FileCache::builder()
        .max_bytes(MAX_BYTES)
        .max_processes(MAX_PROCESSES)
        .segment_size(64 << 10)
        .on_damage(OnDamage::BeginAnew)
        .environment(Simulated::default().in_boot([7, boot]).environment());
    if entries > 0 { builder.max_entries(entries) } else { builder }
}

/// Takes commands from the parent, which traces this thread.
pub fn stepped(directory: &Path) {
    // SAFETY: asks for a number.
    say(format!("ready {}", unsafe { libc::gettid() }));
    let mut cache = None;
    while let Some(line) = listen() {
        mark();
        obey(&mut cache, directory, &line);
        mark();
        say("done");
    }
}

/// A stop that the tracer sees and the rest of the process does not.
fn mark() {
    // SAFETY: a signal to oneself.
    unsafe { libc::raise(libc::SIGSTOP) };
}

fn obey(cache: &mut Option<FileCache>, directory: &Path, line: &str) {
    let mut words = line.split(' ');
    let verb = words.next().unwrap();
    let numbers: Vec<u64> = words.map(|number| number.parse().unwrap()).collect();
    if verb == "open" {
        *cache = Some(builder(numbers[0], numbers[1]).open(directory).unwrap());
        return;
    }
    if verb == "close" {
        *cache = None;
        return;
    }
    if verb == "lose" {
        std::fs::remove_file(directory.join("store")).unwrap();
        return;
    }
    let cache = cache.as_ref().unwrap();
    match (verb, &numbers[..]) {
        ("put", &[from, until, version, length]) => {
            for key in from..until {
                cache.insert(key.to_le_bytes(), value(key, version, length as usize)).unwrap();
            }
        }
        ("brief", &[from, until, version, length]) => {
            for key in from..until {
                let value = value(key, version, length as usize);
                let life = Duration::from_millis(1);
                cache.insert_with_ttl(key.to_le_bytes(), value, life).unwrap();
            }
        }
        ("remove", &[from, until, step]) => {
            for key in (from..until).step_by(step as usize) {
                cache.remove(key.to_le_bytes()).unwrap();
            }
        }
        ("sync", _) => drop(cache.sync().unwrap()),
        ("clear", _) => cache.clear().unwrap(),
        ("compact", _) => drop(cache.compact().unwrap()),
        ("maintain", _) => drop(cache.maintain().unwrap()),
        _ => panic!("no such command: {line}"),
    }
}
