//! The command line, and the verb that it asks for.

use clap::{Parser, Subcommand};

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::{compact, get, ls, put, relimit, rm, stat, verify};

/// Shown at the end of `--help`.
const CODES: &str = "\
Exit codes:
  0  done; for get, the key was found; for rm, at least one key was removed; for verify, all is sound
  1  get: there is no such key; rm: none of the keys was there
  2  the command line is wrong
  3  the store is damaged: verify found damage, or a file is missing, damaged or another store's
  4  any other error

stat, ls, get and verify modify nothing. All verbs but relimit work while other processes use the store.";

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
    Relimit(relimit::Relimit),
}

/// Does what the command line asks for.
pub fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let mut output = Output::new(arguments.json);
    let answer = match &arguments.verb {
        Verb::Stat(stat) => stat.run(&mut output),
        Verb::Ls(ls) => ls.run(&mut output),
        Verb::Get(get) => get.run(&mut output),
        Verb::Put(put) => put.run(&mut output),
        Verb::Rm(rm) => rm.run(&mut output),
        Verb::Verify(verify) => verify.run(&mut output),
        Verb::Compact(compact) => compact.run(&mut output),
        Verb::Relimit(relimit) => relimit.run(&mut output),
    }?;
    output.flush()?;
    Ok(answer)
}
