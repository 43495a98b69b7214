//! Stores of three times the memory: loaded by this process, which no cgroup confines, closed, written to the
//! device and forgotten by the kernel; then opened and measured by a process that the cgroup confines from
//! its first instruction here; then, where there were puts, opened again by this one, to count what is left.
//!
//! So loading takes no longer than it must, no peer begins with more of its store in memory than another, and
//! all that the measured process holds and reads is charged to its cgroup.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::bench::Bench;
use super::children::Ready;
use super::crews::sum;
use crate::cgroup;
use crate::data::{Order, absent, granted, key};
use crate::device::{self, Traffic};
use crate::machine;
use crate::outcome::Outcome;
use crate::part::Part;
use crate::peer::Peer;
use crate::timing::{self, Latencies};
use crate::workload::Workload;

/// One operation of so many is a put, where reads and puts are mixed.
const PUT_OF: u64 = 10;
/// The newest entries, looked up at once.
const NEWEST: u64 = 100;

/// The uncapped part: loads, has another process measure, and counts.
pub fn measure(bench: &mut Bench<'_>) -> Result<Outcome> {
    let group = bench.cell.group.as_deref().context("no memory cgroup to measure in")?;
    bound(bench);
    if bench.cell.workload != Workload::ColdFill {
        let peer = bench.open()?;
        bench.load(&*peer, 0..bench.setup.entries)?;
        peer.settle()?;
    }
    device::sync(&bench.cell.directory)?;
    device::forget(&bench.cell.directory)?;
    machine::settle(bench.cell.settle)?;
    let measured = Ready::spawn(Part::Capped, bench.cell, 0)?.outcome();
    let mut outcome = measured.map_err(|error| match cgroup::kills(group) {
        0 => error,
        _ => anyhow!("killed: it needs more than the memory of its cgroup"),
    })?;
    count(bench, &mut outcome)?;
    let disk = machine::disk_bytes(&bench.cell.directory)?;
    outcome.details.insert("disk_bytes".to_owned(), disk as f64);
    Ok(outcome)
}

/// The capped part.
pub fn measure_capped(bench: &mut Bench<'_>) -> Result<()> {
    bound(bench);
    let peer = bench.open()?;
    let mut outcome = match bench.cell.workload.puts_cold() {
        true => puts(bench, &*peer)?,
        false => reads(bench, &*peer)?,
    };
    let anonymous = machine::anonymous_bytes()? as f64;
    outcome.details.insert("anonymous_bytes".to_owned(), anonymous);
    outcome.details.extend(peer.details());
    drop(peer);
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn bound(bench: &mut Bench<'_>) {
    if bench.cell.workload == Workload::ColdChurn {
        bench.setup.max_bytes = Some(bench.setup.entries * granted(bench.setup.size));
    }
}

/// New entries, until as many have come as fit.
fn puts(bench: &mut Bench<'_>, peer: &dyn Peer) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let first = first_put(bench);
    let replaces = first > 0 && !bench.about.bounded;
    let (entries, limit) = (bench.setup.entries, bench.cell.limit);
    let mut before = Traffic::now()?;
    timing::run(entries, limit, &mut latencies, &mut outcome, |i| match replaces {
        // Entries come in order: the oldest is as far behind.
        true => peer.exchange(&key(first + i), bench.values.of(first + i), &key(i)),
        false => bench.put(peer, first + i),
    })?;
    let done = Traffic::now()?;
    // At once: what is not written yet must be there all the same.
    let end = first + outcome.operations;
    let newest = NEWEST.min(outcome.operations).max(1);
    let kept = bench.count(peer, end - newest..end)? / newest as f64;
    outcome.details.insert("newest_kept".to_owned(), kept);
    // What the look itself read is no put's.
    before.read += Traffic::now()?.since(done).read;
    peer.settle()?;
    device::sync(&bench.cell.directory)?;
    tell_traffic(before, &mut outcome)?;
    Ok(outcome)
}

/// The first entry that is put while it is measured.
fn first_put(bench: &Bench<'_>) -> u64 {
    match bench.cell.workload {
        Workload::ColdChurn => bench.setup.entries,
        _ => 0,
    }
}

/// Reads, or reads and puts: as long and as many before anything is timed as then are, so that memory holds
/// what it comes to hold.
fn reads(bench: &Bench<'_>, peer: &dyn Peer) -> Result<Outcome> {
    let operations = bench.cell.operations;
    side_by_side(bench, peer, 0..operations)?;
    let before = Traffic::now()?;
    let outcomes = side_by_side(bench, peer, operations..2 * operations)?;
    let mut outcome = match outcomes.as_slice() {
        [alone] => alone.clone(),
        several => sum(several),
    };
    if bench.cell.workload == Workload::ColdMixed {
        peer.settle()?;
        device::sync(&bench.cell.directory)?;
    }
    tell_traffic(before, &mut outcome)?;
    Ok(outcome)
}

fn tell_traffic(before: Traffic, outcome: &mut Outcome) -> Result<()> {
    let traffic = Traffic::now()?.since(before);
    let operations = outcome.operations.max(1) as f64;
    outcome.read_an_operation = Some(traffic.read as f64 / operations);
    outcome.written_an_operation = Some(traffic.written as f64 / operations);
    let faults = traffic.major_faults as f64 / operations;
    outcome.details.insert("major_faults_an_operation".to_owned(), faults);
    Ok(())
}

/// By as many threads as the peer is to be read by, each with an order of its own.
fn side_by_side(bench: &Bench<'_>, peer: &dyn Peer, steps: Range<u64>) -> Result<Vec<Outcome>> {
    std::thread::scope(|scope| {
        let read = |index| {
            let steps = steps.clone();
            scope.spawn(move || {
                work(&mut Bench::new(bench.cell, bench.about), peer, steps, index as u64)
            })
        };
        let workers: Vec<_> = (0..bench.about.readers).map(read).collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.map(|result| result.map_err(|_| anyhow!("a reader panicked"))?).collect()
    })
}

fn work(bench: &mut Bench<'_>, peer: &dyn Peer, steps: Range<u64>, index: u64) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let (workload, entries) = (bench.cell.workload, bench.setup.entries);
    let draw = if workload == Workload::ColdZipf { Order::zipf } else { Order::uniform };
    let order = draw(entries, steps.end, bench.cell.seed + index);
    let (mut reads, mut hits) = (0_u64, 0_u64);
    let (count, limit): (u64, Duration) = (steps.end - steps.start, bench.cell.limit);
    timing::run(count, limit, &mut latencies, &mut outcome, |step| {
        let i = order.at(steps.start + step);
        if workload == Workload::ColdMixed && step.is_multiple_of(PUT_OF) {
            return bench.put(peer, i);
        }
        reads += 1;
        hits += u64::from(read(bench, peer, i)?);
        Ok(())
    })?;
    if workload != Workload::ColdMiss {
        outcome.hit_ratio = Some(hits as f64 / reads.max(1) as f64);
    }
    Ok(outcome)
}

fn read(bench: &mut Bench<'_>, peer: &dyn Peer, i: u64) -> Result<bool> {
    if bench.cell.workload != Workload::ColdMiss {
        return bench.get(peer, i);
    }
    let hit = peer.get_into(&absent(i), &mut bench.buffer)?;
    ensure!(!hit, "a value for a key that nobody put");
    Ok(hit)
}

/// What is left of the entries that were put while it was measured, as far as they fit; of all entries
/// where they were put over others.
fn count(bench: &mut Bench<'_>, outcome: &mut Outcome) -> Result<()> {
    let workload = bench.cell.workload;
    if workload.only_reads_cold() {
        return Ok(());
    }
    let entries = match workload {
        Workload::ColdMixed => 0..bench.setup.entries,
        _ => {
            let end = first_put(bench) + outcome.operations;
            end - outcome.operations.min(bench.setup.entries)..end
        }
    };
    let all = (entries.end - entries.start) as f64;
    let peer = bench.open()?;
    let end = entries.end;
    outcome.kept = Some(bench.count(&*peer, entries)? / all);
    // What `churn` calls so: a cache that guards older entries against new ones is full all the same.
    let held = bench.count(&*peer, 0..end)? / end.min(bench.setup.entries).max(1) as f64;
    outcome.details.insert("store_kept".to_owned(), held);
    if held > outcome.kept.unwrap_or(0.0) + 0.1 {
        let share = held * 100.0;
        outcome.notes.push(format!("older and newer together: {share:.0} % of what fits"));
    }
    Ok(())
}
