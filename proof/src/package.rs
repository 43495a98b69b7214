//! The package whose proof this is, or a copy of it: where it stands, and where cargo builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its directory.
    pub root: PathBuf,
    /// The directory that cargo builds it in.
    pub target_directory: PathBuf,
}

impl Package {
    /// The package in a directory, built where cargo says.
    pub fn at(root: PathBuf) -> Result<Self> {
        let target_directory = target_directory(&root)?;
        Ok(Self { root, target_directory })
    }
}

/// The directory of the package that this one stands in.
pub fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("this package stands in no other")?;
    if !root.join("Cargo.toml").is_file() {
        bail!("{} holds no package", root.display());
    }
    Ok(root.to_owned())
}

/// The cargo that runs this, or the one in the path.
pub fn cargo() -> Command {
    Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
}

fn target_directory(root: &Path) -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.output().context("cannot run cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let directory =
        metadata["target_directory"].as_str().context("cargo tells no target directory")?;
    Ok(directory.into())
}
