//! The bars of stores that memory does not hold.

use super::bar::Aim::{AtLeast, AtMost};
use super::bar::{Aim, Bar};
use super::results::{Results, own, ratio};
use crate::data::Key;
use crate::peers;
use crate::summary::{Group, Value};
use crate::workload::Workload;

/// Values that the bars of reads and puts mean.
const SIZES: [usize; 3] = [1 << 10, 16 << 10, 1 << 20];
const PAGE: f64 = 4096.0;
/// Bytes of a record besides key and value, at most.
const HEADER: usize = 40;

pub fn cold(results: &Results<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    for size in SIZES {
        bars.extend(reads(results, size));
    }
    for size in results.sizes() {
        let zipf = results.usual(Workload::ColdZipf, size);
        bars.push(bar(zipf, "the best peer", beside_best(zipf, RATE), AtLeast(1.0)));
        bars.extend(misses(results, size));
    }
    for workload in [Workload::ColdFill, Workload::ColdChurn] {
        for size in SIZES {
            let group = results.usual(workload, size);
            bars.push(bar(group, "the best peer", beside_best(group, RATE), AtLeast(1.0)));
            let what = "the best peer, p99.9";
            bars.push(bar(group, what, beside_best(group, TAIL), AtMost(1.0)));
        }
    }
    bars
}

const RATE: Value = |outcome| outcome.rate_kept();
const TAIL: Value = |outcome| outcome.p999_ns.map(|nanos| nanos as f64);
const READ: Value = |outcome| outcome.read_an_operation;

fn reads(results: &Results<'_>, size: usize) -> [Bar; 3] {
    let group = results.usual(Workload::ColdGet, size);
    // A record begins anywhere in a page; beside its own pages one of the index may be read.
    let record = (size + size_of::<Key>() + HEADER) as f64;
    let most = record + PAGE + PAGE;
    [
        bar(group, "raw-file", ratio(group, "raw-file", RATE), AtLeast(0.9)),
        bar(group, "the best peer", beside_best(group, RATE), AtLeast(0.9)),
        bar(
            group,
            "its record's pages and one more, bytes read",
            own(group, READ).map(|read| read / most),
            AtMost(1.0),
        ),
    ]
}

/// Misses beside those with everything in memory, where both were measured.
fn misses(results: &Results<'_>, size: usize) -> Option<Bar> {
    let cold = results.usual(Workload::ColdMiss, size);
    let warm = own(results.usual(Workload::Miss, size), RATE)?;
    Some(bar(cold, "misses in memory", own(cold, RATE).map(|rate| rate / warm), AtLeast(0.5)))
}

/// larder's value as a multiple of that of the peer with the highest rate.
fn beside_best(group: Option<&Group<'_>>, value: Value) -> Option<f64> {
    let stores = group?.peers.iter().map(|(peer, _)| *peer).filter(|peer| {
        *peer != "larder" && peers::find(peer).is_none_or(|about| !about.lower_bound)
    });
    let rated = stores.filter_map(|peer| Some((peer, group?.median(peer, RATE)?)));
    let (best, _) = rated.max_by(|(_, rate), (_, other)| rate.total_cmp(other))?;
    ratio(group, best, value)
}

fn bar(group: Option<&Group<'_>>, than: &str, measured: Option<f64>, aim: Aim) -> Bar {
    let title = group.map(|group| group.task.title()).unwrap_or_default();
    let entries = group.map(|group| group.task.entries);
    Bar { what: format!("{title}: larder / {than}"), entries, measured, aim }
}
