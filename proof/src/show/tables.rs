//! Tables on standard output.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::kinds;
use crate::mutation::Mutation;
use crate::outcomes::findings::Findings;
use crate::outcomes::verdict::Verdict;

/// What the kinds came to, then what was counted, skipped and violated.
pub fn findings(all: &[Findings]) {
    let head = ["kind", "what it shows", "tests", "cases", "violations", "skipped", "time"];
    let mut list = table(&head, &[2, 3, 4, 5, 6]);
    for findings in all {
        let tests =
            if findings.tests == 0 { "no tests".into() } else { findings.tests.to_string() };
        list.add_row([
            findings.kind.clone(),
            findings.shows.clone(),
            tests,
            findings.cases.to_string(),
            findings.violations.len().to_string(),
            findings.skipped.len().to_string(),
            time(findings.seconds),
        ]);
    }
    println!("\n{list}\n");
    for findings in all {
        for (what, cases) in &findings.evidence {
            println!("{}: {cases} {what}", findings.kind);
        }
        for why in &findings.skipped {
            let needs = kinds::named(&findings.kind).map_or("", |kind| kind.needs);
            println!("{}: skipped: {why} (it needs {needs})", findings.kind);
        }
    }
    for findings in all {
        for violation in &findings.violations {
            println!("\nVIOLATION in {}: {}", findings.kind, violation.test);
            println!("  log:    {}\n  repeat: {}", violation.log.display(), violation.repeat);
        }
    }
}

/// The list of mutations.
pub fn mutations(all: &[Mutation]) {
    let mut list = table(&["mutation", "breaks", "caught by", "tests"], &[]);
    for mutation in all {
        let tests = mutation.tests.join(" ");
        list.add_row([&mutation.name, &mutation.breaks, &mutation.kind, &tests]);
    }
    println!("{list}");
}

/// What became of the mutations.
pub fn verdicts(verdicts: &[(&Mutation, Verdict)]) {
    let mut list = table(&["mutation", "breaks", "kind", "result"], &[]);
    for (mutation, verdict) in verdicts {
        list.add_row([&mutation.name, &mutation.breaks, &mutation.kind, &verdict.to_string()]);
    }
    let caught = verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Caught(_)));
    println!("\n{list}\n\n{} of {} caught", caught.count(), verdicts.len());
}

/// An empty table; the columns with these numbers are aligned to the right.
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

fn time(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
