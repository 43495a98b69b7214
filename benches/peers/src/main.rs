//! larder beside what one would otherwise take, measured in one run. See the README beside.
//!
//! A file uses only files of floors below its own; within a folder, its `mod.rs` uses its other files.
//!
//! | floor | files | what |
//! |--:|---|---|
//! | 1 | `workload`, `data`, `outcome`, `device`, `cgroup`, `figures` | what is asked for; entries; what was measured; the disk; limits of memory; figures as text |
//! | 2 | `cell`, `peer`, `timing`, `machine` | one measurement; what a peer can do; how operations are timed; the machine |
//! | 3 | `peers/`, `part`, `record` | a file for each peer; processes of this program; all that was measured |
//! | 4 | `workloads/`, `options`, `summary` | carries a cell out; the command line; rounds into medians |
//! | 5 | `plan`, `grid` | from options to cells; from medians to tables |
//! | 6 | `run`, `table`, `beyond`, `chart`, `verdict/` | each cell in a process of its own; what people see |
//! | 7 | `main` | the verbs |

mod beyond;
mod cell;
mod cgroup;
mod chart;
mod data;
mod device;
mod figures;
mod grid;
mod machine;
mod options;
mod outcome;
mod part;
mod peer;
mod peers;
mod plan;
mod record;
mod run;
mod summary;
mod table;
mod timing;
mod verdict;
mod workload;
mod workloads;

use std::path::Path;

use anyhow::Result;
use clap::Parser;

use options::{Cli, Verb};
use record::Record;

fn main() -> Result<()> {
    let Cli { verb, run } = Cli::parse();
    match verb {
        None => show(&run::run(&run)?, &[], run.svg.as_deref()),
        Some(Verb::Report { files, only, svg }) => {
            show(&Record::read(&files)?, &only, svg.as_deref())
        }
        Some(Verb::Verdict { files }) => {
            verdict::print(&Record::read(&files)?);
            Ok(())
        }
        Some(Verb::List) => {
            list();
            Ok(())
        }
        Some(Verb::Part { part, cell, index }) => {
            workloads::play(part, &serde_json::from_str(&cell)?, index)
        }
    }
}

/// `titles` are those of the overview and the chart; none: all.
fn show(record: &Record, titles: &[String], svg: Option<&Path>) -> Result<()> {
    table::print(record, titles);
    beyond::print(record, titles);
    verdict::print(record);
    svg.map_or(Ok(()), |path| chart::draw(record, titles, path))
}

fn list() {
    for about in peers::ALL {
        let version = peers::version(about).unwrap_or_default();
        println!("{:14} {version:8} {}", about.name, about.settings);
    }
}
