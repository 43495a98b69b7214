//! larder's proof as a command: `run` repeats every kind of test with new seeds for as long as one
//! likes and prints what was shown; `mutations` breaks the source on purpose, one promise at a time,
//! and checks that the tests notice.
//!
//! A file uses only files of floors below its own; within a folder, its `mod.rs` uses its other files.
//!
//! | floor | files | what |
//! |--:|---|---|
//! | 1 | `kinds`, `package`, `said`, `tree` | kinds of proof; where it all stands; what tests print; a copy of the source |
//! | 2 | `binaries`, `tools`, `mutation`, `job` | tests as cargo built them; fuzzer and Miri; a patch with its head; a run of a program |
//! | 3 | `outcomes/` | what a kind of proof came to, and what became of a mutation |
//! | 4 | `show/` | lines while it goes on, tables at the end |
//! | 5 | `run/`, `mutations/` | the verbs |
//! | 6 | `main` | the command line |

mod binaries;
mod job;
mod kinds;
mod mutation;
mod mutations;
mod outcomes;
mod package;
mod run;
mod said;
mod show;
mod tools;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the tests of each kind again and again with new seeds, and print what was shown.
    Run(run::Options),
    /// Break the source in known ways, one at a time, and see that the tests notice.
    Mutations(mutations::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Run(options) => run::run(&options),
        Verb::Mutations(options) => mutations::mutations(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proof: {error:#}");
            ExitCode::from(2)
        }
    }
}
