//! A directory as it is at a moment: kept in step with the files, compared, copied.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const PAGE: usize = 4096;

struct Image {
    inode: u64,
    file: File,
    bytes: Vec<u8>,
}

/// The files of a directory, in memory.
pub struct Shadow {
    /// The directory.
    pub directory: PathBuf,
    exists: bool,
    images: BTreeMap<String, Image>,
}

impl Shadow {
    /// The directory as it is now; it need not be there.
    pub fn of(directory: &Path) -> Self {
        let mut shadow =
            Self { directory: directory.to_owned(), exists: false, images: BTreeMap::new() };
        shadow.refresh();
        shadow
    }

    /// Looks at everything; whether it changed.
    pub fn refresh(&mut self) -> bool {
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.images.clear();
                return std::mem::replace(&mut self.exists, false);
            }
            entries => entries.unwrap(),
        };
        let mut changed = !std::mem::replace(&mut self.exists, true);
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = self.directory.join(&name);
            let metadata = std::fs::metadata(&path).unwrap();
            let known = self.images.get(&name).is_some_and(|image| image.inode == metadata.ino());
            if !known {
                let file = File::open(&path).unwrap();
                let image = Image { inode: metadata.ino(), file, bytes: Vec::new() };
                self.images.insert(name.clone(), image);
                changed = true;
            }
            let image = self.images.get_mut(&name).unwrap();
            changed |= image.refresh(metadata.len() as usize);
            names.push(name);
        }
        let count = self.images.len();
        self.images.retain(|name, _| names.contains(name));
        changed | (self.images.len() != count)
    }

    /// Looks at some bytes of a file; whether they changed.
    pub fn look(&mut self, name: &str, offset: u64, length: u64) -> bool {
        // A file that was replaced is mapped under a name that is not there.
        let Some(image) = self.images.get_mut(name) else { return false };
        let from = (offset as usize).min(image.bytes.len());
        let until = (from + length as usize).min(image.bytes.len());
        let mut now = [0u8; 512];
        let now = &mut now[..until - from];
        image.file.read_exact_at(now, from as u64).unwrap();
        let changed = image.bytes[from..until] != *now;
        image.bytes[from..until].copy_from_slice(now);
        changed
    }

    /// The word of the log at `offset`; zero if there is none.
    pub fn word(&self, offset: usize) -> u64 {
        let word = self.images.get("log").and_then(|log| log.bytes.get(offset..offset + 8));
        word.map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap()))
    }

    /// Makes a copy; pages with nothing in them stay holes, as they most probably are.
    pub fn copy_to(&self, directory: &Path) {
        if !self.exists {
            return;
        }
        std::fs::create_dir(directory).unwrap();
        for (name, image) in &self.images {
            let file = File::create(directory.join(name)).unwrap();
            file.set_len(image.bytes.len() as u64).unwrap();
            for (at, page) in (0..).step_by(PAGE).zip(image.bytes.chunks(PAGE)) {
                if !is_zero(page) {
                    file.write_all_at(page, at).unwrap();
                }
            }
        }
    }
}

impl Image {
    fn refresh(&mut self, length: usize) -> bool {
        let mut changed = self.bytes.len() != length;
        self.bytes.resize(length, 0);
        let mut now = [0u8; PAGE];
        let mut at = 0;
        while at < length {
            // On tmpfs even reading a hole would allocate it: they are passed by.
            let data = seek(&self.file, at, libc::SEEK_DATA).unwrap_or(length).min(length);
            for page in self.bytes[at..data].chunks_mut(PAGE).filter(|page| !is_zero(page)) {
                page.fill(0);
                changed = true;
            }
            let end = seek(&self.file, data, libc::SEEK_HOLE).unwrap_or(length).min(length);
            for from in (data..end).step_by(PAGE) {
                let now = &mut now[..PAGE.min(end - from)];
                self.file.read_exact_at(now, from as u64).unwrap();
                let page = &mut self.bytes[from..from + now.len()];
                if page != now {
                    page.copy_from_slice(now);
                    changed = true;
                }
            }
            at = end.max(data);
        }
        changed
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes == &[0u8; PAGE][..bytes.len()]
}

/// Where data or a hole begins from here on; `None` at the end.
fn seek(file: &File, from: usize, what: libc::c_int) -> Option<usize> {
    // SAFETY: moves the position of a descriptor of ours.
    let found = unsafe { libc::lseek(file.as_raw_fd(), from as libc::off_t, what) };
    usize::try_from(found).ok()
}
