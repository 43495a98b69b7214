//! The slot: every word means something, every field comes back, and none touches another.

use arbitrary::{Result, Unstructured};
use larder::internals::address::{Address, Generation, Lsn};
use larder::internals::slot::{FREQUENCY_LIMIT, Slot, TAG_BITS};

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let word: u64 = input.arbitrary()?;
    let slot = Slot::from_word(word);
    assert_eq!(slot.word(), word);
    let kinds = [slot.is_empty(), slot.is_live(), slot.is_ghost()];
    assert_eq!(kinds.iter().filter(|&&kind| kind).count(), 1, "{slot:?} is not of one kind");
    if slot.is_ghost() {
        let ghost = Slot::ghost(slot.tag(), Lsn::new(slot.address().units()));
        assert!(ghost.is_ghost() && ghost.tag() == slot.tag());
        assert_eq!(ghost.address(), slot.address());
    } else {
        let generation = Generation::new(slot.generation_low().into());
        let again = Slot::new(slot.tag(), slot.address(), generation, slot.frequency());
        assert_eq!(again.with_duplicate(slot.is_duplicate()), slot);
    }

    let tag = input.arbitrary::<u32>()? & ((1 << TAG_BITS) - 1);
    let address = Address::from_units(input.arbitrary()?);
    let generation = Generation::new(input.arbitrary()?);
    let frequency = input.int_in_range(0..=FREQUENCY_LIMIT)?;
    let duplicate: bool = input.arbitrary()?;
    let built = Slot::new(tag, address, generation, frequency).with_duplicate(duplicate);
    assert_eq!((built.tag(), built.address()), (tag, address));
    assert_eq!(built.generation_low(), generation.low());
    assert_eq!(
        (built.frequency(), built.is_duplicate(), built.is_ghost()),
        (frequency, duplicate, false)
    );

    // What names the same record says so, whatever its frequency and its duplicates.
    let other = input.int_in_range(0..=FREQUENCY_LIMIT)?;
    let changed = slot.with_frequency(other).with_duplicate(!slot.is_duplicate());
    assert!(changed.names_same(slot));
    assert_eq!(changed.with_duplicate(slot.is_duplicate()).with_frequency(slot.frequency()), slot);
    let same = (slot.tag(), slot.address(), slot.generation_low(), slot.is_ghost())
        == (built.tag(), built.address(), built.generation_low(), built.is_ghost());
    assert_eq!(slot.names_same(built), same);

    let (left, now) = (Lsn::new(input.arbitrary()?), Lsn::new(input.arbitrary()?));
    let age = Slot::ghost(tag, left).ghost_age(now);
    assert_eq!(age, now.get().wrapping_sub(left.get()) & ((1 << 36) - 1));
    Ok(())
}
