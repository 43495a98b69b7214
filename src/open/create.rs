//! Creation: in a directory with no store, by whoever comes first.
//!
//! Processes that create at once take turns by the opening lock of the log. What a creator that died
//! left behind is made anew; what is not larder's is left alone.

use std::ffi::OsStr;
use std::io;

use super::build::{Place, build};
use crate::directory::{INDEX_NEW, LOG_NEW, OpeningLock, is_any_attached, is_in_use};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control;
use crate::format::{DRAFT_DIRECTORY, INDEX_FILE, LOG_FILE, STORE_FILE, TAG_FILE};
use crate::request::{Request, damaged, unusable};
use crate::sys::space::FileSystem;

/// What the file that says that a directory is a cache begins with, as <https://bford.info/cachedir/> wants it, and who made it.
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache, made by larder. What is in it can be made again.
# For what this file is good for see https://bford.info/cachedir/
";

/// Creates the store; `false` if another process was faster.
pub fn create(request: &Request, file_system: FileSystem) -> Result<bool> {
    let (files, path) = (request.files(), request.path(LOG_FILE));
    refuse_alien(request)?;
    refuse_whole(request)?;
    loop {
        files
            .open_or_create(&path, &request.rights(LOG_FILE))
            .map_err(|error| in_the_way(request, LOG_FILE, error))?;
        let locks = files.open_locks(&path, true).map_err(|error| unusable(&path, error))?;
        let lock = OpeningLock::acquire(&*locks, &path, request.options.lock_timeout)?;
        if !locks.is_at(&path) {
            continue; // A creator that failed took its log away.
        }
        if files.exists(&request.path(STORE_FILE)) {
            return Ok(false);
        }
        refuse_whole(request)?;
        if is_any_attached(&*locks, true) {
            return Err(store_lost(request));
        }
        let made = build(request, file_system, Place::Free, &lock);
        if made.is_ok() {
            write_tag(request);
        }
        if made.is_err() && !files.exists(&request.path(STORE_FILE)) {
            // What could not be finished is not left lying; errors here change nothing.
            for name in ["store.new", INDEX_FILE, LOG_FILE] {
                let _ = files.remove_file(&request.path(name));
            }
        }
        return made.map(|()| true);
    }
}

/// A directory with other things in it, but no store, is not for us.
fn refuse_alien(request: &Request) -> Result<()> {
    let io = |error| Error::io(&request.directory, "cannot list it", error);
    let names = request.files().names(&request.directory).map_err(io)?;
    for name in names {
        if !is_no_obstacle(&name) {
            return Err(request.not_a_store(
                &format!("it is not empty (there is {name:?}) and holds no larder store"),
                "Choose an empty or a new directory.",
            ));
        }
    }
    Ok(())
}

/// Whether a name does not keep a store from being made beside it: its own files, what file systems put
/// there, and what says something of the directory to other programs (`.gitkeep`, `CACHEDIR.TAG`).
fn is_no_obstacle(name: &OsStr) -> bool {
    let own = [STORE_FILE, LOG_FILE, INDEX_FILE, "store.new", LOG_NEW, INDEX_NEW, DRAFT_DIRECTORY];
    own.iter().chain(&["lost+found", TAG_FILE]).any(|own| name == *own)
        || name.as_encoded_bytes().starts_with(b".")
}

/// Tells backups that here is a cache, by the Cache Directory Tagging Specification. A store does not need
/// it, so it is no matter if it cannot be written.
fn write_tag(request: &Request) {
    if !request.files().exists(&request.path(TAG_FILE)) {
        let rights = request.rights(TAG_FILE);
        let _ = request.files().replace(&request.directory, TAG_FILE, TAG, &rights);
    }
}

/// An error where log or index of a store are whole, and its file `store` is missing.
pub fn refuse_whole(request: &Request) -> Result<()> {
    if request.files().exists(&request.path(STORE_FILE)) {
        return Ok(()); // Another process was faster.
    }
    [LOG_FILE, INDEX_FILE].into_iter().try_for_each(|name| refuse_whole_file(request, name))
}

fn refuse_whole_file(request: &Request, name: &str) -> Result<()> {
    let path = request.path(name);
    let found = request.files().open(&path, false);
    let Some(file) = found.map_err(|error| in_the_way(request, name, error))? else {
        return Ok(());
    };
    let head = file.read_small(64).map_err(|error| Error::io(&path, "cannot read it", error))?;
    let word = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    let is_ours = [control::LOG_MAGIC, control::INDEX_MAGIC].contains(&word(0));
    if is_ours && word(control::CREATED.offset() as usize) != 0 {
        if is_in_use(request) {
            return Err(store_lost(request));
        }
        return Err(damaged(
            &request.path(STORE_FILE),
            &format!("the file is missing beside {name:?}, which belongs to a store"),
        ));
    }
    if !is_ours && head.iter().any(|&byte| byte != 0) {
        return Err(request.not_a_store(
            &format!("its file {name:?} is not larder's"),
            "Choose an empty or a new directory.",
        ));
    }
    Ok(())
}

/// The error of a store in use whose file `store` is gone.
fn store_lost(request: &Request) -> Error {
    Error::new(
        ErrorKind::Busy,
        &request.path(STORE_FILE),
        "the file is missing, and processes have the store open",
        "Let one of them write, sync or maintain, which puts the file back, then try again.",
    )
}

/// Something that is no file has the name of one, in a directory without a store: then it is nothing of larder's.
fn in_the_way(request: &Request, name: &str, error: io::Error) -> Error {
    let error = unusable(&request.path(name), error);
    match error.kind() {
        ErrorKind::Damaged => request.not_a_store(
            &format!("what is there by the name {name:?} is no file of larder"),
            "Choose an empty or a new directory.",
        ),
        _ => error,
    }
}
