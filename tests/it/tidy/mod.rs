//! The style as a test: what may import what, `unsafe`, lengths, and what must not be left lying.
//!
//! `sources` finds the packages of the repository, `tree` makes modules of their files, `resolve`
//! and `types` follow paths and methods to the file that defines them, `imports` reads a file with
//! them, and `graph` has what came of it. `tables` is what is edited: floors, orders within folders,
//! and exceptions.

mod circles;
mod floors;
mod graph;
mod imports;
mod lengths;
mod made_up;
mod numbers;
mod order;
mod report;
mod resolve;
mod sources;
mod style;
mod tables;
mod tokens;
mod tree;
mod types;
