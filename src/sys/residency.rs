//! What of a file larger than memory is in memory, as far as this process knows.
//!
//! A page that is not there is best asked for before it is touched: the fault of a mapping reads around it, up to
//! megabytes, and what it reads pushes out what is in use. To ask takes a system call, so a page that was
//! there or asked for a moment ago is remembered. The moments are *turns*: one is over when as much was read as
//! could have pushed a sixteenth of memory out, or when somebody says so. What is remembered may be wrong. Then a
//! page is asked for in vain, or a fault reads around it.

use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::format::page::PAGE_BYTES;

/// Pages that are remembered: at least, and at most (4 MiB of this process's memory).
const PAGES: (u64, u64) = (1 << 12, 1 << 20);
/// Low bits of what is remembered of a page: the turn. The others are of its number.
const TURN_BITS: u32 = 10;
/// What is remembered counts in its own turn and so many that follow.
const TURNS: u32 = 1;
/// A turn is over when this part of memory was read.
const TURNS_A_MEMORY: u64 = 16;
/// A length is guessed to be the usual one once so many in a row were much like it.
const STEADY: u32 = 4;
/// At most so much is guessed before that: a page's worth or few more, read in vain.
const UNSTEADY_BYTES: u32 = 16 << 10;

/// What is remembered of a file's pages, and of the lengths that were read.
#[derive(Debug, Default)]
pub struct Residency {
    is_on: AtomicBool,
    /// Bytes read in this turn, and how many end it.
    read: AtomicU64,
    turn_bytes: AtomicU64,
    turn: AtomicU32,
    pages: OnceLock<Box<[AtomicU32]>>,
    /// The usual length, and how many in a row were like it.
    usual: AtomicU64,
}

impl Residency {
    /// Whether the file is larger than memory, so that any page may have to be read.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// From now on the file is larger than the `memory` that there is for it.
    pub fn begin(&self, memory: u64) {
        self.turn_bytes.store((memory / TURNS_A_MEMORY).max(PAGE_BYTES), Ordering::Relaxed);
        self.pages.get_or_init(|| {
            let count = (memory / PAGE_BYTES).saturating_mul(2).clamp(PAGES.0, PAGES.1);
            (0..count.next_power_of_two()).map(|_| AtomicU32::new(0)).collect()
        });
        self.next_turn();
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// From now on it fits.
    pub fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    /// Ends a turn: others may have read as much as this process.
    pub fn next_turn(&self) {
        self.read.store(0, Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a page is there, to the best of one's knowledge. It is used now, so it stays known.
    pub fn is_known(&self, page: u64) -> bool {
        let Some(known) = self.place(page) else { return false };
        let turn = self.turn.load(Ordering::Relaxed);
        let word = known.load(Ordering::Relaxed);
        let is_known = is_of(word, page) && turns_since(word, turn) <= TURNS;
        if is_known && turns_since(word, turn) > 0 {
            known.store(word_of(page, turn), Ordering::Relaxed);
        }
        is_known
    }

    /// Notes pages that are there, or on their way.
    pub fn note(&self, pages: RangeInclusive<u64>) {
        let turn = self.turn.load(Ordering::Relaxed);
        for page in pages {
            if let Some(known) = self.place(page) {
                known.store(word_of(page, turn), Ordering::Relaxed);
            }
        }
    }

    /// Notes that bytes are read, which push others out.
    pub fn note_read(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if read >= self.turn_bytes.load(Ordering::Relaxed) {
            self.next_turn();
        }
    }

    /// Bytes that what is read next may have.
    pub fn guess(&self) -> u32 {
        let (usual, streak) = unpack(self.usual.load(Ordering::Relaxed));
        if streak >= STEADY { usual } else { usual.min(UNSTEADY_BYTES) }
    }

    /// Notes how long it was. (Of two threads one may be forgotten.)
    pub fn learn(&self, bytes: u32) {
        let old = self.usual.load(Ordering::Relaxed);
        let new = learned(unpack(old), bytes);
        if pack(new) != old {
            self.usual.store(pack(new), Ordering::Relaxed);
        }
    }

    fn place(&self, page: u64) -> Option<&AtomicU32> {
        let pages = self.pages.get()?;
        // By the golden ratio, as Knuth's multiplicative hashing (The Art of Computer Programming, 6.4).
        let hash = page.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        pages.get(hash as usize & (pages.len() - 1))
    }
}

/// What is remembered of a page in a turn; never 0.
fn word_of(page: u64, turn: u32) -> u32 {
    ((page as u32).wrapping_add(1) << TURN_BITS) | (turn & ((1 << TURN_BITS) - 1))
}

fn is_of(word: u32, page: u64) -> bool {
    word >> TURN_BITS == word_of(page, 0) >> TURN_BITS
}

fn turns_since(word: u32, turn: u32) -> u32 {
    turn.wrapping_sub(word) & ((1 << TURN_BITS) - 1)
}

/// The usual length and its streak after another length: it rises at once, falls by halves, and the streak goes on
/// while lengths stay within a factor of two.
fn learned((usual, streak): (u32, u32), bytes: u32) -> (u32, u32) {
    match bytes {
        _ if bytes > usual => (bytes, if bytes / 2 > usual { 0 } else { streak }),
        _ if bytes > usual / 2 => (usual, (streak + 1).min(STEADY)),
        _ => (usual / 2, 0),
    }
}

fn pack((usual, streak): (u32, u32)) -> u64 {
    u64::from(streak) << 32 | u64::from(usual)
}

fn unpack(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(memory: u64) -> Residency {
        let residency = Residency::default();
        residency.begin(memory);
        residency
    }

    #[test]
    fn a_page_is_known_for_a_turn_more_than_the_one_it_was_noted_in() {
        let residency = begun(1 << 20);
        assert!(!residency.is_known(7));
        residency.note(7..=9);
        residency.next_turn();
        assert!(residency.is_known(8), "which also keeps it known");
        residency.next_turn();
        assert!(residency.is_known(8) && !residency.is_known(7));
        residency.next_turn();
        residency.next_turn();
        assert!(!residency.is_known(8));
    }

    #[test]
    fn what_is_read_ends_a_turn_once_it_could_push_a_sixteenth_of_memory_out() {
        let residency = begun(1 << 24);
        residency.note(1..=1);
        residency.note_read((1 << 20) - 1);
        residency.note_read(1);
        residency.note_read((1 << 20) - 1);
        assert!(residency.is_known(1));
        residency.note_read(3 << 20);
        residency.note_read(3 << 20);
        assert!(!residency.is_known(1));
    }

    #[test]
    fn page_zero_is_not_known_before_it_was_noted_and_far_pages_are_told_apart() {
        let residency = begun(1 << 20);
        assert!(!residency.is_known(0));
        residency.note(5..=5);
        let known = (0..1 << 20).filter(|page| residency.is_known(*page)).count();
        assert_eq!(known, 1);
    }

    #[test]
    fn a_steady_length_is_guessed_and_among_mixed_ones_a_few_pages_at_most() {
        let residency = begun(1 << 20);
        assert_eq!(residency.guess(), 0);
        for _ in 0..6 {
            residency.learn(1_000_100);
        }
        assert_eq!(residency.guess(), 1_000_100);
        for turn in 0..100 {
            residency.learn(if turn % 2 == 0 { 900 } else { 1_000_100 });
            assert!(residency.guess() <= UNSTEADY_BYTES);
        }
        for _ in 0..24 {
            residency.learn(900);
        }
        assert!((900..1800).contains(&residency.guess()), "{}", residency.guess());
    }
}
