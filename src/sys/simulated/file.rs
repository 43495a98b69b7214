//! Files and their locks on the tests' side.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::MmapRaw;

use super::side::{Flush, Simulated, What, lock};
use crate::sys::door::{Access, DiskFile, Locks, SharedFile};
use crate::sys::space::FileSystem;

#[derive(Debug)]
pub(super) struct SimulatedFile {
    pub(super) file: SharedFile,
    pub(super) path: PathBuf,
    pub(super) side: Simulated,
}

impl SimulatedFile {
    fn ask(&self, what: What) -> io::Result<()> {
        self.side.ask(what, &self.path)
    }

    /// Takes blocks for a range, or is full.
    fn take(&self, offset: u64, length: u64) -> io::Result<()> {
        let [inode, _] = self.file.file_id()?;
        lock(&self.side.0.disk).take(inode, offset, length)
    }

    /// Gives the whole blocks of a range back.
    fn leave(&self, offset: u64, length: u64) -> io::Result<()> {
        let [inode, _] = self.file.file_id()?;
        lock(&self.side.0.disk).leave(inode, offset, length);
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.ask(What::Length)?;
        self.file.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.ask(What::SetLength)?;
        self.file.set_length(length)?;
        self.leave(length, i64::MAX as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.ask(What::Read)?;
        self.file.read_at(bytes, offset)
    }

    fn read_small(&self, limit: usize) -> io::Result<Vec<u8>> {
        self.ask(What::Read)?;
        self.file.read_small(limit)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.ask(What::Allocate)?;
        self.take(offset, length)?;
        self.file.allocate(offset, length)
    }

    fn extend(&self, offset: u64, length: u64) -> io::Result<()> {
        self.ask(What::Allocate)?;
        self.take(offset, length)?;
        self.file.extend(offset, length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.ask(What::Punch)?;
        self.file.punch(offset, length)?;
        self.leave(offset, length)
    }

    fn sync(&self, all: bool) -> io::Result<()> {
        self.side.tell(&self.path, Flush::Begins);
        self.ask(What::Sync)?;
        self.file.sync(all)?;
        if let Some(versions) = &mut lock(&self.side.0.disk).versions {
            versions.insert(self.path.clone(), vec![std::fs::read(&self.path)?]);
        }
        self.side.tell(&self.path, Flush::Done);
        Ok(())
    }

    fn file_id(&self) -> io::Result<[u64; 2]> {
        self.ask(What::FileId)?;
        self.file.file_id()
    }

    fn device(&self) -> io::Result<u64> {
        self.ask(What::FileId)?;
        self.file.device()
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.ask(What::FileId)?;
        self.file.is_at(path)
    }

    fn hold(&self) -> io::Result<()> {
        self.ask(What::Lock)?;
        self.file.hold()
    }

    fn keep_young(&self) -> io::Result<()> {
        self.ask(What::SetTimes)?;
        self.file.keep_young()
    }

    fn file_system(&self) -> io::Result<FileSystem> {
        self.ask(What::FileSystem)?;
        self.file.file_system()
    }

    fn map(&self, length: usize, access: Access) -> io::Result<MmapRaw> {
        self.ask(What::Map)?;
        self.file.map(length, access)
    }

    fn populate(&self, mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
        self.ask(What::Populate)?;
        self.file.populate(mapping, offset, length)
    }

    fn resident(&self, mapping: &MmapRaw, offset: usize, pages: usize) -> io::Result<Vec<bool>> {
        self.ask(What::Resident)?;
        self.file.resident(mapping, offset, pages)
    }

    fn read_ahead(&self, offset: u64, length: u64) -> io::Result<()> {
        self.ask(What::ReadAhead)?;
        self.file.read_ahead(offset, length)
    }

    fn let_go(&self, mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
        self.ask(What::LetGo)?;
        self.file.let_go(mapping, offset, length)
    }
}

#[derive(Debug)]
pub(super) struct SimulatedLocks {
    pub(super) locks: Box<dyn Locks>,
    pub(super) path: PathBuf,
    pub(super) side: Simulated,
}

impl Locks for SimulatedLocks {
    fn try_lock(&self, byte: u64) -> io::Result<bool> {
        self.side.ask(What::Lock, &self.path)?;
        self.locks.try_lock(byte)
    }

    fn unlock(&self, byte: u64) -> io::Result<()> {
        self.side.ask(What::Unlock, &self.path)?;
        self.locks.unlock(byte)
    }

    fn is_locked_elsewhere(&self, bytes: Range<u64>) -> io::Result<bool> {
        self.side.ask(What::LookAtLock, &self.path)?;
        self.locks.is_locked_elsewhere(bytes)
    }

    fn is_at(&self, path: &Path) -> bool {
        self.locks.is_at(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::door::Files;
    use crate::sys::files::KernelFiles;
    use crate::sys::rights::Rights;
    use crate::sys::simulated::SECTOR;

    #[test]
    fn a_cut_leaves_of_a_file_what_was_flushed_or_what_was_noted_since() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        let path = from.join("log");
        let side = Simulated::default().remembering();
        let file = KernelFiles.open_or_create(&path, &Rights::default()).unwrap();
        let file = SimulatedFile { file, path: path.clone(), side: side.clone() };
        std::fs::write(&path, [1; 2 * SECTOR]).unwrap();
        file.sync(false).unwrap();
        std::fs::write(&path, [2; 2 * SECTOR]).unwrap();
        side.note_moment();
        std::fs::write(&path, [3; 2 * SECTOR]).unwrap();
        side.forget(&from, &to, |_, sector, versions| {
            assert_eq!(versions, 3);
            sector
        })
        .unwrap();
        let left = std::fs::read(to.join("log")).unwrap();
        assert_eq!((left[0], left[SECTOR]), (1, 2));
    }
}
