//! A kill at every instruction, and a stop at any.
//!
//! A child is stepped through an operation by ptrace. Whenever a step has changed the files, they are
//! copied, and the copy is opened as another process finds the store after a kill right there. (Each
//! kill on the store itself would mean to begin anew for every instruction.) At other moments the
//! child is left stopped while the tester works with the store, and then goes on: a zombie writer.

mod examine;
mod operations;
mod role;
mod shadow;
mod tracee;
mod zombie;

pub use role::stepped;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{self, Random, value};
use crate::copies::pass_for;
use examine::{COMMIT, Contents, Examiner, HELD, LOCK, Rule, read_all};
use operations::{Operation, open, operations};
use role::MAX_PROCESSES;
use shadow::Shadow;
use tracee::{Stepped, Tracee};
use zombie::{Size, Zombie};

/// The whole directory is compared after so many steps: no change was overlooked.
const LOOK_EVERY: u64 = 1 << 14;
/// States from the beginning of an operation that are looked at in a short run too.
const FIRST_STATES: u64 = 12;

/// What came of the kills of an operation.
#[derive(Default)]
struct Tally {
    steps: u64,
    states: u64,
    opened: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.states += other.states;
        self.opened += other.opened;
    }
}

/// A store whose last writer was killed when it had committed and not yet stored all.
struct Wreck {
    root: tempfile::TempDir,
    rule: Rule,
}

/// The stepping through one operation.
struct Run {
    shadow: Shadow,
    rule: Rule,
    examiner: Examiner,
    share: u64,
    states: u64,
    commits: u64,
    wreck: Option<Wreck>,
}

impl Run {
    /// Steps through these commands; `None` where processes may not be traced.
    fn through(operation: Operation, is_short: bool, random: &mut Random) -> Option<(Tally, Self)> {
        let root = common::fast_directory();
        let directory = root.path().join("store");
        let mut child = Tracee::start(&directory)?;
        for command in &operation.prepare {
            child.run(command);
        }
        let mut run = Self::begin(&directory, &operation, is_short);
        run.rule.before = run.contents();
        let tally = run.step_through(&operation, child, random);
        Some((tally, run))
    }

    /// The first to come to a wreck is killed in turn.
    fn through_wreck(wreck: Wreck, is_short: bool, random: &mut Random) -> Option<Tally> {
        let directory = wreck.root.path().join("store");
        let operation = operations::takeover(wreck.rule);
        // With all other slots taken it gets that of the dead one, and finishes what that one began
        // before it does anything. Else its first put finds the lock held.
        let others = if random.one_in(2) { MAX_PROCESSES - 1 } else { 0 };
        let others: Vec<_> = (0..others).map(|_| open(&directory, &operation.rule)).collect();
        let child = Tracee::start(&directory)?;
        let mut run = Self::begin(&directory, &operation, is_short);
        let tally = run.step_through(&operation, child, random);
        drop(others);
        Some(tally)
    }

    fn begin(directory: &Path, operation: &Operation, is_short: bool) -> Self {
        Self {
            shadow: Shadow::of(directory),
            rule: operation.rule.clone(),
            examiner: Examiner::default(),
            share: if is_short { operation.share } else { 1 },
            states: 0,
            commits: 0,
            wreck: None,
        }
    }

    /// What the store holds, now that short lives are over.
    fn contents(&self) -> Contents {
        std::thread::sleep(Duration::from_millis(5));
        let root = common::fast_directory();
        let copy = root.path().join("copy");
        self.shadow.copy_to(&copy);
        pass_for(&copy, &self.shadow.directory).unwrap();
        read_all(&open(&copy, &self.rule))
    }

    fn step_through(
        &mut self,
        operation: &Operation,
        mut child: Tracee,
        random: &mut Random,
    ) -> Tally {
        for command in &operation.commands {
            child.begin(command);
            self.follow(&mut child, random);
            child.finish(true);
        }
        self.shadow.refresh();
        self.examiner.kill(&self.shadow, &self.rule, random);
        self.examiner.end(&self.rule);
        let tally = Tally { steps: child.steps, states: self.states, opened: self.examiner.opened };
        let Tally { steps, states, opened } = tally;
        println!("{}: {steps} steps, {states} states, {opened} opened", operation.name);
        tally
    }

    /// Steps to the mark at the end of a command.
    fn follow(&mut self, child: &mut Tracee, random: &mut Random) {
        loop {
            let changed = match child.step() {
                Stepped::Marked => return,
                Stepped::Quietly => false,
                Stepped::Wrote { file, offset, length } => self.shadow.look(&file, offset, length),
                Stepped::Called => self.shadow.refresh(),
            };
            if child.steps.is_multiple_of(LOOK_EVERY) {
                assert!(changed || !self.shadow.refresh(), "a change was overlooked");
            }
            if changed {
                self.states += 1;
                self.keep_wreck(random);
                if self.states <= FIRST_STATES || random.one_in(self.share) {
                    self.examiner.kill(&self.shadow, &self.rule, random);
                }
            }
        }
    }

    /// Keeps one of the states in which the lock says that words are to be stored.
    fn keep_wreck(&mut self, random: &mut Random) {
        if self.shadow.word(LOCK) & 3 != COMMIT || self.rule.recovers {
            return;
        }
        self.commits += 1;
        if random.one_in(self.commits) {
            let root = common::fast_directory();
            let copy = root.path().join("store");
            self.shadow.copy_to(&copy);
            pass_for(&copy, &self.shadow.directory).unwrap();
            self.wreck = Some(Wreck { root, rule: self.rule.clone() });
        }
    }
}

/// The kills of a whole run.
struct Kills {
    random: Random,
    total: Tally,
    /// Wrecks of a short run that are still to be looked at.
    wrecks: u64,
    deadline: Instant,
}

impl Kills {
    /// Steps through operations, and through takeovers of what kills in them left; `None` where
    /// processes may not be traced.
    fn run(&mut self, operations: Vec<Operation>, is_short: bool) -> Option<()> {
        for operation in operations {
            let (tally, mut run) = Run::through(operation, is_short, &mut self.random)?;
            self.total.add(&tally);
            let chosen = self.random.one_in(3) && (!is_short || self.wrecks > 0);
            if let Some(wreck) = run.wreck.take().filter(|_| chosen) {
                self.wrecks = self.wrecks.saturating_sub(1);
                self.total.add(&Run::through_wreck(wreck, is_short, &mut self.random)?);
            }
            if !is_short && Instant::now() >= self.deadline {
                break;
            }
        }
        Some(())
    }
}

#[test]
fn a_kill_at_any_instruction_costs_nothing() {
    let random = Random::new(common::seed());
    let begun = Instant::now();
    let deadline = begun + common::duration(0);
    let mut kills = Kills { random, total: Tally::default(), wrecks: 1, deadline };
    // In a short run those that take many instructions take turns, by the seed.
    let [mut chosen, mut long] = operations(&mut kills.random);
    chosen.push(long.swap_remove(kills.random.below(long.len() as u64) as usize));
    let mut done = kills.run(chosen, true);
    while done.is_some() && Instant::now() < deadline {
        let mut all: Vec<_> = operations(&mut kills.random).into_iter().flatten().collect();
        // So that each has its turn, however short the run.
        let middle = kills.random.below(all.len() as u64) as usize;
        all.rotate_left(middle);
        done = kills.run(all, false);
    }
    if done.is_none() {
        return;
    }
    let Tally { steps, states, opened } = kills.total;
    let rate = opened as f64 / begun.elapsed().as_secs_f64();
    println!("{steps} steps, {states} states, {opened} opened, {rate:.0} kills a second");
    common::evidence("steps", opened, "kills at an instruction");
}

#[test]
fn a_writer_that_was_stopped_at_any_instruction_goes_on_without_harm() {
    let mut random = Random::new(common::seed());
    let length = common::duration(0);
    let deadline = Instant::now() + length;
    let (most_steps, a_store) = if length.is_zero() { (6000, 10) } else { (30_000, 200) };
    let (mut rounds, mut in_commit) = (0, 0);
    while rounds == 0 || Instant::now() < deadline {
        for size in [Size::Small, Size::ManyEntries, Size::ManyBytes] {
            let Some(mut zombie) = Zombie::new(size) else { return };
            for round in 0..a_store {
                if round >= 10 && Instant::now() >= deadline {
                    break;
                }
                zombie.round(most_steps, &mut random);
                rounds += 1;
            }
            in_commit += zombie.stops_in_commit;
        }
    }
    println!("{rounds} stops, {in_commit} of them where others found it in the middle of a commit");
    common::evidence("steps", rounds, "stops at an instruction, others at work meanwhile");
}

/// Whoever looks for a key reads its slot, then the record there: which may have moved on in between,
/// and its place have been reused.
#[test]
fn a_key_that_moves_while_a_stopped_process_removes_it_is_removed() {
    let mut random = Random::new(common::seed());
    let root = common::fast_directory();
    let directory = root.path().join("store");
    let cache = role::builder(0, 1).open(&directory).unwrap();
    let Some(mut child) = Tracee::start(&directory) else { return };
    child.run("open 0 1");
    let key = 5u64.to_le_bytes();
    // The look at the key comes right before the lock is taken; at first other things are done too.
    let mut before_lock = 0;
    for _ in 0..2 {
        reuse_segments(&cache);
        cache.insert(key, "still there").unwrap();
        child.begin("remove 5 6 1");
        let steps = child.steps;
        assert!(!zombie::step_into(&mut child, &directory, HELD, u64::MAX), "it took no lock");
        before_lock = child.steps - steps;
        child.finish(false);
    }
    for earlier in (0..440).step_by(20) {
        cache.insert(key, "still there").unwrap();
        child.begin("remove 5 6 1");
        let wanted = before_lock.saturating_sub(earlier) + random.below(20);
        let at_mark = child.stride(wanted);
        let was_there = cache.contains_key(key);
        reuse_segments(&cache);
        assert_eq!(cache.contains_key(key), was_there, "it was evicted");
        child.finish(at_mark);
        assert!(!cache.contains_key(key), "removed, and there, after a stop at step {wanted}");
    }
}

/// Where the segments begin in the log of this geometry (see `format.md`).
const SEGMENTS: u64 = 0xF0000;
/// Where their state words do; the low half of one is the generation.
const STATES: usize = 0x1000;

/// A stopped writer keeps its segment from being reused: what it goes on writing is in nobody's way.
#[test]
fn a_writer_that_was_stopped_in_a_record_goes_on_in_nobodys_record() {
    let mut random = Random::new(common::seed());
    let root = common::fast_directory();
    let directory = root.path().join("store");
    let cache = role::builder(0, 1).open(&directory).unwrap();
    let Some(mut child) = Tracee::start(&directory) else { return };
    child.run("open 0 1");
    // Few enough that there is no reason to evict any.
    let others = || 300..410u64;
    for version in 1..8 {
        child.begin(&format!("put 5 6 {version} 3000"));
        let mut writes = 10 + random.below(150);
        let mut segment = 0;
        while writes > 0 {
            match child.step() {
                Stepped::Marked => panic!("it wrote no record"),
                Stepped::Wrote { file, offset, length }
                    if file == "log" && offset + length / 2 >= SEGMENTS =>
                {
                    writes -= 1;
                    segment = (offset + length / 2 - SEGMENTS) >> 16;
                }
                _ => {}
            }
        }
        let state_at = STATES + segment as usize * 8;
        let generation = Shadow::of(&directory).word(state_at) as u32;
        reuse_segments(&cache);
        for key in others() {
            cache.insert(key.to_le_bytes(), value(key, version, 2000)).unwrap();
        }
        let now = Shadow::of(&directory).word(state_at) as u32;
        assert_eq!(now, generation, "its segment was reused");
        child.finish(false);
        let found = read_all(&cache);
        let lost: Vec<u64> = others().filter(|key| found.get(key) != Some(&version)).collect();
        let report = cache.verify().unwrap();
        assert!(report.is_sound(), "version {version}: {report:?}, lost {lost:?}");
        assert!(lost.is_empty(), "version {version}: lost {lost:?}, {:?}", cache.stats());
        assert_eq!(found.get(&5), Some(&version));
        others().for_each(|key| assert!(cache.remove(key.to_le_bytes()).unwrap()));
    }
}

/// Moves all that lives, and takes each segment anew.
fn reuse_segments(cache: &larder::FileCache) {
    for round in 0..220u64 {
        // As long as promised to cost no eviction, and soon dead.
        let key = 100 + round % 8;
        cache.insert(key.to_le_bytes(), value(key, round, 7900)).unwrap();
        if round % 70 == 40 {
            cache.compact().unwrap();
        }
    }
}
