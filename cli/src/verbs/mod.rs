//! The verbs, one a file.

pub mod compact;
pub mod get;
pub mod ls;
pub mod put;
pub mod relimit;
pub mod rm;
pub mod stat;
pub mod verify;
