//! Model checks: the crate's own protocols, generic over their words, run on the memory of a model
//! checker.
//!
//! [`platform`] has the kinds of memory: plain, loom's and shuttle's. [`world`] makes the words of a
//! scenario from them: a sparse set, for what is not in it reads as 0 and ignores writes without an
//! operation of the checker, so that a page of 512 slots costs what its few interesting slots cost.
//!
//! What runs is the crate's: `Transactions`, `split`, `Index`, `Pins`, `begin_writing`, `is_pinned`,
//! and of reading `spot`, `record` and `is_still`. Tied to files, and so followed step by step in
//! [`segments`], are the order in which a record is written and the steps of reusing a segment. CRCs
//! are left out: bytes are compared, so that a check never hides a missing fence.
//!
//! A *kill* unwinds a process's code out of the change at which it dies, and no destructor has an
//! effect after it (see [`world::Process`]); then the process is marked dead, as the kernel would.
//! Loads change nothing for others, so a process dies at each of its changes in turn. *Stopped*
//! processes need nothing of their own: the checkers let a thread rest at any point, and whoever
//! waits finds at once that nothing has changed for long.
//!
//! Loom's preemption bound is a scenario's own; `LOOM_MAX_PREEMPTIONS` overrides it. Two things that
//! loom 0.7 does are worth knowing: it does not order a plain store after the exchange it met (see
//! `Platform::at_rest`), and a thread that yields is never tried before another has moved.

mod dying;
mod locking;
mod pinning;
mod platform;
mod reading;
mod segments;
mod splitting;
mod world;
