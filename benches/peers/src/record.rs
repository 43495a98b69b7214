//! The record of a run: all that was measured, and where. Kept in a file as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::machine::Machine;
use crate::outcome::{Finding, Outcome};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub machine: Machine,
    pub seed: u64,
    /// The version of each peer that was built in.
    pub versions: BTreeMap<String, String>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub cell: Cell,
    pub finding: Finding,
}

impl Record {
    /// The runs of some files, as rounds of one.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let read = |path: &PathBuf| -> Result<Self> {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no run", path.display()))
        };
        let records = files.iter().map(read).collect::<Result<Vec<_>>>()?;
        Self::merged(records).context("no files")
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn merged(records: Vec<Self>) -> Option<Self> {
        let mut records = records.into_iter();
        let mut merged = records.next()?;
        for mut record in records {
            let rounds = merged.rows.iter().map(|row| row.cell.round + 1).max().unwrap_or(0);
            record.rows.iter_mut().for_each(|row| row.cell.round += rounds);
            merged.rows.append(&mut record.rows);
        }
        Some(merged)
    }
}

impl Row {
    pub fn is_cold(&self) -> bool {
        self.cell.workload.is_cold()
    }

    pub fn outcome(&self) -> Option<&Outcome> {
        self.finding.outcome()
    }
}

#[cfg(test)]
impl Record {
    /// A record of these rows, from no machine.
    pub fn of_rows(rows: Vec<Row>) -> Self {
        Self { machine: Machine::default(), seed: 0, versions: BTreeMap::new(), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_merged_as_further_rounds() {
        let run = || {
            let cells = [0, 1].map(|round| Cell { round, ..Cell::example("larder") });
            let row = |cell| Row { cell, finding: Finding::Cannot(String::new()) };
            Record::of_rows(cells.map(row).into())
        };
        let merged = Record::merged(vec![run(), run(), run()]).unwrap();
        let rounds: Vec<u32> = merged.rows.iter().map(|row| row.cell.round).collect();
        assert_eq!(rounds, [0, 1, 2, 3, 4, 5]);
    }
}
