//! `ls`: the keys, in no order, as they come.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_read;
use crate::text;

/// List keys, in no order
///
/// A key is printed as text; what is not printable is escaped as \n, \u{1b} or \xff, and the
/// backslash as \\.
#[derive(Args, Debug)]
pub struct Ls {
    /// The cache's directory
    directory: PathBuf,
    /// Print the size of each value before its key
    #[arg(long, short)]
    long: bool,
    /// Only keys that begin with this
    #[arg(long)]
    prefix: Option<OsString>,
    /// At most so many keys
    #[arg(long)]
    limit: Option<usize>,
    /// Print keys in hex; the prefix is in hex too
    #[arg(long)]
    hex: bool,
}

#[derive(Serialize)]
struct Line {
    key: String,
    key_encoding: &'static str,
    value_bytes: usize,
}

impl Ls {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let prefix = match &self.prefix {
            Some(prefix) => text::key(prefix, self.hex)?,
            None => Vec::new(),
        };
        let cache = open_to_read(&self.directory)?;
        let limit = self.limit.unwrap_or(usize::MAX);
        if !self.long && !output.json {
            // Values need not be read.
            for key in cache.keys().filter(|key| key.starts_with(&prefix)).take(limit) {
                output.line(self.shown(&key))?;
            }
            return Ok(Answer::Done);
        }
        for (key, value) in cache.iter().filter(|(key, _)| key.starts_with(&prefix)).take(limit) {
            if output.json {
                let (key, key_encoding) = text::encoded(&key, self.hex);
                output.object(&Line { key, key_encoding, value_bytes: value.len() })?;
            } else {
                let size = text::size(value.len() as u64);
                output.line(format_args!("{size:>10}  {}", self.shown(&key)))?;
            }
        }
        Ok(Answer::Done)
    }

    fn shown(&self, key: &[u8]) -> String {
        if self.hex { text::to_hex(key) } else { text::shown(key) }
    }
}
