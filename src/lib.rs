//! larder
mod config;
mod error;
mod format;
mod index;
#[cfg(test)]
mod models;
mod segments;
mod sys;
mod transaction;
pub use config::{Durability, Ttl};
pub use error::{Error, ErrorKind, Result};
