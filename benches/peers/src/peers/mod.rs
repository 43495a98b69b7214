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

/// The version of a peer's crate, as it is built in.
pub fn version(about: &About) -> Option<&'static str> {
    let name = format!("name = \"{}\"", about.package?);
    let mut lines = include_str!("../../Cargo.lock").lines();
    lines.find(|line| *line == name)?;
    Some(lines.next()?.trim_start_matches("version = ").trim_matches('"'))
}

pub fn find(name: &str) -> Option<&'static About> {
    ALL.iter().find(|about| about.name == name)
}
