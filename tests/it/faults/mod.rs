//! Faults: whatever the system refuses, an operation gives a result or a clear error, reads stay right,
//! and once nothing is refused any more the store is as good as before.

mod door;
mod every_call;
mod inject;
mod places;
mod refusals;
mod syncs;
mod tour;

pub use every_call::failing;
