//! Opening: creation, attaching, reading alone, and the limits that an opener asks for.
//!
//! From the lowest: `source` watches what a reader copied, `reader` opens for reading alone; `build` makes an
//! empty store, `create` does where there is none, `anew` where there was one; `attach` joins its users, `alone`
//! keeps others from that; `keep` looks after the files in use; `shared` is what handles of one process share, and
//! `registry` finds it; `change` decides on limits, `limits` makes them hold; `opened` has the order of all this.

mod alone;
mod anew;
mod attach;
mod build;
mod change;
mod create;
mod keep;
mod limits;
mod opened;
mod reader;
mod registry;
mod shared;
mod source;

pub use alone::Alone;
pub use opened::{Opened, open};
pub use shared::Shared;
pub use source::SourceWatch;
