//! What an opener makes of the limits of an existing store: decided here, carried out by `limits`.

use std::fmt::Display;
use std::path::Path;

use crate::capacity::{in_place, is_in_place};
use crate::config::Options;
use crate::error::{Error, ErrorKind};
use crate::format::control::Geometry;
use crate::format::identity::Limits;

/// What an opener makes of an existing store.
#[derive(Debug)]
pub struct Changed {
    /// The limits: those asked for, where they can be reached in place.
    pub limits: Limits,
    /// The error of one who insists, if something cannot be reached in place.
    pub beyond: Option<Error>,
}

impl Changed {
    /// What these options make of the store with these limits in this directory.
    pub fn by(options: &Options, directory: &Path, geometry: &Geometry, limits: Limits) -> Self {
        let mut changed = Limits {
            max_entries: options.max_entries.unwrap_or(limits.max_entries),
            max_bytes: options.max_bytes.unwrap_or(limits.max_bytes),
            ttl_ms: options.ttl_ms.unwrap_or(limits.ttl_ms),
            min_free: options.min_free.unwrap_or(limits.min_free),
        };
        let bytes = changed.max_bytes;
        let mut beyond = None;
        if bytes != limits.max_bytes && !is_in_place(geometry, bytes) {
            changed.max_bytes = limits.max_bytes;
            beyond = Some(format!("max_bytes is to be {bytes}"));
        }
        let (segment, processes) = (geometry.segment_bytes(), geometry.max_processes);
        if options.strict_limits {
            beyond = beyond
                .or_else(|| differs("segment_size", options.segment_size, segment))
                .or_else(|| differs("max_processes", options.max_processes, processes));
        }
        Self { limits: changed, beyond: beyond.map(|what| refusal(directory, geometry, &what)) }
    }
}

/// Says that an option differs from what a store has.
fn differs<T: PartialEq + Display>(option: &str, asked: Option<T>, has: T) -> Option<String> {
    let asked = asked.filter(|asked| *asked != has)?;
    Some(format!("{option} is to be {asked} and is {has}"))
}

fn refusal(directory: &Path, geometry: &Geometry, what: &str) -> Error {
    let (low, high) = in_place(geometry).into_inner();
    Error::new(
        ErrorKind::InvalidOption,
        directory,
        format!("{what}, which the files of this store are not cut for"),
        format!(
            "Choose max_bytes from {low} to {high} and leave segment_size and max_processes, or have the store \
             copied into new files by Builder::relimit (larder relimit)."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { seed: 1, level: 2, segment_shift: 20, max_processes: 4 };
    const LIMITS: Limits =
        Limits { max_entries: 9, max_bytes: 64 << 20, ttl_ms: Some(5), min_free: 7 };

    fn by(options: &Options) -> (Limits, Option<String>) {
        let changed = Changed::by(options, Path::new("/c"), &GEOMETRY, LIMITS);
        (changed.limits, changed.beyond.map(|error| error.to_string()))
    }

    #[test]
    fn what_is_not_asked_for_stays_and_what_can_be_had_is_set() {
        assert_eq!(by(&Options::default()), (LIMITS, None));
        let asked = Options {
            max_entries: Some(3),
            max_bytes: Some(128 << 20),
            ttl_ms: Some(None),
            segment_size: Some(1 << 20),
            max_processes: Some(4),
            ..Options::default()
        };
        let changed = Limits { max_entries: 3, max_bytes: 128 << 20, ttl_ms: None, ..LIMITS };
        assert_eq!(by(&asked), (changed, None));
    }

    #[test]
    fn what_cannot_be_had_leaves_what_there_is_and_names_what_can() {
        let (low, high) = in_place(&GEOMETRY).into_inner();
        for bytes in [0, low / 2, high * 2, u64::MAX] {
            let asked =
                Options { max_bytes: Some(bytes), max_entries: Some(3), ..Options::default() };
            let (limits, beyond) = by(&asked);
            assert_eq!(limits, Limits { max_entries: 3, ..LIMITS });
            let beyond = beyond.unwrap();
            let words = [format!("be {bytes},"), low.to_string(), high.to_string()];
            assert!(words.iter().all(|word| beyond.contains(word)), "{beyond}");
        }
        for bytes in [low, high] {
            let asked = Options { max_bytes: Some(bytes), ..Options::default() };
            assert_eq!(by(&asked), (Limits { max_bytes: bytes, ..LIMITS }, None));
        }
    }
}
