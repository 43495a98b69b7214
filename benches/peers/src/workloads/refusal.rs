//! Why a peer is not asked to carry a cell out.

use crate::cell::{Cell, Crew};
use crate::peer::{About, Processes};
use crate::workload::Workload;

/// A store beyond memory cannot do with fewer entries: so many times as many are loaded then.
const MORE_ENTRIES: u64 = 2;
/// Disk that a store beyond memory may take, as a multiple of its values.
const MOST_DISK: u64 = 8;

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
    } else if workload.is_cold() {
        cold_refusal(cell, about)
    } else {
        crew_refusal(cell, about)
    }
}

/// Why it is not measured where memory holds a third of the store.
fn cold_refusal(cell: &Cell, about: &About) -> Option<&'static str> {
    let most = about.most_entries.saturating_mul(MORE_ENTRIES);
    let payload = cell.entries * cell.size as u64;
    if !about.persists {
        Some("keeps nothing on disk")
    } else if !about.beyond_memory {
        Some("keeps all of it in memory")
    } else if about.readers > 1 && !cell.workload.only_reads_cold() {
        Some("several threads only read")
    } else if cell.entries > most {
        Some("takes hours to load so many entries")
    } else if cell.entries * about.least_disk > payload * MOST_DISK {
        Some("takes more than eight times the entries on disk")
    } else {
        None
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
    fn beyond_memory_no_peer_is_asked_for_what_would_not_be_measured_there() {
        let asked = |peer: &str, workload, size, entries| {
            let cell = Cell { workload, size, entries, ..Cell::example(peer) };
            refusal(&cell, peers::find(peer).unwrap())
        };
        let (get, fill) = (Workload::ColdGet, Workload::ColdFill);
        assert_eq!(asked("larder", get, 100, 10_000_000), None);
        assert_eq!(asked("moka", get, 100, 1000), Some("keeps nothing on disk"));
        assert_eq!(asked("raw", get, 100, 1000), Some("keeps all of it in memory"));
        assert_eq!(asked("raw-file-8", get, 100, 1000), None);
        assert_eq!(asked("raw-file-8", fill, 100, 1000), Some("several threads only read"));
        assert_eq!(asked("cacache", get, 1 << 20, 40_000), None);
        let hours = Some("takes hours to load so many entries");
        assert_eq!(asked("cacache", get, 1 << 20, 40_001), hours);
        assert_eq!(asked("foyer", get, 1024, 1000), None);
        let disk = Some("takes more than eight times the entries on disk");
        assert_eq!(asked("foyer", get, 100, 1000), disk);
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
