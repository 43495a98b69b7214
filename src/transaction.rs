//! The transaction: how several words change as one, though any process may die at any instruction.
//!
//! A change is a list of words with their new absolute values, or one split of an
//! index page. It goes through the lock word `L`:
//!
//! 1. `FREE -> HELD`: the holder looks whether all is still as it was when it prepared. Nothing
//!    shared is stored, so whoever waits 5 ms robs it without asking.
//! 2. It writes the list, the *intent*, into its own process row; `HELD -> COMMIT`. If that fails
//!    it was robbed, and starts over.
//! 3. It stores the words, then `FREE` with the next sequence. If it dies in between, whoever waits
//!    takes over: it copies the intent, makes itself the owner (`COMMIT(x, q) -> COMMIT(me, q + 1)`),
//!    and stores the words again. The values are absolute, so it does not matter how many of them
//!    were stored before, nor whether the taker dies in turn.
//!
//! Every change of `L` is a compare-and-swap on the exact word. Nothing is computed, allocated,
//! faulted in or copied while it is held.
//!
//! The code is generic over where the words are, so that a model checker runs it as it is.

use std::time::{Duration, Instant};

use crate::format::address::Lsn;
use crate::format::checked::CheckedAt;
use crate::format::control::{self, Geometry};
use crate::format::intent::{INTENT_WORDS, IntentHead, WordAt};
use crate::format::lock::{LockWord, Phase, ProcessId};
use crate::format::page::PageId;
use crate::split::split;
use crate::sys::words::Words;

/// The most words that a transaction of this version changes: fewer than an intent has room for, since it takes
/// time to clear them all.
const CHANGES_LIMIT: usize = 14;
const _: () = assert!(CHANGES_LIMIT <= INTENT_WORDS);

/// The words that a transaction is to store: each word once, with its newest value.
#[derive(Clone, Copy, Debug)]
pub struct Changes {
    /// Offsets and values by turns, as in an intent.
    pairs: [[u64; 2]; CHANGES_LIMIT],
    count: usize,
}

impl Default for Changes {
    fn default() -> Self {
        Self { pairs: [[0; 2]; CHANGES_LIMIT], count: 0 }
    }
}

impl Changes {
    /// Sets a word.
    #[inline]
    pub fn set(&mut self, at: WordAt, value: u64) {
        match self.known(at) {
            Some(old) => *old = value,
            None => self.push(at, value),
        }
    }

    /// Sets both copies of a checked word.
    pub fn set_checked(&mut self, at: CheckedAt, value: u64) {
        for copy in at.copies() {
            self.set(copy, at.seal(value));
        }
    }

    /// Sets a word to what `change` makes of it: of its newest value here, else of what is stored.
    #[inline]
    pub fn update(&mut self, words: &impl Words, at: WordAt, change: impl FnOnce(u64) -> u64) {
        match self.known(at) {
            Some(value) => *value = change(*value),
            None => self.push(at, change(words.load(at))),
        }
    }

    #[inline]
    fn known(&mut self, at: WordAt) -> Option<&mut u64> {
        let known = self.pairs[..self.count].iter_mut().find(|[place, _]| *place == at.raw());
        known.map(|[_, value]| value)
    }

    #[inline]
    fn push(&mut self, at: WordAt, value: u64) {
        debug_assert!(self.count < CHANGES_LIMIT, "a transaction of too many words");
        if let Some(free) = self.pairs.get_mut(self.count) {
            *free = [at.raw(), value];
            self.count += 1;
        }
    }

    /// Whether `more` words still fit.
    pub fn has_room(&self, more: usize) -> bool {
        self.count + more <= CHANGES_LIMIT
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The words and their values.
    pub fn iter(&self) -> impl Iterator<Item = (WordAt, u64)> + '_ {
        self.as_pairs().iter().map(|&[at, value]| (WordAt::from_raw(at), value))
    }

    fn as_pairs(&self) -> &[[u64; 2]] {
        &self.pairs[..self.count]
    }
}

/// How long a held lock may stay unchanged before it is robbed, or its owner asked for.
pub const UNCHANGED: Duration = Duration::from_millis(5);

/// Whether a process has died, by the kernel's word.
pub trait Liveness {
    /// Whether nobody is attached to a process row. Never asked of one's own.
    fn is_dead(&self, process: ProcessId) -> bool;
}

/// How long one waits for the lock.
pub trait Patience {
    /// Waits a little, having found the lock in this state.
    fn wait(&mut self, found: LockWord) -> Verdict;
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Again,
    /// The word has not changed for so long that its owner may be dead or stopped.
    Unchanged,
    /// The deadline has passed.
    Expired,
}

/// The lock could not be had in time: its owner is alive, but does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck(pub LockWord);

/// The lock was taken away before anything was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Robbed;

/// One process's access to the lock of a store.
#[derive(Debug)]
pub struct Transactions<'a, W, L> {
    /// The store's words.
    pub words: &'a W,
    /// Where they are.
    pub geometry: &'a Geometry,
    /// This process.
    pub me: ProcessId,
    /// Who lives.
    pub liveness: &'a L,
}

/// The lock, held: given up when dropped.
#[derive(Debug)]
pub struct Held<'t, 'a, W: Words, L> {
    transactions: &'t Transactions<'a, W, L>,
    word: LockWord,
}

impl<'a, W: Words, L: Liveness> Transactions<'a, W, L> {
    /// Takes the lock. An owner that does not move and has not committed is robbed; what a dead one has
    /// committed is finished first.
    pub fn hold<'t>(&'t self, patience: &mut impl Patience) -> Result<Held<'t, 'a, W, L>, Stuck> {
        loop {
            let raw = self.words.load(control::LOCK);
            let found = LockWord::decode(raw);
            let held = found.in_phase(Phase::Held).owned_by(self.me);
            if found.phase == Phase::Free {
                if self.words.exchange(control::LOCK, raw, held.encode()).is_ok() {
                    return Ok(Held { transactions: self, word: held });
                }
                continue;
            }
            let verdict = patience.wait(found);
            if verdict == Verdict::Again {
                continue;
            }
            if found.phase == Phase::Held {
                // Whoever holds it has stored nothing: no need to ask whether it lives.
                if self.words.exchange(control::LOCK, raw, held.next().encode()).is_ok() {
                    return Ok(Held { transactions: self, word: held.next() });
                }
            } else if found.owner != self.me && self.liveness.is_dead(found.owner) {
                self.take_over(raw, found);
            } else if verdict == Verdict::Expired {
                return Err(Stuck(found));
            }
        }
    }

    /// Finishes what a dead owner was storing.
    fn take_over(&self, raw: u64, found: LockWord) {
        // Copied before the swap: once the word names us, a taker after us reads our row.
        // An owner that cannot exist has no intent: where its row would be are records.
        let head = if found.owner.get() < self.geometry.max_processes {
            self.words.load(self.geometry.intent_at(found.owner, 0))
        } else {
            IntentHead::None.encode()
        };
        let count = match IntentHead::decode(head) {
            IntentHead::Words(count) => count,
            _ => 0,
        };
        for word in 1..=2 * count as u64 {
            let value = self.words.load(self.geometry.intent_at(found.owner, word));
            self.words.store(self.geometry.intent_at(self.me, word), value);
        }
        self.words.store(self.geometry.intent_at(self.me, 0), head);
        let mine = found.next().owned_by(self.me);
        if self.words.exchange(control::LOCK, raw, mine.encode()).is_ok() {
            self.redo(mine);
        }
    }

    /// To be called before a new owner uses a process row: finishes or undoes what the lock word says
    /// of the row's last owner.
    pub fn settle_row(&self) {
        loop {
            let raw = self.words.load(control::LOCK);
            let found = LockWord::decode(raw);
            if found.owner != self.me || found.phase == Phase::Free {
                return;
            }
            let next = match found.phase {
                Phase::Commit => found.next(),
                _ => found.next().in_phase(Phase::Free),
            };
            if self.words.exchange(control::LOCK, raw, next.encode()).is_ok() {
                if next.phase == Phase::Commit {
                    self.redo(next);
                }
                return;
            }
        }
    }

    /// Stores the words of one's own intent and frees the lock; `word` is the lock word, in COMMIT
    /// and owned by this process.
    fn redo(&self, word: LockWord) {
        match IntentHead::decode(self.words.load(self.geometry.intent_at(self.me, 0))) {
            IntentHead::None => {}
            IntentHead::Words(count) => {
                for pair in 0..count as u64 {
                    let at = self.words.load(self.geometry.intent_at(self.me, 1 + 2 * pair));
                    let value = self.words.load(self.geometry.intent_at(self.me, 2 + 2 * pair));
                    // No transaction names the lock: a damaged one could have it taken for ever.
                    if at != control::LOCK.raw() {
                        self.words.store(WordAt::from_raw(at), value);
                    }
                }
            }
            IntentHead::Split(page) => split(self.words, self.geometry, page),
        }
        self.free(word);
    }

    fn free(&self, word: LockWord) {
        let free = word.next().in_phase(Phase::Free);
        // It cannot fail while this process lives: nobody takes COMMIT from a living owner. (Whoever
        // writes over the file can: that is for the models to leave out, and no panic elsewhere.)
        let freed = self.words.exchange(control::LOCK, word.encode(), free.encode());
        debug_assert!(!cfg!(test) || freed.is_ok(), "a commit was taken from a living owner");
    }
}

impl<W: Words, L: Liveness> Held<'_, '_, W, L> {
    /// The LSN of what is committed now.
    pub fn lsn(&self) -> Lsn {
        self.word.sequence
    }

    /// Stores all words, as one.
    pub fn commit(self, changes: &Changes) -> Result<(), Robbed> {
        let Transactions { words, geometry, me, .. } = *self.transactions;
        let pairs = changes.as_pairs();
        words.store_all(geometry.intent_at(me, 1), pairs.as_flattened());
        let committed = self.begin(IntentHead::Words(pairs.len()))?;
        for (at, value) in changes.iter() {
            words.store(at, value);
        }
        self.finish(committed);
        Ok(())
    }

    /// Splits the index: `page`, which must be the number of pages, becomes the newest.
    pub fn split(self, page: PageId) -> Result<(), Robbed> {
        let committed = self.begin(IntentHead::Split(page))?;
        split(self.transactions.words, self.transactions.geometry, page);
        self.finish(committed);
        Ok(())
    }

    fn begin(&self, head: IntentHead) -> Result<LockWord, Robbed> {
        let Transactions { words, geometry, me, .. } = *self.transactions;
        words.store(geometry.intent_at(me, 0), head.encode());
        let committed = self.word.in_phase(Phase::Commit);
        words
            .exchange(control::LOCK, self.word.encode(), committed.encode())
            .map(|()| committed)
            .map_err(|_| Robbed)
    }

    fn finish(self, committed: LockWord) {
        self.transactions.free(committed);
        std::mem::forget(self);
    }
}

impl<W: Words, L> Drop for Held<'_, '_, W, L> {
    /// Gives the lock up, with nothing changed.
    fn drop(&mut self) {
        let free = self.word.in_phase(Phase::Free);
        // Failure means robbed: then it is another's to free.
        let _ = self.transactions.words.exchange(control::LOCK, self.word.encode(), free.encode());
    }
}

/// Waits by the clock: a few spins, then naps.
#[derive(Debug)]
pub struct Clocked {
    deadline: Duration,
    spins: u32,
    begun: Option<Instant>,
    seen: Option<(LockWord, Instant)>,
}

impl Clocked {
    /// Gives up after `deadline`.
    pub fn new(deadline: Duration) -> Self {
        Self { deadline, spins: 0, begun: None, seen: None }
    }
}

impl Patience for Clocked {
    fn wait(&mut self, found: LockWord) -> Verdict {
        self.spins += 1;
        if self.spins < 200 {
            std::hint::spin_loop();
            return Verdict::Again;
        }
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        let since = match self.seen {
            Some((seen, since)) if seen == found => since,
            _ => now,
        };
        self.seen = Some((found, since));
        if now - begun >= self.deadline {
            return Verdict::Expired;
        }
        if now - since >= UNCHANGED {
            // Asked again after another while, not at every turn.
            self.seen = None;
            return Verdict::Unchanged;
        }
        if self.spins < 400 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
        Verdict::Again
    }
}
