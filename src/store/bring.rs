//! Records brought into memory from a log that is larger than that.

use super::readings::Store;
use crate::format::address::Address;
use crate::format::intent::WordAt;
use crate::format::record::HEADER_BYTES;
use crate::format::slot::Slot;
use crate::sys::residency::Residency;
use crate::sys::words::Words;

impl<W: Words> Store<W> {
    /// Brings the record that a slot names into memory: in one read, if it is as long as was guessed. Only for a
    /// log larger than memory.
    #[cold]
    pub fn bring_record(&self, slot: Slot) {
        let Some(residency) = self.words.residency() else { return };
        let Some(spot) = self.spot(slot) else { return };
        let guess = u64::from(residency.guess()).max(HEADER_BYTES).min(spot.room);
        let at = WordAt::log(spot.address.bytes());
        self.words.bring(at, guess);
        // Here it waits for the header.
        let Some(shape) = self.shape(spot) else { return };
        residency.learn(shape.bytes().min(u64::from(u32::MAX)) as u32);
        if shape.bytes() > guess {
            let rest = WordAt::log(spot.address.bytes() + guess);
            self.words.bring(rest, shape.bytes() - guess);
        }
    }

    /// Asks for the record at an address, as far as it is as long as was guessed; waits for nothing.
    #[cold]
    pub fn ask_for_record(&self, address: Address) {
        let guess = self.words.residency().map_or(0, Residency::guess);
        self.words.bring(WordAt::log(address.bytes()), u64::from(guess).max(HEADER_BYTES));
    }

    /// Asks for header and key of the record at an address; waits for nothing.
    #[cold]
    pub fn ask_for_head(&self, address: Address, key: &[u8]) {
        self.words.bring(WordAt::log(address.bytes()), HEADER_BYTES + key.len() as u64);
    }
}
