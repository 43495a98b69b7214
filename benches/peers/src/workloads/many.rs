//! Several keys in a call, so that their cache misses overlap, beside as many calls of one key.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use crate::cell::Outcome;
use crate::data::{Key, Order, key};

/// Keys of a call.
const KEYS: usize = 64;
/// Calls in a row of either kind.
const ROW: usize = 16;

pub fn beside_single(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (entries, operations) = (bench.setup.entries, bench.cell.operations);
    let order = Order::uniform(entries, operations, bench.cell.seed);
    let peer = bench.open_full()?;
    let mut step = 0;
    let mut next = || {
        step += 1;
        order.at((step - 1) % operations)
    };
    let mut times = [Duration::ZERO; 4];
    let rounds = operations / (KEYS * ROW) as u64 / times.len() as u64;
    let begun = Instant::now();
    let mut done = 0;
    while done < rounds && begun.elapsed() < bench.cell.limit {
        done += 1;
        for (kind, time) in times.iter_mut().enumerate() {
            let calls: Vec<Vec<u64>> =
                (0..ROW).map(|_| (0..KEYS).map(|_| next()).collect()).collect();
            let keys: Vec<Vec<Key>> =
                calls.iter().map(|call| call.iter().map(|i| key(*i)).collect()).collect();
            let mut put = |i: &u64| (key(*i), bench.values.of(*i).to_vec());
            let pairs: Vec<Vec<(Key, Vec<u8>)>> =
                calls.iter().map(|call| call.iter().map(&mut put).collect()).collect();
            let start = Instant::now();
            let mut found = 0;
            for (keys, pairs) in keys.iter().zip(&pairs) {
                match kind {
                    0 => {
                        for key in keys {
                            found += usize::from(peer.get_into(key, &mut bench.buffer)?);
                        }
                    }
                    1 => found += peer.get_many(keys)?,
                    2 => pairs.iter().try_for_each(|(key, value)| peer.put(key, value))?,
                    _ => peer.put_many(pairs)?,
                }
            }
            *time += start.elapsed();
            ensure!(kind > 1 || found == ROW * KEYS, "{found} of {} keys found", ROW * KEYS);
        }
    }
    let each = (done as usize * ROW * KEYS) as f64;
    let [single, many, put, put_many] = times.map(|time| each / time.as_secs_f64());
    let mut outcome =
        Outcome { operations: 4 * each as u64, rate: Some(many), ..Outcome::default() };
    outcome.notes.push(format!(
        "gets {:.2} and puts {:.2} times as fast as one by one",
        many / single,
        put_many / put
    ));
    outcome.details.insert("get_gain".to_owned(), many / single);
    outcome.details.insert("put_gain".to_owned(), put_many / put);
    Ok(outcome)
}
