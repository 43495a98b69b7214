//! Limits: the newest opener's hold for all, and a lowered one holds before `open` returns.

use super::{OpeningLock, Request, create};
use crate::config;
use crate::error::Result;
use crate::format::LOG_FILE;
use crate::format::control::{self, ROWS_OFFSET};
use crate::format::identity::{Identity, Limits};
use crate::format::intent::WordAt;
use crate::format::place::Millis;
use crate::format::segment::ROW_BYTES;
use crate::reclaim::{self, Worker};
use crate::segments::Ground;
use crate::sys::memory::Memory;
use crate::sys::space;
use crate::sys::words::Words;

/// Sets what this opener asks for, if it differs from what holds, and makes it hold.
pub fn apply(request: &Request, ground: &Ground, identity: Identity) -> Result<()> {
    let options = &request.options;
    let asks = options.max_entries.is_some()
        || options.max_bytes.is_some()
        || options.ttl_ms.is_some()
        || options.min_free.is_some();
    if options.read_only {
        return Ok(());
    }
    if words(&read(&ground.memory)) != words(&identity.limits) {
        restore(request, ground)?;
    }
    if !asks {
        // Whoever did not ask for the limits is not refused for what they cannot be brought to.
        let _ = finish(request, ground);
        return Ok(());
    }
    let wanted = |limits| options.change(&request.directory, ground.geometry, limits);
    let memory = &ground.memory;
    if wanted(read(memory))?.is_none() {
        return finish(request, ground);
    }
    let path = request.path(LOG_FILE);
    let _lock = OpeningLock::acquire(&ground.attachment()?.locks, &path, options.lock_timeout)?;
    let Some(limits) = wanted(read(memory))? else { return shrink(ground) };
    prepare(ground, &limits)?;
    create::write_store(request, &Identity { limits, ..identity })?;
    write(memory, &limits);
    shrink(ground)
}

/// The words of the control block say something else than the file `store`: another process is
/// changing them right now, died in the middle, or the words are damaged. The file counts.
fn restore(request: &Request, ground: &Ground) -> Result<()> {
    let path = request.path(LOG_FILE);
    let deadline = request.options.lock_timeout;
    let _lock = OpeningLock::acquire(&ground.attachment()?.locks, &path, deadline)?;
    let Some(identity) = super::read_identity(request)? else { return Ok(()) };
    if words(&read(&ground.memory)) == words(&identity.limits) {
        return Ok(());
    }
    prepare(ground, &identity.limits)?;
    write(&ground.memory, &identity.limits);
    shrink(ground)
}

/// Goes on where whoever lowered the limits failed or died before all was gone that is too much.
fn finish(request: &Request, ground: &Ground) -> Result<()> {
    let memory = &ground.memory;
    let entries_fit = memory.load(control::ENTRIES) <= memory.load(control::MAX_ENTRIES);
    if entries_fit && bytes_over(ground) == 0 {
        return Ok(());
    }
    let path = request.path(LOG_FILE);
    let deadline = request.options.lock_timeout;
    let _lock = OpeningLock::acquire(&ground.attachment()?.locks, &path, deadline)?;
    shrink(ground)
}

/// Bytes granted beyond the limit.
fn bytes_over(ground: &Ground) -> u64 {
    let words = &ground.memory;
    let granted =
        words.load(control::LOG_GRANTED).saturating_add(words.load(control::INDEX_GRANTED));
    granted.saturating_sub(ground.share())
}

/// The limits that hold.
pub fn read(memory: &Memory) -> Limits {
    let ttl = memory.load(control::DEFAULT_TTL);
    Limits {
        max_entries: memory.load(control::MAX_ENTRIES),
        max_bytes: memory.load(control::MAX_BYTES),
        ttl_ms: (ttl < Millis::NEVER.get()).then_some(ttl),
        min_free: memory.load(control::MIN_FREE),
    }
}

/// The words of the control block for these limits.
fn words(limits: &Limits) -> [(WordAt, u64); 4] {
    let never = Millis::NEVER.get();
    [
        (control::MAX_ENTRIES, limits.max_entries),
        (control::MAX_BYTES, limits.max_bytes),
        (control::DEFAULT_TTL, limits.ttl_ms.filter(|&ttl| ttl < never).unwrap_or(u64::MAX)),
        (control::MIN_FREE, limits.min_free),
    ]
}

/// Sets the words of the control block.
pub fn write(memory: &Memory, limits: &Limits) {
    for (at, value) in words(limits) {
        memory.store(at, value);
    }
}

/// Makes the log long enough for a raised limit, durably, before a word mentions it.
fn prepare(ground: &Ground, limits: &Limits) -> Result<()> {
    let geometry = &ground.geometry;
    let first = config::first_index_bytes(geometry);
    let segments = config::segments_within(geometry, limits.max_bytes, first);
    let length = geometry.log_bytes(segments);
    let file = ground.memory.log.file();
    let io = |error| ground.log_error("cannot make it longer", error);
    space::allocate(file, ROWS_OFFSET, segments * ROW_BYTES).map_err(io)?;
    if file.metadata().map_err(io)?.len() < length {
        space::set_length(file, length).map_err(io)?;
        file.sync_all().map_err(io)?;
    }
    ground.memory.log.holds(0, length);
    Ok(())
}

/// Evicts until a lowered limit holds; what went is counted, though opening may fail.
fn shrink(ground: &Ground) -> Result<()> {
    let shrunk = evict_beyond(ground);
    ground.flush_counters();
    shrunk
}

fn evict_beyond(ground: &Ground) -> Result<()> {
    let mut worker = Worker::default();
    let words = &ground.memory;
    reclaim::recount_grants(ground)?;
    while words.load(control::ENTRIES) > words.load(control::MAX_ENTRIES) {
        if !reclaim::evict_one(ground, &mut worker)? {
            break;
        }
    }
    loop {
        let over = bytes_over(ground);
        if over == 0 {
            return Ok(());
        }
        if ground.allocates_on_read && super::attach::others(ground)? {
            return Err(ground.busy(
                "on tmpfs the limit can be lowered only while nobody else uses the store, and \
                 another process does",
            ));
        }
        if ground.syncs() {
            // What moves left behind may go only after a sync.
            crate::sync::barrier(ground)?;
        }
        if ground.give_back(over)? == 0 && !reclaim::make_free(ground, &mut worker)? {
            return Err(ground.busy("segments that others have pinned keep the store too large"));
        }
    }
}
