//! Opening the store that a verb works on.
//!
//! A verb that only reads opens it with `read_only`: it modifies nothing, takes no process row, and
//! works where nothing can be written.

use std::path::Path;

use larder::FileCache;

/// The store, to read alone.
pub fn open_to_read(directory: &Path) -> larder::Result<FileCache> {
    FileCache::builder().read_only(true).open(directory)
}

/// The store, to change; made only if `create` says so.
pub fn open_to_write(directory: &Path, create: bool) -> larder::Result<FileCache> {
    FileCache::builder().create(create).open(directory)
}
