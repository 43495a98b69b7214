//! Newtypes for the numbers that name a place or a moment in a store.

/// Addresses count in units of this many bytes; records and chunks are aligned to it.
pub const UNIT: u64 = 16;
/// Bits of an address in a slot: 2^36 units are 1 TiB.
pub const ADDRESS_BITS: u32 = 36;
/// Bits of a log sequence number.
pub const LSN_BITS: u32 = 52;
/// Low bits of an LSN that count transactions; the epoch stands above them.
pub const LSN_COUNT_BITS: u32 = 36;
/// Low bits of a generation that count reuses; the epoch stands above them.
pub const GENERATION_COUNT_BITS: u32 = 16;

/// A byte position in the log file, a multiple of [`UNIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u64);

impl Address {
    /// The address `units` units into the log file; bits beyond 36 are dropped.
    #[inline]
    pub const fn from_units(units: u64) -> Self {
        Self(units & ((1 << ADDRESS_BITS) - 1))
    }

    /// The address of a byte position, which is rounded down to a unit.
    #[inline]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self::from_units(bytes / UNIT)
    }

    /// Units from the start of the log file.
    #[inline]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Bytes from the start of the log file.
    #[inline]
    pub const fn bytes(self) -> u64 {
        self.0 * UNIT
    }
}

/// Which of the equal parts of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(u16);

impl SegmentId {
    /// Segment number `id`.
    #[inline]
    pub const fn new(id: u16) -> Self {
        Self(id)
    }

    /// Its number, from 0.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Its number as an index.
    #[inline]
    pub const fn index(self) -> u64 {
        self.0 as u64
    }
}

/// How often a segment was taken into use: reuses in the low 16 bits, the epoch above them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(u32);

impl Generation {
    /// Generation number `generation`; 0 is a segment never used.
    #[inline]
    pub const fn new(generation: u32) -> Self {
        Self(generation)
    }

    /// Its number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The four bits that stand in a slot.
    #[inline]
    pub const fn low(self) -> u8 {
        (self.0 & 15) as u8
    }

    /// One that no segment was given: before the first of an epoch.
    pub const fn first_of(epoch: u32) -> Self {
        Self(epoch << GENERATION_COUNT_BITS)
    }

    /// The epoch it was given in (higher if reuses carried into it).
    pub const fn epoch(self) -> u32 {
        self.0 >> GENERATION_COUNT_BITS
    }

    /// The generation of the segment's next use in `epoch`: one more, and never of an older epoch,
    /// so that what an unfinished write of the last epoch left behind is not taken for new.
    pub const fn next(self, epoch: u32) -> Self {
        let next = self.0.wrapping_add(1);
        let raised = (epoch << GENERATION_COUNT_BITS) | (next & ((1 << GENERATION_COUNT_BITS) - 1));
        if raised > next { Self(raised) } else { Self(next) }
    }
}

/// Log sequence number: the number of the transaction that published a record; a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// The highest.
    pub const MAX: Self = Self((1 << LSN_BITS) - 1);

    /// The LSN with this number, cut to 52 bits.
    #[inline]
    pub const fn new(number: u64) -> Self {
        Self(number & ((1 << LSN_BITS) - 1))
    }

    /// Its number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The epoch it was given in.
    pub const fn epoch(self) -> u32 {
        (self.0 >> LSN_COUNT_BITS) as u32
    }

    /// The first LSN of an epoch.
    pub const fn first_of(epoch: u32) -> Self {
        Self::new((epoch as u64) << LSN_COUNT_BITS)
    }
}

/// Milliseconds since 1970, cut to 48 bits; the largest is "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

impl Millis {
    /// The moment that never comes.
    pub const NEVER: Self = Self((1 << 48) - 1);

    /// `millis` since 1970; what does not fit is "never".
    #[inline]
    pub const fn new(millis: u64) -> Self {
        if millis > Self::NEVER.0 { Self::NEVER } else { Self(millis) }
    }

    /// Milliseconds since 1970.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This moment and `millis` more; saturates at "never".
    pub const fn after(self, millis: u64) -> Self {
        Self::new(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_generation_counts_on_and_never_falls_behind_the_epoch() {
        assert_eq!(Generation::new(0).next(0).get(), 1);
        assert_eq!(Generation::new(7).next(2).get(), (2 << 16) | 8);
        assert_eq!(Generation::new((5 << 16) | 7).next(2).get(), (5 << 16) | 8);
        for start in [0, 15, 0xFFFF, 0x1_FFFF] {
            let generation = Generation::new(start);
            assert_eq!(generation.next(3).low(), generation.low().wrapping_add(1) & 15);
        }
    }

    #[test]
    fn moments_saturate_at_never() {
        assert_eq!(Millis::new(u64::MAX), Millis::NEVER);
        assert_eq!(Millis::new(5).after(u64::MAX), Millis::NEVER);
    }
}
