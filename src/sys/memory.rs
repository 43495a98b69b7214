//! The mapped files of a store as words that processes share: what [`Words`] is when it is no model.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::mapping::Mapping;
use super::residency::Residency;
use super::tags;
use super::words::Words;
use crate::format::intent::WordAt;
use crate::format::page::{PAGE_BYTES, PageId};

/// Both mapped files of a store, as the words that its processes share.
#[derive(Debug)]
pub struct Memory {
    /// Control block and records.
    pub log: Mapping,
    /// The hash table.
    pub index: Mapping,
}

impl Memory {
    /// The same files for another handle.
    pub fn share(&self) -> Self {
        Self { log: self.log.share(), index: self.index.share() }
    }

    /// Whether all of both files could be seen of late.
    pub fn is_seen_whole(&self) -> bool {
        self.log.is_seen_whole() && self.index.is_seen_whole()
    }

    /// The file that a place is in.
    #[inline]
    pub fn mapping(&self, at: WordAt) -> &Mapping {
        if at.is_index() { &self.index } else { &self.log }
    }

    #[inline]
    fn word(&self, at: WordAt) -> Option<&AtomicU64> {
        self.mapping(at).word(at.offset())
    }
}

impl Words for Memory {
    #[inline]
    fn load(&self, at: WordAt) -> u64 {
        self.word(at).map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn load_all<const COUNT: usize>(&self, at: WordAt) -> [u64; COUNT] {
        let mut loaded = [0; COUNT];
        if let Some(words) = self.mapping(at).words(at.offset(), COUNT) {
            for (to, word) in loaded.iter_mut().zip(words) {
                *to = word.load(Ordering::Relaxed);
            }
        }
        fence(Ordering::Acquire);
        loaded
    }

    #[inline]
    fn equal_tags(&self, at: WordAt, tag: u32, skipped: i32) -> u32 {
        let equal = match self.mapping(at).words(at.offset(), tags::COUNT) {
            // SAFETY: as many words, aligned.
            Some(words) => unsafe { tags::equal_at(words.as_ptr().cast(), tag, skipped) },
            None => tags::equal(&[0; tags::COUNT], tag, skipped),
        };
        fence(Ordering::Acquire);
        equal
    }

    #[inline]
    fn store(&self, at: WordAt, value: u64) {
        if let Some(word) = self.mapping(at).word_to_change(at.offset()) {
            word.store(value, Ordering::Release);
        }
    }

    #[inline]
    fn store_all(&self, at: WordAt, values: &[u64]) {
        if !values.is_empty()
            && let Some(words) = self.mapping(at).words_to_change(at.offset(), values.len())
        {
            for (word, value) in words.iter().zip(values) {
                word.store(*value, Ordering::Release);
            }
        }
    }

    #[inline]
    fn exchange(&self, at: WordAt, current: u64, new: u64) -> Result<(), u64> {
        match self.mapping(at).word_to_change(at.offset()) {
            Some(word) => {
                word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
            }
            None => Err(!current),
        }
    }

    #[inline]
    fn prefetch(&self, at: WordAt, bytes: u64) {
        self.mapping(at).prefetch(at.offset(), bytes);
    }

    #[inline]
    fn is_beyond_memory(&self) -> bool {
        self.log.residency().is_on()
    }

    fn residency(&self) -> Option<&Residency> {
        Some(self.log.residency())
    }

    #[cold]
    fn bring(&self, at: WordAt, bytes: u64) {
        self.mapping(at).bring(at.offset(), bytes);
    }

    #[inline]
    fn pages_there(&self, pages: u64) -> u64 {
        let there = self.index.holds(0, PageId::new(pages).offset());
        if there { pages } else { (self.index.length() / PAGE_BYTES).saturating_sub(1) }
    }

    #[inline]
    fn log_bytes(&self) -> u64 {
        self.log.length()
    }

    fn refresh(&self) {
        self.log.refresh();
    }

    #[inline]
    fn fence(&self) {
        full_fence();
    }

    #[inline]
    fn acquire_fence(&self) {
        fence(Ordering::Acquire);
    }
}

/// A sequentially consistent fence. On x86-64 a locked instruction, as in crossbeam-epoch's pinning: a full
/// barrier like `mfence`, which takes longer.
#[inline]
fn full_fence() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: it changes the flags and nothing else; the compiler moves no access to memory across.
    unsafe {
        std::arch::asm!("lock or dword ptr [rsp], 0");
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fence(Ordering::SeqCst);
}
