//! The test binaries: built by cargo, found in its messages, asked for their tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kinds::Part;

/// A test binary and the names of its tests.
#[derive(Debug)]
pub struct Binary {
    /// Which part of the package.
    pub part: Part,
    /// The executable.
    pub path: PathBuf,
    /// Its tests.
    pub tests: Vec<String>,
}

/// Builds test binaries of the package in `root`.
pub fn build(root: &Path, target: &Path, profile: &str, parts: &[Part]) -> Result<Vec<Binary>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = Command::new(cargo());
    command
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .args(["test", "-p", "larder", "--no-run", "--message-format=json", "--profile", profile])
        .stderr(Stdio::inherit());
    for part in parts {
        match part {
            Part::Lib => command.arg("--lib"),
            Part::It => command.args(["--test", "it"]),
        };
    }
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let binaries = built.filter_map(|message: Value| executable(&message));
    let binaries = binaries.map(|(part, path)| {
        let tests = list(&path, root)?;
        Ok(Binary { part, path, tests })
    });
    binaries.collect()
}

/// The cargo that runs this, or the one in the path.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

fn executable(message: &Value) -> Option<(Part, PathBuf)> {
    let path = message.get("executable")?.as_str()?;
    if !message["profile"]["test"].as_bool()? {
        return None;
    }
    let target = &message["target"];
    let part = match target["kind"][0].as_str()? {
        "lib" => Part::Lib,
        "test" => Part::named(target["name"].as_str()?)?,
        _ => return None,
    };
    Some((part, path.into()))
}

fn list(path: &Path, root: &Path) -> Result<Vec<String>> {
    let output =
        Command::new(path).current_dir(root).args(["--list", "--format", "terse"]).output();
    let output = output.with_context(|| format!("cannot run {}", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The directory that cargo builds the package in `root` in.
pub fn target_directory(root: &Path) -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.output().context("cannot run cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let directory =
        metadata["target_directory"].as_str().context("cargo tells no target directory")?;
    Ok(directory.into())
}

/// Where the package is whose proof this is.
pub fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("this package stands in no other")?;
    if !root.join("Cargo.toml").is_file() {
        bail!("{} holds no package", root.display());
    }
    Ok(root.to_owned())
}
