//! Processes beside the one that measures: one that holds a store until it is closed or killed, and
//! workers on a store that they share. Each ends when its standard input does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cell::Cell;
use crate::outcome::Outcome;
use crate::part::Part;

/// A process that says when it is ready, and then waits.
pub struct Ready {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

const READY: &str = "ready";

impl Ready {
    pub fn spawn(part: Part, cell: &Cell, index: usize) -> Result<Self> {
        let mut command = part.command(cell, index)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, input, output })
    }

    pub fn wait_until_ready(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.trim() == READY, "a process of the workload failed");
        Ok(())
    }

    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it close its store and end.
    pub fn close(mut self) -> Result<()> {
        drop(self.input);
        ensure!(self.child.wait()?.success(), "a process of the workload failed");
        Ok(())
    }

    pub fn go(&mut self) -> Result<()> {
        Ok(writeln!(self.input)?)
    }

    pub fn outcome(mut self) -> Result<Outcome> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let outcome = serde_json::from_str(&line).context("a process of the workload failed")?;
        self.close()?;
        Ok(outcome)
    }
}

/// The other side of [`Ready`]: says that it is ready, and waits. False: there is nothing to do but to end.
pub fn be_ready() -> Result<bool> {
    println!("{READY}");
    let mut line = String::new();
    Ok(std::io::stdin().lock().read_line(&mut line)? > 0)
}
