//! Opening: creation, attaching, reading alone, and the limits that an opener asks for.
//!
//! From the lowest: `source` watches what a reader copied, `reader` opens for reading alone; `create` makes
//! a store, `attach` joins its users, `limits` makes limits hold; `opened` has the order of all this.

mod attach;
mod create;
mod limits;
mod opened;
mod reader;
mod source;

pub use opened::{Opened, open};
pub use source::SourceWatch;
