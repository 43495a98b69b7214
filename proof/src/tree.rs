//! A copy of the source tree, to be broken. Files that are equal already stay untouched, so that cargo
//! builds only what changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What is no source: built, found by fuzzers, or scripts. All members of the workspace are needed for
/// cargo to read its manifest.
const LEFT_OUT: [&str; 4] = ["target", ".git", "fuzz", ".ci"];

/// Makes `to` the same as `from`.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let wanted = files(from)?;
    for path in &wanted {
        let (source, copy) = (from.join(path), to.join(path));
        let bytes =
            fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        if fs::read(&copy).is_ok_and(|known| known == bytes) {
            continue;
        }
        if let Some(parent) = copy.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&copy, bytes).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    for path in files(to)?.difference(&wanted) {
        fs::remove_file(to.join(path))?;
    }
    Ok(())
}

/// The files below a directory, by their paths from it.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            let left_out = folder.as_os_str().is_empty()
                && LEFT_OUT.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && !left_out {
                folders.push(path);
            } else if kind.is_file() {
                found.insert(path);
            }
        }
    }
    Ok(found)
}
