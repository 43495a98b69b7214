//! `rm`: removes entries by their keys.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_write;
use crate::text;

/// Remove entries
#[derive(Args, Debug)]
pub struct Rm {
    /// The cache's directory
    directory: PathBuf,
    /// The keys
    #[arg(required = true)]
    keys: Vec<OsString>,
    /// The keys are in hex
    #[arg(long)]
    hex: bool,
}

#[derive(Serialize)]
struct Line {
    key: String,
    key_encoding: &'static str,
    removed: bool,
}

impl Rm {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        // All of them before the first is removed: a mistyped one removes nothing.
        let keys =
            self.keys.iter().map(|key| text::key(key, self.hex)).collect::<Result<Vec<_>, _>>()?;
        let cache = open_to_write(&self.directory, false)?;
        let mut answer = Answer::NotFound;
        for key in keys {
            let removed = cache.remove(&key)?;
            if removed {
                answer = Answer::Done;
            }
            if output.json {
                let (key, key_encoding) = text::encoded(&key, self.hex);
                output.object(&Line { key, key_encoding, removed })?;
            } else if !removed {
                eprintln!("larder: there is no key {}", text::shown(&key));
            }
        }
        Ok(answer)
    }
}
