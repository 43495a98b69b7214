//! Carries the cells out, each in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Finding, Row};
use crate::data;
use crate::measure;
use crate::options::{RunOptions, words};
use crate::peers;
use crate::plan::{Group, plan};

/// All that was measured, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub machine: Machine,
    pub seed: u64,
    /// The version of each peer that was built in.
    pub versions: BTreeMap<String, String>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    pub file_system: String,
}

pub fn run(options: &RunOptions) -> Result<Record> {
    let groups = plan(options)?;
    let parent = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed = options.seed.unwrap_or(now);
    let cells: usize = groups.iter().map(|group| group.peers.len()).sum();
    eprintln!("{cells} cells, {} rounds, --seed {seed}", options.rounds);
    let mut record =
        Record { machine: Machine::of(&parent)?, seed, versions: versions(), rows: Vec::new() };
    let mut order = SmallRng::seed_from_u64(seed);
    for round in 0..options.rounds {
        // All peers of a round are asked for the same keys.
        let keys = data::mix(seed ^ u64::from(round));
        for group in &groups {
            let mut peers = group.peers.clone();
            peers.shuffle(&mut order);
            for peer in &peers {
                let cell = group.cell(peer, options, round, keys);
                let row = in_own_process(cell, &parent, options)?;
                tell(group, &row);
                record.rows.push(row);
            }
            // So that a run that is cut short is not lost.
            if let Some(path) = &options.json {
                fs::write(path, serde_json::to_vec_pretty(&record)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(record)
}

fn in_own_process(mut cell: Cell, parent: &Path, options: &RunOptions) -> Result<Row> {
    let directory = tempfile::Builder::new().prefix("peers-").tempdir_in(parent)?;
    cell.directory = directory.path().to_owned();
    measure::settle(cell.settle)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["part", "cell", &serde_json::to_string(&cell)?, "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs_f64(options.patience);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut text = String::new();
    // One line, which the pipe holds until it is read.
    child.stdout.take().context("no standard output")?.read_to_string(&mut text)?;
    let finding = match status {
        None => Finding::Failed(format!("given up after {} s", options.patience)),
        Some(status) => serde_json::from_str(&text)
            .unwrap_or_else(|_| Finding::Failed(format!("its process ended with {status}"))),
    };
    Ok(Row { cell, finding })
}

fn versions() -> BTreeMap<String, String> {
    let version =
        |about| Some((String::from(about), peers::version(peers::find(about)?)?.to_owned()));
    peers::ALL.iter().filter_map(|about| version(about.name)).collect()
}

fn tell(group: &Group, row: &Row) {
    let what = match &row.finding {
        Finding::Measured(outcome) => match (outcome.rate, outcome.open_ns) {
            (Some(rate), _) => format!("{rate:.0}/s"),
            (None, Some(nanos)) => format!("{:?}", Duration::from_nanos(nanos)),
            (None, None) => String::new(),
        },
        Finding::Cannot(reason) => format!("cannot: {reason}"),
        Finding::Failed(reason) => format!("FAILED: {reason}"),
    };
    let (name, size, peer) = (group.workload.name(), words(group.size), &row.cell.peer);
    eprintln!("round {} {name} {size}, {}: {peer} {what}", row.cell.round + 1, group.crew);
}

impl Machine {
    fn of(directory: &Path) -> Result<Self> {
        let processor = field("/proc/cpuinfo", "model name")?;
        let memory = field("/proc/meminfo", "MemTotal")?;
        let kib = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let magic = rustix::fs::statfs(directory)?.f_type;
        let file_system = match magic {
            0xEF53 => "ext4".to_owned(),
            0x5846_5342 => "xfs".to_owned(),
            0x0102_1994 => "tmpfs".to_owned(),
            0x9123_683E => "btrfs".to_owned(),
            other => format!("{other:#x}"),
        };
        let processors = std::thread::available_parallelism()?.get();
        Ok(Self { processor, processors, memory_bytes: kib << 10, kernel, file_system })
    }
}

/// The value of a `name : value` line.
fn field(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    Ok(value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default())
}
