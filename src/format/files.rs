//! The version of the format, and the names of the three files.

/// The version of the format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Names of the three files in a cache directory.
pub const STORE_FILE: &str = "store";
/// The file that holds the control block and the records.
pub const LOG_FILE: &str = "log";
/// The file that holds the hash table.
pub const INDEX_FILE: &str = "index";

/// The directory in which a store is made that is to take this one's place.
pub const DRAFT_DIRECTORY: &str = "relimit.new";
/// The file that says that a directory is a cache.
pub const TAG_FILE: &str = "CACHEDIR.TAG";
