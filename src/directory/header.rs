//! The headers of log and index: which store they belong to, and of which format they are.

use std::io;

use crate::format::FORMAT_VERSION;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::sys::door::DiskFile;
use crate::sys::words::Words;

/// What the first words of log or index say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A file of the store with this id.
    Of([u64; 2]),
    /// A file of a version that is not known here.
    Newer(u32),
    /// None that is whole.
    None,
}

/// Reads the header of log or index.
pub fn read_header(file: &dyn DiskFile, magic: u64) -> io::Result<Header> {
    let mut bytes = [0u8; 32];
    file.read_at(&mut bytes, 0)?;
    Ok(decode(&bytes, magic))
}

fn decode(bytes: &[u8; 32], magic: u64) -> Header {
    let (words, _) = bytes.as_chunks::<8>();
    let [found, version, a, b] = [0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i]));
    if found != magic {
        return Header::None;
    }
    let id = [a, b];
    // The version is looked at before what a later one may have changed.
    if version as u32 > FORMAT_VERSION {
        return Header::Newer(version as u32);
    }
    let whole =
        version as u32 != 0 && version == control::encode_version(magic, version as u32, id);
    if whole { Header::Of(id) } else { Header::None }
}

/// Writes the header of log or index: `place` says of which.
pub fn write_header(
    words: &impl Words,
    place: impl Fn(u64) -> WordAt,
    magic: u64,
    store_id: [u64; 2],
) {
    let at = |word: WordAt| place(word.offset());
    // First, so that what a creator leaves that is killed here is known to be larder's.
    words.store(at(control::MAGIC), magic);
    words.store(at(control::STORE_ID), store_id[0]);
    words.store(at(control::STORE_ID).plus(1), store_id[1]);
    let version = control::encode_version(magic, FORMAT_VERSION, store_id);
    words.store(at(control::VERSION), version);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u64; 2] = [7, 9];

    fn header(magic: u64, version: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_mut(8).zip([magic, version, ID[0], ID[1]]) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_whole_header_names_its_store_and_any_flipped_bit_makes_it_none_or_newer() {
        let magic = control::LOG_MAGIC;
        let whole = header(magic, control::encode_version(magic, FORMAT_VERSION, ID));
        assert_eq!(decode(&whole, magic), Header::Of(ID));
        assert_eq!(decode(&whole, control::INDEX_MAGIC), Header::None);
        for bit in 0..256 {
            let mut flipped = whole;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(&flipped, magic);
            let is_version = (64..96).contains(&bit);
            let newer = matches!(decoded, Header::Newer(_));
            assert!(decoded == Header::None || newer && is_version, "bit {bit}: {decoded:?}");
        }
    }

    #[test]
    fn a_newer_version_is_known_whatever_follows_it() {
        let bytes = header(control::LOG_MAGIC, u64::from(FORMAT_VERSION) + 1);
        assert_eq!(decode(&bytes, control::LOG_MAGIC), Header::Newer(FORMAT_VERSION + 1));
        assert_eq!(decode(&header(control::LOG_MAGIC, 0), control::LOG_MAGIC), Header::None);
    }
}
