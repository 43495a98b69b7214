//! Model checks: the crate's own protocols, generic over their words, run on the memory of a model
//! checker.
//!
//! [`platform`] has the kinds of memory: plain, loom's and shuttle's. [`world`] makes the words of a
//! scenario from them. They are a sparse set: a word that is not in it reads as 0, ignores writes, and
//! is no operation of the checker. So a page of 512 slots costs what its few interesting slots cost.
//!
//! Each process of a scenario is a `Session` of the crate over [`world::Cells`], a `Medium` whose disk
//! has room for everything. So what runs is the crate's own:
//!
//! - transactions: `Session::transact` with `Transactions`, `split` and `settle_row`;
//! - segments: `Session::reserve` with its chunks ([`reserving`]), `Session::take`, `Session::try_free` with
//!   `is_pinned`, and the transitions of these;
//! - writing: `begin_writing`, `Session::write`, `Session::written`;
//! - reading: `Index::find` and `bump`, `Store::record`, `is_current` and `is_still`, `Pins`.
//!
//! What [`segments`] does itself: it publishes and evicts the one key by short transactions of its own,
//! seals the segment, and says where each of its records goes. The floors from `entries` on are not generic: located keys, moves, the barrier and duplicates are left to
//! other kinds of tests. CRCs are left out: bytes are compared, so that a check never hides a missing
//! fence.
//!
//! A *kill* unwinds a process's code out of the change at which it dies, and no destructor has an
//! effect after it (see [`world::Cells`]); then the process is marked dead, as the kernel would.
//! Loads change nothing for others, so a process dies at each of its changes in turn. *Stopped*
//! processes need nothing of their own: the checkers let a thread rest at any point, and whoever
//! waits finds at once that nothing has changed for long.
//!
//! Loom's preemption bound is a scenario's own; `LOOM_MAX_PREEMPTIONS` overrides it. Two things that
//! loom 0.7 does are worth knowing: it does not order a plain store after the exchange it met (see
//! `Platform::at_rest`), and a thread that yields is never tried before another has moved.
//!
//! A check is worth what it can catch. Each of these changes to the crate was made and seen to fail
//! the tests beside it:
//!
//! | change | fails |
//! |---|---|
//! | `is_still` without its fence or its comparison of generations, or always true | `reading`: later use |
//! | `commit` stores its words in reverse | `reading`: entry being replaced |
//! | `begin_writing` without its fence | `reading`: filled by another; `pinning`: stopped writer |
//! | `begin_writing` does not look again | `pinning`: stopped writer |
//! | `pin` without its fence, or without looking again | `pinning`: bytes under a view |
//! | `is_pinned` without its fence | `pinning`: both |
//! | `is_pinned` counts the dead | `pinning`: pins of the dead |
//! | `split` empties the parent before it stores `n`, or copies after it | `splitting`: all |
//! | `find` does not look at `n` again | `splitting`: every moment, bump |
//! | `bump` stores instead of comparing | `splitting`: bump |
//! | `redo` passes over splits | `splitting`: interrupted |
//! | `begin` stores COMMIT instead of comparing | `locking`: all |
//! | giving up stores FREE instead of comparing | `locking`: giving up, no update lost |
//! | COMMIT is taken from the living | `locking`: giving up, no update lost |
//! | words are stored before COMMIT | `dying`, `locking`: robbed holder |
//! | the intent's head is stored, and COMMIT, before its words | `dying` |
//! | a takeover does not redo, does not copy, or copies after the swap | `dying` |
//! | a takeover keeps the sequence | `dying`: slow taker |
//! | `redo` stores a word less | `dying` |
//! | `settle_row` does nothing, redoes HELD, or undoes COMMIT | `dying`: attached anew |
//! | `settle_row` keeps the sequence of COMMIT | `dying`: attached anew; `storms` |
//! | FREE keeps the sequence | `storms`: counters |
//!
//! Robbing HELD without a new sequence fails nothing: a HELD word names its owner, who is one thread
//! at a time, so the robbed one's word does not come back.

mod dying;
mod locking;
mod pinning;
mod platform;
mod reading;
mod reserving;
mod segments;
mod splitting;
mod storms;
mod world;
