//! All mappings of one open file: the first, and further ones for what the file grew to since.
//!
//! Each further mapping begins at the file's start again, is at least twice as long as the one before if addresses
//! allow it, and all of them stay until the last user of the file goes. So an address that was handed out stays
//! good, and what all of them take together is in proportion to the file.

use std::io;
use std::sync::OnceLock;

use memmap2::MmapRaw;

use super::door::{Access, SharedFile};
use super::residency::Residency;

/// A file, and where it is mapped.
#[derive(Debug)]
pub struct Maps {
    file: SharedFile,
    access: Access,
    /// Nothing behind this is ever mapped.
    limit: u64,
    first: Map,
    /// What is known of the file's pages.
    pub residency: Residency,
}

#[derive(Debug)]
struct Map {
    raw: MmapRaw,
    further: OnceLock<Box<Map>>,
}

impl Maps {
    /// Maps `room` bytes of `file`, which may have fewer; or as many as it has, where there are no addresses for
    /// more. Later up to `limit` bytes.
    pub fn new(file: SharedFile, room: u64, limit: u64, access: Access) -> io::Result<Self> {
        let length = file.length()?;
        let first = Map::new(&file, [room, length.min(room)], access)?;
        Ok(Self { file, access, limit, first, residency: Residency::default() })
    }

    /// The file.
    pub fn file(&self) -> &SharedFile {
        &self.file
    }

    /// How it is mapped.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Nothing behind this is ever mapped.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The first mapping.
    pub fn first(&self) -> &MmapRaw {
        &self.first.raw
    }

    /// The first mapping that has all bytes up to `end`, made if there is none. The file has `length` bytes by now.
    pub fn up_to(&self, end: u64, length: u64) -> io::Result<&MmapRaw> {
        if end > self.limit {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut map = &self.first;
        while end > map.raw.len() as u64 {
            map = match map.further.get() {
                Some(further) => further,
                None => {
                    let needed = end.max(length).min(self.limit);
                    let room = needed.saturating_mul(2).min(self.limit);
                    let made = Map::new(&self.file, [room, needed], self.access)?;
                    // That of another thread, if that was faster.
                    map.further.get_or_init(|| Box::new(made))
                }
            };
        }
        Ok(&map.raw)
    }
}

impl Map {
    /// Maps so many bytes, or where there are no addresses for them, so many.
    fn new(file: &SharedFile, [wanted, needed]: [u64; 2], access: Access) -> io::Result<Self> {
        let raw = match map(file, wanted, access) {
            Err(error)
                if error.raw_os_error() == Some(libc::ENOMEM) && (1..wanted).contains(&needed) =>
            {
                map(file, needed, access)?
            }
            mapped => mapped?,
        };
        Ok(Self { raw, further: OnceLock::new() })
    }
}

fn map(file: &SharedFile, length: u64, access: Access) -> io::Result<MmapRaw> {
    let bytes = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let raw = file.map(bytes, access)?;
    if raw.len() < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(raw)
}
