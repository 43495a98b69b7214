//! The command line program `larder`: looks into a store, changes it, checks it, over the public
//! interface of the library alone.
//!
//! A verb is a file in `verbs`. It uses what stands beside: how it ended, why it could not, where it
//! prints, how it opens a store, and bytes as text. `arguments` knows all verbs.
#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod failure;
mod output;
mod store;
mod text;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    match arguments::run(&Arguments::parse()) {
        Ok(answer) => ExitCode::from(answer.code()),
        Err(failure) => {
            if !failure.is_closed_pipe() {
                eprintln!("larder: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}
