//! Opening when something is in the way: other users' rights, boot ids that differ, programs that clean
//! directories up, others who mend the store, damage.

mod boots;
mod cleaner;
mod damage;
mod exchanged;
mod rights;
mod waiting;

pub use boots::another_boot;
pub use rights::{as_another_user, dropping_rights, sharing};
