//! Why a peer is not asked to carry a cell out.

use crate::cell::{Cell, Crew};
use crate::peer::{About, Processes};
use crate::workload::Workload;

/// The reason, if there is one.
pub fn refusal(cell: &Cell, about: &About) -> Option<&'static str> {
    let workload = cell.workload;
    if cell.size > about.largest {
        Some("values of this size do not fit")
    } else if workload.is_opening() && !about.persists {
        Some("keeps nothing")
    } else if workload == Workload::View && !about.views {
        Some("no views")
    } else if workload.needs_keys() && about.lower_bound {
        Some("compares no keys")
    } else if workload == Workload::Beside && !about.threads {
        Some("one writer and no reader beside it")
    } else {
        crew_refusal(cell, about)
    }
}

/// Why so many threads or processes cannot share a store.
fn crew_refusal(cell: &Cell, about: &About) -> Option<&'static str> {
    let writes = cell.workload.writes_side_by_side();
    match cell.crew {
        Crew::Threads(1) => None,
        Crew::Threads(_) => (writes && !about.threads).then_some("one thread at a time"),
        Crew::Processes(_) => {
            let shares = match about.processes {
                Processes::One => false,
                Processes::Readers => !writes,
                Processes::Any => true,
            };
            (!shares).then_some("one process at a time")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;

    fn asked(peer: &str, workload: Workload, crew: Crew) -> Option<&'static str> {
        let about = peers::find(peer).unwrap();
        refusal(&Cell { workload, crew, size: 100, ..Cell::example(peer) }, about)
    }

    #[test]
    fn what_only_reads_is_shared_by_more_than_what_writes() {
        let two = Crew::Threads(2);
        assert_eq!(asked("raw", Workload::Read, two), None);
        assert_eq!(asked("raw", Workload::Mixed, two), Some("one thread at a time"));
        let two = Crew::Processes(2);
        assert_eq!(asked("raw", Workload::Read, two), None);
        assert_eq!(asked("raw", Workload::Mixed, two), Some("one process at a time"));
        assert_eq!(asked("hashmap", Workload::Read, two), Some("one process at a time"));
        assert_eq!(asked("larder", Workload::Mixed, two), None);
    }

    #[test]
    fn no_peer_is_asked_for_what_it_does_not_have() {
        assert_eq!(asked("moka", Workload::OpenKilled, Crew::ALONE), Some("keeps nothing"));
        assert_eq!(asked("cacache", Workload::View, Crew::ALONE), Some("no views"));
        assert_eq!(asked("raw", Workload::GetOrInsert, Crew::ALONE), Some("compares no keys"));
        let large = Cell { size: 1 << 20, ..Cell::example("candystore") };
        let candystore = peers::find("candystore").unwrap();
        assert_eq!(refusal(&large, candystore), Some("values of this size do not fit"));
    }
}
