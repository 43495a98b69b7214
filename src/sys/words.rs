//! Words that processes share, behind a trait, so that a model checker can run the code that
//! changes them on memory of its own.

use super::residency::Residency;
use super::tags;
use crate::format::checked::CheckedAt;
use crate::format::intent::WordAt;

/// Shared 8-byte words. A place that does not exist reads as 0 and is not written.
pub trait Words {
    /// Acquire load.
    fn load(&self, at: WordAt) -> u64;
    /// Release store.
    fn store(&self, at: WordAt, value: u64);
    /// The value of a checked word: of its first copy, or of the second where the first is damaged. `None` if
    /// both are.
    #[inline]
    fn checked(&self, at: CheckedAt) -> Option<u64> {
        self.unseal(at, self.load(at.first()))
    }
    /// The same, where the first copy was loaded already.
    #[inline]
    fn unseal(&self, at: CheckedAt, first: u64) -> Option<u64> {
        at.unseal(first).or_else(|| self.second_copy(at))
    }
    /// The value of a checked word's second copy.
    #[cold]
    fn second_copy(&self, at: CheckedAt) -> Option<u64> {
        at.unseal(self.load(at.second()))
    }
    /// Release stores of both copies of a checked word.
    fn store_checked(&self, at: CheckedAt, value: u64) {
        for copy in at.copies() {
            self.store(copy, at.seal(value));
        }
    }
    /// Release stores of words one after the other, from `at` on: all of them, or none if one does not
    /// exist.
    #[inline]
    fn store_all(&self, at: WordAt, values: &[u64]) {
        for (number, value) in (0u64..).zip(values) {
            self.store(at.plus(number), *value);
        }
    }
    /// Acquire-release compare-and-swap; the value found, if it was another.
    fn exchange(&self, at: WordAt, current: u64, new: u64) -> Result<(), u64>;
    /// Acquire loads of the words from `at` on, all of them 0 if one does not exist.
    #[inline]
    fn load_all<const COUNT: usize>(&self, at: WordAt) -> [u64; COUNT] {
        std::array::from_fn(|i| self.load(at.plus(i as u64)))
    }
    /// Of the 16 words from `at` on, loaded as by [`Words::load_all`], those whose topmost
    /// `32 - skipped` bits are `tag`: a bit for each.
    #[inline]
    fn equal_tags(&self, at: WordAt, tag: u32, skipped: i32) -> u32 {
        tags::equal(&self.load_all(at), tag, skipped)
    }
    /// Asks the processor for the lines of a range, which is about to be used.
    #[inline]
    fn prefetch(&self, _at: WordAt, _bytes: u64) {}
    /// Whether the log is larger than memory, so that what is about to be read is better brought.
    #[inline]
    fn is_beyond_memory(&self) -> bool {
        false
    }
    /// What is known of the pages of the log that are in memory; `None` if all of it always is.
    fn residency(&self) -> Option<&Residency> {
        None
    }
    /// Asks the device for what of a range is not in memory, in one go and for nothing else. It comes while the
    /// caller goes on.
    fn bring(&self, _at: WordAt, _bytes: u64) {}
    /// So many pages of the index, or those that there are, if they are fewer.
    #[inline]
    fn pages_there(&self, pages: u64) -> u64 {
        pages
    }
    /// Bytes of the log that are there, as last seen.
    #[inline]
    fn log_bytes(&self) -> u64 {
        u64::MAX
    }
    /// Looks how long the log is by now: another process may have made it longer.
    fn refresh(&self) {}
    /// Sequentially consistent fence.
    fn fence(&self);
    /// Acquire fence: loads before it, even relaxed ones, stay before what follows.
    fn acquire_fence(&self);
}

/// Raises a checked word to a value, unless it is there or beyond. A damaged copy is not beyond.
pub fn raise(words: &impl Words, at: CheckedAt, value: u64) {
    let raised = |word| at.unseal(word).is_none_or(|old| old < value).then_some(at.seal(value));
    for copy in at.copies() {
        update(words, copy, raised);
    }
}

/// Changes a word by `change` until it sticks or `change` has nothing more to do.
pub fn update(words: &impl Words, at: WordAt, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let mut current = words.load(at);
    loop {
        let new = change(current)?;
        match words.exchange(at, current, new) {
            Ok(()) => return Some(new),
            Err(found) => current = found,
        }
    }
}
