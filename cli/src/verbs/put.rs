//! `put`: a value from the command line, a file or the standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use larder::Ttl;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_write;
use crate::text;

/// Store a value
#[derive(Args, Debug)]
pub struct Put {
    /// The cache's directory
    directory: PathBuf,
    /// The key
    key: OsString,
    /// The value; without it and without --file, the standard input is
    value: Option<OsString>,
    /// The key is in hex
    #[arg(long)]
    hex: bool,
    /// The value is what this file holds
    #[arg(long, short, conflicts_with = "value")]
    file: Option<PathBuf>,
    /// How long it lives, such as 5s or "1h 30m", or never; the cache's time to live unless given
    #[arg(long, value_parser = ttl)]
    ttl: Option<Ttl>,
    /// Create the cache, with the default limits, if there is none
    #[arg(long)]
    create: bool,
}

#[derive(Serialize)]
struct Stored {
    key: String,
    key_encoding: &'static str,
    value_bytes: usize,
}

impl Put {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let key = text::key(&self.key, self.hex)?;
        // Before the store is opened, and perhaps made for nothing.
        let source = self.source()?;
        let cache = open_to_write(&self.directory, self.create)?;
        let value = match source {
            Source::Given(bytes) => bytes,
            Source::Stream(name, stream) => {
                // No entry is larger than a segment: one byte more, and the store refuses it,
                // however much there is to read.
                let limit = cache.stats().segment_bytes + 1;
                let mut bytes = Vec::new();
                let read = stream.take(limit).read_to_end(&mut bytes);
                read.map_err(Failure::file(name, "cannot read it"))?;
                bytes
            }
        };
        cache.insert_with_ttl(&key, &value, self.ttl.unwrap_or_default())?;
        if output.json {
            let (key, key_encoding) = text::encoded(&key, self.hex);
            output.object(&Stored { key, key_encoding, value_bytes: value.len() })?;
        }
        Ok(Answer::Done)
    }

    fn source(&self) -> Result<Source<'_>, Failure> {
        Ok(match (&self.value, &self.file) {
            (Some(value), _) => Source::Given(value.as_bytes().to_vec()),
            (None, Some(path)) => {
                let file = File::open(path).map_err(Failure::file(path, "cannot open it"))?;
                Source::Stream(path, Box::new(file))
            }
            (None, None) => Source::Stream(Path::new("standard input"), Box::new(io::stdin())),
        })
    }
}

/// Where the value comes from.
enum Source<'a> {
    Given(Vec<u8>),
    Stream(&'a Path, Box<dyn Read>),
}

fn ttl(text: &str) -> Result<Ttl, humantime::DurationError> {
    match text {
        "never" => Ok(Ttl::Never),
        _ => humantime::parse_duration(text).map(Ttl::After),
    }
}
