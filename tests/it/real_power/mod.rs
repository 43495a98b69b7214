//! Power cuts for real: a file system on a loop device is shut down under load (its journal flushed
//! or not), mounted again, and opened as after another boot.
//!
//! What a process does to the store it notes in a journal elsewhere; what may be found after the
//! cut follows from that: see [`account`]. Needs root, and mounts of its own, which go with the
//! process however that ends.

mod account;
mod disk;
mod load;

pub use load::load;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder::FileCache;

use self::account::{Account, Journal};
use self::disk::{BootId, Disk};
use crate::children::{Process, own_mounts};
use crate::common::{self, Random};

/// Lives of a store until the next begins with a new one.
const LIVES: u64 = 25;

#[test]
fn a_cut_of_ext4_costs_at_most_what_was_not_synced() {
    cuts("ext4");
}

#[test]
fn a_cut_of_xfs_costs_at_most_what_was_not_synced() {
    cuts("xfs");
}

/// Cuts in a thread of its own, whose mounts nobody else sees.
fn cuts(kind: &'static str) {
    let cut = std::thread::spawn(move || {
        let root = common::fast_directory();
        let prepared = own_mounts()
            .and_then(|()| Ok((BootId::replace(root.path())?, Disk::make(root.path(), kind)?)));
        let (boot, disk) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return println!("skipped: real power cuts on {kind}: {why}"),
        };
        let run = Run {
            random: Random::new(common::seed()),
            boot,
            disk,
            journal: root.path().join("journal"),
            account: Account::default(),
            lives: 0,
        };
        let cuts = run.go();
        common::evidence("realpower", cuts, &format!("power cuts of {kind} under load"));
    });
    if let Err(panic) = cut.join() {
        std::panic::resume_unwind(panic);
    }
}

struct Run {
    random: Random,
    boot: BootId,
    disk: Disk,
    journal: PathBuf,
    account: Account,
    lives: u64,
}

impl Run {
    /// Cuts until the time is up, and the last one looked at; how many.
    fn go(mut self) -> u64 {
        let end = Instant::now() + common::duration(2);
        while Instant::now() < end || self.lives < 3 {
            if self.lives.is_multiple_of(LIVES) {
                self.account = Account::default();
            }
            self.live_and_cut();
            self.lives += 1;
        }
        let cuts = self.lives;
        // No load: only what opening finds after the last cut.
        self.boot.next();
        let mut last = self.start();
        self.hear_opened(&mut last);
        last.kill();
        self.account.read(&self.journal);
        cuts
    }

    fn store(&self) -> PathBuf {
        self.disk.mounted().join(format!("store {}", self.lives / LIVES))
    }

    fn start(&mut self) -> Process {
        let _ = std::fs::remove_file(&self.journal);
        let mut process = Process::start("power load", &self.store(), self.random.next() >> 1);
        process.tell(self.journal.to_str().unwrap());
        process
    }

    fn hear_opened(&mut self, process: &mut Process) {
        if process.hear().as_deref() != Some("opened") {
            self.account.read(&self.journal);
            panic!("the store did not open");
        }
    }

    /// A process opens the store and works; the cut; what its journal says goes to the account.
    fn live_and_cut(&mut self) {
        self.boot.next();
        if self.random.one_in(3) {
            self.look_only(&self.store());
        }
        let mut process = self.start();
        // Some are cut while they open: two cuts in a row.
        if self.random.one_in(5) {
            std::thread::sleep(Duration::from_millis(self.random.below(60)));
        } else {
            self.hear_opened(&mut process);
            std::thread::sleep(Duration::from_millis(self.random.below(150)));
        }
        Journal::open(&self.journal).note("cut", &[]);
        self.disk.cut(&mut self.random);
        if self.random.one_in(4) {
            // It goes on without a disk for a moment.
            std::thread::sleep(Duration::from_millis(3));
        }
        process.kill();
        self.disk.mount_again();
        self.account.read(&self.journal);
    }

    /// A reader that writes nothing finds the same, in a copy of the index that it recovers itself.
    fn look_only(&self, store: &Path) {
        if !store.join("store").exists() {
            return;
        }
        let cache = FileCache::builder().read_only(true).open(store).unwrap();
        self.account.examine(&cache);
    }
}
