//! Random operations of the whole interface on a store and on a map, with a cache's oracle: a hit is
//! what was set last, never expired, removed or cleared; a miss is a fault but where an eviction or
//! its expiry explains it, one for one.

mod fill;
mod handles;
mod operations;
mod oracle;
mod player;

use std::time::Instant;

use larder::Builder;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::common::{self, Random};
use player::Player;

/// What the clock shows first.
const START: u64 = 1_800_000_000_000;
const MIB: u64 = 1 << 20;

/// What kind of store.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// There is room for everything: nothing is ever evicted.
    roomy: bool,
    /// Puts of many keys at a time, so that the index grows.
    crowds: bool,
    /// Megabytes at least and at most, and entries.
    bytes: (u64, u64),
    entries: Option<u64>,
    ttl_ms: Option<u64>,
}

const ROOMY: Form =
    Form { roomy: true, crowds: false, bytes: (12, 24), entries: None, ttl_ms: None };
const CROWDED: Form =
    Form { roomy: true, crowds: true, bytes: (16, 24), entries: None, ttl_ms: Some(60_000) };
const TIGHT: Form = Form { roomy: false, crowds: true, bytes: (2, 4), entries: None, ttl_ms: None };
const FEW: Form =
    Form { roomy: false, crowds: false, bytes: (6, 8), entries: Some(30), ttl_ms: Some(3000) };

impl Form {
    /// The store at first.
    fn create(self, builder: Builder) -> Builder {
        let mut builder = builder
            .max_bytes(self.bytes.0 * MIB)
            .segment_size(64 << 10)
            .max_processes(HANDLES_AND_VIEWS);
        if let Some(entries) = self.entries {
            builder = builder.max_entries(entries);
        }
        if let Some(ttl) = self.ttl_ms {
            builder = builder.time_to_live(std::time::Duration::from_millis(ttl));
        }
        builder
    }

    /// The limit on entries that a drawn number stands for.
    fn max_entries(self, number: u8) -> Option<u64> {
        self.entries.map(|entries| 1 + u64::from(number) % (entries * 2))
    }

    /// The limit on bytes that a drawn number stands for.
    fn max_bytes(self, number: u8) -> u64 {
        let (least, most) = self.bytes;
        least * MIB + (most - least) * MIB * u64::from(number) / 255
    }
}

/// A view keeps its handle's place among the processes.
const HANDLES_AND_VIEWS: u16 = 12;

/// Runs of a form, for as long as asked for. Each has a seed of its own, by which it alone can be
/// repeated.
fn runs(form: Form, what: &str) {
    let seed = common::seed();
    let begun = Instant::now();
    let mut operations = 0;
    let mut run = 0;
    while run == 0 || begun.elapsed() < common::duration(3) {
        let mut random = Random::new(seed.wrapping_add(run));
        let bytes: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 10_000,
            ..Config::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, random);
        let done = std::cell::Cell::new(0);
        let result = runner.run(&operations::plan(form.crowds), |plan| {
            done.set(Player::play(form, &plan)?);
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(fault, plan)) => {
                panic!("LARDER_TEST_SEED_BASE={}: {fault}: {plan:?}", seed.wrapping_add(run))
            }
            Err(fault) => panic!("{fault}"),
        }
        operations += done.get();
        run += 1;
    }
    println!("{what}: {run} runs, {operations} operations");
    common::evidence("model", operations, &format!("operations in a {what}"));
}

#[test]
fn a_store_with_room_for_everything_is_a_map() {
    runs(ROOMY, "store with room for everything");
}

#[test]
fn a_store_with_room_for_a_crowd_is_a_map() {
    runs(CROWDED, "store with room for a crowd");
}

#[test]
fn a_store_under_a_tight_limit_misses_only_what_it_evicted() {
    runs(TIGHT, "store under a tight limit");
}

#[test]
fn a_store_of_few_entries_that_expire_misses_only_what_it_evicted_or_expired() {
    runs(FEW, "store of few entries that expire");
}
