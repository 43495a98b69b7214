//! One thread, one kind of operation, room for everything.

use anyhow::{Result, ensure};

use super::bench::Bench;
use crate::data::{Order, absent, is_value, key};
use crate::machine;
use crate::outcome::Outcome;
use crate::peer::Peer;
use crate::timing::{self, Latencies};
use crate::workload::Workload;

/// One operation of so many is carried out before anything is timed.
const WARM_UP: u64 = 4;

pub fn fill(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let memory = machine::anonymous_bytes()?;
    let peer = bench.open()?;
    bench.warm()?;
    timed(bench, bench.setup.entries, &mut latencies, &mut outcome, |bench, i| {
        bench.put(&*peer, i)
    })?;
    let stored = outcome.operations;
    bench.weigh(&*peer, memory, stored as f64, &mut outcome)?;
    outcome.kept = Some(bench.count(&*peer, 0..stored)? / stored as f64);
    Ok(outcome)
}

pub fn get(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (entries, operations, seed) = (bench.setup.entries, bench.cell.operations, bench.cell.seed);
    let order = match bench.cell.workload {
        Workload::GetZipf => Order::zipf(entries, operations, seed),
        _ => Order::uniform(entries, operations, seed),
    };
    reads(bench, |bench, peer, i| bench.get(peer, order.at(i)))
}

/// Like `get`, but for where the bytes are read.
pub fn view(bench: &mut Bench<'_>) -> Result<Outcome> {
    let order = Order::uniform(bench.setup.entries, bench.cell.operations, bench.cell.seed);
    reads(bench, |bench, peer, step| {
        let (i, mut right) = (order.at(step), true);
        let hit = peer.view(&key(i), &mut |bytes| right = is_value(bytes, i, bench.setup.size))?;
        ensure!(right, "wrong bytes for entry {i}");
        Ok(hit)
    })
}

pub fn miss(bench: &mut Bench<'_>) -> Result<Outcome> {
    let order = Order::uniform(bench.setup.entries, bench.cell.operations, bench.cell.seed);
    let mut outcome = reads(bench, |bench, peer, i| {
        let hit = peer.get_into(&absent(order.at(i)), &mut bench.buffer)?;
        ensure!(!hit, "a value for a key that nobody put");
        Ok(hit)
    })?;
    outcome.hit_ratio = None;
    Ok(outcome)
}

pub fn overwrite(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let (entries, operations) = (bench.setup.entries, bench.cell.operations);
    let order = Order::uniform(entries, operations, bench.cell.seed);
    let memory = machine::anonymous_bytes()?;
    let peer = bench.open_full()?;
    bench.warm()?;
    timed(bench, operations, &mut latencies, &mut outcome, |bench, i| {
        bench.put(&*peer, order.at(i))
    })?;
    bench.weigh(&*peer, memory, entries as f64, &mut outcome)?;
    outcome.kept = Some(bench.count(&*peer, 0..entries)? / entries as f64);
    Ok(outcome)
}

pub fn remove(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let entries = bench.setup.entries;
    let order = Order::shuffled(entries, bench.cell.seed);
    let peer = bench.open_full()?;
    timed(bench, entries, &mut latencies, &mut outcome, |_, i| peer.remove(&key(order.at(i))))?;
    if outcome.operations == entries {
        let left = bench.count(&*peer, 0..entries)? / entries as f64;
        if left > 0.0 {
            outcome.notes.push(format!("{:.1} % still there", left * 100.0));
        }
    }
    Ok(outcome)
}

/// Reads from a full store; `read` says whether it was a hit.
fn reads(
    bench: &mut Bench<'_>,
    mut read: impl FnMut(&mut Bench<'_>, &dyn Peer, u64) -> Result<bool>,
) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let operations = bench.cell.operations;
    let peer = bench.open_full()?;
    for i in 0..operations / WARM_UP {
        read(bench, &*peer, i)?;
    }
    let mut hits = 0;
    timed(bench, operations, &mut latencies, &mut outcome, |bench, i| {
        hits += u64::from(read(bench, &*peer, i)?);
        Ok(())
    })?;
    outcome.hit_ratio = Some(hits as f64 / outcome.operations as f64);
    Ok(outcome)
}

fn timed(
    bench: &mut Bench<'_>,
    operations: u64,
    latencies: &mut Latencies,
    outcome: &mut Outcome,
    mut operation: impl FnMut(&mut Bench<'_>, u64) -> Result<()>,
) -> Result<()> {
    let limit = bench.cell.limit;
    timing::run(operations, limit, latencies, outcome, |i| operation(bench, i))
}
