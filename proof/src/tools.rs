//! Tools that may be missing: cargo-fuzz and Miri, both of a nightly toolchain.

use std::process::{Command, Stdio};

use crate::package::Package;

/// The names of cargo-fuzz's targets; why not, if they cannot be run.
pub fn fuzz_targets(package: &Package) -> Result<Vec<String>, String> {
    if !succeeds(nightly(package).args(["fuzz", "--version"])) {
        return Err(
            "cargo-fuzz targets: cargo-fuzz and a nightly toolchain are not installed".into()
        );
    }
    let listed = nightly(package).args(["fuzz", "list"]).output();
    let listed = listed.map_err(|error| format!("cargo-fuzz targets: {error}"))?;
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect())
}

/// Builds all targets of cargo-fuzz; why not, if they do not build.
pub fn build_fuzz_targets(package: &Package) -> Result<(), String> {
    if !succeeds(nightly(package).args(["fuzz", "build"])) {
        return Err("cargo-fuzz targets: they do not build here".into());
    }
    Ok(())
}

/// What runs a target for some seconds.
pub fn fuzz_target(package: &Package, name: &str, seconds: u64, seed: u64) -> Command {
    let mut command = nightly(package);
    command.args(["fuzz", "run", name, "--", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={}", seed as u32 | 1));
    command
}

/// What runs unit tests under Miri; why not, if it cannot be had.
pub fn miri(package: &Package, filters: &[&str]) -> Result<Command, String> {
    if !succeeds(nightly(package).args(["miri", "--version"])) {
        return Err("miri is not installed in a nightly toolchain".into());
    }
    let mut command = nightly(package);
    // Tests that hold the format's description and the constants together read it.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command.args(["miri", "test", "-p", "larder", "--lib", "--"]).args(filters);
    Ok(command)
}

/// Cargo of the nightly toolchain, by rustup's proxy; not the toolchain that runs this.
fn nightly(package: &Package) -> Command {
    let mut command = Command::new("cargo");
    command
        .arg("+nightly")
        .current_dir(&package.root)
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_TARGET_DIR", &package.target_directory);
    command
}

/// Whether a command runs and succeeds.
fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
