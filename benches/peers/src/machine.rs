//! The machine: what it is, and what of its memory and disk is in use.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::device;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    pub file_system: String,
    /// Of the device below.
    pub read_ahead_kib: Option<u64>,
}

impl Machine {
    /// This machine, with the file system of a directory.
    pub fn of(directory: &Path) -> Result<Self> {
        let information = fs::read_to_string("/proc/cpuinfo")?;
        let processor = information
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map(|(_, name)| name.trim().to_owned())
            .unwrap_or_default();
        let memory = fs::read_to_string(MEMORY)?;
        let memory_bytes = kibibytes(&memory, "MemTotal:").unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let file_system = match rustix::fs::statfs(directory)?.f_type {
            0xEF53 => "ext4".to_owned(),
            0x5846_5342 => "xfs".to_owned(),
            0x0102_1994 => "tmpfs".to_owned(),
            0x9123_683E => "btrfs".to_owned(),
            other => format!("{other:#x}"),
        };
        let processors = std::thread::available_parallelism()?.get();
        let read_ahead_kib = device::read_ahead_kib(directory);
        Ok(Self { processor, processors, memory_bytes, kernel, file_system, read_ahead_kib })
    }
}

/// Few enough dirty bytes for the disk to be idle soon.
const CLEAN: u64 = 8 << 20;

/// Waits until what was written is on disk: otherwise the next writer is held up by the kernel for what
/// the last one has written. Other programs may keep the disk busy, so it waits no longer than `limit`;
/// if that is zero, it does nothing.
pub fn settle(limit: Duration) -> Result<()> {
    if limit.is_zero() {
        return Ok(());
    }
    let begun = Instant::now();
    rustix::fs::sync();
    while dirty_bytes()? > CLEAN && begun.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Touches so many bytes of memory for files, or half of what is free, and gives them back. The host of a
/// virtual machine takes back what is not used, and the first touch of a page then costs ten times as
/// much: each peer would pay for what the last one freed.
pub fn warm(directory: &Path, bytes: u64) -> Result<()> {
    let memory = fs::read_to_string(MEMORY)?;
    let free = kibibytes(&memory, "MemAvailable:").unwrap_or(0);
    let file = tempfile::tempfile_in(directory)?;
    file.set_len(bytes.min(free / 2).max(1))?;
    let map = memmap2::MmapOptions::new().map_raw(&file)?;
    map.advise(memmap2::Advice::PopulateWrite)?;
    Ok(())
}

/// Bytes of this process's memory that belong to no file.
pub fn anonymous_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    kibibytes(&status, "RssAnon:").context("no RssAnon in /proc/self/status")
}

/// Bytes of disk that all files below a directory take.
pub fn disk_bytes(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Peers remove files in the background.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += metadata.blocks() * 512;
        if metadata.is_dir() {
            sum += disk_bytes(&entry.path())?;
        }
    }
    Ok(sum)
}

const MEMORY: &str = "/proc/meminfo";

/// Bytes that the kernel has yet to write.
fn dirty_bytes() -> Result<u64> {
    let memory = fs::read_to_string(MEMORY)?;
    let of = |name| kibibytes(&memory, name).unwrap_or(0);
    Ok(of("Dirty:") + of("Writeback:"))
}

/// The bytes of a line `name: 4711 kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
