//! Passing over a log larger than memory: what is read ahead for it, and let go again behind it, so that memory is
//! left as it was found. In a log that fits in memory nothing is done.

use std::collections::VecDeque;

use super::readings::Store;

/// So much is read at a time.
const WINDOW: u64 = 1 << 20;
/// So far ahead it is looked what is in memory: farther than what faults read ahead by themselves.
const LOOK_AHEAD: u64 = 32 << 20;
/// So much of what was asked for here and there is held.
const HELD: u64 = 8 << 20;

/// What somebody who passes over a log has brought into memory.
#[derive(Debug, Default)]
pub struct Passing {
    /// Offsets up to which was looked, and up to which windows were read ahead.
    looked_to: u64,
    read_to: u64,
    /// Ranges that were not in memory before.
    absent: VecDeque<(u64, u64)>,
    /// Bytes of those that were asked for here and there.
    held: u64,
}

impl Passing {
    /// It comes to `bytes` at `offset`, behind all that it came to before: they and what follows are read ahead, what
    /// it has passed goes.
    pub fn come_to(&mut self, store: &Store, offset: u64, bytes: u64) {
        if !store.is_beyond_memory() {
            return;
        }
        let log = &store.words.log;
        let start = offset / WINDOW * WINDOW;
        let end = offset.saturating_add(bytes).min(log.length());
        self.looked_to = self.looked_to.max(start);
        while self.looked_to < end.saturating_add(LOOK_AHEAD).min(log.length()) {
            self.absent.extend(log.absent(self.looked_to, WINDOW));
            self.looked_to += WINDOW;
        }
        self.read_to = self.read_to.max(start);
        while self.read_to < end.saturating_add(WINDOW).min(log.length()) {
            log.bring_absent(self.read_to, WINDOW);
            self.read_to += WINDOW;
        }
        while let Some(&(from, length)) = self.absent.front()
            && from + length <= offset
        {
            log.let_go(from, length);
            self.absent.pop_front();
        }
    }

    /// Asks for a range, wherever it is. It goes when much else was asked for, or when all goes.
    pub fn ask_for(&mut self, store: &Store, offset: u64, bytes: u64) {
        if !store.is_beyond_memory() {
            return;
        }
        let Some((from, length)) = store.words.log.bring_absent(offset, bytes) else { return };
        self.absent.push_back((from, length));
        self.held += length;
        while self.held > HELD
            && self.absent.len() > 1
            && let Some((from, length)) = self.absent.pop_front()
        {
            store.words.log.let_go(from, length);
            self.held = self.held.saturating_sub(length);
        }
    }

    /// Lets all go that it brought.
    pub fn let_go(&mut self, store: &Store) {
        for (from, length) in self.absent.drain(..) {
            store.words.log.let_go(from, length);
        }
        self.held = 0;
    }
}
