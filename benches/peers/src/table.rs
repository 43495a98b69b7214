//! Tables for people, which are Markdown as well.

use std::collections::BTreeSet;

use comfy_table::{CellAlignment, Table, presets};

use crate::cell::Outcome;
use crate::options::words;
use crate::run::Record;
use crate::summary::{Group, Value, groups, named};

/// A column: its name, its value, how it is written.
type Column = (&'static str, Value, fn(f64) -> String);

const COLUMNS: &[Column] = &[
    ("thousand/s", |o| o.rate, |rate| significant(rate / 1e3)),
    ("open", |o| nanos(o.open_ns), time),
    ("mean", |o| o.mean_ns, time),
    ("p50", |o| nanos(o.p50_ns), time),
    ("p99", |o| nanos(o.p99_ns), time),
    ("p99.9", |o| nanos(o.p999_ns), time),
    ("max", |o| nanos(o.max_ns), time),
    ("hits", |o| o.hit_ratio, percent),
    ("kept", |o| o.kept, percent),
    ("memory/entry", |o| o.memory_an_entry, |bytes| format!("{} B", significant(bytes))),
    ("disk/payload", |o| o.disk_over_payload, significant),
];

/// `titles` are those of the overview; none: all.
pub fn print(record: &Record, titles: &[String]) {
    let machine = &record.machine;
    println!(
        "\n{} x {}, {:.0} GiB, Linux {}, {}; --seed {}",
        machine.processors,
        machine.processor,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.file_system,
        record.seed
    );
    let versions = record.versions.iter().map(|(peer, version)| format!("{peer} {version}"));
    println!("{}", versions.collect::<Vec<_>>().join(", "));
    println!("Medians over the rounds; `larder is` the median of the ratios within each round.");
    let groups = groups(record);
    println!(
        "\nlarder is so many times as fast, each operation on its own\n{}",
        overview(&named(&groups, titles))
    );
    for group in groups {
        let (name, size) = (group.workload.name(), words(group.size));
        println!("\n{name}, {size}, {} entries, {}\n{}", group.entries, group.crew, table(&group));
    }
}

/// A row a peer, a column a workload: who is faster at what, at a glance.
fn overview(groups: &[&Group<'_>]) -> Table {
    let time: Value = |outcome| nanos(outcome.open_ns).or(outcome.mean_ns);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(
        std::iter::once("than".to_owned()).chain(groups.iter().map(|group| group.title())),
    );
    let order = |peer: &&str| crate::peers::ALL.iter().position(|about| about.name == *peer);
    let peers: BTreeSet<&str> =
        groups.iter().flat_map(|group| group.peers.iter().map(|(peer, _)| *peer)).collect();
    let mut peers: Vec<&str> = peers.into_iter().filter(|peer| *peer != "larder").collect();
    // One that this program was built without comes last.
    peers.sort_by_key(|peer| order(peer).unwrap_or(usize::MAX));
    for peer in peers {
        let ratio = |group: &&Group<'_>| group.ratio(peer, "larder", time);
        let ratios: Vec<Option<f64>> = groups.iter().map(ratio).collect();
        if ratios.iter().any(Option::is_some) {
            let cells = ratios.into_iter().map(|ratio| ratio.map(significant).unwrap_or_default());
            table.add_row(std::iter::once(peer.to_owned()).chain(cells));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn table(group: &Group<'_>) -> Table {
    let has =
        |column: &&Column| group.peers.iter().any(|(p, _)| group.median(p, column.1).is_some());
    let columns: Vec<&Column> = COLUMNS.iter().filter(has).collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let names = columns.iter().map(|column| column.0);
    table.set_header(["peer", "larder is"].into_iter().chain(names).chain(["notes"]));
    for (peer, _) in &group.peers {
        let mut cells = vec![(*peer).to_owned(), times(group, peer)];
        for (_, value, write) in &columns {
            cells.push(group.median(peer, *value).map(write).unwrap_or_default());
        }
        cells.push(group.notes(peer));
        table.add_row(cells);
    }
    let last = columns.len() + 1;
    for column in table.column_iter_mut().skip(1).take(last) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How many times as fast larder is, with the least and the most of the rounds.
fn times(group: &Group<'_>, peer: &str) -> String {
    let slowness: Value = |outcome| nanos(outcome.open_ns).or(outcome.rate.map(|rate| 1.0 / rate));
    let mut ratios = group.ratios(peer, "larder", slowness);
    ratios.sort_by(f64::total_cmp);
    match (crate::summary::median(ratios.iter().copied()), ratios.first(), ratios.last()) {
        (Some(_), ..) if peer == "larder" => String::new(),
        (Some(middle), Some(least), Some(most)) if ratios.len() > 1 => {
            let [middle, least, most] = [middle, *least, *most].map(significant);
            format!("{middle} x ({least} to {most})")
        }
        (Some(middle), ..) => format!("{} x", significant(middle)),
        (None, ..) => String::new(),
    }
}

fn nanos(nanos: Option<u64>) -> Option<f64> {
    nanos.map(|nanos| nanos as f64)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn time(nanos: f64) -> String {
    match nanos {
        0.0..1e3 => format!("{nanos:.0} ns"),
        1e3..1e6 => format!("{} us", significant(nanos / 1e3)),
        1e6..1e9 => format!("{} ms", significant(nanos / 1e6)),
        _ => format!("{} s", significant(nanos / 1e9)),
    }
}

/// Three figures say all that such a measurement knows.
pub fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// Operations a second, where they overlap.
pub fn rate(outcome: &Outcome) -> Option<f64> {
    outcome.rate
}

/// Operations a second, each on its own.
pub fn rate_alone(outcome: &Outcome) -> Option<f64> {
    outcome.mean_ns.map(|nanos| 1e9 / nanos)
}
