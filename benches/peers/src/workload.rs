//! What is asked of the peers.

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Crew, Finding};
use crate::peer::{About, Processes};
use crate::peers;
use crate::workloads::{Bench, bounded, crews, growth, many, opening, plain};

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
    /// Fill, get, overwrite and opening at 100 k, 1 M and 10 M entries
    Scale,
}

impl Workload {
    /// Whether it tells larder from the machine's limit, and not from its peers.
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
            Self::View => &[16 << 10, 1 << 20],
            _ => &[100, 1 << 10, 16 << 10, 1 << 20],
        }
    }

    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether values are read back by key while others may have come to their places.
    fn needs_keys(self) -> bool {
        self == Self::GetOrInsert
    }

    fn writes(self) -> bool {
        matches!(self, Self::Mixed | Self::Write | Self::Beside)
    }

    /// Why a peer cannot do this, if it cannot.
    fn refusal(self, about: &About, cell: &Cell) -> Option<String> {
        let shared = match cell.crew {
            Crew::Threads(1) => true,
            Crew::Threads(_) => about.threads || !self.writes(),
            Crew::Processes(_) => match about.processes {
                Processes::One => false,
                Processes::Readers => !self.writes(),
                Processes::Any => true,
            },
        };
        let is_opening = matches!(self, Self::Open | Self::OpenKilled | Self::OpenReboot);
        let reason = if cell.size > about.largest {
            "values of this size do not fit"
        } else if is_opening && !about.persists {
            "keeps nothing"
        } else if self == Self::View && !about.views {
            "no views"
        } else if self.needs_keys() && about.floor {
            "compares no keys"
        } else if self == Self::Beside && !about.threads {
            "one writer and no reader beside it"
        } else if !shared && matches!(cell.crew, Crew::Processes(_)) {
            "one process at a time"
        } else if !shared {
            "one thread at a time"
        } else {
            return None;
        };
        Some(reason.to_owned())
    }
}

/// Measures a cell, in this process.
pub fn measure(cell: &Cell) -> Finding {
    let Some(about) = peers::find(&cell.peer) else {
        return Finding::Failed("no such peer in this build".to_owned());
    };
    if let Some(reason) = cell.workload.refusal(about, cell) {
        return Finding::Cannot(reason);
    }
    match carry_out(Bench::new(cell, about)) {
        Ok(finding) => finding,
        Err(error) => Finding::Failed(format!("{error:#}")),
    }
}

fn carry_out(mut bench: Bench<'_>) -> Result<Finding> {
    let outcome = match bench.cell.workload {
        Workload::Fill => plain::fill(&mut bench),
        Workload::Get | Workload::GetZipf => plain::get(&mut bench),
        Workload::View => plain::view(&mut bench),
        Workload::Miss => plain::miss(&mut bench),
        Workload::Overwrite => plain::overwrite(&mut bench),
        Workload::Remove => plain::remove(&mut bench),
        Workload::Churn => bounded::churn(&mut bench),
        Workload::GetOrInsert => bounded::get_or_insert(&mut bench),
        Workload::Open | Workload::OpenKilled | Workload::OpenReboot => opening::open(&mut bench),
        Workload::Mixed | Workload::Read | Workload::Write => crews::side_by_side(&mut bench),
        Workload::Beside => crews::beside(&mut bench),
        Workload::Many => many::beside_single(&mut bench),
        Workload::Growth => growth::grow(&mut bench),
        Workload::Scale => anyhow::bail!("stands for other workloads"),
    };
    let mut outcome = outcome?;
    let most = bench.about.most_entries;
    if most < bench.cell.entries {
        outcome.notes.insert(0, format!("with {most} entries"));
    }
    Ok(Finding::Measured(Box::new(outcome)))
}
