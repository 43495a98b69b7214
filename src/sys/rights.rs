//! Owner, group and mode of files that are made.
//!
//! A file has the rights of the one that it replaces, or of others beside it. The first one is its user's
//! alone, unless the group may write in the directory. Whoever may write there can exchange the files anyway,
//! and is trusted; so such a group may read and write them, too, as far as the umask lets it. Others never may
//! unless a mode was asked for: a cache may hold secrets.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Its owner reads and writes.
const PRIVATE: u32 = 0o600;
/// Its group does.
const GROUP: u32 = 0o060;
/// The bits of a mode.
const ALL: u32 = 0o7777;

/// What rights a file is to have that is made.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Owner, group and mode of the first of these that is there.
    pub like: Vec<PathBuf>,
    /// The mode if none is. Without one it is what the directory suggests.
    pub mode: Option<u32>,
}

/// Makes a file, open to read and write. An error if there is something of that name.
pub fn make(path: &Path, rights: &Rights) -> io::Result<File> {
    let model = rights.model()?;
    let initial = match (&model, rights.mode) {
        (Some(_), _) => PRIVATE,
        (None, Some(mode)) => mode & ALL,
        (None, None) => suggested(path),
    };
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(initial).open(path)?;
    match (model, rights.mode) {
        (Some(model), _) => make_like(&file, &model)?,
        // Whatever the umask says: it was asked for.
        (None, Some(mode)) => file.set_permissions(Permissions::from_mode(mode & ALL))?,
        (None, None) => {}
    }
    Ok(file)
}

impl Rights {
    /// The file whose rights are to be had.
    fn model(&self) -> io::Result<Option<Metadata>> {
        for path in &self.like {
            match fs::metadata(path) {
                Ok(found) if found.is_file() => return Ok(Some(found)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// The mode of a directory for files of this mode: who may read them may look into it, and who may write
/// them may exchange them.
pub fn mode_of_directory(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

/// Gives a new file owner, group and mode of another. What this process may not give away stays its own; then
/// the group gets no more than others have.
fn make_like(file: &File, model: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (model.uid(), model.gid()) {
        let whole = fchown(file, Some(model.uid()), Some(model.gid()));
        // Only root gives files away, but to a group of their own everybody may.
        let _ = whole.or_else(|_| fchown(file, None, Some(model.gid())));
    }
    let new = file.metadata()?;
    let mode = without_strangers(model.mode() & ALL, new.gid() == model.gid());
    if mode == new.mode() & ALL {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// The mode that a new file gets in a directory.
fn suggested(path: &Path) -> u32 {
    let directory = path.parent().and_then(|directory| fs::metadata(directory).ok());
    let is_shared = directory.is_some_and(|directory| directory.mode() & 0o020 != 0);
    if is_shared { PRIVATE | GROUP } else { PRIVATE }
}

/// A mode; but where the group is another than that for which it was set, it has no more rights than others.
fn without_strangers(mode: u32, same_group: bool) -> u32 {
    let others = (mode & 0o007) << 3;
    if same_group { mode } else { mode & !0o070 | mode & others }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(file: &File) -> u32 {
        file.metadata().unwrap().mode() & ALL
    }

    #[test]
    fn a_directory_of_shared_files_lets_those_in_who_share_them() {
        assert_eq!(mode_of_directory(0o600), 0o700);
        assert_eq!(mode_of_directory(0o660), 0o770);
        assert_eq!(mode_of_directory(0o640), 0o750);
        assert_eq!(mode_of_directory(0o644), 0o755);
    }

    #[test]
    fn another_group_gets_no_more_than_others_have() {
        assert_eq!(without_strangers(0o664, true), 0o664);
        assert_eq!(without_strangers(0o664, false), 0o644);
        assert_eq!(without_strangers(0o660, false), 0o600);
        assert_eq!(without_strangers(0o604, false), 0o604);
    }

    #[test]
    fn a_new_file_has_the_mode_that_was_asked_for_or_that_of_the_files_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = ["one", "two", "three"].map(|name| dir.path().join(name));
        let like = |like: &[&Path], mode| Rights {
            like: like.iter().map(|path| path.to_path_buf()).collect(),
            mode,
        };
        assert_eq!(mode_of(&make(&one, &like(&[&one], Some(0o646))).unwrap()), 0o646);
        assert!(make(&one, &Rights::default()).is_err());
        let beside = like(&[&three, dir.path(), &one], Some(0o600));
        assert_eq!(mode_of(&make(&two, &beside).unwrap()), 0o646);
        assert_eq!(mode_of(&make(&three, &Rights::default()).unwrap()), 0o600);
    }
}
