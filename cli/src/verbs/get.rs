//! `get`: a value, byte by byte as it was stored.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_read;
use crate::text;

/// Print a value: its bytes and nothing else
#[derive(Args, Debug)]
pub struct Get {
    /// The cache's directory
    directory: PathBuf,
    /// The key
    key: OsString,
    /// The key is in hex
    #[arg(long)]
    hex: bool,
    /// Write the bytes to this file; it is left alone if there is no such key
    #[arg(long, short, conflicts_with = "json")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    key_encoding: &'static str,
    value: String,
    value_encoding: &'static str,
    value_bytes: usize,
}

impl Get {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let key = text::key(&self.key, self.hex)?;
        let cache = open_to_read(&self.directory)?;
        let Some(value) = cache.get(&key) else {
            eprintln!("larder: there is no key {}", text::shown(&key));
            return Ok(Answer::NotFound);
        };
        if output.json {
            let value_bytes = value.len();
            let (key, key_encoding) = text::encoded(&key, self.hex);
            let (value, value_encoding) = text::encoded(&value, false);
            output.object(&Entry { key, key_encoding, value, value_encoding, value_bytes })?;
        } else if let Some(path) = &self.output {
            std::fs::write(path, value).map_err(Failure::file(path, "cannot write it"))?;
        } else {
            output.bytes(&value)?;
        }
        Ok(Answer::Done)
    }
}
