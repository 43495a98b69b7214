//! The test binaries: built by cargo, found in its messages, asked for their tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kinds::Part;
use crate::package::{self, Package};

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

/// Builds the test binaries of a package's parts.
pub fn build(package: &Package, profile: &str, parts: &[Part]) -> Result<Vec<Binary>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = package::cargo();
    command
        .current_dir(&package.root)
        .env("CARGO_TARGET_DIR", &package.target_directory)
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
        let tests = list(&path, &package.root)?;
        Ok(Binary { part, path, tests })
    });
    binaries.collect()
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
