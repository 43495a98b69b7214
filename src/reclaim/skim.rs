//! Skimming: the hand that evicts for entries is led past dead records ahead of time, a few with each
//! put, so that no single eviction has a long stretch of them to walk.

use super::Worker;
use super::facts::Facts;
use super::room::next_trim;
use super::step::{cursor_of, resume};
use crate::entries;
use crate::error::Result;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::segment::Label;
use crate::format::walk::{WALK_END, WalkWord};
use crate::policy;
use crate::segments::Ground;
use crate::segments::read;
use crate::sys::words::Words;

/// A put in so many skims.
const SKIM_EVERY: u32 = 8;
/// Dead records passed at a time: more than are made meanwhile.
const SKIM_RECORDS: u32 = 24;
/// A hand is looked for this rarely where there is none.
const BEGIN_EVERY: u32 = 64;

/// Leads the hands on, if entries are near their limit.
pub fn skim(ground: &Ground, worker: &mut Worker) -> Result<()> {
    worker.puts = worker.puts.wrapping_add(1);
    if !worker.puts.is_multiple_of(SKIM_EVERY) {
        return Ok(());
    }
    let limit = ground.memory.load(control::MAX_ENTRIES);
    if ground.memory.load(control::ENTRIES) < limit - limit / 8 {
        return Ok(());
    }
    let hands = [(control::WALK_PROBATION, Label::Probation), (control::WALK_MAIN, Label::Main)];
    for (at, label) in hands {
        match WalkWord::decode(ground.memory.load(at)) {
            Some(walk) if walk.position != WALK_END => pass_dead(ground, worker, at, walk),
            _ if worker.puts.is_multiple_of(BEGIN_EVERY) => {
                let facts = Facts::gather(ground, 1, &worker.swept);
                if policy::trim_queue(&facts.store()) == label {
                    next_trim(ground, worker, at, label)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Goes up to the next record that lives or may yet.
fn pass_dead(ground: &Ground, worker: &mut Worker, at: WordAt, walk: WalkWord) {
    let raw = WalkWord::encode(Some(walk));
    let state = ground
        .state(walk.segment)
        .filter(|state| state.generation.low() == walk.generation_low && state.is_readable());
    let Some(state) = state else { return };
    let cached = worker.cursors[cursor_of(at)].filter(|(word, _)| *word == raw);
    let mut cursor = match cached {
        Some((_, cursor)) => cursor,
        None => resume(ground, walk, state),
    };
    for _ in 0..SKIM_RECORDS {
        let mut ahead = cursor;
        let Some((spot, _)) = ahead.next(&ground.memory, &ground.geometry) else { break };
        let record = read::record(&ground.memory, &ground.geometry, spot);
        let mut key = Vec::new();
        let is_dead = record.is_some_and(|record| {
            record.lsn.is_some() && record.read_key(&ground.memory.log, &mut key) && {
                let hash = ground.hash(&key);
                entries::find_at(ground, hash, spot.address, spot.generation).is_none()
            }
        });
        if !is_dead {
            break;
        }
        cursor = ahead;
    }
    let new = WalkWord::encode(Some(WalkWord { position: cursor.position, ..walk }));
    let led = new == raw || ground.memory.exchange(at, raw, new).is_ok();
    worker.cursors[cursor_of(at)] = led.then_some((new, cursor));
}
