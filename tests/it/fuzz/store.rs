//! The file `store`: an identity comes back as it was, bytes with a right checksum decode to one that can
//! be or to none, and a later version is told from damage.

use arbitrary::{Result, Unstructured};
use larder::internals::FORMAT_VERSION;
use larder::internals::identity::{Identity, IdentityError, Limits, STORE_MAGIC};

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let identity = identity(input)?;
    let bytes = identity.encode().unwrap();
    match identity.can_be() {
        true => assert_eq!(Identity::decode(&bytes), Ok(identity.clone())),
        false => assert!(matches!(Identity::decode(&bytes), Err(IdentityError::Damaged(_)))),
    }

    let mut changed = bytes.clone();
    for _ in 0..input.int_in_range(0..=3)? {
        let at = input.choose_index(changed.len())?;
        changed[at] ^= input.arbitrary::<u8>()?;
    }
    changed.truncate(input.int_in_range(0..=changed.len())?);
    if changed != bytes {
        // The checksum is 32 bits over some forty bytes: a few that change never pass.
        assert!(Identity::decode(&changed).is_err());
    }

    let version = input.arbitrary::<u32>()?;
    let payload = input.bytes(input.len())?;
    decode(payload);
    decode(&sealed(FORMAT_VERSION, payload));
    let later = Identity::decode(&sealed(version, payload));
    assert_eq!(later == Err(IdentityError::Newer(version)), version > FORMAT_VERSION);
    Ok(())
}

/// Whatever decodes can be, and comes back.
fn decode(bytes: &[u8]) {
    if let Ok(identity) = Identity::decode(bytes) {
        assert!(identity.can_be());
        assert_eq!(Identity::decode(&identity.encode().unwrap()), Ok(identity));
    }
}

/// The file with this payload: all but the payload is right.
fn sealed(version: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = STORE_MAGIC.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Any identity, often one that can be.
pub fn identity(input: &mut Unstructured<'_>) -> Result<Identity> {
    let likely = input.ratio(7, 8)?;
    Ok(Identity {
        store_id: input.arbitrary()?,
        seed: input.arbitrary()?,
        segment_shift: if likely { input.int_in_range(15..=29)? } else { input.arbitrary()? },
        level: if likely { input.int_in_range(0..=17)? } else { input.arbitrary()? },
        max_processes: if likely { input.int_in_range(0..=1025)? } else { input.arbitrary()? },
        limits: Limits {
            max_entries: input.arbitrary()?,
            max_bytes: input.arbitrary()?,
            ttl_ms: input.arbitrary()?,
            min_free: input.arbitrary()?,
        },
    })
}
