//! The bars of opening, of space, and of what grows with the number of entries or of keys in a call.

use super::bar::Aim::{AtLeast, AtMost};
use super::bar::{Aim, Bar};
use super::results::{Results, SMALL, own, ratio};
use crate::summary::{Group, Value};
use crate::workload::Workload;

pub fn opening(results: &Results<'_>) -> Vec<Bar> {
    let time: Value = |outcome| outcome.open_ns.map(|nanos| nanos as f64 / 1e6);
    let slots: Value = |outcome| outcome.detail("slots_a_second").map(|slots| slots / 1e6);
    let bars = [
        (Workload::Open, "opening after close, ms", time, AtMost(1.0)),
        (Workload::OpenKilled, "opening after SIGKILL, ms", time, AtMost(1.0)),
        (
            Workload::OpenReboot,
            "opening after another boot, million slots a second",
            slots,
            AtLeast(50.0),
        ),
    ];
    let bar = |(workload, what, value, aim): (_, &str, _, _)| {
        let group = results.most(workload, SMALL[0]);
        of_larder(group, what, value, aim)
    };
    bars.map(bar).into()
}

pub fn space(results: &Results<'_>) -> Vec<Bar> {
    let group = results.usual(Workload::Fill, SMALL[0]);
    let index: Value = |outcome| Some(outcome.detail("index_bytes")? / outcome.detail("entries")?);
    let log: Value = |outcome| {
        let beyond = outcome.detail("live_bytes")? - outcome.detail("payload_bytes")?;
        Some(beyond / outcome.detail("entries")?)
    };
    // Records begin at multiples of 16, which takes 15 bytes of an entry at most.
    let values: [(&str, Value, f64); 3] = [
        ("anonymous memory, bytes an entry", |outcome| outcome.memory_an_entry, 1.0),
        ("index, bytes an entry", index, 24.0),
        ("log, bytes an entry beyond key and value (40, and alignment)", log, 40.0 + 15.0),
    ];
    let bar = |(what, value, most)| of_larder(group, what, value, AtMost(most));
    values.map(bar).into()
}

pub fn growth(results: &Results<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    let many = results.most(Workload::Many, SMALL[0]);
    let gains: [(&str, Value); 2] = [
        ("get_many: as a multiple of single calls", |outcome| outcome.detail("get_gain")),
        ("insert_many: as a multiple of single calls", |outcome| outcome.detail("put_gain")),
    ];
    bars.extend(gains.map(|(what, gain)| of_larder(many, what, gain, AtLeast(1.5))));
    for workload in [Workload::Get, Workload::Fill, Workload::Overwrite] {
        bars.push(curve(results, workload));
    }
    let slowest: Value = |outcome| outcome.detail("slowest_processor_ns").map(|nanos| nanos / 1e6);
    let group = results.most(Workload::Growth, SMALL[0]);
    let what = "slowest put while growing, ms of processor time";
    bars.push(of_larder(group, what, slowest, AtMost(3.0)));
    bars
}

/// How larder beside raw with the most entries compares with that at the fewest.
fn curve(results: &Results<'_>, workload: Workload) -> Bar {
    let few = results.fewest(workload, SMALL[0]);
    let many = results.most(workload, SMALL[0]);
    let entries = |group: Option<&Group<'_>>| group.map(|group| group.task.entries);
    let beside_raw = |group| ratio(group, "raw", |outcome| outcome.rate);
    let several = entries(few) != entries(many);
    let curve = beside_raw(many).zip(beside_raw(few)).filter(|_| several);
    Bar {
        what: format!("{}: larder / raw at most entries, over that at fewest", workload.name()),
        entries: entries(many),
        measured: curve.map(|(many, few)| many / few),
        aim: AtLeast(1.0),
    }
}

/// A bar of larder on its own.
fn of_larder(group: Option<&Group<'_>>, what: &str, value: Value, aim: Aim) -> Bar {
    Bar {
        what: what.to_owned(),
        entries: group.map(|group| group.task.entries),
        measured: own(group, value),
        aim,
    }
}
