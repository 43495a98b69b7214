//! What larder is to reach, and what it reached. Ratios are taken within each round; the median counts.

use comfy_table::{CellAlignment, Table, presets};

use crate::cell::{Crew, Outcome};
use crate::options::words;
use crate::run::Record;
use crate::summary::{Group, Value, groups, median};
use crate::table::{rate, rate_alone, significant};
use crate::workload::Workload;

struct Bar {
    what: String,
    entries: Option<u64>,
    measured: Option<f64>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}
use Bound::{AtLeast, AtMost};

const ALONE: Crew = Crew::Threads(1);
const SMALL: [usize; 2] = [100, 1 << 10];
const LARGE: [usize; 2] = [16 << 10, 1 << 20];
/// The number of entries that the bars mean where they name none.
const USUAL_ENTRIES: u64 = 1_000_000;

/// Prints the bars of which something was measured.
pub fn print(record: &Record) {
    let results = Results(groups(record));
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["what", "entries", "measured", "bar", ""]);
    let bars =
        [results.reads(), results.writes(), results.churn(), results.crews(), results.opening()];
    let bars = bars.into_iter().flatten().chain(results.space()).chain(results.growth());
    let (mut met, mut missed) = (0, 0);
    for bar in bars {
        let Some(measured) = bar.measured else { continue };
        let (holds, bound) = match bar.bound {
            AtLeast(bound) => (measured >= bound, format!(">= {}", significant(bound))),
            AtMost(bound) => (measured <= bound, format!("<= {}", significant(bound))),
        };
        let entries = bar.entries.map(|entries| entries.to_string()).unwrap_or_default();
        let verdict = if holds { "met" } else { "NOT MET" };
        table.add_row([bar.what, entries, significant(measured), bound, verdict.to_owned()]);
        met += u32::from(holds);
        missed += u32::from(!holds);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if met + missed > 0 {
        println!("\nBars: {met} met, {missed} not met\n{table}");
    }
}

struct Results<'a>(Vec<Group<'a>>);

impl Results<'_> {
    /// The group whose number of entries is nearest to `entries`.
    fn at(&self, workload: Workload, size: usize, crew: Crew, entries: u64) -> Option<&Group<'_>> {
        let of =
            |group: &&Group<'_>| (group.workload, group.size, group.crew) == (workload, size, crew);
        self.0.iter().filter(of).min_by_key(|group| group.entries.abs_diff(entries))
    }

    fn of(&self, workload: Workload, size: usize) -> Option<&Group<'_>> {
        self.at(workload, size, ALONE, USUAL_ENTRIES)
    }

    /// larder's rate as a multiple of a peer's: of operations each on its own, and of such as overlap.
    fn speed(&self, workload: Workload, size: usize, peer: &str, bound: f64) -> [Bar; 2] {
        let group = self.of(workload, size);
        let kinds: [(&str, Value); 2] = [("each on its own", rate_alone), ("overlapping", rate)];
        kinds.map(|(kind, value)| Bar {
            what: format!("{} {}: larder / {peer}, {kind}", workload.name(), words(size)),
            entries: group.map(|group| group.entries),
            measured: group.and_then(|group| group.ratio("larder", peer, value)),
            bound: AtLeast(bound),
        })
    }

    fn reads(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for size in SMALL {
            let peers = [("raw", 0.6), ("lmdb-writemap", 1.5), ("moka", 1.0), ("candystore", 1.0)];
            let gets = peers.map(|(peer, bound)| self.speed(Workload::Get, size, peer, bound));
            bars.extend(gets.into_iter().flatten());
            bars.extend(self.speed(Workload::Miss, size, "raw", 0.6));
        }
        for size in LARGE {
            for (workload, what, bound) in [
                (Workload::View, "a CRC-32 pass", 1.15),
                (Workload::Get, "a copy and a CRC-32 pass", 1.25),
            ] {
                let time: Value = |outcome| outcome.rate.map(|rate| 1.0 / rate);
                let group = self.of(workload, size);
                bars.push(Bar {
                    what: format!("{} {}: time / {what}", workload.name(), words(size)),
                    entries: group.map(|group| group.entries),
                    measured: group.and_then(|group| group.ratio("larder", "raw+crc", time)),
                    bound: AtMost(bound),
                });
            }
        }
        bars
    }

    fn writes(&self) -> Vec<Bar> {
        let each = |workload| {
            SMALL.iter().flat_map(move |size| {
                [("raw", 0.5), ("candystore", 2.5)]
                    .into_iter()
                    .flat_map(move |(peer, bound)| self.speed(workload, *size, peer, bound))
            })
        };
        each(Workload::Fill).chain(each(Workload::Overwrite)).collect()
    }

    fn churn(&self) -> Vec<Bar> {
        let (churn, size) = (Workload::Churn, 1 << 10);
        let peers = [("raw", 0.3), ("candystore", 4.0), ("foyer", 4.0)];
        let mut bars: Vec<Bar> =
            peers.iter().flat_map(|(peer, bound)| self.speed(churn, size, peer, *bound)).collect();
        let group = self.of(churn, size);
        for peer in ["candystore", "foyer"] {
            let tail: Value = |outcome| outcome.p999_ns.map(|nanos| nanos as f64);
            bars.push(Bar {
                what: format!("churn 1 KiB: p99.9 / {peer}"),
                entries: None,
                measured: group.and_then(|group| group.ratio("larder", peer, tail)),
                bound: AtMost(1.0),
            });
        }
        bars.push(Bar {
            what: "churn 1 KiB: share of the newest that is there".to_owned(),
            entries: None,
            measured: group.and_then(|group| group.median("larder", |o| detail(o, "newest_kept"))),
            bound: AtLeast(1.0),
        });
        bars
    }

    /// What a crew does, as a multiple of what one does alone, in each round.
    fn gain(&self, workload: Workload, size: usize, crew: Crew, peer: &str) -> Option<f64> {
        let alone = self.at(workload, size, ALONE, USUAL_ENTRIES)?;
        let crew = self.at(workload, size, crew, USUAL_ENTRIES)?;
        let (alone, crew) = (alone.rows(peer), crew.rows(peer));
        let gains = alone.iter().filter_map(|one| {
            let many = crew.iter().find(|row| row.cell.round == one.cell.round)?;
            Some(many.outcome()?.rate? / one.outcome()?.rate?)
        });
        median(gains)
    }

    fn crews(&self) -> Vec<Bar> {
        let mut sizes: Vec<usize> = self.0.iter().map(|group| group.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut bars = Vec::new();
        for size in sizes {
            let bytes = words(size);
            for crew in [Crew::Threads(2), Crew::Processes(2)] {
                let gain = |peer| self.gain(Workload::Read, size, crew, peer);
                bars.push(Bar {
                    what: format!("read {bytes}, {crew}: gain / raw's"),
                    entries: None,
                    measured: gain("larder").zip(gain("raw")).map(|(own, raw)| own / raw),
                    bound: AtLeast(0.95),
                });
            }
            bars.push(Bar {
                what: format!("write {bytes}: two threads / one"),
                entries: None,
                measured: self.gain(Workload::Write, size, Crew::Threads(2), "larder"),
                bound: AtLeast(1.0),
            });
            let share: Value = |outcome| detail(outcome, "share_of_alone");
            bars.push(Bar {
                what: format!("a reader beside a writer {bytes}: share of its speed alone"),
                entries: None,
                measured: self.of(Workload::Beside, size).and_then(|g| g.median("larder", share)),
                bound: AtLeast(0.9),
            });
        }
        bars
    }

    fn opening(&self) -> Vec<Bar> {
        let largest = |workload| self.at(workload, 100, ALONE, u64::MAX);
        let opens = [(Workload::Open, "after close"), (Workload::OpenKilled, "after SIGKILL")];
        let time: Value = |outcome| outcome.open_ns.map(|nanos| nanos as f64 / 1e6);
        let mut bars: Vec<Bar> = opens
            .iter()
            .map(|(workload, when)| Bar {
                what: format!("opening {when}, ms"),
                entries: largest(*workload).map(|group| group.entries),
                measured: largest(*workload).and_then(|group| group.median("larder", time)),
                bound: AtMost(1.0),
            })
            .collect();
        let speed: Value = |outcome| detail(outcome, "slots_a_second").map(|slots| slots / 1e6);
        let group = largest(Workload::OpenReboot);
        bars.push(Bar {
            what: "opening after another boot, million slots a second".to_owned(),
            entries: group.map(|group| group.entries),
            measured: group.and_then(|group| group.median("larder", speed)),
            bound: AtLeast(50.0),
        });
        bars
    }

    fn space(&self) -> Vec<Bar> {
        let group = self.of(Workload::Fill, SMALL[0]);
        let index: Value = |o| Some(detail(o, "index_bytes")? / detail(o, "entries")?);
        let log: Value = |o| {
            let beyond = detail(o, "live_bytes")? - detail(o, "payload_bytes")?;
            Some(beyond / detail(o, "entries")?)
        };
        // Records begin at multiples of 16, which takes 15 bytes of an entry at most.
        let values: [(&str, Value, f64); 3] = [
            ("anonymous memory, bytes an entry", |outcome| outcome.memory_an_entry, 1.0),
            ("index, bytes an entry", index, 24.0),
            ("log, bytes an entry beyond key and value (40, and alignment)", log, 40.0 + 15.0),
        ];
        let bar = |(what, value, bound): (&str, Value, f64)| Bar {
            what: what.to_owned(),
            entries: group.map(|group| group.entries),
            measured: group.and_then(|group| group.median("larder", value)),
            bound: AtMost(bound),
        };
        values.map(bar).into()
    }

    fn growth(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        let many = self.at(Workload::Many, SMALL[0], ALONE, u64::MAX);
        let gains: [(&str, Value); 2] =
            [("get_many", |o| detail(o, "get_gain")), ("insert_many", |o| detail(o, "put_gain"))];
        bars.extend(gains.map(|(what, gain)| Bar {
            what: format!("{what}: as a multiple of single calls"),
            entries: many.map(|group| group.entries),
            measured: many.and_then(|group| group.median("larder", gain)),
            bound: AtLeast(1.5),
        }));
        for workload in [Workload::Get, Workload::Fill, Workload::Overwrite] {
            let few = self.at(workload, SMALL[0], ALONE, 0);
            let many = self.at(workload, SMALL[0], ALONE, u64::MAX);
            let ratio = |group: Option<&Group<'_>>| group?.ratio("larder", "raw", rate);
            let several = few.map(|g| g.entries) != many.map(|g| g.entries);
            let curve = ratio(many).zip(ratio(few)).filter(|_| several);
            bars.push(Bar {
                what: format!(
                    "{}: larder / raw at most entries, over that at fewest",
                    workload.name()
                ),
                entries: many.map(|group| group.entries),
                measured: curve.map(|(many, few)| many / few),
                bound: AtLeast(1.0),
            });
        }
        let slowest: Value = |outcome| detail(outcome, "slowest_processor_ns").map(|ns| ns / 1e6);
        let group = self.at(Workload::Growth, SMALL[0], ALONE, u64::MAX);
        bars.push(Bar {
            what: "slowest put while growing, ms of processor time".to_owned(),
            entries: group.map(|group| group.entries),
            measured: group.and_then(|group| group.median("larder", slowest)),
            bound: AtMost(3.0),
        });
        bars
    }
}

fn detail(outcome: &Outcome, name: &str) -> Option<f64> {
    outcome.details.get(name).copied()
}
