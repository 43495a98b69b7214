//! How a verb that did its work ended, and the exit code of that.

/// How a verb that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// The key, or all of them, were not there.
    NotFound,
    /// The store is damaged.
    Damaged,
}

impl Answer {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotFound => 1,
            Self::Damaged => 3,
        }
    }
}
