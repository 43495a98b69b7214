//! Tables for people, which are Markdown as well.

use comfy_table::Table;

use crate::figures::{amount, percent, significant, time};
use crate::grid::{align_right, empty, grid};
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
    ("read/op", |outcome| outcome.read_an_operation, amount),
    ("written/op", |outcome| outcome.written_an_operation, amount),
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
    let mut compared = named(&groups, titles);
    compared.retain(|group| !group.task.workload.is_cold());
    if !compared.is_empty() {
        println!("\nlarder is so many times as fast, each operation on its own");
        println!("{}", grid(&compared, "than", &ratio));
    }
    for group in groups {
        println!("\n{}\n{}", group.task, table(&group));
    }
}

fn ratio(group: &Group<'_>, peer: &str) -> Option<String> {
    let time: Value = |outcome| nanos(outcome.open_ns).or(outcome.mean_ns);
    let ratio = group.ratio(peer, "larder", time)?;
    (peer != "larder").then(|| significant(ratio))
}

fn table(group: &Group<'_>) -> Table {
    let has = |column: &&Column| {
        group.peers.iter().any(|(peer, _)| group.median(peer, column.1).is_some())
    };
    let columns: Vec<&Column> = COLUMNS.iter().filter(has).collect();
    let names = columns.iter().map(|column| column.0);
    let head = ["peer", "larder is"].into_iter().chain(names).chain(["notes"]);
    let mut table = empty(head.map(str::to_owned));
    for (peer, _) in &group.peers {
        let mut cells = vec![(*peer).to_owned(), times(group, peer)];
        for (_, value, write) in &columns {
            cells.push(group.median(peer, *value).map(write).unwrap_or_default());
        }
        cells.push(group.notes(peer));
        table.add_row(cells);
    }
    align_right(&mut table, columns.len() + 1);
    table
}

/// How many times as fast larder is, with the least and the most of the rounds.
fn times(group: &Group<'_>, peer: &str) -> String {
    let slowness: Value = match group.task.workload.is_cold() {
        true => |outcome| outcome.rate_kept().map(|rate| 1.0 / rate),
        false => |outcome| nanos(outcome.open_ns).or(outcome.rate.map(|rate| 1.0 / rate)),
    };
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
