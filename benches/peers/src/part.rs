//! The parts that processes of this program play in a measurement, and how such a process is begun.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::cell::Cell;

/// A `Cell` measures one and prints what came of it. A `Holder` fills a store and keeps it open until it
/// is told to close it, or killed. A `Worker` is one of several that work on one store.
/// A `Capped` measures within a memory cgroup what its parent has loaded outside of it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Cell,
    Holder,
    Worker,
    Capped,
}

impl Part {
    /// This program, to be run in this part.
    pub fn command(self, cell: &Cell, index: usize) -> Result<Command> {
        let name = self.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["part", name, &serde_json::to_string(cell)?, &index.to_string()]);
        Ok(command)
    }
}
