//! What is printed at the end.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::kinds;
use crate::mutation::Mutation;
use crate::mutations::Outcome;
use crate::run::Shown;

fn table(head: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head);
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The results of a run, then what was counted, skipped and violated.
pub fn results(results: &[Shown]) {
    let head = ["kind", "what it shows", "tests", "cases", "violations", "skipped", "time"];
    let mut all = table(&head, &[2, 3, 4, 5, 6]);
    for shown in results {
        let tests = if shown.tests == 0 { "no tests".into() } else { shown.tests.to_string() };
        all.add_row([
            shown.kind.clone(),
            shown.shows.clone(),
            tests,
            shown.cases.to_string(),
            shown.violations.len().to_string(),
            shown.skipped.len().to_string(),
            time(shown.seconds),
        ]);
    }
    println!("\n{all}\n");
    for shown in results {
        for (what, cases) in &shown.evidence {
            println!("{}: {cases} {what}", shown.kind);
        }
        for why in &shown.skipped {
            let needs = kinds::named(&shown.kind).map_or("", |kind| kind.needs);
            println!("{}: skipped: {why} (it needs {needs})", shown.kind);
        }
    }
    for shown in results {
        for violation in &shown.violations {
            println!("\nVIOLATION in {}: {}", shown.kind, violation.test);
            println!("  log:    {}\n  repeat: {}", violation.log.display(), violation.repeat);
        }
    }
}

fn time(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The list of mutations.
pub fn mutations(all: &[Mutation]) {
    let mut list = table(&["mutation", "breaks", "caught by", "tests"], &[]);
    for it in all {
        list.add_row([&it.name, &it.breaks, &it.kind, &it.tests.join(" ")]);
    }
    println!("{list}");
}

/// What became of the mutations.
pub fn outcomes(outcomes: &[(&Mutation, Outcome)]) {
    let mut list = table(&["mutation", "breaks", "kind", "result"], &[]);
    for (it, result) in outcomes {
        list.add_row([&it.name, &it.breaks, &it.kind, &outcome(result)]);
    }
    let caught = outcomes.iter().filter(|(_, it)| matches!(it, Outcome::Caught(_))).count();
    println!("\n{list}\n\n{caught} of {} caught", outcomes.len());
}

/// An outcome in words.
pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Caught(how) => format!("caught: {how}"),
        Outcome::Missed => "MISSED".into(),
        Outcome::Skipped(why) => format!("skipped: {why}"),
        Outcome::Error(why) => format!("ERROR: {why}"),
    }
}
