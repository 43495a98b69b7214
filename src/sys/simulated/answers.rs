//! What the tests' side answers of clock, boot and names.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::file::{SimulatedFile, SimulatedLocks};
use super::side::{Simulated, What, lock};
use crate::format::address::Millis;
use crate::sys::clock::{BOOT_ID_FILE, KernelBoot, KernelClock};
use crate::sys::door::{Boot, Clock, Environment, Files, Locks, SharedFile};
use crate::sys::files::KernelFiles;
use crate::sys::ram;
use crate::sys::rights::Rights;
use crate::sys::space::FileSystem;

impl Simulated {
    /// What a cache is told.
    pub fn environment(&self) -> Environment {
        Environment {
            files: Arc::new(self.clone()),
            clock: Arc::new(self.clone()),
            boot: Arc::new(self.clone()),
            number: Arc::as_ptr(&self.0).addr(),
        }
    }
}

fn shared(side: &Simulated, file: SharedFile, path: &Path) -> SharedFile {
    Arc::new(SimulatedFile { file, path: path.to_owned(), side: side.clone() })
}

impl Clock for Simulated {
    fn now(&self) -> Millis {
        self.millis().map_or_else(|| KernelClock.now(), Millis::new)
    }

    fn coarse(&self) -> Millis {
        self.now()
    }
}

impl Boot for Simulated {
    fn id(&self) -> io::Result<[u64; 2]> {
        self.ask(What::BootId, Path::new(BOOT_ID_FILE))?;
        let own = *lock(&self.0.boot);
        own.map_or_else(|| KernelBoot.id(), Ok)
    }

    fn memory(&self) -> io::Result<u64> {
        self.ask(What::Memory, Path::new(ram::MEMORY_FILE))?;
        let own = *lock(&self.0.memory);
        own.map_or_else(|| KernelBoot.memory(), Ok)
    }

    fn surely_held(&self) -> u64 {
        lock(&self.0.memory).map_or(ram::SURELY_HELD, |_| 0)
    }

    fn random(&self) -> io::Result<[u64; 3]> {
        self.ask(What::Random, Path::new("/dev/urandom"))?;
        let own = *lock(&self.0.random);
        own.map_or_else(|| KernelBoot.random(), Ok)
    }
}

impl Files for Simulated {
    fn make_directory(&self, path: &Path, mode: Option<u32>) -> io::Result<bool> {
        self.ask(What::MakeDirectory, path)?;
        KernelFiles.make_directory(path, mode)
    }

    fn file_system(&self, directory: &Path) -> io::Result<Option<FileSystem>> {
        self.ask(What::FileSystem, directory)?;
        let found = KernelFiles.file_system(directory)?;
        let kind = *lock(&self.0.kind);
        Ok(found.map(|found| FileSystem { kind: kind.unwrap_or(found.kind), ..found }))
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.ask(What::Names, directory)?;
        KernelFiles.names(directory)
    }

    fn exists(&self, path: &Path) -> bool {
        KernelFiles.exists(path)
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Option<SharedFile>> {
        self.ask(What::Open, path)?;
        Ok(KernelFiles.open(path, write)?.map(|file| shared(self, file, path)))
    }

    fn open_directory(&self, path: &Path) -> io::Result<SharedFile> {
        self.ask(What::Open, path)?;
        Ok(shared(self, KernelFiles.open_directory(path)?, path))
    }

    fn open_or_create(&self, path: &Path, rights: &Rights) -> io::Result<SharedFile> {
        self.ask(What::Create, path)?;
        Ok(shared(self, KernelFiles.open_or_create(path, rights)?, path))
    }

    fn make(&self, path: &Path, rights: &Rights) -> io::Result<SharedFile> {
        self.ask(What::Create, path)?;
        Ok(shared(self, KernelFiles.make(path, rights)?, path))
    }

    fn open_locks(&self, path: &Path, write: bool) -> io::Result<Box<dyn Locks>> {
        self.ask(What::OpenLocks, path)?;
        let locks = KernelFiles.open_locks(path, write)?;
        Ok(Box::new(SimulatedLocks { locks, path: path.to_owned(), side: self.clone() }))
    }

    fn replace(
        &self,
        directory: &Path,
        name: &str,
        bytes: &[u8],
        rights: &Rights,
    ) -> io::Result<()> {
        self.ask(What::Replace, &directory.join(name))?;
        KernelFiles.replace(directory, name, bytes, rights)
    }

    fn put_in_place(&self, path: &Path, directory: &Path, name: &str) -> io::Result<()> {
        let old = directory.join(name);
        self.ask(What::Replace, &old)?;
        let replaced = std::fs::metadata(&old).map(|old| old.ino());
        KernelFiles.put_in_place(path, directory, name)?;
        lock(&self.0.disk).renamed(path, &old, replaced.ok());
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.ask(What::Remove, path)?;
        KernelFiles.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.ask(What::Remove, path)?;
        KernelFiles.remove_directory(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.ask(What::SyncDirectory, directory)?;
        KernelFiles.sync_directory(directory)
    }
}
