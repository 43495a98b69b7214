//! The store's directory: its files opened and checked, their headers read and written, who else uses
//! them. Creation, recovery and attaching stand on this.
//!
//! From the lowest: `lock` is the opening lock, `identity` the file `store`, `header` the first words of
//! log and index, `draft` has a store that is to take this one's place, `files` opens and maps these two; `order` says whether they are as this boot left them;
//! `limits` has the limits in the control block, `users` who is attached.

mod draft;
mod files;
mod header;
mod identity;
mod limits;
mod lock;
mod order;
mod users;

pub use draft::{draft_directory, is_drafted, remove_draft, settle_draft};
pub use files::{INDEX_NEW, IndexFile, LOG_NEW, map, open_index, open_log};
pub use header::write_header;
pub use identity::{read_identity, write_identity};
pub use limits::{are_limits, read_limits, write_limits};
pub use lock::{AttachedLocks, OpeningLock, Progress};
pub use order::{
    Disorder, begin_recovery, disorder, is_of_this_boot, is_still_in_order, origin, suspect,
    write_origin,
};
pub use users::{is_any_attached, is_attached, is_in_use};
