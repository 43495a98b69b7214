//! Opening a store that another process closed, or was killed with.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::bench::Bench;
use super::children::{self, Ready};
use crate::machine;
use crate::outcome::Outcome;
use crate::part::Part;
use crate::workload::Workload;

/// One entry of so many is put on its own, as into a cache; the rest is loaded.
const SINGLE: u64 = 100;

pub fn open(bench: &mut Bench<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut holder = Ready::spawn(Part::Holder, bench.cell, 0)?;
    holder.wait_until_ready()?;
    match bench.cell.workload {
        Workload::OpenKilled => holder.kill()?,
        _ => holder.close()?,
    }
    machine::settle(bench.cell.settle)?;
    let disk = machine::disk_bytes(&bench.cell.directory)?;
    bench.setup.other_boot = bench.cell.workload == Workload::OpenReboot;
    let entries = bench.setup.entries;
    let begun = Instant::now();
    let peer = bench.open()?;
    bench.get(&*peer, entries / 2)?;
    let took = begun.elapsed();
    outcome.open_ns = Some(took.as_nanos() as u64);
    outcome.operations = 1;
    outcome.kept = Some(bench.count(&*peer, 0..entries)? / entries as f64);
    outcome.details.extend(peer.details());
    outcome.details.insert("disk_bytes".to_owned(), disk as f64);
    if let Some(index) = outcome.details.get("index_bytes") {
        let slots = index / size_of::<u64>() as f64 / took.as_secs_f64();
        outcome.details.insert("slots_a_second".to_owned(), slots);
    }
    Ok(outcome)
}

/// The process that has the store before.
pub fn hold(bench: &mut Bench<'_>) -> Result<()> {
    let entries = bench.setup.entries;
    let peer = bench.open()?;
    let single = (entries / SINGLE).max(1);
    bench.load(&*peer, 0..entries - single)?;
    for i in entries - single..entries {
        bench.put(&*peer, i)?;
    }
    ensure!(!children::be_ready()?, "a holder has nothing to do");
    Ok(())
}
