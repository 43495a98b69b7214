//! Attaching: the files checked and mapped, and a process slot taken.

use std::fs::File;
use std::sync::atomic::AtomicU64;

use super::{Opening, OpeningLock, Request, boot, damaged, newer, reader, unusable};
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{self, Geometry};
use crate::format::identity::Identity;
use crate::format::lock::{LockWord, Phase, ProcessSlot, process_lock_byte};
use crate::format::page::{PAGE_BYTES, page_limit};
use crate::format::{FORMAT_VERSION, INDEX_FILE, LOG_FILE};
use crate::segments::Ground;
use crate::segments::ground::Attachment;
use crate::segments::pins;
use crate::sys::lock::LockFile;
use crate::sys::mapping::{Access, Mapping};
use crate::sys::memory::Memory;
use crate::sys::space::FileSystem;
use crate::sys::words::{Words, update};
use crate::sys::{files, space};
use crate::transaction::{Liveness, Transactions};

/// Opens the files of a store and joins its users.
pub fn attach(
    request: &Request,
    identity: &Identity,
    file_system: FileSystem,
    opening: &mut Opening,
) -> Result<Ground> {
    let geometry = identity.geometry();
    let (memory, original, attachment) = if request.options.read_only {
        let (memory, original) = reader::map(request, identity, opening)?;
        (memory, original, None)
    } else {
        let (memory, attachment) = share(request, identity, opening)?;
        (memory, None, Some(attachment))
    };
    Ok(Ground {
        memory,
        original,
        geometry,
        directory: request.directory.clone(),
        attachment,
        pins: Default::default(),
        counters: Default::default(),
        clock: request.clock(),
        lock_timeout: request.options.lock_timeout,
        durability: request.options.durability,
        sync_hook: request.seams.sync_hook.clone(),
        allocates_on_read: file_system.allocates_on_read(),
        gate: Default::default(),
        flushing: Default::default(),
        stuck: AtomicU64::new(u64::MAX),
        full_until: AtomicU64::new(0),
        suspect: Default::default(),
    })
}

/// The files to read and write, mended if need be, and a process slot.
fn share(
    request: &Request,
    identity: &Identity,
    opening: &mut Opening,
) -> Result<(Memory, Attachment)> {
    let geometry = identity.geometry();
    let log = open_log(request, identity, true)?;
    let path = request.path(LOG_FILE);
    let locks = LockFile::open(&path).map_err(|error| unusable(&path, error))?;
    let boot_id = request.boot_id()?;
    let in_order = match open_index(request, identity, true)? {
        Index::Whole(index) => {
            is_in_order(request, &geometry, &log, &index, boot_id)?.then_some(index)
        }
        Index::Unusable(_) => None,
    };
    let memory = match in_order {
        Some(index) => map(request, &geometry, log, index, Access::Shared)?,
        None => {
            let lock = OpeningLock::acquire(&locks, &path, request.options.lock_timeout)?;
            let memory = boot::mend_shared(request, identity, &locks, boot_id, opening)?;
            drop(lock);
            memory
        }
    };
    let attachment = join(request, &geometry, &memory, locks)?;
    Ok((memory, attachment))
}

/// The log, whose head says that it is this store's.
pub fn open_log(request: &Request, identity: &Identity, write: bool) -> Result<File> {
    let path = request.path(LOG_FILE);
    let found = files::open(&path, write).map_err(|error| unusable(&path, error))?;
    let Some(file) = found else { return Err(damaged(&path, "the file is missing")) };
    let io = |error| Error::io(&path, "cannot read it", error);
    if file.metadata().map_err(io)?.len() < identity.geometry().control_bytes() {
        return Err(damaged(&path, "the file is cut short"));
    }
    match head(&file, control::LOG_MAGIC).map_err(io)? {
        Head::Of(id) if id == identity.store_id => Ok(file),
        Head::Of(_) => Err(damaged(&path, "the file belongs to another store")),
        Head::Newer(version) => Err(newer(&path, version)),
        Head::None => Err(damaged(&path, "the file's head is damaged")),
    }
}

/// The index, or why it is of no use.
pub enum Index {
    /// It is this store's.
    Whole(File),
    /// It has to be made anew.
    Unusable(&'static str),
}

/// The index. Another store's is refused, so that it is not lost; what is no index is made anew.
pub fn open_index(request: &Request, identity: &Identity, write: bool) -> Result<Index> {
    let path = request.path(INDEX_FILE);
    let found = files::open(&path, write).map_err(|error| unusable(&path, error))?;
    let Some(file) = found else { return Ok(Index::Unusable("its index was missing")) };
    let io = |error| Error::io(&path, "cannot read it", error);
    if file.metadata().map_err(io)?.len() < PAGE_BYTES {
        return Ok(Index::Unusable("its index was cut short"));
    }
    match head(&file, control::INDEX_MAGIC).map_err(io)? {
        Head::Of(id) if id == identity.store_id => Ok(Index::Whole(file)),
        Head::Of(_) => Err(damaged(&path, "the file belongs to another store")),
        Head::Newer(version) => Err(newer(&path, version)),
        Head::None => Ok(Index::Unusable("its index was damaged")),
    }
}

enum Head {
    Of([u64; 2]),
    Newer(u32),
    None,
}

/// What the first words of log or index say.
fn head(file: &File, magic: u64) -> std::io::Result<Head> {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0u8; 32];
    file.read_exact_at(&mut bytes, 0)?;
    let (words, _) = bytes.as_chunks::<8>();
    let [found, version, a, b] = [0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i]));
    if found != magic {
        return Ok(Head::None);
    }
    let id = [a, b];
    // The version is looked at before what a later one may have changed.
    if version as u32 > FORMAT_VERSION {
        return Ok(Head::Newer(version as u32));
    }
    let whole =
        version as u32 != 0 && version == control::encode_version(magic, version as u32, id);
    Ok(if whole { Head::Of(id) } else { Head::None })
}

/// Whether the store was left by users of this boot in these very files: then all that they stored
/// is there, and the counters are exact.
pub fn is_in_order(
    request: &Request,
    geometry: &Geometry,
    log: &File,
    index: &File,
    boot_id: [u64; 2],
) -> Result<bool> {
    use std::os::unix::fs::FileExt;
    let io = |error| Error::io(&request.directory, "cannot look at its files", error);
    let mut page = [0u8; PAGE_BYTES as usize];
    log.read_exact_at(&mut page, 0).map_err(io)?;
    let word = |at: crate::format::intent::WordAt| {
        let offset = at.offset() as usize;
        page.get(offset..offset + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    };
    let [a, b] = [files::identity(log).map_err(io)?, files::identity(index).map_err(io)?];
    let expected = [boot_id[0], boot_id[1], a[0], a[1], b[0], b[1]];
    let stored = (0..6).map(|i| word(control::BOOT_ID.plus(i)));
    let same = stored.eq(expected);
    let pages = word(control::PAGES);
    let index_length = index.metadata().map_err(io)?.len();
    let log_length = log.metadata().map_err(io)?.len();
    let segments = config::segments_within(
        geometry,
        word(control::MAX_BYTES),
        config::first_index_bytes(geometry),
    );
    let sound = (1 << geometry.level..=page_limit(geometry.level)).contains(&pages)
        && index_length >= (pages + 1) * PAGE_BYTES
        && segments <= config::segments_limit(geometry)
        && log_length >= geometry.log_bytes(segments);
    // What only damage makes: the pass that follows sets it anew.
    let counts = [control::ORDERS, control::SYNCS_BEGUN, control::SYNCS_DONE];
    let sound = sound && counts.into_iter().all(|at| word(at) < control::COUNT_LIMIT);
    // LSNs below those of the store's records would let what is cleared live on.
    let lsn = LockWord::decode(word(control::LOCK)).sequence;
    let epochs = word(control::EPOCH)..=word(control::EPOCH).saturating_add(1);
    let sound =
        sound && epochs.contains(&u64::from(lsn.epoch())) && lsn.get() >= word(control::CLEAR_LSN);
    Ok(same && sound && word(control::LOCK) & 3 != 3)
}

/// Maps both files.
pub fn map(
    request: &Request,
    geometry: &Geometry,
    log: File,
    index: File,
    access: Access,
) -> Result<Memory> {
    let error = |name, error| Error::io(&request.path(name), "cannot map it", error);
    let log_bytes = geometry.mapped_bytes();
    // Room for an entry in each 48 bytes of log, which is the smallest record, at the usual load.
    let index_bytes = (log_bytes / 2).max(config::first_index_bytes(geometry));
    let index_bytes = index_bytes.min((page_limit(geometry.level) + 1) * PAGE_BYTES);
    Ok(Memory {
        log: Mapping::new(log, log_bytes, access).map_err(|e| error(LOG_FILE, e))?,
        index: Mapping::new(index, index_bytes, access).map_err(|e| error(INDEX_FILE, e))?,
    })
}

pub fn index_in_use(request: &Request) -> Error {
    damaged(&request.path(INDEX_FILE), "the file is missing or damaged while the store is in use")
}

/// Takes a process slot, after finishing what its last owner had begun.
fn join(
    request: &Request,
    geometry: &Geometry,
    memory: &Memory,
    locks: LockFile,
) -> Result<Attachment> {
    let path = request.path(LOG_FILE);
    let io = |error| Error::io(&path, "cannot lock it", error);
    let lock = LockWord::decode(memory.load(control::LOCK));
    let named = (lock.phase != Phase::Free).then_some(lock.owner);
    let all = || (0..geometry.max_processes).filter_map(ProcessSlot::new);
    // Rather one that the lock does not name: what its owner began is finished all the same.
    let preferred = all().filter(|slot| Some(*slot) != named);
    let mut taken = None;
    for slot in preferred.chain(named) {
        if slot.get() < geometry.max_processes
            && locks.try_lock(process_lock_byte(slot)).map_err(io)?
        {
            taken = Some(slot);
            break;
        }
    }
    let Some(slot) = taken else {
        return Err(Error::new(
            ErrorKind::Busy,
            &request.directory,
            format!("all {} process slots are taken", geometry.max_processes),
            "Let some users go, or create a store with more max_processes.",
        ));
    };
    let number = u64::from(slot.get());
    if memory.load(control::PROCESSES_SEEN) <= number {
        let start = geometry.process_offset(slot) / PAGE_BYTES * PAGE_BYTES;
        space::allocate(memory.log.file(), start, PAGE_BYTES)
            .and_then(|()| memory.log.populate(start, PAGE_BYTES))
            .map_err(|error| Error::io(&path, "cannot allocate a process slot", error))?;
    }
    Transactions { words: memory, geometry, me: slot, liveness: &locks }.settle_slot();
    memory.store(geometry.intent_at(slot, 0), 0);
    pins::clear_pins(memory, geometry, slot);
    update(memory, control::PROCESSES_SEEN, |seen| (seen <= number).then_some(number + 1));
    Ok(Attachment { slot, locks })
}

/// Whether another process is attached.
pub fn others(ground: &Ground) -> Result<bool> {
    let me = ground.attachment()?;
    Ok(attached(&ground.geometry, &ground.memory, &me.locks, Some(me.slot)))
}

/// Whether any process but `but` is attached.
pub fn attached(
    geometry: &Geometry,
    memory: &Memory,
    locks: &LockFile,
    but: Option<ProcessSlot>,
) -> bool {
    let seen = memory.load(control::PROCESSES_SEEN).min(u64::from(geometry.max_processes));
    (0..seen as u16)
        .filter_map(ProcessSlot::new)
        .any(|slot| Some(slot) != but && !locks.is_dead(slot))
}
