//! A job: one run of a program to its end or a deadline, its output in a log.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::said::Said;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With success.
    Passed,
    /// With a failure, or by a signal.
    Failed,
    /// It did not: it was killed at the deadline.
    Hung,
}

/// A job that is over.
#[derive(Debug)]
pub struct Job {
    /// How it ended.
    pub end: End,
    /// What it said.
    pub said: Said,
    /// Where all of its output is.
    pub log: PathBuf,
    /// How long it took.
    pub took: Duration,
}

/// Runs a command with its output in a log, and kills it and its children at the deadline.
pub fn run(mut command: Command, log: &Path, deadline: Duration) -> Result<Job> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let begun = Instant::now();
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    let end = loop {
        if let Some(status) = child.try_wait()? {
            break if status.success() { End::Passed } else { End::Failed };
        }
        if begun.elapsed() >= deadline {
            // It was not waited for yet, so no other process can have its number.
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            break End::Hung;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(Job { end, said: Said::read(&text), log: log.to_owned(), took: begun.elapsed() })
}
