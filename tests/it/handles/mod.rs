//! Handles of one store in one process: what they share, what each has of its own, and how much address space
//! a store takes.

mod limited;
mod sharing;

pub use limited::{in_little_space, raises, thousand_stores, without_space_for_more};
pub use sharing::forks_with_handles;
