//! The lock word: who may change the shared state, and how far its holder is.
//!
//! Bits 0..2 phase, 2..12 process row, 12..64 sequence. The sequence counts transactions; it is the
//! LSN of what the holder publishes.

use super::address::Lsn;

/// The most processes that a lock word can name.
pub const PROCESS_LIMIT: u16 = 1024;

/// Byte of the log file whose lock says that process row `n` is in use: `n` itself.
pub const fn process_lock_byte(process: ProcessId) -> u64 {
    process.0 as u64
}

/// Byte of the log file whose lock is held by creation, the first opening after another boot, and
/// changes of limits.
pub const OPENING_LOCK_BYTE: u64 = 1 << 61;

/// Byte of the log file that whoever holds the opening lock locks and lets go in turn, to show that it moves.
pub const PROGRESS_LOCK_BYTE: u64 = OPENING_LOCK_BYTE + 1;

/// Byte of the log file that the process which computes the value of a key of this hash locks.
pub const fn fill_lock_byte(hash: u64) -> u64 {
    (1 << 62) + (hash >> 3)
}

/// Which of the process rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId(u16);

impl ProcessId {
    /// Process number `process`, if there can be one.
    pub const fn new(process: u16) -> Option<Self> {
        if process < PROCESS_LIMIT { Some(Self(process)) } else { None }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// How far the holder of the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody holds it.
    Free,
    /// The holder prepares: nothing shared has been stored.
    Held,
    /// The holder stores the words of its intent: whoever takes over finishes that.
    Commit,
}

/// The lock word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockWord {
    /// How far the holder is.
    pub phase: Phase,
    /// The holder (of a free lock: the last one).
    pub owner: ProcessId,
    /// Number of the transaction.
    pub sequence: Lsn,
}

impl LockWord {
    /// The word as stored.
    #[inline]
    pub const fn encode(self) -> u64 {
        let phase = match self.phase {
            Phase::Free => 0,
            Phase::Held => 1,
            Phase::Commit => 2,
        };
        phase | ((self.owner.0 as u64) << 2) | (self.sequence.get() << 12)
    }

    /// The word's meaning; a phase that this version does not know counts as held, which anyone
    /// may rob.
    #[inline]
    pub const fn decode(word: u64) -> Self {
        Self {
            phase: match word & 3 {
                0 => Phase::Free,
                2 => Phase::Commit,
                _ => Phase::Held,
            },
            owner: ProcessId(((word >> 2) & 0x3FF) as u16),
            sequence: Lsn::new(word >> 12),
        }
    }

    /// The same owner and sequence in another phase.
    #[inline]
    pub const fn in_phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// The next transaction.
    #[inline]
    pub const fn next(self) -> Self {
        Self { sequence: Lsn::new(self.sequence.get() + 1), ..self }
    }

    /// The same phase and sequence, of another process.
    #[inline]
    pub const fn owned_by(self, owner: ProcessId) -> Self {
        Self { owner, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_words_survive_the_round_trip() {
        for phase in [Phase::Free, Phase::Held, Phase::Commit] {
            let word = LockWord {
                phase,
                owner: ProcessId::new(1023).unwrap(),
                sequence: Lsn::new((1 << 52) - 1),
            };
            assert_eq!(LockWord::decode(word.encode()), word);
        }
        assert_eq!(ProcessId::new(1024), None);
    }

    #[test]
    fn no_two_purposes_share_a_lock_byte() {
        assert!(fill_lock_byte(u64::MAX) <= i64::MAX as u64);
        assert!(fill_lock_byte(0) > PROGRESS_LOCK_BYTE);
        assert!(process_lock_byte(ProcessId::new(1023).unwrap()) < OPENING_LOCK_BYTE);
    }
}
