//! Tools that may be missing: cargo-fuzz and Miri, both of a nightly toolchain.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether a command runs and succeeds.
fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Cargo of the nightly toolchain, by rustup's proxy; not the toolchain that runs this.
pub fn nightly(root: &Path, target: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .arg("+nightly")
        .current_dir(root)
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_TARGET_DIR", target);
    command
}

/// The targets of cargo-fuzz; why not, if they cannot be run.
pub fn fuzz_targets(root: &Path, target: &Path) -> Result<Vec<String>, String> {
    if !succeeds(nightly(root, target).args(["fuzz", "--version"])) {
        return Err(
            "cargo-fuzz targets: cargo-fuzz and a nightly toolchain are not installed".into()
        );
    }
    let listed = nightly(root, target).args(["fuzz", "list"]).output();
    let listed = listed.map_err(|error| format!("cargo-fuzz targets: {error}"))?;
    let names = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    eprintln!("building the targets of cargo-fuzz");
    if !succeeds(nightly(root, target).args(["fuzz", "build"])) {
        return Err("cargo-fuzz targets: they do not build here".into());
    }
    Ok(names)
}

/// Runs a target for some seconds.
pub fn fuzz(root: &Path, target: &Path, name: &str, seconds: u64, seed: u64) -> Command {
    let mut command = nightly(root, target);
    command.args(["fuzz", "run", name, "--", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={}", seed as u32 | 1));
    command
}

/// Runs unit tests under Miri; why not, if it cannot be had.
pub fn miri(root: &Path, target: &Path, filters: &[&str]) -> Result<Command, String> {
    if !succeeds(nightly(root, target).args(["miri", "--version"])) {
        return Err("miri is not installed in a nightly toolchain".into());
    }
    let mut command = nightly(root, target);
    // Tests that hold the format's description and the constants together read it.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command.args(["miri", "test", "-p", "larder", "--lib", "--"]).args(filters);
    Ok(command)
}
