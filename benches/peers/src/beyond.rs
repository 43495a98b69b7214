//! The tables of stores that memory does not hold: how much faster larder is than what, and what the device
//! has to do for it.

use crate::figures::{amount, significant};
use crate::grid::grid;
use crate::record::Record;
use crate::summary::{Group, groups, named};

/// `titles` are those of the columns; none: all.
pub fn print(record: &Record, titles: &[String]) {
    let groups = groups(record);
    let mut cold = named(&groups, titles);
    cold.retain(|group| group.task.workload.is_cold());
    if cold.is_empty() {
        return;
    }
    let memory = record.rows.iter().find_map(|row| row.cell.memory.filter(|_| row.is_cold()));
    let memory = amount(memory.unwrap_or(0) as f64);
    let ahead = record.machine.read_ahead_kib.map(|kib| amount((kib << 10) as f64));
    println!(
        "\nIn {memory} of memory, three times as much on a device that reads {} ahead: larder does so many times as many",
        ahead.unwrap_or_else(|| "an unknown length".to_owned())
    );
    println!("operations a second; of puts those count that can be read afterwards");
    println!("{}", grid(&cold, "than", &ratio));
    println!("\nBytes read from the device / written to it, an operation");
    println!("{}", grid(&cold, "by", &traffic));
}

fn ratio(group: &Group<'_>, peer: &str) -> Option<String> {
    let ratio = group.ratio("larder", peer, |outcome| outcome.rate_kept())?;
    (peer != "larder").then(|| significant(ratio))
}

fn traffic(group: &Group<'_>, peer: &str) -> Option<String> {
    let read = group.median(peer, |outcome| outcome.read_an_operation)?;
    let written = group.median(peer, |outcome| outcome.written_an_operation)?;
    Some(match group.task.workload.only_reads_cold() {
        true => amount(read),
        false => format!("{} / {}", amount(read), amount(written)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::outcome::{Finding, Outcome};
    use crate::record::Row;
    use crate::workload::Workload;

    #[test]
    fn puts_of_which_nothing_is_left_are_not_counted() {
        let row = |peer, kept| {
            let outcome = Outcome {
                rate: Some(100.0),
                kept: Some(kept),
                read_an_operation: Some(0.0),
                written_an_operation: Some(4300.0),
                ..Outcome::default()
            };
            let cell = Cell { workload: Workload::ColdFill, ..Cell::example(peer) };
            Row { cell, finding: Finding::Measured(Box::new(outcome)) }
        };
        let record = Record::of_rows(vec![row("larder", 1.0), row("foyer", 0.25)]);
        let groups = groups(&record);
        assert_eq!(ratio(&groups[0], "foyer").as_deref(), Some("4.00"));
        assert_eq!(ratio(&groups[0], "larder"), None);
        assert_eq!(traffic(&groups[0], "foyer").as_deref(), Some("0 B / 4.2 KiB"));
    }
}
