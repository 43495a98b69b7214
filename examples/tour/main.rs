//! A tour of larder on real files:
//!
//! ```text
//! cargo run --release --example tour -- DIR [--cache PATH]
//! ```
//!
//! Four processes fill a cache with the files under DIR. One of them is killed in the middle, and a
//! fresh process looks whether anything that it had stored is gone. Then four processes use the cache
//! for more than fits in it. They look files up, compare every byte of a hit with the file, and store
//! what was missed. A watcher measures the directory all the while. At the end everything in the cache
//! is compared once more, and a table says how it went. If a byte differs, an entry was lost or a
//! limit was exceeded, the tour says so and fails.
//!
//! The cache is made in a temporary directory and deleted, or made in PATH and left there. DIR is only
//! read.

mod catalogue;
mod child;
mod roles;
mod shared;
mod table;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use catalogue::Catalogue;
use child::Child;
use larder::FileCache;
use roles::{Audit, SHORT_LIFE, Tally};
use shared::{PROCESSES, Result, say};
use table::Outcome;
use watch::Watch;

/// The cache may hold a part of what is there, so that not everything fits. In a small directory it
/// may hold this much: bytes and entries.
const SMALLEST_LIMITS: (u64, u64) = (4 << 20, 1000);
const LARGEST_LIMIT: u64 = 1 << 30;

const USAGE: &str = "usage: cargo run --release --example tour -- DIR [--cache PATH]";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match roles::parse(&arguments) {
        Some(role) => roles::play(&role),
        None => match parse(&arguments) {
            Some((files, cache)) => tour(&files, cache),
            None => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the tour failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[std::ffi::OsString]) -> Option<(PathBuf, Option<PathBuf>)> {
    match arguments {
        [files] if files != "--help" => Some((files.into(), None)),
        [files, option, cache] if option == "--cache" => Some((files.into(), Some(cache.into()))),
        [option, cache, files] if option == "--cache" => Some((files.into(), Some(cache.into()))),
        _ => None,
    }
}

fn tour(files: &Path, cache: Option<PathBuf>) -> Result<()> {
    let work = tempfile::tempdir()?;
    let path = cache.unwrap_or_else(|| work.path().join("cache"));
    let tour = Tour::prepare(work.path(), files, &path)?;
    let Limits { max_bytes, max_entries } = tour.limits;
    let watch = Watch::start(tour.cache.clone(), max_bytes, max_entries);
    let filled = tour.fill()?;
    let acknowledged = filled.acknowledged;
    let (tally, elapsed) = tour.use_it(filled.users)?;
    let last = tour.compare_all(&acknowledged)?;
    let watched = watch.stop()?;
    table::print(&Outcome {
        found: &tour.found,
        tally: &tally,
        watched: &watched,
        stats: &tour.cache.stats(),
        after_kill: &filled.after_kill,
        last: &last,
        elapsed,
    })?;
    if last.counted != last.whole + last.changed {
        return Err(format!("len() is {}, but {} were met", last.counted, last.whole).into());
    }
    match watched.violation {
        Some(violation) => Err(violation.into()),
        None => {
            say!("\nEvery byte was right, both limits held, and the kill cost nothing.")?;
            Ok(())
        }
    }
}

/// What the cache may hold.
struct Limits {
    max_bytes: u64,
    max_entries: u64,
}

impl Limits {
    fn of(found: &Catalogue) -> Self {
        Self {
            max_bytes: (found.bytes / 3).clamp(SMALLEST_LIMITS.0, LARGEST_LIMIT),
            max_entries: (found.files.len() as u64 / 4).max(SMALLEST_LIMITS.1),
        }
    }
}

/// The files, and a cache for them.
struct Tour<'a> {
    /// Where the processes find the catalogue.
    work: &'a Path,
    files: &'a Path,
    path: &'a Path,
    limits: Limits,
    found: Catalogue,
    cache: FileCache,
}

/// After the first stage.
struct Filled {
    /// The processes that go on.
    users: Vec<Child>,
    acknowledged: Acknowledged,
    after_kill: Audit,
}

impl<'a> Tour<'a> {
    /// Finds the files, and makes the cache.
    fn prepare(work: &'a Path, files: &'a Path, path: &'a Path) -> Result<Self> {
        if std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(format!("{} is not empty: choose another --cache", path.display()).into());
        }
        let mut found = Catalogue::walk(files, path)?;
        let limits = Limits::of(&found);
        let cache = FileCache::builder()
            .max_bytes(limits.max_bytes)
            .max_entries(limits.max_entries)
            .max_processes(64)
            .open(path)?;
        found.leave_out_larger_than(cache.stats().segment_bytes);
        if found.files.is_empty() {
            return Err(format!("there is no file to cache under {}", files.display()).into());
        }
        found.save(work)?;
        table::introduce(&found, path, limits.max_bytes, limits.max_entries)?;
        Ok(Self { work, files, path, limits, found, cache })
    }

    fn start(&self, role: &str, number: usize) -> Result<Child> {
        Child::start(role, number, self.work, self.files, self.path)
    }

    /// First stage: processes store as much as surely fits, so that nothing may be missing afterwards.
    /// One of them is killed while it stores.
    fn fill(&self) -> Result<Filled> {
        let Limits { max_bytes, max_entries } = self.limits;
        let fill = self.found.fitting(max_bytes / 3, max_entries / 3);
        let mut users = Vec::new();
        for number in 1..PROCESSES {
            users.push(self.start(&format!("user {fill}"), number)?);
        }
        let victim = self.start(&format!("victim {fill}"), 0)?;
        let acknowledged = kill_in_the_middle(victim, fill.div_ceil(PROCESSES))?;
        let after_kill = audit(self.start("auditor", 0)?, &acknowledged)?;
        say!(
            "1. {PROCESSES} processes stored {} files. One was killed (SIGKILL) after {} puts: a fresh \
             process\n   opened the cache in {:.2} ms and found {} of its {} entries, every byte right.",
            table::grouped(fill as u64),
            acknowledged.puts,
            after_kill.opened_ms(),
            after_kill.asked_found,
            after_kill.asked,
        )?;
        if after_kill.asked_found != after_kill.asked {
            return Err("acknowledged entries of the killed process are gone".into());
        }
        Ok(Filled { users, acknowledged, after_kill })
    }

    /// Second stage: the other processes, and a new one in place of the dead, use the cache for more
    /// than fits. Returns what they did, and how long it took.
    fn use_it(&self, mut users: Vec<Child>) -> Result<(Tally, Duration)> {
        users.push(self.start("user 0", PROCESSES)?);
        for user in &mut users {
            user.expect("filled")?;
        }
        let begun = Instant::now();
        for user in &mut users {
            user.tell("go")?;
        }
        let mut tally = Tally::default();
        for mut user in users {
            tally.add(&Tally::decode(&user.expect("tally")?)?);
            user.finish()?;
        }
        let elapsed = begun.elapsed();
        say!(
            "2. {PROCESSES} processes looked up {} files in {:.1} s, and stored those they missed.",
            table::grouped(tally.lookups),
            elapsed.as_secs_f64()
        )?;
        Ok((tally, elapsed))
    }

    /// Third stage: when short lives are over, a fresh process compares everything.
    fn compare_all(&self, acknowledged: &Acknowledged) -> Result<Audit> {
        std::thread::sleep(SHORT_LIFE + Duration::from_millis(10));
        let last = audit(self.start("auditor", 0)?, acknowledged)?;
        say!(
            "3. A fresh process collected {} expired entries, and compared all other {} with their files.\n",
            table::grouped(last.expired),
            table::grouped(last.whole),
        )?;
        Ok(last)
    }
}

/// What the killed process said that it had stored.
struct Acknowledged {
    /// Numbers of its files, but for the short-lived ones.
    files: BTreeSet<usize>,
    /// Its puts: of one file again and again, and of short-lived ones.
    puts: usize,
    /// Files that could not be read by then.
    unread: usize,
}

/// Kills the victim, which stores its share over and over, when half of the share is stored.
fn kill_in_the_middle(mut victim: Child, share: usize) -> Result<Acknowledged> {
    let mut acknowledged = Acknowledged { files: BTreeSet::new(), puts: 0, unread: 0 };
    let mut note = |line: String| -> Result<usize> {
        match line.as_str() {
            roles::UNREAD => acknowledged.unread += 1,
            number => {
                let number = number.parse()?;
                acknowledged.puts += 1;
                if !roles::is_short_lived(number) {
                    acknowledged.files.insert(number);
                }
            }
        }
        Ok(acknowledged.puts + acknowledged.unread)
    };
    while note(victim.hear()?)? < share.div_ceil(2) {}
    // What it says before the signal arrives counts too.
    for line in victim.kill()? {
        note(line)?;
    }
    Ok(acknowledged)
}

fn audit(mut auditor: Child, acknowledged: &Acknowledged) -> Result<Audit> {
    let numbers: Vec<_> = acknowledged.files.iter().map(ToString::to_string).collect();
    auditor.tell(&numbers.join(" "))?;
    let audit = Audit::decode(&auditor.expect("audit")?)?;
    auditor.finish()?;
    Ok(audit)
}
