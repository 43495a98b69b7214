//! Writing a record at what was reserved.

use super::attached::Session;
use super::medium::Medium;
use crate::format::address::{Lsn, Millis};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::record::{self, COMMITTED_AT, HEADER_BYTES, PAYLOAD_AT, Shape};
use crate::format::segment::{FIRST_EXPIRY, HORIZON, Horizon, LAST_EXPIRY};
use crate::policy;
use crate::store::Spot;
use crate::sys::words::update;
use crate::transaction::Liveness;

/// What a record holds beside its key and value.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// Creation, seconds since 1970.
    pub created: u32,
    /// When it expires.
    pub expiry: Millis,
    /// The transaction that published it, if it is written committed: as a copy is, in a store that
    /// syncs.
    pub lsn: Option<Lsn>,
}

impl<M: Medium, L: Liveness> Session<M, L> {
    /// Writes a record at what was reserved: the header first, uncommitted unless `attributes` has an
    /// LSN.
    #[inline]
    pub fn write(&self, spot: Spot, shape: Shape, attributes: Attributes, parts: [&[u8]; 3]) {
        let checker = self.store.checker(spot);
        let [word0, word1] = shape.encode(checker, spot.generation.get());
        let crc = checker.payload(word0, attributes.created, parts);
        let at = WordAt::log(spot.address.bytes());
        let words = &self.store.words;
        // What says that there is a record comes last. Else the committed word of an older record, which
        // still stands here, would commit this one.
        let payload = record::encode_payload(crc, attributes.created);
        let expiry = record::encode_expiry(checker, attributes.expiry);
        words.store_all(at.plus(PAYLOAD_AT / 8), &[payload, 0, expiry]);
        words.store_all(at, &[word0, word1]);
        let mut offset = spot.address.bytes() + HEADER_BYTES;
        for part in parts {
            words.write(WordAt::log(offset), part);
            offset += part.len() as u64;
        }
        if let Some(lsn) = attributes.lsn {
            words.store(at.plus(COMMITTED_AT / 8), record::encode_committed(checker, lsn));
        }
    }

    /// Widens a segment's bounds of expiry, before the record of `units` that needs it can be seen.
    #[inline]
    pub fn widen_expiry(&self, spot: Spot, expiry: Millis, units: u32) {
        let row = |word| self.store.geometry.row_at(spot.segment, word);
        let words = &self.store.words;
        update(words, row(FIRST_EXPIRY), |first| (expiry.get() < first).then_some(expiry.get()));
        update(words, row(LAST_EXPIRY), |last| (expiry.get() > last).then_some(expiry.get()));
        if expiry != Millis::NEVER {
            let whole = self.store.geometry.segment_units();
            update(words, row(HORIZON), |word| {
                let horizon = Horizon::decode(word);
                let new = horizon.plus(units, whole).encode();
                (expiry < horizon.until && new != word).then_some(new)
            });
            let due = policy::sweep_due(expiry, expiry).get();
            update(words, control::SWEEP_DUE, |old| (due < old).then_some(due));
        }
    }
}
