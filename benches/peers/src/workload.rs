//! The workloads: their names, and what is known of each before it is carried out.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// New entries into a new store; also memory, disk, and what is left of the entries
    Fill,
    /// Hits, any entry as likely as any other
    Get,
    /// Hits by Zipf's law
    GetZipf,
    /// Reads of keys that are not there
    Miss,
    /// Reads by Zipf's law with a put after each miss; an eighth of the entries fits
    GetOrInsert,
    /// Puts over entries that are there
    Overwrite,
    /// Removals of all entries
    Remove,
    /// New entries into a full store: four times what fits
    Churn,
    /// Opening what was closed, to the first value
    Open,
    /// The same after SIGKILL, and what is left of the entries
    OpenKilled,
    /// Nine reads to one put, by one thread, two threads, two processes
    Mixed,
    /// Opening after another boot (larder)
    OpenReboot,
    /// Reads alone, by one thread, two threads, two processes
    Read,
    /// Puts over entries that are there, by one thread and two threads, each on its own
    Write,
    /// A reader alone and beside a writer
    Beside,
    /// Hits read in place
    View,
    /// Several keys in a call, beside as many calls
    Many,
    /// The slowest put while a store grows
    Growth,
    /// Hits in a store of three times the memory, any entry as likely as any other
    ColdGet,
    /// Hits there by Zipf's law
    ColdZipf,
    /// Reads there of keys that are not there
    ColdMiss,
    /// New entries into a new store, up to three times the memory
    ColdFill,
    /// New entries into a full store of three times the memory
    ColdChurn,
    /// Nine reads to one put in a store of three times the memory
    ColdMixed,
    /// Fill, get, overwrite and opening at 100 k, 1 M and 10 M entries
    Scale,
}

impl Workload {
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Bytes of a value, unless they are given.
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Self::Open
            | Self::OpenKilled
            | Self::OpenReboot
            | Self::Many
            | Self::Growth
            | Self::Scale => &[100],
            Self::GetOrInsert | Self::Mixed | Self::Read | Self::Write | Self::Beside => &[1 << 10],
            Self::Miss => &[100, 1 << 10],
            _ if self.is_cold() => &[100, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20],
            Self::View => &[16 << 10, 1 << 20],
            _ => &[100, 1 << 10, 16 << 10, 1 << 20],
        }
    }

    /// Whether it compares larder with the lower bound alone, and not with other stores.
    pub fn is_of_engine(self) -> bool {
        matches!(
            self,
            Self::OpenReboot
                | Self::Read
                | Self::Write
                | Self::Beside
                | Self::View
                | Self::Many
                | Self::Growth
                | Self::Scale
        )
    }

    /// Whether memory holds a third of the store.
    pub fn is_cold(self) -> bool {
        self.only_reads_cold() || self.puts_cold() || self == Self::ColdMixed
    }

    pub fn only_reads_cold(self) -> bool {
        matches!(self, Self::ColdGet | Self::ColdZipf | Self::ColdMiss)
    }

    pub fn puts_cold(self) -> bool {
        matches!(self, Self::ColdFill | Self::ColdChurn)
    }

    /// Whether it opens what another process has left.
    pub fn is_opening(self) -> bool {
        matches!(self, Self::Open | Self::OpenKilled | Self::OpenReboot)
    }

    /// Whether values are read back by key while others may have come to their places.
    pub fn needs_keys(self) -> bool {
        self == Self::GetOrInsert
    }

    /// Whether several threads or processes write at a time.
    pub fn writes_side_by_side(self) -> bool {
        matches!(self, Self::Mixed | Self::Write | Self::Beside)
    }
}
