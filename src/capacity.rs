//! What fits a limit on bytes: pure functions of a geometry. All of the store's files count: the control block, a
//! reserve for what no byte of the files shows, the index, and segments for the rest.

use std::ops::RangeInclusive;

use crate::format::control::{Geometry, SEGMENTS_FLOOR, TABLE_SEGMENTS};
use crate::format::page::PAGE_BYTES;

/// Whether a store of this geometry can be brought to a limit in its files.
pub fn is_in_place(geometry: &Geometry, max_bytes: u64) -> bool {
    let segments = segments_within(geometry, max_bytes, first_index_bytes(geometry));
    (SEGMENTS_FLOOR..=segments_limit(geometry)).contains(&segments)
}

/// From the smallest to the largest such limit, a little less than there would be.
pub fn in_place(geometry: &Geometry) -> RangeInclusive<u64> {
    let segments = SEGMENTS_FLOOR << geometry.segment_shift;
    let fixed = geometry.control_cost() + first_index_bytes(geometry) + segments;
    // The reserve depends on the limit: enough for the limit that it makes.
    let low = (fixed + reserve_bytes(fixed) + fixed / 512).next_multiple_of(4096);
    low..=geometry.control_cost() + (segments_limit(geometry) << geometry.segment_shift)
}

/// Segments that fit a limit beside control block, reserve and an index of `index_bytes`.
pub fn segments_within(geometry: &Geometry, max_bytes: u64, index_bytes: u64) -> u64 {
    let fixed = geometry.control_cost() + reserve_bytes(max_bytes);
    let beside = fixed.saturating_add(index_bytes);
    max_bytes.saturating_sub(beside) >> geometry.segment_shift
}

/// Bytes that log segments and index may take together.
pub fn share_bytes(geometry: &Geometry, max_bytes: u64) -> u64 {
    max_bytes.saturating_sub(geometry.control_cost() + reserve_bytes(max_bytes))
}

/// Bytes of the index file of a new store: its header page and the first pages.
pub const fn first_index_bytes(geometry: &Geometry) -> u64 {
    (1 + (1 << geometry.level)) * PAGE_BYTES
}

/// The most segments that addresses and the table can name.
pub fn segments_limit(geometry: &Geometry) -> u64 {
    let addressable = ((1u64 << 40) - geometry.control_bytes()) >> geometry.segment_shift;
    addressable.min(u64::from(TABLE_SEGMENTS))
}

/// Segments that a log of this length has room for.
pub fn segments_in(geometry: &Geometry, log_bytes: u64) -> u64 {
    let bytes = log_bytes.saturating_sub(geometry.control_bytes());
    (bytes >> geometry.segment_shift).min(segments_limit(geometry))
}

/// Disk set aside for the file `store` (twice, while it is replaced), the directory itself, and
/// the file systems' own blocks for the extents of a file of this limit.
pub const fn reserve_bytes(max_bytes: u64) -> u64 {
    (64 << 10) + max_bytes / 1024
}
