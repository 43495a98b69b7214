//! The chunk header: what is decoded is what was encoded for this place, and nothing else is.

use arbitrary::{Result, Unstructured};
use larder::internals::segment::{decode_chunk, encode_chunk};

use super::place::draw;

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let (checker, generation) = draw(input)?;
    let units: u32 = input.arbitrary()?;
    let words = encode_chunk(checker, generation, units);
    assert_eq!(decode_chunk(checker, generation, words), (units != 0).then_some(units));

    // Damaged words, or words of the input alone.
    let masks: [u64; 2] = input.arbitrary()?;
    for changed in [[words[0] ^ masks[0], words[1] ^ masks[1]], [words[0], masks[1]], masks] {
        if let Some(units) = decode_chunk(checker, generation, changed) {
            assert_eq!(encode_chunk(checker, generation, units), changed);
            assert_ne!(units, 0);
        }
    }

    // Written for another place.
    let (elsewhere, other) = draw(input)?;
    if let Some(units) = decode_chunk(elsewhere, other, words) {
        assert_eq!(encode_chunk(elsewhere, other, units), words);
    }
    Ok(())
}
