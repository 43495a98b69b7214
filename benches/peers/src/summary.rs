//! Rounds into medians. Two peers are compared within each round; what is told is the median of that.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::cell::{Crew, Task};
use crate::outcome::{Finding, Outcome};
use crate::peers;
use crate::record::{Record, Row};

/// A value of an outcome.
pub type Value = fn(&Outcome) -> Option<f64>;

/// All rows of one task.
pub struct Group<'a> {
    pub task: Task,
    /// By peer, in the order of the tables.
    pub peers: Vec<(&'a str, Vec<&'a Row>)>,
}

pub fn groups(record: &Record) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in &record.rows {
        let task = row.cell.task();
        let at = groups.iter().position(|group| group.task == task).unwrap_or_else(|| {
            groups.push(Group { task, peers: Vec::new() });
            groups.len() - 1
        });
        let peers = &mut groups[at].peers;
        match peers.iter_mut().find(|(name, _)| *name == row.cell.peer) {
            Some((_, rows)) => rows.push(row),
            None => peers.push((&row.cell.peer, vec![row])),
        }
    }
    for group in &mut groups {
        group.peers.sort_by_key(|(name, _)| peers::rank(name));
    }
    groups
}

/// The groups that compare larder with others by one thread: those with these titles, in their order, or
/// all. Of several with the same title, the one that most peers were measured for.
pub fn named<'a, 'r>(groups: &'a [Group<'r>], titles: &[String]) -> Vec<&'a Group<'r>> {
    let compared = |group: &&Group<'_>| {
        group.task.crew == Crew::ALONE
            && group.peers.len() > 1
            && !group.rows("larder").is_empty()
            && (titles.is_empty() || titles.contains(&group.task.title()))
    };
    let mut named: Vec<&Group<'_>> = groups.iter().filter(compared).collect();
    named.sort_by_key(|group| Reverse(group.peers.len()));
    let mut seen = BTreeSet::new();
    named.retain(|group| seen.insert(group.task.title()));
    named.sort_by_key(|group| titles.iter().position(|title| *title == group.task.title()));
    named
}

impl Group<'_> {
    pub fn rows(&self, peer: &str) -> &[&Row] {
        self.peers.iter().find(|(name, _)| *name == peer).map_or(&[], |(_, rows)| rows)
    }

    /// The median over the rounds.
    pub fn median(&self, peer: &str, value: Value) -> Option<f64> {
        median(self.rows(peer).iter().filter_map(|row| value(row.outcome()?)))
    }

    /// One peer's value as a multiple of another's, in each round that has both.
    pub fn ratios(&self, peer: &str, other: &str, value: Value) -> Vec<f64> {
        let of_round = |row: &Row| {
            let same = |other: &&&Row| other.cell.round == row.cell.round;
            let other = self.rows(other).iter().find(same)?;
            Some(value(row.outcome()?)? / value(other.outcome()?)?)
        };
        self.rows(peer).iter().filter_map(|row| of_round(row)).collect()
    }

    pub fn ratio(&self, peer: &str, other: &str, value: Value) -> Option<f64> {
        median(self.ratios(peer, other, value))
    }

    /// What else is to be said of a peer: each thing once.
    pub fn notes(&self, peer: &str) -> String {
        let mut notes: Vec<String> = Vec::new();
        for row in self.rows(peer) {
            let said = match &row.finding {
                Finding::Measured(outcome) => outcome.notes.clone(),
                Finding::Cannot(reason) => vec![reason.clone()],
                Finding::Failed(reason) => vec![format!("FAILED: {reason}")],
            };
            for note in said {
                // A note's figures differ from round to round: the first note stands for all.
                let words = |note: &str| note.replace(|c: char| c.is_ascii_digit() || c == '.', "");
                if !notes.iter().any(|other| words(other) == words(&note)) {
                    notes.push(note);
                }
            }
        }
        notes.join("; ")
    }
}

pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    fn row(peer: &str, round: u32, rate: f64) -> Row {
        let outcome = Outcome { rate: Some(rate), ..Outcome::default() };
        let cell = Cell { round, ..Cell::example(peer) };
        Row { cell, finding: Finding::Measured(Box::new(outcome)) }
    }

    fn noted(peer: &str, note: &str) -> Row {
        let outcome = Outcome { notes: vec![note.to_owned()], ..Outcome::default() };
        Row { cell: Cell::example(peer), finding: Finding::Measured(Box::new(outcome)) }
    }

    #[test]
    fn peers_are_compared_within_a_round_and_only_where_both_were_measured() {
        // The machine was ten times as slow in the second round, and raw failed in the third.
        let mut rows = vec![row("larder", 0, 100.0), row("raw", 0, 200.0)];
        rows.extend([row("larder", 1, 10.0), row("raw", 1, 20.0), row("larder", 2, 100.0)]);
        let failed = Finding::Failed("a signal".to_owned());
        rows.push(Row { finding: failed, ..row("raw", 2, 0.0) });
        let record = Record::of_rows(rows);
        let groups = groups(&record);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].ratios("larder", "raw", |outcome| outcome.rate), [0.5, 0.5]);
        assert_eq!(groups[0].notes("raw"), "FAILED: a signal");
    }

    #[test]
    fn a_note_whose_figures_alone_differ_is_told_once() {
        let rows = vec![noted("foyer", "3 % still there"), noted("foyer", "4.5 % still there")];
        assert_eq!(groups(&Record::of_rows(rows))[0].notes("foyer"), "3 % still there");
    }

    #[test]
    fn a_title_stands_for_the_group_with_the_most_peers() {
        let mut rows = vec![row("larder", 0, 1.0), row("raw", 0, 1.0)];
        rows.extend(["larder", "raw", "moka"].map(|peer| {
            let few = Cell { entries: 10, ..Cell::example(peer) };
            Row { cell: few, ..row(peer, 0, 1.0) }
        }));
        let record = Record::of_rows(rows);
        let groups = groups(&record);
        let named = named(&groups, &["get 1 KiB".to_owned()]);
        let entries: Vec<u64> = named.iter().map(|group| group.task.entries).collect();
        assert_eq!(entries, [10]);
    }

    #[test]
    fn a_median_is_the_middle_or_the_middle_of_two() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([f64::NAN, 1.0]), Some(1.0));
        assert_eq!(median([]), None);
    }
}
