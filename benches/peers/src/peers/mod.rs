//! The peers, each in a file of its own.

mod cacache;
mod candystore;
mod fjall;
mod foyer;
mod hashmap;
mod heed;
mod larder;
mod moka;
mod quick_cache;
mod raw;
mod raw_file;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sled;
mod sqlite;

use crate::peer::About;

/// All of them, in the order of the tables.
pub const ALL: &[About] = &[
    larder::ABOUT,
    raw::ABOUT,
    raw::CHECKED,
    raw_file::ABOUT,
    raw_file::BY_TWO,
    raw_file::BY_EIGHT,
    foyer::ABOUT,
    heed::WRITEMAP,
    heed::ABOUT,
    redb::ABOUT,
    fjall::ABOUT,
    candystore::ABOUT,
    sled::ABOUT,
    #[cfg(feature = "rocksdb")]
    rocksdb::ABOUT,
    sqlite::ABOUT,
    cacache::ABOUT,
    moka::ABOUT,
    quick_cache::ABOUT,
    hashmap::ABOUT,
];

pub fn find(name: &str) -> Option<&'static About> {
    ALL.iter().find(|about| about.name == name)
}

/// The version of a peer's crate, as it is built in.
pub fn version(about: &About) -> Option<&'static str> {
    let name = format!("name = \"{}\"", about.package?);
    let lines = include_str!("../../../../Cargo.lock").lines();
    let versions = lines.clone().zip(lines.skip(1)).filter(|(line, _)| *line == name);
    // They rise, and peers that use one another take older ones.
    Some(versions.last()?.1.trim_start_matches("version = ").trim_matches('"'))
}

/// Where a peer stands in the tables; one that this program was built without, last.
pub fn rank(name: &str) -> usize {
    ALL.iter().position(|about| about.name == name).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Values, absent, is_value, key};
    use crate::peer::{Peer, Setup};

    const ENTRIES: u64 = 500;

    /// Whether a peer has an entry; what was put on its own is compared to the last byte.
    fn has(peer: &dyn Peer, i: u64, put: &[Vec<u8>], size: usize) -> bool {
        let mut bytes = vec![1];
        let hit = peer.get_into(&key(i), &mut bytes).unwrap();
        let right = is_value(&bytes, i, size);
        let same = i.checked_sub(ENTRIES / 2).is_none_or(|at| bytes == put[at as usize]);
        assert!(!hit || right && same, "wrong bytes for entry {i}");
        hit
    }

    #[test]
    fn every_peer_gives_back_what_was_put_and_not_what_was_removed() {
        for about in ALL {
            for size in [100, 5000] {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().to_owned();
                let setup = Setup { directory: path, entries: ENTRIES, size, ..Setup::default() };
                let mut values = Values::new(size);
                let mut peer = (about.open)(&setup).unwrap();
                peer.load(0..ENTRIES / 2, &mut values).unwrap();
                let put: Vec<_> = (ENTRIES / 2..ENTRIES).map(|i| values.of(i).to_vec()).collect();
                for (i, value) in (ENTRIES / 2..ENTRIES).zip(&put) {
                    peer.put(&key(i), value).unwrap();
                }
                peer.settle().unwrap();
                assert!(!peer.get_into(&absent(0), &mut Vec::new()).unwrap(), "{}", about.name);
                if about.persists {
                    drop(peer);
                    peer = (about.open)(&setup).unwrap();
                }
                peer.remove(&key(7)).unwrap();
                let held = (0..ENTRIES).filter(|i| has(&*peer, *i, &put, size)).count();
                // foyer drops what it has no buffer for.
                let fewest = if about.name == "foyer" { 1 } else { ENTRIES as usize - 1 };
                assert!((fewest..ENTRIES as usize).contains(&held), "{}: {held}", about.name);
                assert!(!has(&*peer, 7, &put, size), "{}: removed and there", about.name);
            }
        }
    }
}
