//! A door for tests that simulate power cuts: they are told around the flushes of a sync.

use std::fmt;
use std::sync::Arc;

/// Where a sync is, for tests that simulate power cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMoment {
    /// The log is about to be flushed.
    Log,
    /// The index is about to be flushed.
    Index,
    /// All that was flushed is durable.
    Done,
}

/// What a test wants called at these moments.
#[derive(Clone)]
pub struct SyncHook(pub Arc<dyn Fn(SyncMoment) + Send + Sync>);

impl fmt::Debug for SyncHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncHook")
    }
}
