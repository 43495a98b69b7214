//! What a fuzz target does with an input. The targets in `fuzz/` and the test over saved inputs
//! (`corpus`) share these bodies: whatever the input holds, each ends without a panic.
//!
//! An input is read as a list of choices (`arbitrary`): a valid thing is built, then changed, then
//! decoded or used. So checksums do not keep a fuzzer out, and what must hold is known.

pub mod chunk;
pub mod control;
pub mod damage;
pub mod damaged;
pub mod files;
pub mod open;
pub mod page;
pub mod paper;
pub mod record;
pub mod sample;
pub mod slot;
pub mod store;

use arbitrary::{Result, Unstructured};
use larder::internals::address::{Address, Generation};
use larder::internals::check::Checker;

/// A body: an error means that the input was too short.
pub type Body = fn(&mut Unstructured<'_>) -> Result<()>;

/// All of them, by the names of their targets.
pub const TARGETS: [(&str, Body); 8] = [
    ("chunk", chunk::run),
    ("record", record::run),
    ("slot", slot::run),
    ("page", page::run),
    ("control", control::run),
    ("store", store::run),
    ("open", open::run),
    ("damaged", damaged::run),
];

/// Runs a body over an input.
pub fn run(body: Body, bytes: &[u8]) {
    let _ = body(&mut Unstructured::new(bytes));
}

/// The checks of some store for some place.
fn checker(input: &mut Unstructured<'_>) -> Result<(Checker, Generation)> {
    let generation = Generation::new(input.arbitrary()?);
    let address = Address::from_units(input.arbitrary()?);
    Ok((Checker::new(input.arbitrary()?, address, generation), generation))
}
