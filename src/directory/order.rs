//! Whether a store is in order: left by users of this boot in these very files. Then all that they stored is
//! there and the counters are exact, so that nothing needs to be looked at.
//!
//! Somebody who is attached proves the boot, whatever its id: the kernel holds that one's lock. (Containers may
//! have ids of their own on one kernel.)

use crate::capacity;
use crate::error::{Error, Result};
use crate::format::checked::CheckedAt;
use crate::format::control::{self, Geometry};
use crate::format::intent::WordAt;
use crate::format::lock::LockWord;
use crate::format::page::{PAGE_BYTES, page_limit};
use crate::request::Request;
use crate::sys::door::DiskFile;
use crate::sys::words::Words;

/// The boot and the files in which counters are exact: six words, as they stand in the control block.
pub type Origin = [u64; 6];

// One behind the other, so that they are read and written as one.
const _: () = assert!(control::FILE_IDS.offset() == control::BOOT_ID.offset() + 16);

/// Bytes of the control block in which the words stand, and their second copies.
const PAGES: usize = 2 * PAGE_BYTES as usize;

/// Why a store is not in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disorder {
    /// It was last used in another boot.
    Boot,
    /// Its files are others than those that it names: they were copied.
    Files,
    /// Its first words cannot be.
    Damage,
}

/// What the store is compared with.
#[derive(Clone, Copy, Debug)]
struct Found {
    origin: Origin,
    log_length: u64,
    index_length: u64,
}

/// Why the store in these files is not in order, if it is not. `is_attached` says whether anybody surely is.
pub fn disorder(
    request: &Request,
    geometry: &Geometry,
    [log, index]: [&dyn DiskFile; 2],
    boot_id: [u64; 2],
    is_attached: impl FnOnce() -> bool,
) -> Result<Option<Disorder>> {
    let io = |error| Error::io(&request.directory, "cannot look at its files", error);
    let mut pages = [0u8; PAGES];
    log.read_at(&mut pages, 0).map_err(io)?;
    let ids = [log.file_id().map_err(io)?, index.file_id().map_err(io)?];
    let found = Found {
        origin: origin(boot_id, ids),
        log_length: log.length().map_err(io)?,
        index_length: index.length().map_err(io)?,
    };
    Ok(disorder_of(&pages, geometry, &found).filter(|why| *why != Disorder::Boot || !is_attached()))
}

/// The words of a boot and of two files.
pub fn origin(boot_id: [u64; 2], ids: [[u64; 2]; 2]) -> Origin {
    let [a, b] = ids;
    [boot_id[0], boot_id[1], a[0], a[1], b[0], b[1]]
}

/// Says that counters are exact in this boot and these files. The first word comes last: until then the
/// store is not in order.
pub fn write_origin(words: &impl Words, origin: Origin) {
    for word in (0..origin.len()).rev() {
        words.store(control::BOOT_ID.plus(word as u64), origin[word]);
    }
}

/// Whether the store is still of this boot, and nobody recovers it: asked after the lock of a process row was
/// taken. Who recovers looks at the locks after [`begin_recovery`], so one of the two sees the other.
pub fn is_still_in_order(words: &impl Words, boot_id: [u64; 2]) -> bool {
    words.fence();
    let stored = words.load_all::<3>(control::BOOT_ID);
    stored[..2] == boot_id && stored[2] != 0
}

/// Says that damage was met in a store that is in use: whoever opens it with nobody attached recovers it, as after
/// another boot. Those who are attached keep it in order as far as it is.
pub fn suspect(words: &impl Words) {
    // No boot has this id; the other half stays, and says which boot it was.
    words.store(control::BOOT_ID, 0);
}

/// Whether a store that is not in order was last used in this boot, in files with these ids.
pub fn is_of_this_boot(words: &impl Words, boot_id: [u64; 2], ids: [[u64; 2]; 2]) -> bool {
    let [_, boot, inode] = words.load_all(control::BOOT_ID);
    boot == boot_id[1] && [0, ids[0][0]].contains(&inode)
}

/// Says that the store is not in order until [`write_origin`], whoever is killed.
pub fn begin_recovery(words: &impl Words) {
    // No file has this number.
    words.store(control::FILE_IDS, 0);
    words.fence();
}

/// Whether the first pages of the control block say what was found, and nothing that only damage makes: the
/// pass that follows sets that anew. Another boot is the least of what may be wrong.
fn disorder_of(pages: &[u8; PAGES], geometry: &Geometry, found: &Found) -> Option<Disorder> {
    let word = |at: WordAt| {
        let offset = at.offset() as usize;
        let bytes = pages.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    let checked =
        |at: CheckedAt| at.unseal(word(at.first())).or_else(|| at.unseal(word(at.second())));
    let is_as_found = |i: usize| word(control::BOOT_ID.plus(i as u64)) == found.origin[i];
    let counts = [control::ORDERS, control::SYNCS_BEGUN, control::SYNCS_DONE];
    let lengths = |pages| are_lengths_sound(pages, word(control::MAX_BYTES), geometry, found);
    let is_sound = checked(control::PAGES).is_some_and(lengths)
        && counts.into_iter().all(|at| word(at) < control::COUNT_LIMIT)
        && is_lock_sound(word(control::LOCK), checked(control::EPOCH), checked(control::CLEAR_LSN));
    if !(2..6).all(is_as_found) {
        Some(Disorder::Files)
    } else if !is_sound {
        Some(Disorder::Damage)
    } else {
        (!(0..2).all(is_as_found)).then_some(Disorder::Boot)
    }
}

/// Whether the files are as long as so many pages of index and a limit of so many bytes say.
fn are_lengths_sound(pages: u64, max_bytes: u64, geometry: &Geometry, found: &Found) -> bool {
    let first_index = capacity::first_index_bytes(geometry);
    let segments = capacity::segments_within(geometry, max_bytes, first_index);
    (1 << geometry.level..=page_limit(geometry.level)).contains(&pages)
        && found.index_length >= (pages + 1) * PAGE_BYTES
        && segments <= capacity::segments_limit(geometry)
        && found.log_length >= geometry.log_bytes(segments)
}

/// Whether the lock word is of this epoch. LSNs below those of the store's records would let what is cleared
/// live on.
fn is_lock_sound(lock: u64, epoch: Option<u64>, clear_lsn: Option<u64>) -> bool {
    let (Some(epoch), Some(clear_lsn)) = (epoch, clear_lsn) else { return false };
    let lsn = LockWord::decode(lock).sequence;
    (epoch..=epoch.saturating_add(1)).contains(&u64::from(lsn.epoch()))
        && lsn.get() >= clear_lsn
        && lock & 3 != 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::Lsn;
    use crate::format::lock::{Phase, ProcessId};

    const GEOMETRY: Geometry = Geometry { seed: 1, level: 2, segment_shift: 16, max_processes: 4 };
    const MAX_BYTES: u64 = 3 << 20;

    fn found() -> Found {
        let first_index = capacity::first_index_bytes(&GEOMETRY);
        let segments = capacity::segments_within(&GEOMETRY, MAX_BYTES, first_index);
        Found {
            origin: origin([1, 2], [[3, 4], [5, 6]]),
            log_length: GEOMETRY.log_bytes(segments),
            index_length: first_index,
        }
    }

    fn pages_with(changes: &[(WordAt, u64)]) -> [u8; PAGES] {
        let owner = ProcessId::new(0).unwrap();
        let lock = LockWord { phase: Phase::Free, owner, sequence: Lsn::first_of(7) };
        let mut pages = [0; PAGES];
        let mut set = |at: WordAt, value: u64| {
            let at = at.offset() as usize;
            pages[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        for (word, value) in (0..).zip(found().origin) {
            set(control::BOOT_ID.plus(word), value);
        }
        let checked = [(control::PAGES, 1 << GEOMETRY.level), (control::EPOCH, 7)];
        for (at, value) in checked.into_iter().chain([(control::CLEAR_LSN, 0)]) {
            at.copies().into_iter().for_each(|copy| set(copy, at.seal(value)));
        }
        set(control::MAX_BYTES, MAX_BYTES);
        set(control::LOCK, lock.encode());
        for &(at, value) in changes {
            set(at, value);
        }
        pages
    }

    fn sound_with(changes: &[(WordAt, u64)]) -> bool {
        disorder_with(changes).is_none()
    }

    fn sound_with_checked(at: CheckedAt, value: u64) -> bool {
        sound_with(&at.copies().map(|copy| (copy, at.seal(value))))
    }

    fn disorder_with(changes: &[(WordAt, u64)]) -> Option<Disorder> {
        disorder_of(&pages_with(changes), &GEOMETRY, &found())
    }

    #[test]
    fn a_store_is_in_order_in_its_boot_and_its_files_alone() {
        assert!(sound_with(&[]));
        for word in 0..6 {
            let why = if word < 2 { Disorder::Boot } else { Disorder::Files };
            let changed = (control::BOOT_ID.plus(word), 99);
            assert_eq!(disorder_with(&[changed]), Some(why), "word {word}");
            // Whoever proves the boot proves nothing of damage.
            let why = if word < 2 { Disorder::Damage } else { Disorder::Files };
            assert_eq!(disorder_with(&[changed, (control::LOCK, 3)]), Some(why), "word {word}");
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_the_control_block_says_is_not_in_order() {
        let shorter = [
            Found { log_length: found().log_length - 1, ..found() },
            Found { index_length: found().index_length - 1, ..found() },
        ];
        for found in shorter {
            let why = disorder_of(&pages_with(&[]), &GEOMETRY, &found);
            assert_eq!(why, Some(Disorder::Damage));
        }
        let pages = 1 << GEOMETRY.level;
        assert!(!sound_with_checked(control::PAGES, pages - 1));
        assert!(!sound_with_checked(control::PAGES, pages + 1), "longer than the file");
        assert!(!sound_with(&[(control::MAX_BYTES, u64::MAX)]));
    }

    #[test]
    fn counters_and_locks_that_only_damage_makes_are_not_in_order() {
        for at in [control::ORDERS, control::SYNCS_BEGUN, control::SYNCS_DONE] {
            assert!(sound_with(&[(at, control::COUNT_LIMIT - 1)]));
            assert!(!sound_with(&[(at, control::COUNT_LIMIT)]));
        }
        assert!(sound_with_checked(control::EPOCH, 6), "counts may carry into the epoch");
        assert!(!sound_with_checked(control::EPOCH, 5));
        assert!(!sound_with_checked(control::EPOCH, 8));
        assert!(!sound_with_checked(control::CLEAR_LSN, Lsn::MAX.get()));
        assert!(!sound_with(&[(control::LOCK, 3)]));
    }

    #[test]
    fn one_damaged_copy_of_a_checked_word_is_in_order_and_two_are_not() {
        for at in [control::PAGES, control::EPOCH, control::CLEAR_LSN] {
            for copy in at.copies() {
                assert!(sound_with(&[(copy, 0)]));
            }
            assert!(!sound_with(&at.copies().map(|copy| (copy, 0))));
        }
    }
}
