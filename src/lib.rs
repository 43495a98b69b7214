//! larder
mod config;
mod error;
mod format;
mod sys;
pub use config::{Durability, Ttl};
pub use error::{Error, ErrorKind, Result};
