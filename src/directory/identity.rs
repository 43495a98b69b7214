//! The file `store`: what the store is, read and replaced as a whole.

use crate::error::{Error, Result};
use crate::format::identity::{IDENTITY_LIMIT, Identity, IdentityError};
use crate::format::{LOG_FILE, STORE_FILE, control};
use crate::request::{Request, damaged, newer, unusable};

/// The identity in the file `store`, if there is one.
pub fn read_identity(request: &Request) -> Result<Option<Identity>> {
    let path = request.path(STORE_FILE);
    let bytes = match request.files().open(&path, false) {
        Ok(None) => return Ok(None),
        Ok(Some(file)) => file
            .read_small(IDENTITY_LIMIT)
            .map_err(|error| Error::io(&path, "cannot read it", error))?,
        Err(error) => return Err(unusable(&path, error)),
    };
    match Identity::decode(&bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(IdentityError::Newer(version)) => Err(newer(&path, version)),
        Err(IdentityError::Magic) if is_log_larders(request) => {
            Err(damaged(&path, "the file is damaged: it does not begin like one of larder"))
        }
        Err(IdentityError::Magic) => {
            Err(request
                .not_a_store("its file \"store\" is not larder's", "Choose another directory."))
        }
        Err(IdentityError::Damaged(what)) => {
            Err(damaged(&path, &format!("the file is damaged: {what}")))
        }
    }
}

/// Whether the log is one of larder, so that the file `store` beside it was.
fn is_log_larders(request: &Request) -> bool {
    let log = request.files().open(&request.path(LOG_FILE), false).ok().flatten();
    let head = log.and_then(|log| log.read_small(8).ok());
    head.is_some_and(|head| head.get(..8) == Some(&control::LOG_MAGIC.to_le_bytes()))
}

/// Replaces the file `store`.
pub fn write_identity(request: &Request, identity: &Identity) -> Result<()> {
    let path = request.path(STORE_FILE);
    let bytes = identity
        .encode()
        .map_err(|error| damaged(&path, &format!("its content cannot be encoded: {error}")))?;
    request
        .files()
        .replace(&request.directory, STORE_FILE, &bytes, &request.rights(STORE_FILE))
        .map_err(|error| Error::io(&path, "cannot write it", error))
}
