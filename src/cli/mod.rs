//! The verbs of the program, one a file, over the public interface of the crate alone.
//!
//! A verb that only reads opens the store with `read_only`: it modifies nothing, takes no process
//! slot, and works where nothing can be written.

mod compact;
mod failure;
mod get;
mod ls;
mod put;
mod rm;
mod stat;
mod text;
mod verify;

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use clap::{Parser, Subcommand};
use larder::FileCache;
use serde::Serialize;

pub use failure::Failure;

/// Shown at the end of `--help`.
const CODES: &str = "\
Exit codes:
  0  done; for get, the key was found; for rm, at least one key was removed; for verify, all is sound
  1  get: there is no such key; rm: none of the keys was there
  2  the command line is wrong
  3  the store is damaged: verify found damage, or a file is missing, damaged or another store's
  4  any other error

stat, ls, get and verify modify nothing. All verbs work while other processes use the store.";

/// Looks into a larder cache, changes it, checks it.
#[derive(Debug, Parser)]
#[command(name = "larder", version, after_help = CODES, after_long_help = CODES)]
pub struct Arguments {
    /// Print JSON: one object, or for ls and rm one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Stat(stat::Stat),
    Ls(ls::Ls),
    Get(get::Get),
    Put(put::Put),
    Rm(rm::Rm),
    Verify(verify::Verify),
    Compact(compact::Compact),
}

/// How a verb that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// The key, or all of them, were not there.
    NotFound,
    /// The store is damaged.
    Damaged,
}

impl Answer {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotFound => 1,
            Self::Damaged => 3,
        }
    }
}

/// Where a verb prints.
struct Output {
    json: bool,
    to: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// A line of text.
    fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.to, "{line}").map_err(Failure::Output)
    }

    /// An object, on a line of its own.
    fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, object)
            .map_err(|error| Failure::Output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Bytes as they are.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).map_err(Failure::Output)
    }
}

/// Does what the command line asks for.
pub fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let to = BufWriter::new(io::stdout().lock());
    let mut output = Output { json: arguments.json, to };
    let answer = match &arguments.verb {
        Verb::Stat(stat) => stat.run(&mut output),
        Verb::Ls(ls) => ls.run(&mut output),
        Verb::Get(get) => get.run(&mut output),
        Verb::Put(put) => put.run(&mut output),
        Verb::Rm(rm) => rm.run(&mut output),
        Verb::Verify(verify) => verify.run(&mut output),
        Verb::Compact(compact) => compact.run(&mut output),
    }?;
    output.to.flush().map_err(Failure::Output)?;
    Ok(answer)
}

/// The store, to read alone.
fn open_to_read(directory: &Path) -> larder::Result<FileCache> {
    FileCache::builder().read_only(true).open(directory)
}

/// The store, to change; made only if `create` says so.
fn open_to_write(directory: &Path, create: bool) -> larder::Result<FileCache> {
    FileCache::builder().create(create).open(directory)
}
