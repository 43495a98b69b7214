//! From options to cells.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cell::{Cell, Crew};
use crate::options::RunOptions;
use crate::peers;
use crate::workload::Workload;
use crate::workloads::bounded;

/// One workload at one size, for some peers: they are measured one after the other and compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub workload: Workload,
    pub size: usize,
    pub entries: u64,
    pub crew: Crew,
    pub peers: Vec<String>,
}

/// Values of the curves are small enough for memory at any number of entries.
const CURVE: [Workload; 3] = [Workload::Fill, Workload::Get, Workload::Overwrite];
const OPENINGS: [Workload; 3] = [Workload::Open, Workload::OpenKilled, Workload::OpenReboot];

pub fn plan(options: &RunOptions) -> Result<Vec<Group>> {
    for name in &options.peers {
        peers::find(name).with_context(|| format!("no peer {name}; see `list`"))?;
    }
    for size in &options.sizes {
        ensure!((8..1 << 28).contains(size), "values of {size} bytes are not measured");
    }
    let mut groups: Vec<Group> = Vec::new();
    for workload in workloads(options) {
        let sizes = match options.sizes.as_slice() {
            [] => workload.sizes().to_vec(),
            sizes => sizes.iter().map(|size| *size as usize).collect(),
        };
        for size in sizes {
            for mut group in of(workload, size, options) {
                // What a curve shares with the rest is measured once.
                let same = groups.iter_mut().find(|other| other.is_beside(&group));
                match same {
                    Some(same) => {
                        group.peers.retain(|peer| !same.peers.contains(peer));
                        same.peers.append(&mut group.peers);
                    }
                    None => groups.push(group),
                }
            }
        }
    }
    Ok(groups)
}

fn workloads(options: &RunOptions) -> Vec<Workload> {
    use clap::ValueEnum;
    match options.workloads.as_slice() {
        [] => Workload::value_variants().to_vec(),
        some => some.to_vec(),
    }
}

fn of(workload: Workload, size: usize, options: &RunOptions) -> Vec<Group> {
    let fitting = options.entries.min(options.payload / size as u64).max(1);
    let entries = match workload {
        Workload::Growth | Workload::Many => options.scale.iter().copied().max().unwrap_or(fitting),
        Workload::Churn => bounded::fitting(options.capacity, size),
        _ => fitting,
    };
    let group = |workload, entries, crew| {
        let peers = chosen(workload, size, options);
        Group { workload, size, entries, crew, peers }
    };
    let alone = Crew::Threads(1);
    let threads = options.threads.iter().map(|count| Crew::Threads(*count));
    let processes = options.processes.iter().map(|count| Crew::Processes(*count));
    match workload {
        Workload::Mixed | Workload::Read => {
            threads.chain(processes).map(|crew| group(workload, entries, crew)).collect()
        }
        Workload::Write => threads.map(|crew| group(workload, entries, crew)).collect(),
        Workload::Scale => {
            let curve = options.scale.iter().flat_map(|entries| {
                CURVE.iter().chain(&OPENINGS).map(move |workload| (*workload, *entries))
            });
            let engine = chosen(Workload::Scale, size, options);
            let curve = curve.map(|(workload, entries)| {
                let peers = engine.iter().filter(|peer| {
                    !OPENINGS.contains(&workload) || peers::find(peer).is_some_and(|p| !p.floor)
                });
                Group { workload, size, entries, crew: alone, peers: peers.cloned().collect() }
            });
            curve.collect()
        }
        _ => vec![group(workload, entries, alone)],
    }
}

/// The peers that were named, or those that mean something here.
fn chosen(workload: Workload, size: usize, options: &RunOptions) -> Vec<String> {
    let named = |name: &str| options.peers.iter().any(|peer| peer == name);
    let means_something = |about: &crate::peer::About| match about.name {
        "larder" => true,
        "raw" => !matches!(workload, Workload::OpenReboot | Workload::Beside | Workload::Many),
        // One pass more is the floor of checked reads of large values.
        "raw+crc" => {
            matches!(workload, Workload::View | Workload::Get) && size >= Workload::View.sizes()[0]
        }
        _ => !workload.is_of_engine(),
    };
    let all = peers::ALL.iter();
    let of = all.filter(|about| match options.peers.is_empty() {
        true => means_something(about),
        false => named(about.name) && (about.name == "larder" || workload != Workload::OpenReboot),
    });
    of.map(|about| about.name.to_owned()).collect()
}

impl Group {
    fn is_beside(&self, other: &Self) -> bool {
        let what = |group: &Self| (group.workload, group.size, group.entries, group.crew);
        what(self) == what(other)
    }

    pub fn cell(&self, peer: &str, options: &RunOptions, round: u32, seed: u64) -> Cell {
        Cell {
            peer: peer.to_owned(),
            workload: self.workload,
            size: self.size,
            entries: self.entries,
            operations: options.operations.min(options.traffic / self.size as u64).max(1),
            crew: self.crew,
            round,
            seed,
            limit: Duration::from_secs_f64(options.limit),
            slice: Duration::from_secs_f64(options.slice),
            settle: Duration::from_secs_f64(options.settle),
            directory: PathBuf::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Cli;
    use clap::Parser;

    fn planned(arguments: &str) -> Vec<Group> {
        plan(&Cli::parse_from(arguments.split(' ')).run).unwrap()
    }

    #[test]
    fn what_a_curve_shares_with_the_rest_is_measured_once() {
        let groups = planned("peers --workloads get,scale --sizes 100");
        let million = |group: &&Group| {
            group.workload == Workload::Get && group.entries == 1_000_000 && group.size == 100
        };
        assert_eq!(groups.iter().filter(million).count(), 1);
        let peers = groups.iter().find(million).unwrap().peers.iter();
        assert_eq!(peers.filter(|peer| *peer == "larder").count(), 1);
    }

    #[test]
    fn larger_values_come_in_fewer_entries() {
        let groups = planned("peers --workloads fill --payload 1GiB");
        let entries: Vec<u64> = groups.iter().map(|group| group.entries).collect();
        assert_eq!(entries, [1_000_000, 1_000_000, 65_536, 1024]);
    }

    #[test]
    fn named_peers_alone_are_measured() {
        let groups = planned("peers --workloads get,open-reboot --sizes 100 --peers raw,larder");
        let peers: Vec<String> = groups.into_iter().flat_map(|group| group.peers).collect();
        assert_eq!(peers, ["larder", "raw", "larder"]);
    }
}
