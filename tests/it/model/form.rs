//! The kinds of store that are tested.

use larder::Builder;

/// What the clock shows first.
pub const START: u64 = 1_800_000_000_000;
const MIB: u64 = 1 << 20;
/// Process rows: a view keeps that of its handle, even when the handle is closed.
const HANDLES_AND_VIEWS: u16 = 12;

/// What kind of store.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// There is room for everything: nothing is ever evicted.
    pub roomy: bool,
    /// Many keys are put at a time, so that the index grows.
    pub crowds: bool,
    /// Megabytes at least and at most, and entries.
    bytes: (u64, u64),
    entries: Option<u64>,
    pub ttl_ms: Option<u64>,
}

pub const ROOMY: Form =
    Form { roomy: true, crowds: false, bytes: (12, 24), entries: None, ttl_ms: None };
pub const CROWDED: Form =
    Form { roomy: true, crowds: true, bytes: (16, 24), entries: None, ttl_ms: Some(60_000) };
pub const TIGHT: Form =
    Form { roomy: false, crowds: true, bytes: (2, 4), entries: None, ttl_ms: None };
pub const FEW: Form =
    Form { roomy: false, crowds: false, bytes: (6, 8), entries: Some(30), ttl_ms: Some(3000) };

impl Form {
    /// How the store is created.
    pub fn create(self, builder: Builder) -> Builder {
        let mut builder = builder
            .max_bytes(self.bytes.0 * MIB)
            .segment_size(64 << 10)
            .max_processes(HANDLES_AND_VIEWS);
        if let Some(entries) = self.entries {
            builder = builder.max_entries(entries);
        }
        if let Some(ttl) = self.ttl_ms {
            builder = builder.time_to_live(std::time::Duration::from_millis(ttl));
        }
        builder
    }

    /// The limit on entries that a drawn number stands for.
    pub fn max_entries(self, number: u8) -> Option<u64> {
        self.entries.map(|entries| 1 + u64::from(number) % (entries * 2))
    }

    /// The limit on bytes that a drawn number stands for.
    pub fn max_bytes(self, number: u8) -> u64 {
        let (least, most) = self.bytes;
        least * MIB + (most - least) * MIB * u64::from(number) / 255
    }
}
