//! `compact`: upkeep, and as much free space as there can be.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_write;
use crate::text;

/// Collect what expired and free segments with dead space; rewrites up to the whole cache
#[derive(Args, Debug)]
pub struct Compact {
    /// The cache's directory
    directory: PathBuf,
}

#[derive(Serialize)]
struct Report {
    collected: u64,
    evicted: u64,
    moved: u64,
    segments_freed: u64,
}

impl Compact {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let done = open_to_write(&self.directory, false)?.compact()?;
        if output.json {
            output.object(&Report {
                collected: done.collected,
                evicted: done.evicted,
                moved: done.moved,
                segments_freed: done.segments_freed,
            })?;
        } else {
            output.line(format_args!(
                "{} freed; {} moved, {} expired or cleared ones collected, {} evicted.",
                text::counted(done.segments_freed, "segment", "segments"),
                text::counted(done.moved, "entry", "entries"),
                done.collected,
                done.evicted,
            ))?;
        }
        Ok(Answer::Done)
    }
}
