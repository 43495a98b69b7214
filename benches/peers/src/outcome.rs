//! What was measured of one cell, or why nothing was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Bytes read from the device, and written to it, an operation.
    pub read_an_operation: Option<f64>,
    pub written_an_operation: Option<f64>,
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

impl Outcome {
    /// Operations a second, each on its own.
    pub fn rate_alone(&self) -> Option<f64> {
        self.mean_ns.map(|nanos| 1e9 / nanos)
    }

    /// Operations a second of which something is left: of puts only those that can be read afterwards.
    pub fn rate_kept(&self) -> Option<f64> {
        self.rate.map(|rate| rate * self.kept.unwrap_or(1.0).min(1.0))
    }

    pub fn detail(&self, name: &str) -> Option<f64> {
        self.details.get(name).copied()
    }
}

impl Finding {
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Measured(outcome) => Some(outcome),
            Self::Cannot(_) | Self::Failed(_) => None,
        }
    }
}
