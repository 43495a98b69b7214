//! The bars of threads and processes side by side.

use super::bar::Aim::AtLeast;
use super::bar::Bar;
use super::results::{Results, own};
use crate::cell::Crew;
use crate::figures;
use crate::workload::Workload;

pub fn crews(results: &Results<'_>) -> Vec<Bar> {
    results.sizes().into_iter().flat_map(|size| of_size(results, size)).collect()
}

fn of_size(results: &Results<'_>, size: usize) -> Vec<Bar> {
    let bytes = figures::bytes(size);
    let bar = |what, measured, aim| Bar { what, entries: None, measured, aim: AtLeast(aim) };
    let mut bars = Vec::new();
    for crew in [Crew::Threads(2), Crew::Processes(2)] {
        let gain = |peer| results.gain(Workload::Read, size, crew, peer);
        let measured = gain("larder").zip(gain("raw")).map(|(own, raw)| own / raw);
        bars.push(bar(format!("read {bytes}, {crew}: gain / raw's"), measured, 0.95));
    }
    let gain = results.gain(Workload::Write, size, Crew::Threads(2), "larder");
    bars.push(bar(format!("write {bytes}: two threads / one"), gain, 1.0));
    let beside = results.usual(Workload::Beside, size);
    let share = own(beside, |outcome| outcome.detail("share_of_alone"));
    let what = format!("a reader beside a writer {bytes}: share of its speed alone");
    bars.push(bar(what, share, 0.9));
    bars
}
