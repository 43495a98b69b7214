//! Entries and the order in which they are asked for, the same for all peers: their keys, their values, and
//! the room that they are granted.

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

pub type Key = [u8; 16];

/// The key of entry `i`: binary, spread over the whole range, so that no order helps any peer.
pub fn key(i: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(i).to_le_bytes());
    key[8..].copy_from_slice(&i.to_le_bytes());
    key
}

/// A key that no entry has.
pub fn absent(i: u64) -> Key {
    key(i | 1 << 63)
}

/// A bijection that looks like noise (the finaliser of splitmix64).
pub fn mix(i: u64) -> u64 {
    let mut z = i.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Bytes that an entry is granted where room is bounded.
pub fn granted(size: usize) -> u64 {
    /// What is granted besides key and value.
    const OVERHEAD: u64 = 64;
    (size + size_of::<Key>()) as u64 + OVERHEAD
}

/// Entries that are to fit so many bytes.
pub fn fitting(bytes: u64, size: usize) -> u64 {
    (bytes / granted(size)).max(1)
}

/// Places of a value in the noise.
const PLACES: u64 = 4096;
const PLACE_BYTES: u64 = 16;

/// Values of one size: incompressible, each beginning with a word of its entry. They are cut from a
/// little noise that stays in the processor's cache, as what a program has just made would be. The words
/// stay in the noise: made again, a value may differ behind its first word.
pub struct Values {
    noise: Vec<u8>,
    size: usize,
}

impl Values {
    pub fn new(size: usize) -> Self {
        assert!(size >= 8, "a value begins with a word");
        let mut noise = vec![0; size + (PLACES * PLACE_BYTES) as usize];
        SmallRng::seed_from_u64(7).fill_bytes(&mut noise);
        Self { noise, size }
    }

    pub fn of(&mut self, i: u64) -> &[u8] {
        let word = mix(i);
        let place = (word % PLACES * PLACE_BYTES) as usize;
        let value = &mut self.noise[place..][..self.size];
        value[..8].copy_from_slice(&word.to_le_bytes());
        value
    }
}

/// Whether these may be the bytes of entry `i`. Looks at the first word: so each peer also has the value
/// read once.
#[inline]
pub fn is_value(bytes: &[u8], i: u64, size: usize) -> bool {
    bytes.len() == size && bytes[..8] == mix(i).to_le_bytes()
}

/// Numbers of entries in the order in which they are asked for, drawn before anything is timed.
pub struct Order(Vec<u32>);

/// What is drawn at most; then it begins anew.
const DRAWN: u64 = 4 << 20;

impl Order {
    pub fn uniform(entries: u64, operations: u64, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let draw = |_| random.random_range(0..entries) as u32;
        Self((0..operations.min(DRAWN)).map(draw).collect())
    }

    /// By Zipf's law with exponent 1. Which ones are popular has nothing to do with when they came.
    pub fn zipf(entries: u64, operations: u64, seed: u64) -> Self {
        /// A prime above any number of entries: multiplying by it is a bijection modulo that number.
        const PRIME: u64 = 4_294_967_291;
        let mut random = SmallRng::seed_from_u64(seed);
        let Ok(law) = Zipf::new(entries as f64, 1.0) else { return Self(vec![0]) };
        let draw = |_| (law.sample(&mut random) as u64 * PRIME % entries) as u32;
        Self((0..operations.min(DRAWN)).map(draw).collect())
    }

    /// Each entry once.
    pub fn shuffled(entries: u64, seed: u64) -> Self {
        use rand::seq::SliceRandom;
        let mut order: Vec<u32> = (0..entries as u32).collect();
        order.shuffle(&mut SmallRng::seed_from_u64(seed));
        Self(order)
    }

    #[inline]
    pub fn at(&self, step: u64) -> u64 {
        let step = step as usize;
        // A division would be a tenth of a fast read.
        u64::from(self.0[if step < self.0.len() { step } else { step % self.0.len() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn values_are_of_their_entries_alone() {
        let mut values = Values::new(100);
        let value = values.of(7).to_vec();
        assert!(is_value(&value, 7, 100));
        assert!(!is_value(&value, 8, 100) && !is_value(&value[1..], 7, 100));
    }

    #[test]
    fn an_order_is_the_same_for_the_same_seed_and_stays_within_the_entries() {
        for make in [Order::uniform, Order::zipf] {
            let (order, same) = (make(1000, 5000, 3), make(1000, 5000, 3));
            assert!((0..6000).all(|step| order.at(step) == same.at(step) && order.at(step) < 1000));
        }
    }

    #[test]
    fn the_popular_by_zipf_are_asked_for_much_more_often_than_the_rest() {
        let order = Order::zipf(1000, 50_000, 3);
        let mut counts = vec![0; 1000];
        (0..50_000).for_each(|step| counts[order.at(step) as usize] += 1);
        let asked = counts.iter().filter(|count| **count > 0).count();
        counts.sort_unstable();
        assert!(counts[999] > 5000 && asked > 900, "{} {asked}", counts[999]);
    }

    #[test]
    fn a_shuffled_order_has_each_entry_once() {
        let order = Order::shuffled(1000, 3);
        let entries: HashSet<u64> = (0..1000).map(|step| order.at(step)).collect();
        assert_eq!(entries.len(), 1000);
    }
}
