//! Carries the planned tasks out, each cell in a process of its own.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::cell::{Cell, Task};
use crate::cgroup::{Cgroup, Place};
use crate::data;
use crate::machine::{self, Machine};
use crate::options::RunOptions;
use crate::outcome::Finding;
use crate::part::Part;
use crate::peers;
use crate::plan::plan;
use crate::record::{Record, Row};

pub fn run(options: &RunOptions) -> Result<Record> {
    let all = plan(options)?;
    let parent = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let limits = Limits::of(options);
    let machine = Machine::of(&parent)?;
    let in_memory = machine.file_system == "tmpfs";
    let cold = all.iter().any(|planned| planned.task.workload.is_cold());
    ensure!(
        !(cold && in_memory),
        "{} is in memory: --directory names one on a disk",
        parent.display()
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed = options.seed.unwrap_or(now);
    let cells: usize = all.iter().map(|planned| planned.peers.len()).sum();
    eprintln!("{cells} cells, {} rounds, --seed {seed}", options.rounds);
    let mut record = Record { machine, seed, versions: versions(), rows: Vec::new() };
    let mut order = SmallRng::seed_from_u64(seed);
    for round in 0..options.rounds {
        // All peers of a round are asked for the same keys.
        let keys = data::mix(seed ^ u64::from(round));
        for planned in &all {
            let mut peers = planned.peers.clone();
            peers.shuffle(&mut order);
            for peer in &peers {
                let cell = planned.cell(peer, options, round, keys);
                let row = match limits.group(&cell) {
                    Ok(group) => in_own_process(cell, group, &parent, options)?,
                    Err(reason) => Row { cell, finding: Finding::Cannot(reason) },
                };
                tell(&planned.task, &row);
                record.rows.push(row);
            }
            // So that a run that is cut short is not lost.
            if let Some(path) = &options.json {
                record.write(path)?;
            }
        }
    }
    Ok(record)
}

/// What confines the memory of cells.
enum Limits {
    None,
    Groups(Place),
    /// Why it cannot be confined: then nothing is measured that should be.
    Cannot(String),
}

impl Limits {
    fn of(options: &RunOptions) -> Self {
        if options.memory.is_none() {
            return Self::None;
        }
        Place::find(options.cgroup.as_deref()).map_or_else(
            |error| {
                eprintln!("{error:#}. Nothing is measured that --memory should confine.");
                Self::Cannot(format!("{error:#}"))
            },
            Self::Groups,
        )
    }

    /// A group for a cell that is to have one.
    fn group(&self, cell: &Cell) -> Result<Option<Cgroup>, String> {
        match (self, cell.memory) {
            (Self::Groups(place), Some(memory)) => {
                place.make("cell", memory).map(Some).map_err(|error| format!("{error:#}"))
            }
            (Self::Cannot(reason), Some(_)) => Err(reason.clone()),
            _ => Ok(None),
        }
    }
}

fn in_own_process(
    mut cell: Cell,
    group: Option<Cgroup>,
    parent: &Path,
    options: &RunOptions,
) -> Result<Row> {
    cell.group = group.as_ref().map(|group| group.path().to_owned());
    let directory = tempfile::Builder::new().prefix("peers-").tempdir_in(parent)?;
    cell.directory = directory.path().to_owned();
    machine::settle(cell.settle)?;
    let mut command = Part::Cell.command(&cell, 0)?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let status = wait(&mut child, Duration::from_secs_f64(options.patience))?;
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

/// How a process ended; none: it did not in time, and was killed.
fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn versions() -> BTreeMap<String, String> {
    let version =
        |about| Some((String::from(about), peers::version(peers::find(about)?)?.to_owned()));
    peers::ALL.iter().filter_map(|about| version(about.name)).collect()
}

fn tell(task: &Task, row: &Row) {
    let what = match &row.finding {
        Finding::Measured(outcome) => match (outcome.rate, outcome.open_ns) {
            (Some(rate), _) => format!("{rate:.0}/s"),
            (None, Some(nanos)) => format!("{:?}", Duration::from_nanos(nanos)),
            (None, None) => String::new(),
        },
        Finding::Cannot(reason) => format!("cannot: {reason}"),
        Finding::Failed(reason) => format!("FAILED: {reason}"),
    };
    let (round, peer) = (row.cell.round + 1, &row.cell.peer);
    eprintln!("round {round} {}, {}: {peer} {what}", task.title(), task.crew);
}
