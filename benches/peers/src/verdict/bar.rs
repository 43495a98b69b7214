//! A bar: a figure of larder, and the bound that it is to keep.

use Bound::{AtLeast, AtMost};

use crate::figures::significant;

pub struct Bar {
    pub what: String,
    /// With how many entries it was measured, where that is to be said.
    pub entries: Option<u64>,
    pub measured: Option<f64>,
    pub bound: Bound,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub fn holds(self, measured: f64) -> bool {
        match self {
            AtLeast(bound) => measured >= bound,
            AtMost(bound) => measured <= bound,
        }
    }

    pub fn words(self) -> String {
        match self {
            AtLeast(bound) => format!(">= {}", significant(bound)),
            AtMost(bound) => format!("<= {}", significant(bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_just_reached_holds() {
        assert!(AtLeast(0.6).holds(0.6) && AtMost(0.6).holds(0.6));
        assert!(!AtLeast(0.6).holds(0.59) && !AtMost(0.6).holds(0.61));
    }

    #[test]
    fn what_is_no_number_holds_nowhere() {
        assert!(!AtLeast(0.6).holds(f64::NAN) && !AtMost(0.6).holds(f64::NAN));
    }
}
