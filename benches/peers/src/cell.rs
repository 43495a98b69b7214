//! A cell of the comparison: one peer, one workload, one size, one round; and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::workload::Workload;

/// What to measure; handed to the process that does it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub peer: String,
    pub workload: Workload,
    /// Bytes of a value.
    pub size: usize,
    pub entries: u64,
    pub operations: u64,
    pub crew: Crew,
    pub round: u32,
    pub seed: u64,
    /// The longest that the operations may go on.
    pub limit: Duration,
    /// How long several threads or processes work side by side.
    pub slice: Duration,
    /// The longest wait for write-back.
    pub settle: Duration,
    /// Where the store is made: empty, and removed afterwards.
    pub directory: PathBuf,
}

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Crew {
    Threads(usize),
    Processes(usize),
}

impl fmt::Display for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(1) => write!(f, "1 thread"),
            Self::Threads(count) => write!(f, "{count} threads"),
            Self::Processes(count) => write!(f, "{count} processes"),
        }
    }
}

/// What was measured. What a workload does not measure is absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Operations carried out.
    pub operations: u64,
    /// Operations a second, where the next one begins while the last waits for memory.
    pub rate: Option<f64>,
    /// An operation on its own.
    pub mean_ns: Option<f64>,
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p999_ns: Option<u64>,
    pub max_ns: Option<u64>,
    /// From the call that opens to the first value.
    pub open_ns: Option<u64>,
    /// Share of the reads that found something.
    pub hit_ratio: Option<f64>,
    /// Share of the entries that are there, of those that should be.
    pub kept: Option<f64>,
    /// Anonymous memory that the store took, in bytes an entry.
    pub memory_an_entry: Option<f64>,
    /// Disk that it took, as a multiple of keys and values.
    pub disk_over_payload: Option<f64>,
    pub notes: Vec<String>,
    pub details: BTreeMap<String, f64>,
}

/// What came of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    Measured(Box<Outcome>),
    /// The peer cannot do this, and why.
    Cannot(String),
    /// It should have, and did not.
    Failed(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub cell: Cell,
    pub finding: Finding,
}

impl Row {
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.finding {
            Finding::Measured(outcome) => Some(outcome),
            Finding::Cannot(_) | Finding::Failed(_) => None,
        }
    }
}
