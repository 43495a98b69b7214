//! Words that processes share, behind a trait, so that a model checker can run the code that
//! changes them on memory of its own.

use crate::format::intent::WordAt;

/// Shared 8-byte words. A place that does not exist reads as 0 and is not written.
pub trait Words {
    /// Acquire load.
    fn load(&self, at: WordAt) -> u64;
    /// Release store.
    fn store(&self, at: WordAt, value: u64);
    /// Acquire-release compare-and-swap; the value found, if it was another.
    fn exchange(&self, at: WordAt, current: u64, new: u64) -> Result<(), u64>;
    /// Acquire loads of the 16 words from `at` on.
    #[inline]
    fn load_group(&self, at: WordAt) -> [u64; 16] {
        std::array::from_fn(|i| self.load(at.plus(i as u64)))
    }
    /// So many pages of the index, or those that there are, if they are fewer.
    #[inline]
    fn pages_there(&self, pages: u64) -> u64 {
        pages
    }
    /// Sequentially consistent fence.
    fn fence(&self);
    /// Acquire fence: loads before it, even relaxed ones, stay before what follows.
    fn acquire_fence(&self);
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
