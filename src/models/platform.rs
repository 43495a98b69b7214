//! Three kinds of memory to run a scenario on: plain (one thread, to enumerate kills), loom's
//! (every interleaving and every value that the C11 model lets a load see, within a bound of
//! preemptions) and shuttle's (random schedules, sequentially consistent, for larger scenarios).

use std::sync::atomic::{AtomicU64, Ordering};

/// What one thread of a scenario does.
pub type Actor = Box<dyn FnOnce() + Send>;

/// Memory, fences and threads of a model checker.
pub trait Platform: Send + Sync + 'static {
    type Word: Send + Sync;
    fn word(value: u64) -> Self::Word;
    fn load(word: &Self::Word, order: Ordering) -> u64;
    fn store(word: &Self::Word, value: u64, order: Ordering);
    fn exchange(word: &Self::Word, current: u64, new: u64) -> Result<(), u64>;
    /// What a word is once all actors have come to their ends. (Loom does not order a store after
    /// the exchange that it met, so that a load might see either; the last one counts.)
    fn at_rest(word: &mut Self::Word) -> u64;
    fn fence(order: Ordering);
    /// Lets the others run: every loop that waits calls it.
    fn yield_now();
    /// Runs all actors, each in a thread of its own, to their ends.
    fn together(actors: Vec<Actor>);
    /// Two of them.
    fn together_two(one: impl FnOnce() + Send + 'static, two: impl FnOnce() + Send + 'static) {
        Self::together(vec![Box::new(one), Box::new(two)]);
    }
}

/// What the three kinds of atomic have in common but for their names.
macro_rules! words_of {
    ($atomic:ty, $fence:path) => {
        type Word = $atomic;
        fn word(value: u64) -> Self::Word {
            <$atomic>::new(value)
        }
        fn load(word: &Self::Word, order: Ordering) -> u64 {
            word.load(order)
        }
        fn store(word: &Self::Word, value: u64, order: Ordering) {
            word.store(value, order);
        }
        fn exchange(word: &Self::Word, current: u64, new: u64) -> Result<(), u64> {
            word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
        }
        fn fence(order: Ordering) {
            $fence(order);
        }
    };
}

/// Plain memory: its actors run one after the other.
pub struct Plain;

impl Platform for Plain {
    words_of!(AtomicU64, std::sync::atomic::fence);

    fn at_rest(word: &mut Self::Word) -> u64 {
        *word.get_mut()
    }

    fn yield_now() {
        panic!("somebody waits where nobody else runs");
    }

    fn together(actors: Vec<Actor>) {
        actors.into_iter().for_each(|actor| actor());
    }
}

/// Memory whose orderings are explored.
pub struct Loom;

/// Of a thread in loom, in words of 8 bytes: the default is too little for unoptimised frames.
const LOOM_STACK: usize = 0x8000;

impl Platform for Loom {
    words_of!(loom::sync::atomic::AtomicU64, loom::sync::atomic::fence);

    fn at_rest(word: &mut Self::Word) -> u64 {
        word.with_mut(|value| *value)
    }

    fn yield_now() {
        loom::thread::yield_now();
    }

    fn together(actors: Vec<Actor>) {
        let spawn =
            |actor| loom::thread::Builder::new().stack_size(LOOM_STACK).spawn(actor).unwrap();
        let threads: Vec<_> = actors.into_iter().map(spawn).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Memory whose schedules are drawn at random.
pub struct Shuttle;

impl Platform for Shuttle {
    words_of!(shuttle::sync::atomic::AtomicU64, shuttle::sync::atomic::fence);

    fn at_rest(word: &mut Self::Word) -> u64 {
        *word.get_mut()
    }

    fn yield_now() {
        shuttle::thread::yield_now();
    }

    fn together(actors: Vec<Actor>) {
        let threads: Vec<_> = actors.into_iter().map(shuttle::thread::spawn).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Explores every execution of a scenario with at most so many preemptions
/// (`LOOM_MAX_PREEMPTIONS`, if set, is asked instead).
pub fn explore(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 20_000;
    let count = std::sync::Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!("{} executions", count.load(Ordering::Relaxed));
}

/// Runs a scenario under so many random schedules. The seed is printed, and taken from
/// `SHUTTLE_RANDOM_SEED` if that is set.
pub fn draw(schedules: usize, scenario: impl Fn() + Send + Sync + 'static) {
    const SEED: u64 = 0x1A2D_E25E_ED00_0001;
    println!("seed {SEED}, unless SHUTTLE_RANDOM_SEED is set");
    let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(SEED, schedules);
    let mut config = shuttle::Config::new();
    // It warns of every ordering but the sequentially consistent one; those are loom's part.
    config.silence_warnings = true;
    config.stack_size = 4 * LOOM_STACK;
    shuttle::Runner::new(scheduler, config).run(scenario);
}
