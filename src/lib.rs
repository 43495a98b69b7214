//! A persistent cache on disk: bounded, shared by many processes, opened in constant time.
//!
//! Work whose results are worth keeping (pages, API answers, compiled artefacts, embeddings) goes
//! into a directory that never grows beyond its limit, survives restarts and `kill -9`, and is read
//! at memory speed by any number of threads and processes.
//!
//! ```
//! # fn main() -> larder::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("cache");
//! use std::time::Duration;
//! use larder::FileCache;
//!
//! let cache = FileCache::builder()
//!     .max_bytes(64 << 20)                        // of disk, for everything in the directory
//!     .time_to_live(Duration::from_secs(60))
//!     .open(&path)?;
//!
//! cache.insert("key", "value")?;
//! assert_eq!(cache.get("key"), Some(b"value".to_vec()));
//!
//! // Computed once over all threads and processes, however many ask at the same time.
//! let page = cache.get_or_insert_with("page", || b"rendered".to_vec())?;
//!
//! // In place, without a copy.
//! let view = cache.view("page").expect("just stored");
//! assert_eq!(&view[..], &page[..]);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A read hits or misses. It never returns wrong, torn, expired or removed bytes.
//! - A killed process costs nothing: what was acknowledged is there, others go on, opening takes well
//!   under a millisecond.
//! - A power cut costs at most what was not [synced](FileCache::sync).
//! - `max_entries` and `max_bytes` hold at every moment, over all processes.
//! - No thread is started and no signal handler installed: each put does a bounded share of the upkeep.
//!
//! The README has the limits of these promises, and `format.md` the format on disk.

mod cache;
mod capacity;
mod config;
mod directory;
mod entries;
mod error;
mod format;
mod index;
#[cfg(test)]
mod models;
mod open;
mod policy;
mod reclaim;
mod recovery;
mod request;
mod session;
mod split;
mod store;
mod sync;
mod sys;
mod transaction;
mod verify;

pub use cache::{Builder, FileCache, Iter, Keys, Maintenance, Relimited, Stats, Synced, View};
pub use config::{Durability, OnDamage, OnFillTimeout, Ttl};
pub use error::{Error, ErrorKind, Result};
pub use request::{LimitsKept, Opening};
pub use verify::Verification;

/// No part of the interface: for larder's own tests, fuzz targets and benches. What they set by hand
/// instead of asking the operating system; and the format itself, so that they can feed its decoders,
/// and damage files in ways that no checksum shows.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::format::{
        FORMAT_VERSION, address, check, checked, control, identity, intent, lock, page, record,
        segment, slot, walk,
    };
    pub use crate::index::{Found, Index};
    pub use crate::store::{Record, Spot, Store};
    pub use crate::sys::door::Environment;
    pub use crate::sys::simulated::{Call, Flush, SECTOR, Simulated, What};
    pub use crate::sys::words::Words;
    pub use crate::transaction::{Changes, Liveness, Patience, Transactions, Verdict};
}

/// The README's example, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
