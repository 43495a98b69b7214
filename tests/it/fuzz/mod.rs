//! What a fuzz target does with an input: its body. The targets in `fuzz/` and the test over saved
//! inputs (`corpus`) share these bodies. Each ends without a panic, whatever the input holds.
//!
//! An input is read as a list of choices (`arbitrary`). A body builds a valid thing, changes it, and
//! then decodes or uses it. So checksums do not keep a fuzzer out, and it is known what must hold.

pub mod chunk;
pub mod control;
pub mod damage;
pub mod damaged;
pub mod files;
pub mod open;
pub mod page;
pub mod paper;
pub mod place;
pub mod record;
pub mod sample;
pub mod slot;
pub mod store;
pub mod words;

use arbitrary::{Result, Unstructured};

/// A body. Its error means that the input was too short.
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
