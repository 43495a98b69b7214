//! The file `store`: what a store is and how it is cut, small enough to be replaced as a whole.
//!
//! Magic (8 bytes), format version (4, little-endian), length of the payload (4), the payload
//! ([`Identity`] in postcard), and the CRC-32 of all before it (4).

use serde::{Deserialize, Serialize};

use super::control::Geometry;
use super::files::FORMAT_VERSION;
use super::page::PAGE_BYTES;

/// First eight bytes of the file.
pub const STORE_MAGIC: [u8; 8] = *b"larderST";
/// The longest file that is read at all.
pub const IDENTITY_LIMIT: usize = 4096;

const HEAD_BYTES: usize = 16;

/// Identity, geometry and limits of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Random; log and index carry it too.
    pub store_id: [u64; 2],
    /// Seed of the key hash and of all checks; random.
    pub seed: u64,
    /// log2 of the segment size.
    pub segment_shift: u32,
    /// log2 of the index pages at creation.
    pub level: u32,
    /// Process rows.
    pub max_processes: u16,
    /// Limits as last set.
    pub limits: Limits,
}

/// The limits of a store; they hold for all its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most entries.
    pub max_entries: u64,
    /// The most bytes of disk, for everything in the directory.
    pub max_bytes: u64,
    /// Default time to live in milliseconds; `None`: entries do not expire.
    pub ttl_ms: Option<u64>,
    /// Bytes of the file system to leave free.
    pub min_free: u64,
}

/// Why bytes are not the identity of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// They do not begin with the magic.
    Magic,
    /// Written by a later version.
    Newer(u32),
    /// Cut short, changed, or with numbers that cannot be.
    Damaged(&'static str),
}

impl Identity {
    /// The file's bytes.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let payload = postcard::to_allocvec(self)?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len() + 4);
        bytes.extend_from_slice(&STORE_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&payload);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    /// The identity in a file's bytes. The version is looked at before anything that a later one
    /// may have changed.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        if bytes.get(..8) != Some(&STORE_MAGIC) {
            return Err(IdentityError::Magic);
        }
        let version = word32(bytes, 8).ok_or(IdentityError::Damaged("it is cut short"))?;
        if version > FORMAT_VERSION {
            return Err(IdentityError::Newer(version));
        }
        let length = word32(bytes, 12).ok_or(IdentityError::Damaged("it is cut short"))? as usize;
        let end = HEAD_BYTES.saturating_add(length);
        let body = bytes.get(..end).ok_or(IdentityError::Damaged("it is cut short"))?;
        if word32(bytes, end) != Some(crc32fast::hash(body)) || bytes.len() != end + 4 {
            return Err(IdentityError::Damaged("its checksum is wrong"));
        }
        let identity: Self = postcard::from_bytes(&body[HEAD_BYTES..])
            .map_err(|_| IdentityError::Damaged("it does not decode"))?;
        if version == 0 || !identity.can_be() {
            return Err(IdentityError::Damaged("its geometry cannot be"));
        }
        Ok(identity)
    }

    /// Whether there can be such a store: its geometry is one, and the index that it begins with fits
    /// its limit, beyond which opening it must not allocate.
    pub fn can_be(&self) -> bool {
        let fits = |geometry: Geometry| {
            ((1u64 << geometry.level) + 1) * PAGE_BYTES <= self.limits.max_bytes
        };
        self.geometry().checked().is_some_and(fits)
    }

    /// Where things are in a store of this identity.
    pub fn geometry(&self) -> Geometry {
        Geometry {
            seed: self.seed,
            level: self.level,
            segment_shift: self.segment_shift,
            max_processes: self.max_processes,
        }
    }
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            store_id: [1, u64::MAX],
            seed: 3,
            segment_shift: 20,
            level: 5,
            max_processes: 64,
            limits: Limits {
                max_entries: 100,
                max_bytes: 1 << 26,
                ttl_ms: Some(60_000),
                min_free: 0,
            },
        }
    }

    #[test]
    fn an_identity_survives_the_round_trip() {
        assert_eq!(Identity::decode(&identity().encode().unwrap()), Ok(identity()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = identity().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Identity::decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Identity::decode(&bytes[..length]).is_err(), "length {length}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Identity::decode(&longer).is_err());
    }

    #[test]
    fn an_index_larger_than_the_limit_is_refused() {
        let limits = Limits { max_bytes: 33 * PAGE_BYTES, ..identity().limits };
        assert!(Identity { limits, ..identity() }.can_be());
        let bytes = Identity { limits, level: 6, ..identity() }.encode().unwrap();
        assert!(matches!(Identity::decode(&bytes), Err(IdentityError::Damaged(_))));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = identity().encode().unwrap();
        bytes[8..12].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
        assert_eq!(Identity::decode(&bytes), Err(IdentityError::Newer(FORMAT_VERSION + 1)));
    }
}
