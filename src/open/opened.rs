//! Opening: from a path to a session.
//!
//! A store that was in use in this boot is opened in constant time: its counters are exact whatever
//! was killed, and nothing is read but the file `store` and a page of the control block. Creation,
//! recovery after another boot, and changes of limits are done under the opening lock.

use std::io;
use std::sync::Arc;

use super::anew::{begin_anew, is_healed};
use super::attach::{Attached, attach};
use super::create::{create, refuse_whole};
use super::keep::Keeper;
use super::limits;
use super::reader::read;
use super::registry::{Key, Turn};
use super::shared::{OPEN, Shared};
use super::source::SourceWatch;
use crate::config::OnDamage;
use crate::directory::{OpeningLock, is_drafted, open_log, read_identity, settle_draft};
use crate::error::{Error, ErrorKind, Result};
use crate::format::identity::Identity;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::request::{Opening, Request, unusable};
use crate::session::{Attachment, Disk, Session, Settings};
use crate::store::Store;
use crate::sys::space::FileSystem;

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// What it shares with other handles of this process.
    pub shared: Arc<Shared>,
    /// What the store is a private copy of, in a reader that had to recover one.
    pub source: Option<SourceWatch>,
    /// What was found and done.
    pub opening: Opening,
}

/// Opens the store, or creates it; or begins it anew, where it cannot be opened any more.
pub fn open(request: &Request) -> Result<Opened> {
    request.options.validate(&request.directory)?;
    let made = creates(request) && make_directory(request)?;
    let file_system = file_system(request)?;
    let why = match open_as_it_is(request, file_system, made) {
        Ok(Found::Store(opened)) => return Ok(*opened),
        Ok(Found::BegunAnew(why)) => Some(why),
        Err(damage) if heals(request) && is_healed(&damage) => {
            begin_anew(request, file_system, damage)?
        }
        Err(error) => return Err(error),
    };
    match open_as_it_is(request, file_system, false)? {
        Found::Store(mut opened) => {
            opened.opening.began_anew = why;
            Ok(*opened)
        }
        Found::BegunAnew(why) => Err(request.not_a_store(&why, "Try again.")),
    }
}

/// What an opening found.
#[derive(Debug)]
enum Found {
    Store(Box<Opened>),
    /// A store that had to begin anew, and did: why.
    BegunAnew(String),
}

fn creates(request: &Request) -> bool {
    request.options.create && !request.options.read_only
}

fn heals(request: &Request) -> bool {
    request.options.on_damage == OnDamage::BeginAnew && !request.options.read_only
}

fn open_as_it_is(request: &Request, file_system: FileSystem, made: bool) -> Result<Found> {
    let mut opening = Opening::default();
    loop {
        let identity = match settled_identity(request)? {
            Some(identity) => identity,
            None => new_identity(request, file_system, &mut opening, made)?,
        };
        let found = begin(request, &identity, file_system, opening.clone());
        if matches!(found, Ok(Found::BegunAnew(_))) {
            return found;
        }
        match read_identity(request) {
            // Others have put new files in the place of the old ones meanwhile.
            Ok(Some(now)) if now.store_id != identity.store_id => continue,
            Ok(_) => return found,
            Err(error) => return found.and(Err(error)),
        }
    }
}

/// The identity of the store, if there is one, once no draft is left that somebody died with.
fn settled_identity(request: &Request) -> Result<Option<Identity>> {
    let identity = read_identity(request)?;
    if identity.is_none() || request.options.read_only || !is_drafted(request) {
        return Ok(identity);
    }
    let path = request.path(LOG_FILE);
    loop {
        let locks =
            request.files().open_locks(&path, true).map_err(|error| unusable(&path, error))?;
        let _lock = OpeningLock::acquire(&*locks, &path, request.options.lock_timeout)?;
        if !locks.is_at(&path) {
            continue; // Whoever had the lock has moved the new log there.
        }
        let identity = read_identity(request)?;
        if let Some(identity) = &identity {
            settle_draft(request, identity)?;
        }
        return Ok(identity);
    }
}

/// The identity of a store that is created, here or by another process just now: there was none a moment ago.
fn new_identity(
    request: &Request,
    file_system: FileSystem,
    opening: &mut Opening,
    made_directory: bool,
) -> Result<Identity> {
    if !creates(request) {
        refuse_whole(request)?;
        return Err(request.not_a_store(
            "it holds no larder store",
            "Check the path, or allow larder to create the store.",
        ));
    }
    opening.created = create(request, file_system).inspect_err(|_| {
        if made_directory {
            // Only if nothing is in it.
            let _ = request.files().remove_directory(&request.directory);
        }
    })?;
    read_identity(request)?
        .ok_or_else(|| request.not_a_store("the store vanished while it was opened", "Try again."))
}

/// The session in a store that there is.
fn begin(
    request: &Request,
    identity: &Identity,
    file_system: FileSystem,
    mut opening: Opening,
) -> Result<Found> {
    opening.not_applied = request.options.not_applied(&identity.geometry());
    let (shared, source) = if request.options.read_only {
        let (store, source) = read(request, identity, &mut opening)?;
        let session = session(request, file_system, store, None);
        (Arc::new(Shared::new(session, None, None)), source)
    } else {
        match join_or_attach(request, identity, file_system, &mut opening)? {
            Some(shared) => (shared, None),
            None => return Ok(Found::BegunAnew("the store's epochs were used up".to_owned())),
        }
    };
    let session = shared.session().of_handle(&request.directory, request.options.lock_timeout);
    opening.limits_kept = limits::apply(request, &session, &shared, identity)?;
    if let Some(keeper) = &shared.keeper {
        keeper.renew(request, &session);
    }
    shared.admit();
    Ok(Found::Store(Box::new(Opened { session, shared, source, opening })))
}

/// What this process has of the store already, or an attachment of its own; `None` if the store had to begin anew.
fn join_or_attach(
    request: &Request,
    identity: &Identity,
    file_system: FileSystem,
    opening: &mut Opening,
) -> Result<Option<Arc<Shared>>> {
    loop {
        let key = Key::of(request, &*open_log(request, identity, true)?)?;
        let registered = match request.shares.then(|| OPEN.enter(key)) {
            Some(Turn::Join(shared)) if has_index(request, &shared) => return Ok(Some(shared)),
            Some(Turn::Attach(registered)) => Some(registered),
            // Attaching by itself tells what is wrong with the index.
            Some(Turn::Join(_)) | None => None,
        };
        let found = attach(request, identity, file_system, opening)?;
        let Attached::To(attached) = found else { return Ok(None) };
        let (store, attachment) = *attached;
        if registered.is_some() && Key::of(request, &**store.words.log.file())? != key {
            continue; // Another log was put in its place meanwhile.
        }
        let session = session(request, file_system, store, Some(attachment));
        let keeper = Keeper::new(identity.clone(), &session);
        return Ok(Some(Arc::new(Shared::new(session, Some(keeper), registered))));
    }
}

/// Whether the index that is shared is the one that the directory has.
fn has_index(request: &Request, shared: &Shared) -> bool {
    let index = shared.session().store.words.index.file();
    index.is_at(&request.path(INDEX_FILE)).unwrap_or(false)
}

fn session(
    request: &Request,
    file_system: FileSystem,
    store: Store,
    attachment: Option<Attachment>,
) -> Session {
    let settings = Settings {
        directory: request.directory.clone(),
        clock: request.environment.clock.clone(),
        files: request.environment.files.clone(),
        disk: Disk::new(file_system.allocates_on_read()),
        machine: request.environment.boot.clone(),
        lock_timeout: request.options.lock_timeout,
    };
    let session = Session::new(store, attachment, settings);
    session.beyond.look(&session.store, session.clock.coarse());
    session
}

/// Makes the directory; `false` if it was there.
fn make_directory(request: &Request) -> Result<bool> {
    let made = request.files().make_directory(&request.directory, request.options.file_mode);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => no_directory(request),
        _ => Error::io(&request.directory, "cannot create it", error),
    })
}

fn no_directory(request: &Request) -> Error {
    request.not_a_store("it is not a directory", "Name a directory.")
}

/// The file system of the directory, if it can carry a store.
fn file_system(request: &Request) -> Result<FileSystem> {
    let directory = &request.directory;
    let found = request.files().file_system(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => request.not_a_store(
            "there is no such directory",
            "Check the path, or allow larder to create the store.",
        ),
        _ => Error::io(directory, "cannot open it", error),
    })?;
    let found = found.ok_or_else(|| no_directory(request))?;
    match found.refused() {
        None => Ok(found),
        Some(name) => Err(Error::new(
            ErrorKind::Unsupported,
            directory,
            format!("it is on {name}, where processes do not see each other's changes reliably"),
            "Choose a directory on a local file system, such as ext4, xfs or tmpfs.",
        )),
    }
}
