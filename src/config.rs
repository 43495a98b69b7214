//! Options as the caller gives them, and the layout of a store that follows from its limits.
//!
//! Everything is validated here, once, before a file is touched: what comes out can be built.

use std::path::Path;
use std::time::Duration;

use crate::capacity::{
    first_index_bytes, in_place, reserve_bytes, segments_limit, segments_within,
};
use crate::error::{Error, ErrorKind, Result};
use crate::format::address::Millis;
use crate::format::control::{Geometry, SEGMENT_SHIFTS, SEGMENTS_FLOOR};
use crate::format::identity::Limits;
use crate::format::lock::PROCESS_LIMIT;
use crate::format::page::PAGE_BYTES;

/// Largest default of `max_bytes`.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;
/// Most pages that a new index begins with (1 MiB).
const FIRST_PAGES_LIMIT: u64 = 256;

/// When what was written is made durable.
///
/// Whatever is chosen, a killed process loses nothing that was acknowledged: the operating system
/// has it. This is about power cuts and crashes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The operating system writes back when it likes; [`crate::FileCache::sync`] makes sure.
    #[default]
    OsDecides,
    /// The first write after this interval syncs first; an idle cache syncs in
    /// [`crate::FileCache::maintain`].
    Every(Duration),
    /// Each write is durable before it returns.
    EachWrite,
}

/// What opening does with a store that is damaged so that it cannot be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDamage {
    /// Fails with `Damaged`, and leaves everything as it is.
    #[default]
    Refuse,
    /// Puts an empty store in its place, while nobody uses it.
    BeginAnew,
}

/// What a caller of [`crate::FileCache::get_or_insert_with`] does who has waited for another's computation
/// as long as [`crate::Builder::fill_timeout`] allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFillTimeout {
    /// Computes the value itself, beside the other.
    #[default]
    Compute,
    /// Fails with `Busy`, so that its thread is free again.
    Fail,
}

/// How long an entry lives, by the clock of the machine.
///
/// Where that clock is set back, what had expired may be served once more, until its time has come again. But an
/// entry that expires is a miss while it seems to have been stored more than five minutes in the future.
/// So whichever way clocks are set, none is served that is older than its time to live by the clock as
/// it is then. Entries that never expire ask no clock.
///
/// ```
/// use std::time::Duration;
/// use larder::Ttl;
/// assert_eq!(Ttl::from(Duration::from_secs(5)), Ttl::After(Duration::from_secs(5)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ttl {
    /// As long as the store's `time_to_live` says.
    #[default]
    Default,
    /// Until it is evicted or removed.
    Never,
    /// So long after it was stored; zero is expired at once, the longest saturates at never.
    After(Duration),
}

impl From<Duration> for Ttl {
    fn from(after: Duration) -> Self {
        Self::After(after)
    }
}

impl From<Option<Duration>> for Ttl {
    fn from(after: Option<Duration>) -> Self {
        after.map_or(Self::Never, Self::After)
    }
}

impl Ttl {
    /// The moment at which an entry stored `now` expires.
    pub(crate) fn expiry(self, now: impl FnOnce() -> Millis, default_ms: Option<u64>) -> Millis {
        match (self, default_ms) {
            (Self::Never, _) | (Self::Default, None) => Millis::NEVER,
            (Self::Default, Some(after)) => now().after(after),
            (Self::After(after), _) => now().after(millis(after)),
        }
    }
}

/// Whole milliseconds, rounded up, so that no positive time becomes zero.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What the caller asked for; `None` is "as it is" in an existing store, the default in a new one.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub max_entries: Option<u64>,
    pub max_bytes: Option<u64>,
    /// Inner `None`: entries do not expire.
    pub ttl_ms: Option<Option<u64>>,
    pub min_free: Option<u64>,
    pub max_processes: Option<u16>,
    pub segment_size: Option<u64>,
    pub durability: Durability,
    pub lock_timeout: Duration,
    pub file_mode: Option<u32>,
    pub on_damage: OnDamage,
    pub fill_timeout: Duration,
    pub on_fill_timeout: OnFillTimeout,
    pub create: bool,
    pub read_only: bool,
    /// Whether an opener is refused that asks for what the store cannot be given.
    pub strict_limits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_entries: None,
            max_bytes: None,
            ttl_ms: None,
            min_free: None,
            max_processes: None,
            segment_size: None,
            durability: Durability::default(),
            lock_timeout: Duration::from_secs(1),
            file_mode: None,
            on_damage: OnDamage::default(),
            fill_timeout: Duration::from_secs(60),
            on_fill_timeout: OnFillTimeout::default(),
            create: true,
            read_only: false,
            strict_limits: false,
        }
    }
}

/// How a new store is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub geometry: Geometry,
    pub limits: Limits,
}

impl Options {
    /// Refuses what no store can meet.
    pub fn validate(&self, directory: &Path) -> Result<()> {
        let invalid = |what: &str, next: String| {
            Err(Error::new(ErrorKind::InvalidOption, directory, what, next))
        };
        if self.max_entries == Some(0) {
            return invalid("max_entries is 0", "Allow at least 1 entry.".into());
        }
        if let Some(processes) = self.max_processes
            && !(1..=PROCESS_LIMIT).contains(&processes)
        {
            return invalid(
                &format!("max_processes is {processes}"),
                format!("Choose from 1 to {PROCESS_LIMIT}."),
            );
        }
        if let Some(size) = self.segment_size {
            let (low, high) = (1u64 << SEGMENT_SHIFTS.start(), 1u64 << SEGMENT_SHIFTS.end());
            if !size.is_power_of_two() || !(low..=high).contains(&size) {
                return invalid(
                    &format!("segment_size is {size}"),
                    format!("Choose a power of two from {low} to {high}."),
                );
            }
        }
        if let Some(mode) = self.file_mode
            && (mode & 0o600 != 0o600 || mode & !0o666 != 0)
        {
            return invalid(
                &format!("file_mode is {mode:#o}"),
                "Choose rights to read and write, the owner's among them, such as 0o660.".into(),
            );
        }
        if self.durability == Durability::Every(Duration::ZERO) {
            return invalid(
                "durability is Every(0)",
                "Choose a longer interval, or EachWrite.".into(),
            );
        }
        Ok(())
    }

    /// The layout of a new store on a file system of `disk_bytes`.
    pub fn layout(&self, directory: &Path, disk_bytes: u64, seed: u64) -> Result<Layout> {
        let default_bytes = DEFAULT_MAX_BYTES.min(disk_bytes / 10);
        let limits = Limits {
            max_entries: self.max_entries.unwrap_or(u64::MAX),
            max_bytes: self.max_bytes.unwrap_or(default_bytes),
            ttl_ms: self.ttl_ms.unwrap_or(None),
            min_free: self.min_free.unwrap_or(0),
        };
        let first_pages = (limits.max_bytes / 8192 / PAGE_BYTES).clamp(1, FIRST_PAGES_LIMIT);
        let mut geometry = Geometry {
            seed,
            level: first_pages.ilog2(),
            segment_shift: *SEGMENT_SHIFTS.start(),
            max_processes: self.max_processes.unwrap_or(PROCESS_LIMIT),
        };
        geometry.segment_shift = match self.segment_size {
            Some(size) => size.ilog2(),
            None => segment_shift(&geometry, limits.max_bytes),
        };
        let layout = Layout { geometry, limits };
        let asked = if self.max_bytes.is_some() { "max_bytes is" } else { "the default limit is" };
        check_bytes(directory, &layout, asked)?;
        Ok(layout)
    }

    /// Which options an existing store does not follow, since it is cut already.
    pub fn not_applied(&self, geometry: &Geometry) -> Option<String> {
        let differs = |name: &str, asked: Option<u64>, has: u64| {
            let asked = asked.filter(|asked| *asked != has)?;
            Some(format!("{name} is {has} here, not {asked}"))
        };
        let segments = differs("segment_size", self.segment_size, geometry.segment_bytes());
        let asked = self.max_processes.map(u64::from);
        let processes = differs("max_processes", asked, geometry.max_processes.into());
        let all: Vec<String> = segments.into_iter().chain(processes).collect();
        (!all.is_empty()).then(|| all.join(", and "))
    }

    /// Whether it asks for anything of a store that an existing one may have otherwise.
    pub fn asks(&self) -> bool {
        self.max_entries.is_some()
            || self.max_bytes.is_some()
            || self.ttl_ms.is_some()
            || self.min_free.is_some()
            || self.max_processes.is_some()
            || self.segment_size.is_some()
    }
}

/// 16 to 31 segments in a small store, 48 to 95 in one of 1 GiB and more.
fn segment_shift(geometry: &Geometry, max_bytes: u64) -> u32 {
    let share = max_bytes.saturating_sub(
        geometry.control_cost() + reserve_bytes(max_bytes) + first_index_bytes(geometry),
    );
    let segments = if max_bytes < 1 << 29 { 16 } else { 40 };
    (share / segments).max(1).ilog2().clamp(*SEGMENT_SHIFTS.start(), *SEGMENT_SHIFTS.end())
}

/// Refuses a limit under which too few segments fit, or that needs more than the table names.
fn check_bytes(directory: &Path, layout: &Layout, asked: &str) -> Result<()> {
    let Layout { geometry, limits } = layout;
    let refuse = |why: &str, next: String| {
        let what = format!("{asked} {} bytes, {why}", limits.max_bytes);
        Err(Error::new(ErrorKind::InvalidOption, directory, what, next))
    };
    let segments = segments_within(geometry, limits.max_bytes, first_index_bytes(geometry));
    let (low, high) = in_place(geometry).into_inner();
    if segments < SEGMENTS_FLOOR {
        let next =
            format!("Allow at least {low} bytes (max_processes and segment_size change that).");
        return refuse("too little for this store to work", next);
    }
    if segments > segments_limit(geometry) {
        let next = format!("Allow at most {high} bytes, or a larger segment_size.");
        return refuse("more than segments of this size make", next);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(options: &Options) -> Result<Layout> {
        options.layout(Path::new("/c"), 1 << 40, 5)
    }

    fn with_bytes(bytes: u64) -> Options {
        Options { max_bytes: Some(bytes), ..Options::default() }
    }

    #[test]
    fn every_limit_from_the_minimum_to_a_tebibyte_has_a_layout_of_sound_segments() {
        let mut bytes = 3 << 20;
        while bytes < 1 << 40 {
            let layout = layout(&with_bytes(bytes)).unwrap();
            let index = first_index_bytes(&layout.geometry);
            let segments = segments_within(&layout.geometry, bytes, index);
            assert!((SEGMENTS_FLOOR..=4096).contains(&segments), "{bytes}: {segments}");
            bytes += bytes / 3;
        }
    }

    #[test]
    fn a_limit_too_small_names_one_that_works() {
        let error = layout(&with_bytes(1000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        let message = error.to_string();
        let minimum: u64 = message
            .split("at least ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .unwrap()
            .parse()
            .unwrap();
        assert!(layout(&with_bytes(minimum)).is_ok());
    }

    #[test]
    fn a_limit_too_large_names_one_that_works() {
        let options = Options { segment_size: Some(65536), ..with_bytes(1 << 40) };
        let message = layout(&options).unwrap_err().to_string();
        assert!(message.contains("at most"), "{message}");
    }

    #[test]
    fn options_that_cannot_be_met_are_refused() {
        let wrong = [
            Options { max_entries: Some(0), ..Options::default() },
            Options { max_processes: Some(0), ..Options::default() },
            Options { max_processes: Some(1025), ..Options::default() },
            Options { segment_size: Some(100_000), ..Options::default() },
            Options { segment_size: Some(1 << 30), ..Options::default() },
            Options { durability: Durability::Every(Duration::ZERO), ..Options::default() },
            Options { file_mode: Some(0o060), ..Options::default() },
            Options { file_mode: Some(0o4660), ..Options::default() },
        ];
        for options in wrong {
            let error = options.validate(Path::new("/c")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
        }
        Options::default().validate(Path::new("/c")).unwrap();
    }

    #[test]
    fn a_time_to_live_saturates_and_a_positive_one_is_never_zero() {
        let now = || Millis::new(1000);
        assert_eq!(Ttl::After(Duration::ZERO).expiry(now, None), Millis::new(1000));
        assert_eq!(Ttl::After(Duration::from_nanos(1)).expiry(now, None), Millis::new(1001));
        assert_eq!(Ttl::After(Duration::MAX).expiry(now, None), Millis::NEVER);
        assert_eq!(Ttl::Default.expiry(now, Some(5)), Millis::new(1005));
        assert_eq!(Ttl::Never.expiry(now, Some(5)), Millis::NEVER);
    }
}
