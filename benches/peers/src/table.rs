//! Tables for people, which are Markdown as well.

use std::collections::BTreeSet;

use comfy_table::{CellAlignment, Table, presets};

use crate::figures::{percent, significant, time};
use crate::peers;
use crate::record::Record;
use crate::summary::{Group, Value, groups, median, named};

/// A column: its name, its value, how it is written.
type Column = (&'static str, Value, fn(f64) -> String);

const COLUMNS: &[Column] = &[
    ("thousand/s", |outcome| outcome.rate, |rate| significant(rate / 1e3)),
    ("open", |outcome| nanos(outcome.open_ns), time),
    ("mean", |outcome| outcome.mean_ns, time),
    ("p50", |outcome| nanos(outcome.p50_ns), time),
    ("p99", |outcome| nanos(outcome.p99_ns), time),
    ("p99.9", |outcome| nanos(outcome.p999_ns), time),
    ("max", |outcome| nanos(outcome.max_ns), time),
    ("hits", |outcome| outcome.hit_ratio, percent),
    ("kept", |outcome| outcome.kept, percent),
    (
        "memory/entry",
        |outcome| outcome.memory_an_entry,
        |bytes| format!("{} B", significant(bytes)),
    ),
    ("disk/payload", |outcome| outcome.disk_over_payload, significant),
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
        println!("\n{}\n{}", group.task, table(&group));
    }
}

/// A row for each peer, a column for each workload: what is faster at what, at a glance.
fn overview(groups: &[&Group<'_>]) -> Table {
    let time: Value = |outcome| nanos(outcome.open_ns).or(outcome.mean_ns);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(
        std::iter::once("than".to_owned()).chain(groups.iter().map(|group| group.task.title())),
    );
    let peers: BTreeSet<&str> =
        groups.iter().flat_map(|group| group.peers.iter().map(|(peer, _)| *peer)).collect();
    let mut peers: Vec<&str> = peers.into_iter().filter(|peer| *peer != "larder").collect();
    peers.sort_by_key(|peer| peers::rank(peer));
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
    let has = |column: &&Column| {
        group.peers.iter().any(|(peer, _)| group.median(peer, column.1).is_some())
    };
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
    match (median(ratios.iter().copied()), ratios.first(), ratios.last()) {
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
