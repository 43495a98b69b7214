//! A place in a store that the input chooses. Checksums cover the place as well as the bytes there.

use arbitrary::{Result, Unstructured};
use larder::internals::address::{Address, Generation};
use larder::internals::check::Checker;

/// The checker of a place, and its generation.
pub fn draw(input: &mut Unstructured<'_>) -> Result<(Checker, Generation)> {
    let generation = Generation::new(input.arbitrary()?);
    let address = Address::from_units(input.arbitrary()?);
    Ok((Checker::new(input.arbitrary()?, address, generation), generation))
}
