//! A cell of the comparison: one peer, one task, one round.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::figures;
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
    /// The memory that the process is confined to.
    pub memory: Option<u64>,
    /// The cgroup that does so.
    pub group: Option<PathBuf>,
    /// Where the store is made: empty, and removed afterwards.
    pub directory: PathBuf,
}

/// What peers are compared at: all cells of a task differ in peer and round alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    pub workload: Workload,
    /// Bytes of a value.
    pub size: usize,
    pub entries: u64,
    pub crew: Crew,
}

/// The threads or processes that work on one store at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Crew {
    Threads(usize),
    Processes(usize),
}

impl Cell {
    pub fn task(&self) -> Task {
        let Self { workload, size, entries, crew, .. } = *self;
        Task { workload, size, entries, crew }
    }
}

impl Task {
    /// Workload and size, such as "get 1 KiB".
    pub fn title(&self) -> String {
        format!("{} {}", self.workload.name(), figures::bytes(self.size))
    }
}

/// All of it, as above a table.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size) = (self.workload.name(), figures::bytes(self.size));
        write!(f, "{name}, {size}, {} entries, {}", self.entries, self.crew)
    }
}

#[cfg(test)]
impl Cell {
    /// A small cell, for tests that change what they are about.
    pub fn example(peer: &str) -> Self {
        let none = Duration::ZERO;
        Self {
            peer: peer.to_owned(),
            workload: Workload::Get,
            size: 1 << 10,
            entries: 1000,
            operations: 1000,
            crew: Crew::ALONE,
            round: 0,
            seed: 0,
            limit: none,
            slice: none,
            settle: none,
            memory: None,
            group: None,
            directory: PathBuf::new(),
        }
    }
}

impl Crew {
    pub const ALONE: Self = Self::Threads(1);
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
