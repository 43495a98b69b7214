//! Several openers of a store that has to be recovered: one recovers it, the others wait for as long as
//! that one moves.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use larder::internals::{Flush, Simulated};
use larder::{ErrorKind, FileCache};

use crate::common::fast_directory;
use crate::exercise::{KEYS, Sample, assert_is_clear};

/// How long they wait for one that does not move.
const PATIENCE: Duration = Duration::from_secs(2);

/// An environment of another boot than the sample's, in which each flush calls `flush`.
fn slow(flush: impl Fn() + Send + Sync + 'static) -> Simulated {
    let system = Simulated::default().in_boot([7, 7]);
    system.on_flush(move |_: &Path, when| {
        if when == Flush::Begins {
            flush();
        }
    });
    system
}

#[test]
fn openers_wait_for_as_long_as_the_one_that_recovers_the_store_moves() {
    let dir = fast_directory();
    let sample = Sample::new(&dir.path().join("cache"), Default::default());
    let (begun, begins) = mpsc::channel();
    // Ten flushes of recovery: twice as long as the others wait for one that does not move.
    let system = slow(move || {
        let _ = begun.send(());
        thread::sleep(PATIENCE / 5);
    });
    thread::scope(|scope| {
        let mender = scope.spawn(|| {
            let builder = FileCache::builder().environment(system.environment());
            builder.open(&sample.path).unwrap().opening().other_boot
        });
        begins.recv().unwrap();
        let others: Vec<_> = [false, true, false]
            .map(|read_only| {
                let builder = FileCache::builder().read_only(read_only).lock_timeout(PATIENCE);
                let environment = Simulated::default().in_boot([7, 7]).environment();
                scope.spawn(|| builder.environment(environment).open(&sample.path))
            })
            .into();
        for other in others {
            let cache = other.join().unwrap().unwrap();
            assert!(!cache.opening().other_boot);
            assert_eq!(cache.len(), KEYS);
        }
        assert!(mender.join().unwrap());
    });
}

#[test]
fn an_opener_does_not_wait_for_ever_for_one_that_was_stopped_while_it_recovers() {
    let dir = fast_directory();
    let sample = Sample::new(&dir.path().join("cache"), Default::default());
    let (begun, begins) = mpsc::channel();
    let go_on = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&go_on);
    let system = slow(move || {
        let _ = begun.send(());
        while !may_go_on.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
    });
    thread::scope(|scope| {
        let mender = scope.spawn(|| {
            let builder = FileCache::builder().environment(system.environment());
            builder.open(&sample.path).unwrap().len()
        });
        begins.recv().unwrap();
        for read_only in [false, true] {
            let environment = Simulated::default().in_boot([7, 7]).environment();
            let builder = FileCache::builder().environment(environment).read_only(read_only);
            let opened = builder.lock_timeout(Duration::from_millis(300)).open(&sample.path);
            let error = opened.unwrap_err();
            assert_is_clear(&error);
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        }
        go_on.store(true, Ordering::Relaxed);
        assert_eq!(mender.join().unwrap(), KEYS);
    });
}
