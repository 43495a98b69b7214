//! Which checked words are damaged, and what is lost with them.

use super::readings::Store;
use crate::format::address::SegmentId;
use crate::format::checked::CheckedAt;
use crate::format::control;
use crate::format::slot::Slot;
use crate::sys::words::Words;

/// A checked word of which a copy at least does not pass its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedWord {
    /// Which it is.
    pub whose: Whose,
    /// Where it is.
    pub at: CheckedAt,
    /// What the whole copy says; `None` if there is none.
    pub value: Option<u64>,
}

/// What a checked word is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The store: a word of the control block, by its name.
    Store(&'static str),
    /// A segment: its state.
    Segment(SegmentId),
}

impl<W: Words> Store<W> {
    /// Whether damage has taken the segment out of use that a slot names: what is there cannot be known.
    pub fn is_lost(&self, slot: Slot) -> bool {
        let place = self.geometry.locate(slot.address());
        place.is_some_and(|(segment, _)| self.any_state(segment).is_none())
    }

    /// The checked words of which a copy is damaged, those of the store first, then those of the segments that
    /// the log has room for.
    pub fn damaged_words(&self) -> impl Iterator<Item = DamagedWord> + '_ {
        let of_store = control::CHECKED.into_iter().map(|(at, name)| (Whose::Store(name), at));
        let of_segments = self.segments().map(|segment| {
            let at = self.geometry.state_at(segment);
            (Whose::Segment(segment), at)
        });
        of_store.chain(of_segments).filter_map(|(whose, at)| {
            let damaged = |copy| at.unseal(self.load(copy)).is_none();
            let value = self.words.checked(at);
            at.copies().into_iter().any(damaged).then_some(DamagedWord { whose, at, value })
        })
    }
}

impl std::fmt::Display for DamagedWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.whose {
            Whose::Store(name) => write!(f, "{name}")?,
            Whose::Segment(segment) => write!(f, "the state of segment {}", segment.get())?,
        }
        f.write_str(if self.value.is_some() { " (one of two copies)" } else { " (both copies)" })
    }
}
