//! What runs come to: a kind of proof in `findings`, a mutation in `verdict`.

pub mod findings;
pub mod verdict;
