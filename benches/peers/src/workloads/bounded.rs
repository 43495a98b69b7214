//! Stores in which not everything fits.

use std::collections::VecDeque;

use anyhow::Result;

use super::bench::Bench;
use crate::data::{Order, granted, key};
use crate::machine;
use crate::outcome::Outcome;
use crate::peer::Peer;
use crate::timing::{self, Latencies};

/// Capacities of puts that churn goes on for.
const CAPACITIES: u64 = 4;
/// The newest entries after churn: a peer that drops nothing and admits everything has them.
const NEWEST: u64 = 100;
/// One entry of so many fits, where those that do not are put again after each miss.
const FITTING: u64 = 8;

pub fn churn(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let fitting = bench.setup.entries;
    bench.setup.max_bytes = Some(fitting * granted(bench.setup.size));
    let mut bound = Bound::new(bench, fitting);
    let memory = machine::anonymous_bytes()?;
    let peer = bench.open()?;
    bench.load(&*peer, 0..fitting)?;
    if !bound.own {
        bound.held.extend(0..fitting);
    }
    bench.settle(&*peer)?;
    let limit = bench.cell.limit;
    timing::run(CAPACITIES * fitting, limit, &mut latencies, &mut outcome, |i| {
        bound.put(bench, &*peer, fitting + i)
    })?;
    let end = fitting + outcome.operations;
    let newest = NEWEST.min(fitting / 10).min(outcome.operations).max(1);
    // At once: what is not written yet must be there all the same.
    let found = bench.count(&*peer, end - newest..end)? / newest as f64;
    outcome.details.insert("newest_kept".to_owned(), found);
    if found < 1.0 {
        outcome.notes.push(format!("{:.0} % of the newest not there", (1.0 - found) * 100.0));
    }
    bench.weigh(&*peer, memory, fitting as f64, &mut outcome)?;
    outcome.kept = Some(bench.count(&*peer, 0..end)? / fitting as f64);
    Ok(outcome)
}

pub fn get_or_insert(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let (all, operations) = (bench.setup.entries, bench.cell.operations);
    let fitting = (all / FITTING).max(1);
    bench.setup.max_bytes = Some(fitting * granted(bench.setup.size));
    bench.setup.entries = fitting;
    let order = Order::zipf(all, 2 * operations, bench.cell.seed);
    let mut bound = Bound::new(bench, fitting);
    let memory = machine::anonymous_bytes()?;
    let peer = bench.open()?;
    let mut step = |bench: &mut Bench<'_>, step| {
        let i = order.at(step);
        let hit = bench.get(&*peer, i)?;
        if !hit {
            bound.put(bench, &*peer, i)?;
        }
        anyhow::Ok(hit)
    };
    for i in 0..operations {
        step(bench, i)?;
    }
    bench.settle(&*peer)?;
    let (mut hits, limit) = (0, bench.cell.limit);
    timing::run(operations, limit, &mut latencies, &mut outcome, |i| {
        hits += u64::from(step(bench, operations + i)?);
        Ok(())
    })?;
    outcome.hit_ratio = Some(hits as f64 / outcome.operations as f64);
    bench.weigh(&*peer, memory, fitting as f64, &mut outcome)?;
    Ok(outcome)
}

/// Bounds a store whose peer bounds nothing itself: when it is full, the oldest entry goes with each put.
struct Bound {
    /// Whether the peer keeps the bound itself.
    own: bool,
    most: u64,
    /// Entries from the oldest to the newest.
    held: VecDeque<u64>,
}

impl Bound {
    fn new(bench: &Bench<'_>, most: u64) -> Self {
        let own = bench.about.bounded;
        let mut held = VecDeque::new();
        if !own {
            // Touched before memory is measured: it is not the peer's.
            held.extend(0..=most);
            held.clear();
        }
        Self { own, most, held }
    }

    fn put(&mut self, bench: &mut Bench<'_>, peer: &dyn Peer, i: u64) -> Result<()> {
        if self.own {
            return bench.put(peer, i);
        }
        self.held.push_back(i);
        if self.held.len() as u64 <= self.most {
            return bench.put(peer, i);
        }
        let Some(oldest) = self.held.pop_front() else { return Ok(()) };
        peer.exchange(&key(i), bench.values.of(i), &key(oldest))
    }
}
