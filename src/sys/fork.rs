//! What a fork must do: a child keeps no lock of its parent, and makes its state anew.
//!
//! A handler (`pthread_atfork`) in the child closes the inherited lock descriptors, without
//! unlocking, and counts the fork. Whoever holds state that belongs to one process compares the
//! count, which is a relaxed load, and makes the state anew: see [`PerProcess`].

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// Forks between the first process of the program and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// Held while a descriptor is opened and registered, or a table is changed that all threads share, and during a
/// fork: a child never inherits a descriptor that its handler does not know of, nor a table half changed.
static OPENING: AtomicBool = AtomicBool::new(false);
/// Lock descriptors of this process.
static REGISTRY: Block = Block::new();

const NONE: RawFd = -1;

struct Block {
    descriptors: [AtomicI32; 64],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Self {
        Self {
            descriptors: [const { AtomicI32::new(NONE) }; 64],
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn next(&self) -> Option<&'static Block> {
        // SAFETY: only leaked blocks are ever stored there.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

/// Which process of a line of forks this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation(u64);

/// This process.
#[inline]
pub fn incarnation() -> Incarnation {
    Incarnation(FORKS.load(Ordering::Relaxed))
}

/// Runs `open`, which is to open a descriptor and hand it to the function it is given, while no
/// thread of this process can fork.
pub fn opening<T>(open: impl FnOnce(&dyn Fn(RawFd)) -> io::Result<T>) -> io::Result<T> {
    without_forks(|| open(&register))
}

/// Runs `work` while no thread of this process can fork: so no child inherits what it has half done. It is not
/// to wait for anybody, nor to come here again.
pub fn without_forks<T>(work: impl FnOnce() -> T) -> T {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        // SAFETY: the handlers are functions that live forever and, in the child, do only what is
        // safe there: atomics and `close`.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) };
    });
    enter();
    let _leaves = Leaves;
    work()
}

/// Lets others fork again, after a panic, too.
struct Leaves;

impl Drop for Leaves {
    fn drop(&mut self) {
        OPENING.store(false, Ordering::Release);
    }
}

fn enter() {
    while OPENING.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err()
    {
        std::thread::yield_now();
    }
}

fn register(descriptor: RawFd) {
    let mut block = &REGISTRY;
    loop {
        for place in &block.descriptors {
            if place.compare_exchange(NONE, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        block = match block.next() {
            Some(next) => next,
            None => {
                // Under `OPENING`, so no other thread appends.
                let next: &'static Block = Box::leak(Box::new(Block::new()));
                block.next.store(ptr::from_ref(next).cast_mut(), Ordering::Release);
                next
            }
        };
    }
}

/// Forgets a descriptor that is about to be closed.
pub fn unregister(descriptor: RawFd) {
    let mut block = Some(&REGISTRY);
    while let Some(this) = block {
        for place in &this.descriptors {
            if place.compare_exchange(descriptor, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        block = this.next();
    }
}

extern "C" fn before_fork() {
    enter();
}

extern "C" fn after_fork() {
    OPENING.store(false, Ordering::Release);
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    let mut block = Some(&REGISTRY);
    while let Some(this) = block {
        for place in &this.descriptors {
            let descriptor = place.swap(NONE, Ordering::Relaxed);
            if descriptor != NONE {
                // SAFETY: the child's copy of a descriptor that only `LockFile` knows, which does
                // not use or close it in a child.
                unsafe { libc::close(descriptor) };
            }
        }
        block = this.next();
    }
    OPENING.store(false, Ordering::Release);
}

/// A value that each process of a line of forks has of its own, made at its first use.
///
/// What was inherited is neither used nor dropped: a mutex in it may be held by a thread that does
/// not exist here, and dropping would undo what is the parent's.
#[derive(Debug)]
pub struct PerProcess<T> {
    newest: AtomicPtr<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    process: Incarnation,
    value: T,
}

impl<T> PerProcess<T> {
    /// With this process's value.
    pub fn new(value: T) -> Self {
        let node = Box::new(Node { process: incarnation(), value });
        Self { newest: AtomicPtr::new(Box::into_raw(node)) }
    }

    fn newest(&self) -> &Node<T> {
        // SAFETY: never null (`new`), and never freed before `self` is dropped: a node is replaced
        // only in a child of its process, and then left alone.
        unsafe { &*self.newest.load(Ordering::Acquire) }
    }

    /// This process's value, if it has one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        let node = self.newest();
        (node.process == incarnation()).then_some(&node.value)
    }

    /// This process's value, made by `make` from the parent's if there is none yet.
    #[cold]
    pub fn get_or_make<E>(&self, make: impl FnOnce(&T) -> Result<T, E>) -> Result<&T, E> {
        let old = self.newest.load(Ordering::Acquire);
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let value = make(&self.newest().value)?;
        let node = Box::into_raw(Box::new(Node { process: incarnation(), value }));
        if self.newest.compare_exchange(old, node, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // Another thread was faster. SAFETY: `node` was not shared.
            drop(unsafe { Box::from_raw(node) });
        }
        Ok(&self.newest().value)
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.get().is_some() {
            // SAFETY: made by `Box::into_raw`, and nobody else can use it any more.
            drop(unsafe { Box::from_raw(*self.newest.get_mut()) });
        }
    }
}
