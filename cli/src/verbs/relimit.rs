//! `relimit`: a cache copied into new files, which are cut for other limits.

use std::path::PathBuf;

use clap::Args;
use larder::FileCache;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::text;

/// Copy a cache that nobody uses into new files, for limits that its own cannot be given
#[derive(Args, Debug)]
pub struct Relimit {
    /// The cache's directory
    directory: PathBuf,
    /// The most bytes of disk, such as 64MiB; unless given, as it is
    #[arg(long, value_parser = text::bytes)]
    max_bytes: Option<u64>,
    /// The most entries; unless given, as it is
    #[arg(long)]
    max_entries: Option<u64>,
    /// Bytes of a segment, a power of two such as 4MiB: no entry is larger; unless given, what the limit makes
    #[arg(long, value_parser = text::bytes)]
    segment_size: Option<u64>,
}

#[derive(Serialize)]
struct Report {
    entries: u64,
    left_out: u64,
}

impl Relimit {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let mut builder = FileCache::builder();
        if let Some(bytes) = self.max_bytes {
            builder = builder.max_bytes(bytes);
        }
        if let Some(entries) = self.max_entries {
            builder = builder.max_entries(entries);
        }
        if let Some(bytes) = self.segment_size {
            builder = builder.segment_size(bytes);
        }
        let done = builder.relimit(&self.directory)?;
        if output.json {
            output.object(&Report { entries: done.entries, left_out: done.left_out })?;
        } else {
            let copied = text::counted(done.entries, "entry", "entries");
            output.line(format_args!("{copied} copied, {} left out.", done.left_out))?;
        }
        Ok(Answer::Done)
    }
}
