//! The integration tests: one binary, one module a subject.
#![allow(unsafe_code, reason = "signals and forks of the tests' own processes")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panic")]

mod basics;
mod beyond;
mod big;
mod children;
mod common;
mod copies;
mod corpus;
mod counters;
mod disks_that_fill;
mod errors;
mod exercise;
mod expired_first;
mod faults;
mod flipped;
mod forged;
mod fork;
mod full;
mod fuzz;
mod golden;
mod handles;
mod hostile;
mod layers;
mod limits;
mod messages;
mod missing_calls;
mod model;
mod mounts;
mod no_free_segment;
mod opening;
mod power;
mod power_cases;
mod processes;
mod read_only;
mod reader;
mod real_power;
mod relimit;
mod relimit_stopped;
mod replay;
mod roles;
#[cfg(target_arch = "x86_64")]
mod steps;
mod storm;
mod surroundings;
mod system_calls;
mod threads;
mod tidy;
mod time;
mod untouched;
mod vandal;
mod waiting;
