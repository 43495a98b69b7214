//! Copies that pass for the store they were made of: a test looks at one as another process would find
//! the store after a kill at that moment.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::format::control;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::sys::files;

/// Where the log of `copy` names the files of `original`, it names those of `copy` from now on. Else a
/// copy counts as a store of another boot. Words that name something else stay as they are: the
/// process that was writing them had not come so far.
pub fn pass_for(copy: &Path, original: &Path) -> io::Result<()> {
    let open = |directory: &Path, name, write| files::open(&directory.join(name), write);
    let Some(log) = open(copy, LOG_FILE, true)? else { return Ok(()) };
    let mut word = control::FILE_IDS.offset();
    for name in [LOG_FILE, INDEX_FILE] {
        let files = (open(original, name, false)?, open(copy, name, false)?);
        let (Some(theirs), Some(ours)) = files else { return Ok(()) };
        for (theirs, ours) in files::identity(&theirs)?.iter().zip(files::identity(&ours)?) {
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
