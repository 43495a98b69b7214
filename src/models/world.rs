//! The shared state of a scenario, and the processes that live and die in it.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::platform::{Plain, Platform};
use crate::format::address::Lsn;
use crate::format::control::{self, Geometry};
use crate::format::intent::WordAt;
use crate::format::lock::{LockWord, Phase, ProcessId};
use crate::format::page::PageId;
use crate::index::Index;
use crate::session::{Attachment, Decision, Disk, Medium, Session, Settings};
use crate::store::Store;
use crate::sys::simulated::Simulated;
use crate::sys::words::Words;
use crate::transaction::{Changes, Liveness, Patience, Transactions, Verdict};

/// Every scenario's: one page of index at creation, small segments, few processes.
pub const GEOMETRY: Geometry =
    Geometry { seed: 0x51E1_93BA_7C44_D2F7, level: 0, segment_shift: 16, max_processes: 4 };

/// Segments that a log of a scenario has.
pub const SEGMENTS: u64 = 2;
/// Words that no process changes, so that reading them is no operation of the model checker.
const CONSTANTS: [(WordAt, u64); 7] = [
    (control::MAX_BYTES, 1 << 40),
    (control::MAX_ENTRIES, u64::MAX),
    (control::PAGES.first(), control::PAGES.seal(1)),
    (control::CLEAR_LSN.first(), control::CLEAR_LSN.seal(0)),
    (control::SYNCS.first(), control::SYNCS.seal(0)),
    (control::PAGES_DURABLE.first(), control::PAGES_DURABLE.seal(0)),
    (control::EPOCH.first(), control::EPOCH.seal(0)),
];

/// The words that exist, and who is dead. A word that is not among them reads as 0 and is not
/// written, and neither is an operation of the model checker: so a page costs only its slots that
/// matter.
pub struct World<P: Platform> {
    places: Vec<u64>,
    cells: Vec<P::Word>,
    /// A bit for each word, by the low bits of its offset: most words that do not exist are told from it.
    filter: [u64; 64],
    dead: Vec<P::Word>,
}

impl<P: Platform> World<P> {
    /// A world of these words, the lock word, and a count of processes seen that covers all.
    pub fn new(words: &[(WordAt, u64)]) -> Arc<Self> {
        let seen = u64::from(GEOMETRY.max_processes);
        let mut all = vec![(control::LOCK.raw(), LockWord::decode(1 << 12).encode())];
        all.push((control::PROCESSES_SEEN.raw(), seen));
        all.extend(words.iter().map(|(at, value)| (at.raw(), *value)));
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0].0 != pair[1].0), "a place given twice");
        let mut filter = [0; 64];
        for (raw, _) in &all {
            let (word, bit) = Self::filter_place(*raw);
            filter[word] |= bit;
        }
        Arc::new(Self {
            places: all.iter().map(|(raw, _)| *raw).collect(),
            cells: all.iter().map(|(_, value)| P::word(*value)).collect(),
            filter,
            dead: (0..seen).map(|_| P::word(0)).collect(),
        })
    }

    fn filter_place(raw: u64) -> (usize, u64) {
        ((raw >> 9) as usize & 63, 1 << ((raw >> 3) & 63))
    }

    fn cell(&self, at: WordAt) -> Option<&P::Word> {
        let (word, bit) = Self::filter_place(at.raw());
        if self.filter[word] & bit == 0 {
            return None;
        }
        self.places.binary_search(&at.raw()).ok().map(|index| &self.cells[index])
    }

    /// A word, read relaxed, as the body of a record is.
    pub fn peek(&self, at: WordAt) -> u64 {
        self.cell(at).map_or(0, |cell| P::load(cell, Ordering::Relaxed))
    }

    /// The world once all actors have come to their ends, in plain memory.
    pub fn at_rest(self: Arc<Self>) -> Arc<World<Plain>> {
        let Self { places, cells, filter, dead } =
            Arc::into_inner(self).expect("some actor is still there");
        let plain = |mut word| Plain::word(P::at_rest(&mut word));
        Arc::new(World {
            places,
            cells: cells.into_iter().map(plain).collect(),
            filter,
            dead: dead.into_iter().map(plain).collect(),
        })
    }

    /// Says whether a process is dead, as the kernel does.
    pub fn set_dead(&self, process: ProcessId, dead: bool) {
        P::store(&self.dead[usize::from(process.get())], u64::from(dead), Ordering::Release);
    }
}

impl<P: Platform> Liveness for Arc<World<P>> {
    fn is_dead(&self, process: ProcessId) -> bool {
        P::load(&self.dead[usize::from(process.get())], Ordering::Acquire) == 1
    }
}

/// A process: a session of the crate's own on the words of the world.
pub struct Process<P: Platform> {
    pub session: Session<Cells<P>, Arc<World<P>>>,
    pub me: ProcessId,
}

/// A process's accesses to the world, and when it dies.
///
/// A kill is the unwinding of the process's code out of the change (store or exchange) at which it
/// dies, up to [`Process::live`]. From then on its operations do nothing, so that no destructor
/// tidies up. To die between two changes is the same for everybody else, so enumerating the changes
/// enumerates the kills.
pub struct Cells<P: Platform> {
    pub world: Arc<World<P>>,
    changes_left: Cell<usize>,
    is_gone: Cell<bool>,
    commits: Cell<u64>,
}

/// What a kill unwinds with.
struct Killed;

impl<P: Platform> Process<P> {
    /// A process that lives on.
    pub fn new(world: &Arc<World<P>>, me: u16) -> Self {
        Self::mortal(world, me, usize::MAX)
    }

    /// A process that dies at the change after so many.
    pub fn mortal(world: &Arc<World<P>>, me: u16, changes: usize) -> Self {
        let me = ProcessId::new(me).unwrap();
        let words = Cells {
            world: world.clone(),
            changes_left: Cell::new(changes),
            is_gone: Cell::new(false),
            commits: Cell::new(0),
        };
        let environment = Simulated::default().environment();
        let settings = Settings {
            directory: "a model".into(),
            clock: environment.clock,
            files: environment.files,
            disk: Disk::new(false),
            machine: environment.boot,
            lock_timeout: Duration::MAX,
        };
        let attachment = Attachment { process: me, locks: world.clone() };
        let store = Store { words, geometry: GEOMETRY };
        Self { session: Session::new(store, Some(attachment), settings), me }
    }

    /// Lets it live: `None` if it was killed. Everybody may know then that it is dead.
    pub fn live<T>(&self, body: impl FnOnce(&Self) -> T) -> Option<T> {
        let end: Result<T, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| body(self)));
        match end {
            Ok(answer) => Some(answer),
            Err(payload) if payload.is::<Killed>() => {
                self.world.set_dead(self.me, true);
                None
            }
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Transactions of this process that reached COMMIT by its own doing.
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }

    /// Its store.
    pub fn store(&self) -> &Store<Cells<P>> {
        &self.session.store
    }

    /// Its words.
    pub fn words(&self) -> &Cells<P> {
        &self.session.store.words
    }

    /// Its transactions.
    pub fn transactions(&self) -> Transactions<'_, Cells<P>, Arc<World<P>>> {
        let words = self.words();
        Transactions { words, geometry: &GEOMETRY, me: self.me, liveness: &words.world }
    }

    /// The index, as it sees it.
    pub fn index(&self) -> Index<'_, Cells<P>> {
        self.session.store.index()
    }

    /// A transaction, decided again when it was robbed; `false` if there was nothing to do.
    pub fn transact(&self, mut decide: impl FnMut(Lsn) -> Option<Changes>) -> bool {
        let decided = self.session.transact(|lsn, changes| match decide(lsn) {
            Some(decided) => {
                *changes = decided;
                Decision::Commit(true)
            }
            None => Decision::Leave(false),
        });
        decided.unwrap()
    }

    /// Makes page `page`, unless it is there or others are to come first.
    pub fn split(&self, page: PageId) -> bool {
        let split = self.session.transact(|_, _| {
            if self.index().pages() == page.get() {
                Decision::Split(page, true)
            } else {
                Decision::Leave(false)
            }
        });
        split.unwrap()
    }
}

impl<P: Platform> Deref for Process<P> {
    type Target = Cells<P>;

    fn deref(&self) -> &Cells<P> {
        self.words()
    }
}

impl<P: Platform> Cells<P> {
    /// A relaxed store, as the body of a record is written.
    pub fn poke(&self, at: WordAt, value: u64) {
        if let Some(cell) = self.cell_to_change(at) {
            P::store(cell, value, Ordering::Relaxed);
        }
    }

    /// The cell of a change that is about to happen, or death.
    fn cell_to_change(&self, at: WordAt) -> Option<&P::Word> {
        let cell = self.world.cell(at).filter(|_| !self.is_gone.get())?;
        match self.changes_left.get().checked_sub(1) {
            Some(left) => self.changes_left.set(left),
            None => {
                self.is_gone.set(true);
                // Not `panic!`: a kill prints nothing.
                resume_unwind(Box::new(Killed));
            }
        }
        Some(cell)
    }
}

impl<P: Platform> Words for Cells<P> {
    fn load(&self, at: WordAt) -> u64 {
        match self.world.cell(at) {
            Some(cell) => P::load(cell, Ordering::Acquire),
            None => {
                let found = CONSTANTS.iter().find(|(constant, _)| *constant == at);
                found.map_or(0, |(_, value)| *value)
            }
        }
    }

    fn store(&self, at: WordAt, value: u64) {
        if let Some(cell) = self.cell_to_change(at) {
            P::store(cell, value, Ordering::Release);
        }
    }

    fn exchange(&self, at: WordAt, current: u64, new: u64) -> Result<(), u64> {
        let cell = self.cell_to_change(at).ok_or(!current)?;
        P::exchange(cell, current, new)?;
        let phase = |word| LockWord::decode(word).phase;
        if at == control::LOCK && phase(current) == Phase::Held && phase(new) == Phase::Commit {
            self.commits.set(self.commits.get() + 1);
        }
        Ok(())
    }

    /// Relaxed loads and a fence, as in mapped memory.
    fn load_all<const COUNT: usize>(&self, at: WordAt) -> [u64; COUNT] {
        let loaded = std::array::from_fn(|i| self.world.peek(at.plus(i as u64)));
        P::fence(Ordering::Acquire);
        loaded
    }

    fn log_bytes(&self) -> u64 {
        GEOMETRY.log_bytes(SEGMENTS)
    }

    fn fence(&self) {
        P::fence(Ordering::SeqCst);
    }

    fn acquire_fence(&self) {
        P::fence(Ordering::Acquire);
    }
}

/// A disk that has room for everything.
impl<P: Platform> Medium for Cells<P> {
    type Patience = Impatient<P>;

    fn patience(&self, _: Duration) -> Impatient<P> {
        Impatient::default()
    }

    fn allocate(&self, _: WordAt, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn give_back(&self, _: WordAt, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn populate(&self, _: WordAt, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Relaxed, word by word, as the bytes of a record are written.
    fn write(&self, at: WordAt, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty(), "records of a model have whole words");
        for (number, word) in (0..).zip(words) {
            self.poke(at.plus(number), u64::from_le_bytes(*word));
        }
    }

    fn unseen(&self) -> Option<(WordAt, io::Error)> {
        None
    }
}

/// Finds at once that the lock has not changed for long: a stopped process is as slow as it likes,
/// so this is the worst case.
pub struct Impatient<P> {
    yields: bool,
    platform: PhantomData<P>,
}

impl<P> Default for Impatient<P> {
    fn default() -> Self {
        Self { yields: false, platform: PhantomData }
    }
}

impl<P: Platform> Patience for Impatient<P> {
    /// Every other wait lets the others run, so that waiting ends; not each, because loom then
    /// never explores that nobody else moved between looking at the lock and robbing it.
    fn wait(&mut self, _: LockWord) -> Verdict {
        if self.yields {
            P::yield_now();
        }
        self.yields = !self.yields;
        Verdict::Unchanged
    }
}
