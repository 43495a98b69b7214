//! From options to what is measured: tasks, the peers that are given them, and their cells.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::cell::{Cell, Crew, Task};
use crate::data;
use crate::options::RunOptions;
use crate::peer::About;
use crate::peers;
use crate::workload::Workload;

/// A task, and the peers that are measured at it one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub task: Task,
    pub peers: Vec<String>,
}

/// What [`Workload::Scale`] stands for, at each number of entries.
const CURVE: [Workload; 3] = [Workload::Fill, Workload::Get, Workload::Overwrite];
/// Below it the program itself does not run; above it entries are too many to be drawn.
const LIMITS: RangeInclusive<u64> = 32 << 20..=64 << 30;
/// Memory that fits into a store that is to be beyond it.
const TIMES_MEMORY: u64 = 3;
const OPENINGS: [Workload; 3] = [Workload::Open, Workload::OpenKilled, Workload::OpenReboot];

pub fn plan(options: &RunOptions) -> Result<Vec<Planned>> {
    for name in &options.peers {
        peers::find(name).with_context(|| format!("no peer {name}; see `list`"))?;
    }
    if let Some(memory) = options.memory {
        ensure!(LIMITS.contains(&memory), "--memory is to be from 32 MiB to 64 GiB");
    }
    for size in &options.sizes {
        ensure!((8..1 << 28).contains(size), "values of {size} bytes are not measured");
    }
    let mut all: Vec<Planned> = Vec::new();
    for workload in workloads(options)? {
        let sizes = match options.sizes.as_slice() {
            [] => workload.sizes().to_vec(),
            sizes => sizes.iter().map(|size| *size as usize).collect(),
        };
        for size in sizes {
            for mut planned in tasks(workload, size, options) {
                // What a curve shares with the rest is measured once.
                match all.iter_mut().find(|other| other.task == planned.task) {
                    Some(same) => {
                        planned.peers.retain(|peer| !same.peers.contains(peer));
                        same.peers.append(&mut planned.peers);
                    }
                    None => all.push(planned),
                }
            }
        }
    }
    Ok(all)
}

impl Planned {
    pub fn cell(&self, peer: &str, options: &RunOptions, round: u32, seed: u64) -> Cell {
        let Task { workload, size, entries, crew } = self.task;
        Cell {
            peer: peer.to_owned(),
            workload,
            size,
            entries,
            operations: options.operations.min(options.traffic / size as u64).max(1),
            crew,
            round,
            seed,
            limit: Duration::from_secs_f64(options.limit),
            slice: Duration::from_secs_f64(options.slice),
            settle: Duration::from_secs_f64(options.settle),
            memory: options.memory,
            group: None,
            directory: PathBuf::new(),
        }
    }
}

/// Those that were named; or without a limit of memory those that need none, and with one those that do.
fn workloads(options: &RunOptions) -> Result<Vec<Workload>> {
    let limited = options.memory.is_some();
    let named = &options.workloads;
    if let Some(cold) = named.iter().find(|workload| workload.is_cold() && !limited) {
        bail!("{} needs --memory: it measures stores of three times that", cold.name());
    }
    Ok(match named.as_slice() {
        [] => {
            let all = Workload::value_variants().iter().copied();
            all.filter(|workload| workload.is_cold() == limited).collect()
        }
        some => some.to_vec(),
    })
}

/// What a workload comes to with values of one size.
fn tasks(workload: Workload, size: usize, options: &RunOptions) -> Vec<Planned> {
    let entries = entries(workload, size, options);
    let peers = chosen(workload, size, options);
    let by = |crew| Planned { task: Task { workload, size, entries, crew }, peers: peers.clone() };
    let threads = options.threads.iter().map(|count| Crew::Threads(*count));
    let processes = options.processes.iter().map(|count| Crew::Processes(*count));
    match workload {
        Workload::Mixed | Workload::Read => threads.chain(processes).map(by).collect(),
        Workload::Write => threads.map(by).collect(),
        Workload::Scale => curves(size, &peers, options),
        _ => vec![by(Crew::ALONE)],
    }
}

fn entries(workload: Workload, size: usize, options: &RunOptions) -> u64 {
    let affordable = options.entries.min(options.payload / size as u64).max(1);
    match workload {
        Workload::Growth | Workload::Many => {
            options.scale.iter().copied().max().unwrap_or(affordable)
        }
        Workload::Churn => data::fitting(options.capacity, size),
        _ if workload.is_cold() => {
            data::fitting(options.memory.unwrap_or(0).saturating_mul(TIMES_MEMORY), size)
        }
        _ => affordable,
    }
}

/// What [`Workload::Scale`] stands for. A lower bound is not opened.
fn curves(size: usize, peers: &[String], options: &RunOptions) -> Vec<Planned> {
    let opens = |peer: &&String| peers::find(peer).is_some_and(|about| !about.lower_bound);
    let mut curves = Vec::new();
    for &entries in &options.scale {
        let task = |workload| Task { workload, size, entries, crew: Crew::ALONE };
        let planned = |workload, peers| Planned { task: task(workload), peers };
        curves.extend(CURVE.map(|workload| planned(workload, peers.to_vec())));
        curves.extend(
            OPENINGS
                .map(|workload| planned(workload, peers.iter().filter(opens).cloned().collect())),
        );
    }
    curves
}

/// The peers that were named, or those that mean something here.
fn chosen(workload: Workload, size: usize, options: &RunOptions) -> Vec<String> {
    let named = |name: &str| options.peers.iter().any(|peer| peer == name);
    let all = peers::ALL.iter();
    let chosen = all.filter(|about| match options.peers.is_empty() {
        true => means_something(about, workload, size),
        false => named(about.name) && (about.name == "larder" || workload != Workload::OpenReboot),
    });
    chosen.map(|about| about.name.to_owned()).collect()
}

fn means_something(about: &About, workload: Workload, size: usize) -> bool {
    match about.name {
        "larder" => true,
        _ if workload.is_cold() => about.persists && about.beyond_memory,
        _ if about.lower_bound && about.beyond_memory => false,
        "raw" => !matches!(workload, Workload::OpenReboot | Workload::Beside | Workload::Many),
        // The pass is the lower bound of checked reads where values are large.
        "raw+crc" => {
            matches!(workload, Workload::View | Workload::Get) && size >= Workload::View.sizes()[0]
        }
        _ => !workload.is_of_engine(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Cli;
    use clap::Parser;

    fn planned(arguments: &str) -> Vec<Planned> {
        plan(&Cli::parse_from(arguments.split(' ')).run).unwrap()
    }

    #[test]
    fn what_a_curve_shares_with_the_rest_is_measured_once() {
        let all = planned("peers --workloads get,scale --sizes 100");
        let million = |planned: &&Planned| {
            (planned.task.workload, planned.task.entries) == (Workload::Get, 1_000_000)
        };
        assert_eq!(all.iter().filter(million).count(), 1);
        let peers = all.iter().find(million).unwrap().peers.iter();
        assert_eq!(peers.filter(|peer| *peer == "larder").count(), 1);
    }

    #[test]
    fn larger_values_come_in_fewer_entries() {
        let all = planned("peers --workloads fill --payload 1GiB");
        let entries: Vec<u64> = all.iter().map(|planned| planned.task.entries).collect();
        assert_eq!(entries, [1_000_000, 1_000_000, 65_536, 1024]);
    }

    #[test]
    fn what_is_beyond_memory_is_three_times_as_large_and_needs_a_limit() {
        let limited = planned("peers --memory 768MiB");
        assert!(limited.iter().all(|planned| planned.task.workload.is_cold()));
        let task = limited.iter().map(|planned| planned.task).find(|task| task.size == 1 << 20);
        assert_eq!(task.unwrap().entries, 2303);
        let unlimited = planned("peers");
        assert!(!unlimited.iter().any(|planned| planned.task.workload.is_cold()));
        let cold = Cli::parse_from(["peers", "--workloads", "cold-get"]);
        assert!(format!("{:#}", plan(&cold.run).unwrap_err()).contains("--memory"));
    }

    #[test]
    fn lower_bounds_are_chosen_where_they_bound_something() {
        let peers = |arguments| -> Vec<String> {
            planned(arguments).into_iter().flat_map(|planned| planned.peers).collect()
        };
        let cold = peers("peers --memory 1GiB --workloads cold-get --sizes 4KiB");
        assert!(cold.iter().any(|peer| peer == "raw-file-8") && !cold.contains(&"raw".to_owned()));
        let warm = peers("peers --workloads get --sizes 4KiB");
        assert!(warm.contains(&"raw".to_owned()) && !warm.iter().any(|peer| peer == "raw-file"));
    }

    #[test]
    fn named_peers_alone_are_measured() {
        let all = planned("peers --workloads get,open-reboot --sizes 100 --peers raw,larder");
        let peers: Vec<String> = all.into_iter().flat_map(|planned| planned.peers).collect();
        assert_eq!(peers, ["larder", "raw", "larder"]);
    }
}
