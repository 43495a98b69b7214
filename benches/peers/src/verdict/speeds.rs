//! The bars of speed: larder beside other peers, and beside the lower aim.

use super::bar::Aim::{AtLeast, AtMost};
use super::bar::Bar;
use super::results::{LARGE, Results, SMALL, own, ratio};
use crate::figures;
use crate::summary::Value;
use crate::workload::Workload;

pub fn reads(results: &Results<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    for size in SMALL {
        for (peer, aim) in
            [("raw", 0.6), ("lmdb-writemap", 1.5), ("moka", 1.0), ("candystore", 1.0)]
        {
            bars.extend(speed(results, Workload::Get, size, peer, aim));
        }
        bars.extend(speed(results, Workload::Miss, size, "raw", 0.6));
    }
    for size in LARGE {
        bars.push(beyond_the_pass(results, Workload::View, size, "a CRC-32 pass", 1.15));
        let what = "a copy and a CRC-32 pass";
        bars.push(beyond_the_pass(results, Workload::Get, size, what, 1.25));
    }
    bars
}

pub fn writes(results: &Results<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    for workload in [Workload::Fill, Workload::Overwrite] {
        for size in SMALL {
            for (peer, aim) in [("raw", 0.5), ("candystore", 2.5)] {
                bars.extend(speed(results, workload, size, peer, aim));
            }
        }
    }
    bars
}

pub fn churn(results: &Results<'_>) -> Vec<Bar> {
    let (churn, size) = (Workload::Churn, 1 << 10);
    let mut bars = Vec::new();
    for (peer, aim) in [("raw", 0.3), ("candystore", 4.0), ("foyer", 4.0)] {
        bars.extend(speed(results, churn, size, peer, aim));
    }
    let group = results.usual(churn, size);
    for peer in ["candystore", "foyer"] {
        let tail: Value = |outcome| outcome.p999_ns.map(|nanos| nanos as f64);
        bars.push(Bar {
            what: format!("churn 1 KiB: p99.9 / {peer}"),
            entries: None,
            measured: ratio(group, peer, tail),
            aim: AtMost(1.0),
        });
    }
    bars.push(Bar {
        what: "churn 1 KiB: share of the newest that is there".to_owned(),
        entries: None,
        measured: own(group, |outcome| outcome.detail("newest_kept")),
        aim: AtLeast(1.0),
    });
    bars
}

/// larder's rate as a multiple of a peer's: of operations each on its own, and of overlapping ones.
fn speed(results: &Results<'_>, workload: Workload, size: usize, peer: &str, aim: f64) -> [Bar; 2] {
    let group = results.usual(workload, size);
    let kinds: [(&str, Value); 2] = [
        ("each on its own", |outcome| outcome.rate_alone()),
        ("overlapping", |outcome| outcome.rate),
    ];
    kinds.map(|(kind, rate)| Bar {
        what: format!("{} {}: larder / {peer}, {kind}", workload.name(), figures::bytes(size)),
        entries: group.map(|group| group.task.entries),
        measured: ratio(group, peer, rate),
        aim: AtLeast(aim),
    })
}

/// larder's time as a multiple of what checking the bytes alone takes.
fn beyond_the_pass(
    results: &Results<'_>,
    workload: Workload,
    size: usize,
    what: &str,
    most: f64,
) -> Bar {
    let time: Value = |outcome| outcome.rate.map(|rate| 1.0 / rate);
    let group = results.usual(workload, size);
    Bar {
        what: format!("{} {}: time / {what}", workload.name(), figures::bytes(size)),
        entries: group.map(|group| group.task.entries),
        measured: ratio(group, "raw+crc", time),
        aim: AtMost(most),
    }
}
