//! Copies that pass for the store they were made of: a test looks at one as another process would find
//! the store after a kill at that moment.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use larder::internals::control;

/// Where the log of `copy` names the files of `original`, it names those of `copy` from now on. Else a
/// copy counts as a store of another boot. Words that name something else stay as they are: the
/// process that was writing them had not come so far.
pub fn pass_for(copy: &Path, original: &Path) -> io::Result<()> {
    let names = ["log", "index"].map(|name| (original.join(name), copy.join(name)));
    if names.iter().any(|(theirs, ours)| !theirs.exists() || !ours.exists()) {
        return Ok(());
    }
    let log = OpenOptions::new().read(true).write(true).open(copy.join("log"))?;
    let mut word = control::FILE_IDS.offset();
    for (theirs, ours) in names {
        for (theirs, ours) in identity(&theirs)?.iter().zip(identity(&ours)?) {
            let mut stored = [0u8; 8];
            if word + 8 > log.metadata()?.len() {
                return Ok(());
            }
            log.read_exact_at(&mut stored, word)?;
            if u64::from_le_bytes(stored) == *theirs {
                log.write_all_at(&ours.to_le_bytes(), word)?;
            }
            word += 8;
        }
    }
    Ok(())
}

/// Inode number and birth time in nanoseconds, 0 where the file system has none.
fn identity(path: &Path) -> io::Result<[u64; 2]> {
    let metadata = fs::metadata(path)?;
    let nanos = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    Ok([metadata.ino(), nanos.map_or(0, |nanos| nanos.as_nanos() as u64)])
}
