//! [`FileCache`]: the order of the steps of each operation. What to do is decided below.
//!
//! From the lowest: `process` is one process's part of a handle, with
//! `lookup` and the `stages` of a put; `builder` has the options, `handle` the cache itself; then a file an
//! operation, of which `relimit` has two caches at once.

mod builder;
mod fill;
mod get;
mod handle;
mod iter;
mod lookup;
mod many;
mod process;
mod put;
mod relimit;
mod report;
mod resident;
mod stages;
mod view;

pub use builder::Builder;
pub use handle::{FileCache, Synced};
pub use iter::{Iter, Keys};
pub use relimit::Relimited;
pub use report::{Maintenance, Stats};
pub use view::View;
