//! The words of the control block, to be damaged.

use larder::internals::control;
use larder::internals::intent::WordAt;

/// The words of the control block's first page.
pub const WORDS: [WordAt; 34] = [
    control::CREATED,
    control::BOOT_ID,
    control::FILE_IDS,
    control::LOCK,
    control::ENTRIES,
    control::PENDING,
    control::PAGES.first(),
    control::CLEAR_LSN.first(),
    control::SYNCS.first(),
    control::PAGES_DURABLE.first(),
    control::MAX_ENTRIES,
    control::MAX_BYTES,
    control::DEFAULT_TTL,
    control::MIN_FREE,
    control::SYNCS_BEGUN,
    control::SYNCS_DONE,
    control::EPOCH.first(),
    control::SYNCED_AT,
    control::SYNC_FAILED,
    control::ACTIVE_PROBATION,
    control::ACTIVE_MAIN,
    control::ORDERS,
    control::LOG_GRANTED,
    control::INDEX_GRANTED,
    control::PROCESSES_SEEN,
    control::WALK_PROBATION,
    control::WALK_MAIN,
    control::WALK_UPKEEP,
    control::CLEAR_CURSOR,
    control::SWEEP_DUE,
    control::DUPLICATE_CURSOR,
    control::MAGIC,
    control::VERSION,
    control::STORE_ID,
];
