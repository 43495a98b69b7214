//! larder beside what one would otherwise take, measured in one run. See the README beside.

mod cell;
mod chart;
mod data;
mod measure;
mod options;
mod peer;
mod peers;
mod plan;
mod run;
mod summary;
mod table;
mod verdict;
mod workload;
mod workloads;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

use cell::Cell;
use options::{Cli, Verb};
use run::Record;
use workloads::Bench;
use workloads::children::Part;

fn main() -> Result<()> {
    let Cli { verb, run } = Cli::parse();
    match verb {
        None => {
            let record = run::run(&run)?;
            table::print(&record, &[]);
            verdict::print(&record);
            draw(&record, &[], run.svg.as_deref())
        }
        Some(Verb::Report { files, only, svg }) => {
            let record = read(&files)?;
            table::print(&record, &only);
            verdict::print(&record);
            draw(&record, &only, svg.as_deref())
        }
        Some(Verb::Verdict { files }) => {
            verdict::print(&read(&files)?);
            Ok(())
        }
        Some(Verb::List) => {
            for about in peers::ALL {
                let version = peers::version(about).unwrap_or_default();
                println!("{:14} {version:8} {}", about.name, about.settings);
            }
            Ok(())
        }
        Some(Verb::Part { part, cell, index }) => play(part, &serde_json::from_str(&cell)?, index),
    }
}

fn play(part: Part, cell: &Cell, index: usize) -> Result<()> {
    let bench = || {
        let about = peers::find(&cell.peer).context("no such peer")?;
        anyhow::Ok(Bench::new(cell, about))
    };
    match part {
        Part::Cell => {
            println!("{}", serde_json::to_string(&workload::measure(cell))?);
            Ok(())
        }
        Part::Holder => workloads::opening::hold(&mut bench()?),
        Part::Worker => workloads::crews::work_as_process(&mut bench()?, index),
    }
}

fn read(files: &[PathBuf]) -> Result<Record> {
    let read = |path: &PathBuf| -> Result<Record> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no run", path.display()))
    };
    let records = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    summary::merge(records).context("no files")
}

fn draw(record: &Record, only: &[String], svg: Option<&Path>) -> Result<()> {
    svg.map_or(Ok(()), |path| chart::draw(record, only, path))
}
