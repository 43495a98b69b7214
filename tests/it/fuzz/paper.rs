//! Words on paper: the memory of a decoder, in which a look at a place that it was not given is a panic.

use std::cell::Cell;
use std::ops::Range;

use larder::internals::Words;
use larder::internals::intent::WordAt;

/// Some ranges of words. What else is looked at must be allowed, and reads as zero.
#[derive(Default)]
pub struct Paper {
    areas: Vec<(u64, Vec<Cell<u64>>)>,
    allowed: Vec<Range<u64>>,
}

impl Paper {
    /// Adds so many words, all zero.
    pub fn lay(&mut self, at: WordAt, words: usize) {
        self.areas.push((at.raw(), vec![Cell::new(0); words]));
    }

    /// Allows a look at bytes of the log that nothing was written to.
    pub fn allow(&mut self, bytes: Range<u64>) {
        self.allowed.push(bytes);
    }

    /// Allows a look at everything, as a mapping does.
    pub fn allow_all(&mut self) {
        self.allow(0..u64::MAX);
    }

    /// All words of an area, by the order in which it was laid.
    pub fn area(&self, number: usize) -> Vec<u64> {
        self.areas[number].1.iter().map(Cell::get).collect()
    }

    fn cell(&self, at: WordAt) -> Option<&Cell<u64>> {
        let raw = at.raw();
        let found = self.areas.iter().find_map(|(start, words)| {
            let distance = raw.checked_sub(*start).filter(|distance| distance.is_multiple_of(8))?;
            words.get((distance / 8) as usize)
        });
        let allowed =
            || self.allowed.iter().any(|range| range.contains(&raw) || range.end == u64::MAX);
        assert!(found.is_some() || allowed(), "out of bounds: {at:?}");
        found
    }
}

impl Words for Paper {
    fn load(&self, at: WordAt) -> u64 {
        self.cell(at).map_or(0, Cell::get)
    }

    fn store(&self, at: WordAt, value: u64) {
        if let Some(cell) = self.cell(at) {
            cell.set(value);
        }
    }

    fn exchange(&self, at: WordAt, current: u64, new: u64) -> Result<(), u64> {
        let Some(cell) = self.cell(at) else { return Err(!current) };
        if cell.get() != current {
            return Err(cell.get());
        }
        cell.set(new);
        Ok(())
    }

    fn fence(&self) {}

    fn acquire_fence(&self) {}
}
