//! Several threads or processes on one store, side by side for a fixed time.

use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use super::bench::Bench;
use super::children::{self, Ready};
use crate::cell::Crew;
use crate::data::Order;
use crate::outcome::Outcome;
use crate::part::Part;
use crate::peer::Peer;
use crate::timing::Latencies;
use crate::workload::Workload;

/// Operations between two looks at the time, and those of them that are timed each.
const BLOCK: u64 = 64;
const TIMED: u64 = 4;
/// One operation of so many is a put, where reads and puts are mixed.
const PUT_OF: u64 = 10;
/// Entries that are drawn before the time begins; then they are asked for again.
const DRAWN: u64 = 1 << 20;
/// Slices in which a reader is alone, and beside a writer, in turn.
const SLICES: u32 = 4;

#[derive(Clone, Copy)]
enum Job {
    Read,
    Mixed,
    Write,
}

/// A worker's number, and how many workers there are.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    of: usize,
}

pub fn side_by_side(bench: &mut Bench<'_>) -> Result<Outcome> {
    let job = job(bench);
    let peer = bench.open_full()?;
    match bench.cell.crew {
        Crew::Threads(count) => Ok(sum(&threads(bench, &*peer, &vec![job; count])?)),
        Crew::Processes(count) => {
            drop(peer);
            Ok(sum(&processes(bench, count)?))
        }
    }
}

fn job(bench: &Bench<'_>) -> Job {
    match bench.cell.workload {
        Workload::Mixed => Job::Mixed,
        Workload::Write => Job::Write,
        _ => Job::Read,
    }
}

/// A reader's rate alone, and beside a writer, in turn.
pub fn beside(bench: &mut Bench<'_>) -> Result<Outcome> {
    let peer = bench.open_full()?;
    let (mut alone, mut reader, mut writer) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SLICES {
        alone.extend(threads(bench, &*peer, &[Job::Read])?);
        let mut both = threads(bench, &*peer, &[Job::Read, Job::Write])?.into_iter();
        reader.extend(both.next());
        writer.extend(both.next());
    }
    let rate = |outcomes: &[Outcome]| sum(outcomes).rate.unwrap_or(0.0) / f64::from(SLICES);
    let mut outcome = sum(&reader);
    outcome.rate = Some(rate(&reader));
    outcome.details.insert("alone".to_owned(), rate(&alone));
    outcome.details.insert("writer".to_owned(), rate(&writer));
    let share = rate(&reader) / rate(&alone);
    outcome.details.insert("share_of_alone".to_owned(), share);
    outcome.notes.push(format!("{:.0} % of its speed alone", share * 100.0));
    Ok(outcome)
}

fn threads(bench: &Bench<'_>, peer: &dyn Peer, jobs: &[Job]) -> Result<Vec<Outcome>> {
    let (barrier, of) = (Barrier::new(jobs.len()), jobs.len());
    std::thread::scope(|scope| {
        let workers = (0..).zip(jobs).map(|(index, &job)| {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut bench = Bench::new(bench.cell, bench.about);
                let ready = || {
                    barrier.wait();
                    Ok(())
                };
                work(&mut bench, peer, job, Place { index, of }, ready)
            })
        });
        let workers: Vec<_> = workers.collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.map(|result| result.map_err(|_| anyhow!("a worker panicked"))?).collect()
    })
}

fn processes(bench: &Bench<'_>, count: usize) -> Result<Vec<Outcome>> {
    let spawn = |index| Ready::spawn(Part::Worker, bench.cell, index);
    let mut workers = (0..count).map(spawn).collect::<Result<Vec<_>>>()?;
    workers.iter_mut().try_for_each(Ready::wait_until_ready)?;
    workers.iter_mut().try_for_each(Ready::go)?;
    workers.into_iter().map(Ready::outcome).collect()
}

/// One of several processes.
pub fn work_as_process(bench: &mut Bench<'_>, index: usize) -> Result<()> {
    let Crew::Processes(of) = bench.cell.crew else { return Err(anyhow!("not a process's part")) };
    let peer = bench.open()?;
    // So that this process, too, has touched every page.
    for i in 0..bench.setup.entries {
        bench.get(&*peer, i)?;
    }
    let ready = || children::be_ready()?.then_some(()).context("nobody to work for");
    let outcome = work(bench, &*peer, job(bench), Place { index, of }, ready)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// Works for a slice of time, once all are ready.
fn work(
    bench: &mut Bench<'_>,
    peer: &dyn Peer,
    job: Job,
    place: Place,
    ready: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let (entries, seed) = (bench.setup.entries, bench.cell.seed + place.index as u64);
    let order = Order::uniform(entries, DRAWN, seed);
    let (mut reads, mut hits, slice) = (0, 0, bench.cell.slice);
    let mut operation = |step: u64| {
        let i = order.at(step);
        let puts = match job {
            Job::Read => false,
            Job::Mixed => step.is_multiple_of(PUT_OF),
            Job::Write => true,
        };
        if puts {
            return bench.put(peer, own(i, entries, place));
        }
        reads += 1;
        hits += u64::from(bench.get(peer, i)?);
        Ok(())
    };
    ready()?;
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < slice {
        for step in done..done + BLOCK - TIMED {
            operation(step)?;
        }
        done += BLOCK;
        for step in done - TIMED..done {
            latencies.time(|| operation(step))?;
        }
    }
    outcome.rate = Some(done as f64 / begun.elapsed().as_secs_f64());
    outcome.operations = done;
    latencies.write(&mut outcome);
    if reads > 0 {
        outcome.hit_ratio = Some(hits as f64 / reads as f64);
    }
    Ok(outcome)
}

/// The entry near `i` that only this worker writes.
fn own(i: u64, entries: u64, place: Place) -> u64 {
    let of = place.of as u64;
    (i - i % of + place.index as u64).min(entries - 1)
}

/// What all did together; the latencies are the slowest worker's.
pub fn sum(outcomes: &[Outcome]) -> Outcome {
    let worst = |of: fn(&Outcome) -> Option<u64>| outcomes.iter().filter_map(of).max();
    let ratios = outcomes.iter().filter_map(|outcome| outcome.hit_ratio);
    Outcome {
        operations: outcomes.iter().map(|outcome| outcome.operations).sum(),
        rate: Some(outcomes.iter().filter_map(|outcome| outcome.rate).sum()),
        p50_ns: worst(|outcome| outcome.p50_ns),
        p99_ns: worst(|outcome| outcome.p99_ns),
        p999_ns: worst(|outcome| outcome.p999_ns),
        max_ns: worst(|outcome| outcome.max_ns),
        hit_ratio: ratios.reduce(f64::min),
        ..Outcome::default()
    }
}
