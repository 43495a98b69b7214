//! The limits in the control block, as the file `store` has them too.

use crate::format::address::Millis;
use crate::format::control;
use crate::format::identity::Limits;
use crate::format::intent::WordAt;
use crate::sys::words::Words;

/// The limits that hold.
pub fn read_limits(words: &impl Words) -> Limits {
    let ttl = words.load(control::DEFAULT_TTL);
    Limits {
        max_entries: words.load(control::MAX_ENTRIES),
        max_bytes: words.load(control::MAX_BYTES),
        ttl_ms: (ttl < Millis::NEVER.get()).then_some(ttl),
        min_free: words.load(control::MIN_FREE),
    }
}

/// Sets the words of the control block.
pub fn write_limits(words: &impl Words, limits: &Limits) {
    for (at, value) in limit_words(limits) {
        words.store(at, value);
    }
}

/// Whether the words of the control block say these limits.
pub fn are_limits(words: &impl Words, limits: &Limits) -> bool {
    limit_words(&read_limits(words)) == limit_words(limits)
}

/// The words of the control block for these limits.
fn limit_words(limits: &Limits) -> [(WordAt, u64); 4] {
    let never = Millis::NEVER.get();
    [
        (control::MAX_ENTRIES, limits.max_entries),
        (control::MAX_BYTES, limits.max_bytes),
        (control::DEFAULT_TTL, limits.ttl_ms.filter(|&ttl| ttl < never).unwrap_or(u64::MAX)),
        (control::MIN_FREE, limits.min_free),
    ]
}
