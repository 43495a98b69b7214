//! What the other processes of the tour do with the cache.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use larder::{FileCache, Ttl};

use crate::catalogue::{Catalogue, Random};
use crate::shared::{PROCESSES, Result, say};

/// Every tenth file is stored for this long only.
pub const SHORT_LIFE: Duration = Duration::from_secs(1);

/// What the victim says instead of a number if a file has vanished.
pub const UNREAD: &str = "unread";

pub fn is_short_lived(number: usize) -> bool {
    number % 10 == 9
}

fn life(number: usize) -> Ttl {
    if is_short_lived(number) { Ttl::After(SHORT_LIFE) } else { Ttl::Never }
}

/// A role as `Child::start` passes it.
pub struct Role {
    name: String,
    /// Files that are stored at first, over all processes.
    fill: usize,
    number: usize,
    work: PathBuf,
    files: PathBuf,
    cache: PathBuf,
}

pub fn parse(arguments: &[OsString]) -> Option<Role> {
    let [role, number, work, files, cache] = arguments else { return None };
    let mut words = role.to_str()?.strip_prefix("--role=")?.split(' ');
    Some(Role {
        name: words.next()?.to_owned(),
        fill: words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
        number: number.to_str()?.parse().ok()?,
        work: work.into(),
        files: files.into(),
        cache: cache.into(),
    })
}

pub fn play(role: &Role) -> Result<()> {
    let files = Catalogue::load(&role.work, &role.files)?;
    let begun = Instant::now();
    let cache = FileCache::open(&role.cache)?;
    let opened = begun.elapsed();
    match role.name.as_str() {
        "victim" => be_victim(&cache, &files, role),
        "user" => be_user(&cache, &files, role),
        "auditor" => be_auditor(&cache, &files, opened),
        other => Err(format!("no such role: {other}").into()),
    }
}

/// This process's share of what is stored at first.
fn share(role: &Role) -> impl Iterator<Item = usize> + Clone {
    (role.number..role.fill).step_by(PROCESSES)
}

/// Stores its share over and over until it is killed, and says the number of each file that was stored.
fn be_victim(cache: &FileCache, files: &Catalogue, role: &Role) -> Result<()> {
    for number in share(role).cycle() {
        match files.read(number) {
            Some(bytes) => {
                cache.insert_with_ttl(files.key(number), bytes, life(number))?;
                say!("{number}")?;
            }
            None => say!("{UNREAD}")?,
        }
    }
    Ok(())
}

/// Stores its share, then does what programs do with a cache: looks up, and stores what it missed.
fn be_user(cache: &FileCache, files: &Catalogue, role: &Role) -> Result<()> {
    for number in share(role) {
        if let Some(bytes) = files.read(number) {
            cache.insert_with_ttl(files.key(number), bytes, life(number))?;
        }
    }
    say!("filled")?;
    std::io::stdin().read_line(&mut String::new())?;

    let mut tally = Tally::default();
    let mut random = Random::new(role.number as u64);
    let mut value = Vec::new();
    let count = files.files.len();
    for _ in 0..(2 * count / PROCESSES).max(1000) {
        // Some files are asked for much more often than others.
        let number = (0..3).map(|_| random.below(count)).min().unwrap_or(0);
        let begun = Instant::now();
        let hit = cache.get_into(files.key(number), &mut value);
        let looked = begun.elapsed();
        tally.lookups += 1;
        if hit {
            tally.hits += 1;
            tally.hit_bytes += value.len() as u64;
            tally.hit_nanoseconds += looked.as_nanos() as u64;
            tally.changed += u64::from(!is_right(files, number, &value)?);
            continue;
        }
        let Some(bytes) = files.read(number) else {
            tally.changed += 1;
            continue;
        };
        let begun = Instant::now();
        cache.insert_with_ttl(files.key(number), &bytes, life(number))?;
        tally.puts += 1;
        tally.put_bytes += bytes.len() as u64;
        tally.put_nanoseconds += begun.elapsed().as_nanos() as u64;
    }
    say!("tally {}", tally.encode())?;
    Ok(())
}

/// Looks for the files that it is told of, then compares everything in the cache.
fn be_auditor(cache: &FileCache, files: &Catalogue, opened: Duration) -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let mut audit = Audit { opened_nanoseconds: opened.as_nanos() as u64, ..Audit::default() };
    for word in line.split_ascii_whitespace() {
        let number = word.parse()?;
        audit.asked += 1;
        if let Some(value) = cache.get(files.key(number)) {
            audit.asked_found += 1;
            is_right(files, number, &value)?;
        }
    }
    audit.expired = cache.maintain()?.collected;
    audit.counted = cache.len();
    let numbers: HashMap<&[u8], usize> =
        (0..files.files.len()).map(|number| (files.key(number), number)).collect();
    for (key, value) in cache.iter() {
        let number = *numbers.get(&key[..]).ok_or("the cache has a key that nobody stored")?;
        match is_right(files, number, &value)? {
            true => audit.whole += 1,
            false => audit.changed += 1,
        }
    }
    say!("audit {}", audit.encode())?;
    Ok(())
}

/// Whether a value has the bytes of its file. It may differ if the file was changed meanwhile: then
/// this is `false`. If the file was not, that is the failure which the tour looks for.
fn is_right(files: &Catalogue, number: usize, value: &[u8]) -> Result<bool> {
    if files.read(number).is_some_and(|bytes| bytes == value) {
        return Ok(true);
    }
    if files.has_changed(number) {
        return Ok(false);
    }
    Err(format!("{} differs from its file", files.files[number].0.display()).into())
}

/// Numbers that travel between processes as a line.
macro_rules! numbers {
    ($(#[$about:meta])* $name:ident { $($field:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Default)]
        pub struct $name { $(pub $field: u64),+ }

        impl $name {
            pub fn encode(&self) -> String {
                [$(self.$field),+].map(|number| number.to_string()).join(" ")
            }

            pub fn decode(line: &str) -> Result<Self> {
                let mut words = line.split_ascii_whitespace();
                Ok(Self { $($field: words.next().ok_or("too few numbers")?.parse()?),+ })
            }
        }
    };
}

numbers! {
    /// What a user did. Times are those of the calls alone, without reading and comparing files.
    Tally {
        lookups, hits, hit_bytes, hit_nanoseconds, puts, put_bytes, put_nanoseconds, changed,
    }
}

numbers! {
    /// What an auditor found.
    Audit { opened_nanoseconds, asked, asked_found, expired, counted, whole, changed }
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.lookups += other.lookups;
        self.hits += other.hits;
        self.hit_bytes += other.hit_bytes;
        self.hit_nanoseconds += other.hit_nanoseconds;
        self.puts += other.puts;
        self.put_bytes += other.put_bytes;
        self.put_nanoseconds += other.put_nanoseconds;
        self.changed += other.changed;
    }
}

impl Audit {
    pub fn opened_ms(&self) -> f64 {
        self.opened_nanoseconds as f64 / 1e6
    }
}
