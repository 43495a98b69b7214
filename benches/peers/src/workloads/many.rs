//! Several keys in a call, so that their cache misses overlap, beside as many calls of one key.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::bench::Bench;
use crate::data::{Key, Order, key};
use crate::outcome::Outcome;
use crate::peer::Peer;

/// Keys of a call.
const KEYS: usize = 64;
/// Calls of several keys in a series of one kind.
const CALLS: usize = 16;
/// Series are of these kinds in turn.
const KINDS: [Kind; 4] = [Kind::Get, Kind::GetMany, Kind::Put, Kind::PutMany];

pub fn beside_single(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (entries, operations) = (bench.setup.entries, bench.cell.operations);
    let order = Order::uniform(entries, operations, bench.cell.seed);
    let peer = bench.open_full()?;
    let mut step = 0;
    let mut next = || {
        step += 1;
        order.at((step - 1) % operations)
    };
    let mut times = [Duration::ZERO; KINDS.len()];
    let rounds = operations / (KEYS * CALLS) as u64 / times.len() as u64;
    let begun = Instant::now();
    let mut done = 0;
    while done < rounds && begun.elapsed() < bench.cell.limit {
        done += 1;
        for (kind, time) in KINDS.into_iter().zip(&mut times) {
            let series = Series::of(bench, &mut next);
            let start = Instant::now();
            let found = series.carry_out(kind, &*peer, &mut bench.buffer)?;
            *time += start.elapsed();
            let all = if kind.reads() { KEYS * CALLS } else { 0 };
            ensure!(found == all, "{found} of {all} keys found");
        }
    }
    let each = (done as usize * CALLS * KEYS) as f64;
    Ok(summed(each, times))
}

#[derive(Clone, Copy)]
enum Kind {
    Get,
    GetMany,
    Put,
    PutMany,
}

impl Kind {
    fn reads(self) -> bool {
        matches!(self, Self::Get | Self::GetMany)
    }
}

/// What the calls of a series are given, made before they are timed.
struct Series {
    keys: Vec<Vec<Key>>,
    pairs: Vec<Vec<(Key, Vec<u8>)>>,
}

impl Series {
    fn of(bench: &mut Bench<'_>, mut next: impl FnMut() -> u64) -> Self {
        let calls: Vec<Vec<u64>> =
            (0..CALLS).map(|_| (0..KEYS).map(|_| next()).collect()).collect();
        let keys = calls.iter().map(|call| call.iter().map(|i| key(*i)).collect()).collect();
        let mut pair = |i: &u64| (key(*i), bench.values.of(*i).to_vec());
        let pairs = calls.iter().map(|call| call.iter().map(&mut pair).collect()).collect();
        Self { keys, pairs }
    }

    /// How many keys were found.
    fn carry_out(&self, kind: Kind, peer: &dyn Peer, buffer: &mut Vec<u8>) -> Result<usize> {
        let mut found = 0;
        for (keys, pairs) in self.keys.iter().zip(&self.pairs) {
            match kind {
                Kind::Get => {
                    for key in keys {
                        found += usize::from(peer.get_into(key, buffer)?);
                    }
                }
                Kind::GetMany => found += peer.get_many(keys)?,
                Kind::Put => pairs.iter().try_for_each(|(key, value)| peer.put(key, value))?,
                Kind::PutMany => peer.put_many(pairs)?,
            }
        }
        Ok(found)
    }
}

/// The outcome of so many operations of each kind.
fn summed(each: f64, times: [Duration; KINDS.len()]) -> Outcome {
    let [get, get_many, put, put_many] = times.map(|time| each / time.as_secs_f64());
    let (get_gain, put_gain) = (get_many / get, put_many / put);
    let mut outcome = Outcome {
        operations: KINDS.len() as u64 * each as u64,
        rate: Some(get_many),
        ..Outcome::default()
    };
    outcome
        .notes
        .push(format!("gets {get_gain:.2} and puts {put_gain:.2} times as fast as one by one"));
    outcome.details.insert("get_gain".to_owned(), get_gain);
    outcome.details.insert("put_gain".to_owned(), put_gain);
    outcome
}
