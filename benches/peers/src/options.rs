//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::part::Part;
use crate::workload::Workload;

/// larder beside what one would otherwise take, measured in one run.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub run: RunOptions,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Tables and bars of runs that were kept with --json (several are taken for rounds of one)
    Report {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only these, such as "get 100 B,get 1 KiB", in the first table and the chart
        #[arg(long, value_name = "TITLES", value_delimiter = ',')]
        only: Vec<String>,
        /// Draw a chart
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Only the bars: what larder is to reach, what it reached, met or not
    Verdict {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// The peers and how they are set up
    List,
    /// A process of the measurement
    #[command(hide = true)]
    Part { part: Part, cell: String, index: usize },
}

#[derive(Args)]
pub struct RunOptions {
    /// Peers [default: all; for the workloads of larder alone: larder and the raw limit]
    #[arg(long, value_delimiter = ',')]
    pub peers: Vec<String>,

    /// Workloads [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub workloads: Vec<Workload>,

    /// Bytes of a value, such as 100, 1KiB, 1MiB [default: as the workload needs]
    #[arg(long, value_delimiter = ',', value_parser = bytes)]
    pub sizes: Vec<u64>,

    /// Rounds: each measures every cell once, the peers in an order drawn anew
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,

    /// Entries, at most
    #[arg(long, default_value_t = 1_000_000)]
    pub entries: u64,

    /// Bytes of all values, at most: larger values come in fewer entries
    #[arg(long, default_value = "1GiB", value_parser = bytes)]
    pub payload: u64,

    /// Operations of a cell, at most
    #[arg(long, default_value_t = 1_000_000)]
    pub operations: u64,

    /// Bytes that the operations of a cell move, at most
    #[arg(long, default_value = "4GiB", value_parser = bytes)]
    pub traffic: u64,

    /// The capacity for churn
    #[arg(long, default_value = "256MiB", value_parser = bytes)]
    pub capacity: u64,

    /// Entries at which the cost's growth is measured
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000,10000000")]
    pub scale: Vec<u64>,

    /// Memory that each cell's process is confined to, by a cgroup; stores of the cold workloads are three times as
    /// large [with it, workloads default to the cold ones]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory: Option<u64>,

    /// The memory cgroup below which those of the cells are made [default: this process's own, or one above it]
    #[arg(long, value_name = "DIRECTORY", env = "LARDER_PEERS_CGROUP")]
    pub cgroup: Option<PathBuf>,

    /// Threads that work side by side (mixed, read, write)
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    pub threads: Vec<usize>,

    /// Processes that work side by side (mixed, read)
    #[arg(long, value_delimiter = ',', default_value = "2")]
    pub processes: Vec<usize>,

    /// Seconds that threads and processes work side by side
    #[arg(long, default_value_t = 2.0)]
    pub slice: f64,

    /// Seconds after which the operations of a cell are cut short
    #[arg(long, default_value_t = 30.0)]
    pub limit: f64,

    /// Seconds to wait for write-back, at most; 0: do not even begin it (for trying things out)
    #[arg(long, default_value_t = 60.0)]
    pub settle: f64,

    /// Seconds after which a cell is given up
    #[arg(long, default_value_t = 900.0)]
    pub patience: f64,

    /// Where stores are made, one at a time [default: the temporary directory]
    #[arg(long)]
    pub directory: Option<PathBuf>,

    /// What the order of peers and keys is drawn by [default: the time]
    #[arg(long)]
    pub seed: Option<u64>,

    /// Keep all that was measured
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Draw a chart
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Bytes, with a unit or without.
fn bytes(text: &str) -> Result<u64> {
    const UNITS: [(&str, u32); 7] =
        [("GiB", 30), ("MiB", 20), ("KiB", 10), ("G", 30), ("M", 20), ("K", 10), ("B", 0)];
    let unit = UNITS.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let (number, bits) = unit.unwrap_or((text, 0));
    let number: u64 = number.trim().parse().context("a number with B, KiB, MiB or GiB")?;
    number.checked_shl(bits).context("too many")
}
