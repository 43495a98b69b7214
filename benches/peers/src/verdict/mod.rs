//! The verdict: what larder is to reach, and what it reached. Ratios are taken within each round; the
//! median counts.

mod bar;
mod cold;
mod costs;
mod crews;
mod results;
mod speeds;

use comfy_table::{CellAlignment, Table, presets};

use crate::figures::significant;
use crate::record::Record;
use bar::Bar;
use results::Results;

/// Prints the bars of which something was measured.
pub fn print(record: &Record) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["what", "entries", "measured", "bar", ""]);
    let (mut met, mut missed) = (0, 0);
    for bar in bars(&Results::of(record)) {
        let Some(measured) = bar.measured else { continue };
        let reached = bar.aim.is_reached(measured);
        let entries = bar.entries.map(|entries| entries.to_string()).unwrap_or_default();
        let verdict = if reached { "met" } else { "NOT MET" };
        let figures = [entries, significant(measured), bar.aim.words()];
        table.add_row([bar.what].into_iter().chain(figures).chain([verdict.to_owned()]));
        met += u32::from(reached);
        missed += u32::from(!reached);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if met + missed > 0 {
        println!("\nBars: {met} met, {missed} not met\n{table}");
    }
}

fn bars(results: &Results<'_>) -> Vec<Bar> {
    let subjects = [
        speeds::reads(results),
        speeds::writes(results),
        speeds::churn(results),
        crews::crews(results),
        costs::opening(results),
        costs::space(results),
        costs::growth(results),
        cold::cold(results),
    ];
    subjects.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Crew};
    use crate::outcome::{Finding, Outcome};
    use crate::record::Row;
    use crate::workload::Workload;

    fn row(cell: Cell, rate: f64) -> Row {
        let (rate, mean_ns) = (Some(rate), Some(1e9 / rate));
        let outcome = Outcome { rate, mean_ns, ..Outcome::default() };
        Row { cell, finding: Finding::Measured(Box::new(outcome)) }
    }

    /// The bars of which something was measured, and whether they are met.
    fn judged(rows: Vec<Row>) -> Vec<(String, bool)> {
        let record = Record::of_rows(rows);
        let bars = bars(&Results::of(&record)).into_iter();
        bars.filter_map(|bar| Some((bar.what, bar.aim.is_reached(bar.measured?)))).collect()
    }

    #[test]
    fn a_bar_is_judged_by_the_group_nearest_to_the_usual_number_of_entries() {
        let of = |peer, entries, rate| row(Cell { entries, ..Cell::example(peer) }, rate);
        let (few, many) = (1000, 900_000);
        let rows = vec![
            of("larder", few, 10.0),
            of("raw", few, 100.0),
            of("larder", many, 60.0),
            of("raw", many, 100.0),
        ];
        let judged = judged(rows);
        let each = ["each on its own", "overlapping"];
        let expected = each.map(|kind| (format!("get 1 KiB: larder / raw, {kind}"), true));
        assert_eq!(judged, expected);
    }

    #[test]
    fn beyond_memory_the_best_is_the_store_whose_puts_can_be_read_afterwards() {
        let of = |peer, rate, kept| {
            let mut row = row(Cell { workload: Workload::ColdFill, ..Cell::example(peer) }, rate);
            let Finding::Measured(outcome) = &mut row.finding else { return row };
            (outcome.kept, outcome.p999_ns) = (Some(kept), Some(rate as u64));
            row
        };
        let rows = vec![
            of("larder", 50.0, 1.0),
            of("foyer", 200.0, 0.1),
            of("candystore", 40.0, 1.0),
            of("raw-file", 1000.0, 1.0),
        ];
        let rate = "cold-fill 1 KiB: larder / the best peer";
        let expected = [(rate.to_owned(), true), (format!("{rate}, p99.9"), false)];
        assert_eq!(judged(rows), expected);
    }

    #[test]
    fn a_crew_is_judged_by_its_gain_over_one_alone_beside_that_of_the_lower_bound() {
        let of = |peer, crew, rate| {
            row(Cell { workload: Workload::Read, crew, ..Cell::example(peer) }, rate)
        };
        let two = Crew::Threads(2);
        let rows = vec![
            of("larder", Crew::ALONE, 10.0),
            of("larder", two, 15.0),
            of("raw", Crew::ALONE, 100.0),
            of("raw", two, 200.0),
        ];
        let what = "read 1 KiB, 2 threads: gain / raw's".to_owned();
        assert_eq!(judged(rows), [(what, false)]);
    }
}
