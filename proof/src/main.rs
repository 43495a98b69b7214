//! larder's proof as a command: `run` repeats every kind of test with new seeds for as long as one
//! likes and prints what was shown; `mutations` breaks the source on purpose, one promise at a time,
//! and checks that the tests notice.

mod binaries;
mod job;
mod kinds;
mod mutation;
mod mutations;
mod run;
mod said;
mod table;
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
