//! A cell about to be measured, and what the workloads share: they open, load, read, put and count by it.

use std::ops::Range;

use anyhow::{Result, ensure};

use crate::cell::Cell;
use crate::data::{Key, Values, is_value, key};
use crate::machine;
use crate::outcome::Outcome;
use crate::peer::{About, Peer, Setup};

pub struct Bench<'a> {
    pub cell: &'a Cell,
    pub about: &'static About,
    pub setup: Setup,
    pub values: Values,
    /// Into which values are read.
    pub buffer: Vec<u8>,
}

/// Bytes and entries that are loaded at a time.
const BATCH_BYTES: u64 = 16 << 20;
const BATCH: u64 = 10_000;
/// Entries that are looked up to learn how many are left.
const SAMPLE: u64 = 200_000;
/// Where each may be a read of the device.
const COLD_SAMPLE: u64 = 20_000;

impl<'a> Bench<'a> {
    pub fn new(cell: &'a Cell, about: &'static About) -> Self {
        let fewer = cell.entries.min(about.most_entries);
        let setup = Setup {
            directory: cell.directory.clone(),
            entries: if cell.workload.is_cold() { cell.entries } else { fewer },
            size: cell.size,
            memory: cell.memory,
            ..Setup::default()
        };
        let buffer = Vec::with_capacity(cell.size);
        Self { cell, about, setup, values: Values::new(cell.size), buffer }
    }

    pub fn open(&self) -> Result<Box<dyn Peer>> {
        (self.about.open)(&self.setup)
    }

    /// Opens a store with all entries in it, and waits until nothing of that is under way.
    pub fn open_full(&mut self) -> Result<Box<dyn Peer>> {
        let peer = self.open()?;
        self.load(&*peer, 0..self.setup.entries)?;
        self.settle(&*peer)?;
        Ok(peer)
    }

    pub fn load(&mut self, peer: &dyn Peer, entries: Range<u64>) -> Result<()> {
        let batch = (BATCH_BYTES / self.setup.size as u64).clamp(1, BATCH);
        let mut start = entries.start;
        while start < entries.end {
            let end = (start + batch).min(entries.end);
            peer.load(start..end, &mut self.values)?;
            start = end;
        }
        Ok(())
    }

    pub fn settle(&self, peer: &dyn Peer) -> Result<()> {
        peer.settle()?;
        machine::settle(self.cell.settle)
    }

    /// Warms as much memory as is about to be written.
    pub fn warm(&self) -> Result<()> {
        let entries = self.setup.entries.max(self.cell.operations);
        machine::warm(&self.cell.directory, entries * (self.setup.size as u64 + 64) * 2)
    }

    /// Reads an entry; false if it is not there.
    #[inline]
    pub fn get(&mut self, peer: &dyn Peer, i: u64) -> Result<bool> {
        let hit = peer.get_into(&key(i), &mut self.buffer)?;
        ensure!(!hit || is_value(&self.buffer, i, self.setup.size), "wrong bytes for entry {i}");
        Ok(hit)
    }

    #[inline]
    pub fn put(&mut self, peer: &dyn Peer, i: u64) -> Result<()> {
        peer.put(&key(i), self.values.of(i))
    }

    /// How many of a range of entries are there, by a sample spread over it.
    pub fn count(&mut self, peer: &dyn Peer, entries: Range<u64>) -> Result<f64> {
        let all = entries.end - entries.start;
        let sample = if self.cell.workload.is_cold() { COLD_SAMPLE } else { SAMPLE };
        let step = (all / sample).max(1);
        let (mut asked, mut found) = (0, 0);
        for i in entries.step_by(step as usize) {
            asked += 1;
            let hit = peer.get_into(&key(i), &mut self.buffer)?;
            let right = hit && is_value(&self.buffer, i, self.setup.size);
            // The lower bound does not know what it has written over.
            ensure!(right || !hit || self.about.lower_bound, "wrong bytes for entry {i}");
            found += u64::from(right);
        }
        Ok(found as f64 / asked as f64 * all as f64)
    }

    /// Writes down what a store that holds so many entries takes besides keys and values.
    pub fn weigh(
        &self,
        peer: &dyn Peer,
        memory_before: u64,
        held: f64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        self.settle(peer)?;
        let grown = machine::anonymous_bytes()?.saturating_sub(memory_before);
        outcome.memory_an_entry = Some(grown as f64 / held);
        if self.about.persists {
            let disk = machine::disk_bytes(&self.cell.directory)? as f64;
            let payload = held * (self.setup.size + size_of::<Key>()) as f64;
            outcome.disk_over_payload = Some(disk / payload);
            outcome.details.insert("disk_bytes".to_owned(), disk);
            outcome.details.insert("payload_bytes".to_owned(), payload);
        }
        outcome.details.extend(peer.details());
        Ok(())
    }
}
