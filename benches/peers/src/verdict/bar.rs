//! A bar: a figure of larder, and what it is to reach.

use Aim::{AtLeast, AtMost};

use crate::figures::significant;

pub struct Bar {
    pub what: String,
    /// With how many entries it was measured, where that is to be said.
    pub entries: Option<u64>,
    pub measured: Option<f64>,
    pub aim: Aim,
}

#[derive(Clone, Copy)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    pub fn is_reached(self, measured: f64) -> bool {
        match self {
            AtLeast(aim) => measured >= aim,
            AtMost(aim) => measured <= aim,
        }
    }

    pub fn words(self) -> String {
        match self {
            AtLeast(aim) => format!(">= {}", significant(aim)),
            AtMost(aim) => format!("<= {}", significant(aim)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_that_is_met_exactly_is_reached() {
        assert!(AtLeast(0.6).is_reached(0.6) && AtMost(0.6).is_reached(0.6));
        assert!(!AtLeast(0.6).is_reached(0.59) && !AtMost(0.6).is_reached(0.61));
    }

    #[test]
    fn what_is_no_number_reaches_no_aim() {
        assert!(!AtLeast(0.6).is_reached(f64::NAN) && !AtMost(0.6).is_reached(f64::NAN));
    }
}
