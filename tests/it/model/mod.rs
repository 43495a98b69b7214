//! Random operations of the whole interface, on a store and on a map that serves as its oracle. A hit
//! must be what was set last, and not expired, removed or cleared. A miss must be explained by the
//! entry's expiry or by an eviction, and each eviction explains one miss.

mod fill;
mod form;
mod handles;
mod operations;
mod oracle;
mod play;
mod player;

use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::common::{self, Random};
use form::{CROWDED, FEW, Form, ROOMY, TIGHT};
use play::play;

/// Runs of a form, for as long as asked for. Each has a seed of its own, so that it can be repeated
/// alone.
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
            done.set(play(form, &plan)?);
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
