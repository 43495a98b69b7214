//! Rounds into medians. Two peers are compared within each round; what is told is the median of that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::cell::{Crew, Finding, Outcome, Row};
use crate::options::words;
use crate::run::Record;
use crate::workload::Workload;

/// A value of an outcome.
pub type Value = fn(&Outcome) -> Option<f64>;

/// All that is to be compared: rows of one workload, size, number of entries and crew.
pub struct Group<'a> {
    pub workload: Workload,
    pub size: usize,
    pub entries: u64,
    pub crew: Crew,
    /// By peer, in the order in which they were given.
    pub peers: Vec<(&'a str, Vec<&'a Row>)>,
}

/// Several runs as rounds of one.
pub fn merge(records: Vec<Record>) -> Option<Record> {
    let mut records = records.into_iter();
    let mut merged = records.next()?;
    for mut record in records {
        let rounds = merged.rows.iter().map(|row| row.cell.round + 1).max().unwrap_or(0);
        record.rows.iter_mut().for_each(|row| row.cell.round += rounds);
        merged.rows.append(&mut record.rows);
    }
    Some(merged)
}

pub fn groups(record: &Record) -> Vec<Group<'_>> {
    let order: BTreeMap<&str, usize> =
        crate::peers::ALL.iter().enumerate().map(|(at, about)| (about.name, at)).collect();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in &record.rows {
        let cell = &row.cell;
        let what = (cell.workload, cell.size, cell.entries, cell.crew);
        let of = |group: &Group<'_>| (group.workload, group.size, group.entries, group.crew);
        let at = groups.iter().position(|group| of(group) == what).unwrap_or_else(|| {
            let (workload, size, entries, crew) = what;
            groups.push(Group { workload, size, entries, crew, peers: Vec::new() });
            groups.len() - 1
        });
        let peers = &mut groups[at].peers;
        match peers.iter_mut().find(|(name, _)| *name == cell.peer) {
            Some((_, rows)) => rows.push(row),
            None => peers.push((&cell.peer, vec![row])),
        }
    }
    for group in &mut groups {
        group.peers.sort_by_key(|(name, _)| order.get(name).copied().unwrap_or(usize::MAX));
    }
    groups
}

/// The groups with these titles, in their order, or all, in which peers are compared; each with the entries
/// that most peers were measured with.
pub fn named<'a, 'r>(groups: &'a [Group<'r>], titles: &[String]) -> Vec<&'a Group<'r>> {
    let compared = |group: &&Group<'_>| {
        group.crew == Crew::Threads(1)
            && group.peers.len() > 1
            && !group.rows("larder").is_empty()
            && (titles.is_empty() || titles.contains(&group.title()))
    };
    let mut named: Vec<&Group<'_>> = groups.iter().filter(compared).collect();
    named.sort_by_key(|group| Reverse(group.peers.len()));
    let mut seen = BTreeSet::new();
    named.retain(|group| seen.insert(group.title()));
    named.sort_by_key(|group| titles.iter().position(|title| *title == group.title()));
    named
}

impl Group<'_> {
    pub fn title(&self) -> String {
        format!("{} {}", self.workload.name(), words(self.size))
    }

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
                // Figures in it differ from round to round: the first stands for all.
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

    #[test]
    fn a_median_is_the_middle_or_the_middle_of_two() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([f64::NAN, 1.0]), Some(1.0));
        assert_eq!(median([]), None);
    }
}
