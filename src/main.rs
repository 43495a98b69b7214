//! The command line program `larder`: looks into a store, changes it, checks it.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(&cli::Arguments::parse()) {
        Ok(answer) => ExitCode::from(answer.code()),
        Err(failure) => {
            if !failure.is_closed_pipe() {
                eprintln!("larder: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}
