//! Kill storms: processes of mixed work that are killed, stopped and continued at random moments.
//!
//! A supervisor, which is a process of its own, forks the workers. So one costs less than a
//! millisecond. What the store must hold is noted on a board outside of it. After each round all
//! workers are dead, and everything is compared: values, counters, and whether anything is still held.

mod board;
mod form;
mod supervisor;
mod worker;

use std::path::Path;

use crate::children::{Process, say};
use crate::common;
use form::Form;

/// The role of the supervisor.
pub fn supervise(role: &str, directory: &Path, seed: u64) {
    say(supervisor::storm(Form::of_role(role), directory, seed));
}

fn a_storm(role: &str) {
    let dir = common::fast_directory();
    let path = dir.path().join("cache");
    let seed = common::seed();
    let said = Process::start(role, &path, seed).finish();
    let counted = said.last().unwrap();
    println!("{role}: {counted}");
    let kills: u64 = counted.split(' ').next().unwrap().parse().unwrap();
    common::evidence("storm", kills, &format!("kills in a {role}"));
    assert!(kills > 0);
}

#[test]
fn a_storm_of_kills_where_there_is_room_loses_nothing() {
    a_storm("roomy storm");
}

#[test]
fn a_storm_of_kills_under_tight_limits_costs_no_byte_and_keeps_them() {
    a_storm("tight storm");
}

#[test]
fn a_storm_of_kills_in_a_store_that_syncs_loses_nothing() {
    a_storm("roomy storm that syncs");
}

#[test]
fn a_storm_of_kills_under_tight_limits_in_a_store_that_syncs_keeps_them() {
    a_storm("tight storm that syncs");
}
