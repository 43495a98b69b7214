//! The figures that bars look at: those of one group, and those that compare two groups.

use crate::cell::{Crew, Task};
use crate::record::Record;
use crate::summary::{Group, Value, groups, median};
use crate::workload::Workload;

pub const SMALL: [usize; 2] = [100, 1 << 10];
pub const LARGE: [usize; 2] = [16 << 10, 1 << 20];
/// The number of entries that the bars mean where they name none.
const USUAL_ENTRIES: u64 = 1_000_000;

pub struct Results<'a>(Vec<Group<'a>>);

impl<'a> Results<'a> {
    pub fn of(record: &'a Record) -> Self {
        Self(groups(record))
    }

    /// The group of one thread with the usual number of entries, or the nearest to it.
    pub fn usual(&self, workload: Workload, size: usize) -> Option<&Group<'a>> {
        self.nearest(Task { workload, size, entries: USUAL_ENTRIES, crew: Crew::ALONE })
    }

    /// The group of one thread with the fewest entries.
    pub fn fewest(&self, workload: Workload, size: usize) -> Option<&Group<'a>> {
        self.nearest(Task { workload, size, entries: 0, crew: Crew::ALONE })
    }

    /// The group of one thread with the most entries.
    pub fn most(&self, workload: Workload, size: usize) -> Option<&Group<'a>> {
        self.nearest(Task { workload, size, entries: u64::MAX, crew: Crew::ALONE })
    }

    /// What a crew does, as a multiple of what one does alone, in each round.
    pub fn gain(&self, workload: Workload, size: usize, crew: Crew, peer: &str) -> Option<f64> {
        let alone = self.usual(workload, size)?.rows(peer);
        let crew = self.nearest(Task { workload, size, entries: USUAL_ENTRIES, crew })?.rows(peer);
        let gains = alone.iter().filter_map(|one| {
            let many = crew.iter().find(|row| row.cell.round == one.cell.round)?;
            Some(many.outcome()?.rate? / one.outcome()?.rate?)
        });
        median(gains)
    }

    /// All sizes that were measured.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.0.iter().map(|group| group.task.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The group of a task, or of one that differs in the number of entries: the nearest.
    fn nearest(&self, task: Task) -> Option<&Group<'a>> {
        let alike = |group: &&Group<'_>| Task { entries: task.entries, ..group.task } == task;
        let groups = self.0.iter().filter(alike);
        groups.min_by_key(|group| group.task.entries.abs_diff(task.entries))
    }
}

/// larder's median of a value.
pub fn own(group: Option<&Group<'_>>, value: Value) -> Option<f64> {
    group?.median("larder", value)
}

/// larder's value as a multiple of a peer's.
pub fn ratio(group: Option<&Group<'_>>, peer: &str, value: Value) -> Option<f64> {
    group?.ratio("larder", peer, value)
}
