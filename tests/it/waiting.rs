//! Those who wait for a value that another computes, when that one does not end: they go on at a deadline,
//! and what comes late undoes nothing.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use larder::{Builder, ErrorKind, FileCache, OnFillTimeout};

use crate::children::{Process, listen, say};
use crate::common::fast_directory;
use crate::exercise::assert_is_clear;

/// A deadline that passes while a test waits for it.
const SOON: Duration = Duration::from_millis(100);

fn impatient() -> Builder {
    FileCache::builder().max_bytes(8 << 20).fill_timeout(SOON)
}

/// What `work` answers, which may not take for ever.
fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, answer) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    answer.recv_timeout(Duration::from_secs(60)).expect("it does not end, or it failed")
}

/// Asks for a key in another thread, and waits for that.
fn ask_elsewhere(cache: &FileCache, key: &'static str, answer: &'static str) -> Vec<u8> {
    let cache = cache.clone();
    let asks = move || cache.get_or_insert_with(key, || answer.into()).unwrap();
    thread::spawn(asks).join().unwrap()
}

#[test]
fn a_closure_whose_thread_asks_for_the_same_key_ends() {
    let dir = fast_directory();
    let cache = impatient().open(dir.path().join("cache")).unwrap();
    let own = cache.clone();
    let outer = ends(move || {
        own.get_or_insert_with("key", || {
            assert_eq!(ask_elsewhere(&own, "key", "inner"), b"inner");
            b"outer".to_vec()
        })
    });
    // The inner one was stored first, and so it is the key's value for all.
    assert_eq!(outer.unwrap(), b"inner");
    assert_eq!(cache.get("key").as_deref(), Some(&b"inner"[..]));
    assert_eq!(cache.stats().unstored, 0);
}

#[test]
fn two_closures_whose_threads_ask_for_each_others_key_end() {
    let dir = fast_directory();
    let cache = impatient().open(dir.path().join("cache")).unwrap();
    let (both, cached) = (std::sync::Barrier::new(2), cache.clone());
    let crossing = move |own: &'static str, other: &'static str| {
        let computed = cached.get_or_insert_with(own, || {
            both.wait();
            ask_elsewhere(&cached, other, "from elsewhere");
            b"mine".to_vec()
        });
        computed.unwrap()
    };
    let values = ends(move || {
        thread::scope(|scope| {
            let other = scope.spawn(|| crossing("two", "one"));
            [crossing("one", "two"), other.join().unwrap()]
        })
    });
    for (key, value) in ["one", "two"].into_iter().zip(values) {
        assert_eq!(cache.get(key), Some(value), "{key}");
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads that ends with its last handle.
#[derive(Clone)]
struct Pool(Sender<Job>);

impl Pool {
    fn new(threads: usize) -> Self {
        let (jobs, wanted) = mpsc::channel::<Job>();
        let wanted = Arc::new(Mutex::new(wanted));
        for _ in 0..threads {
            let wanted = wanted.clone();
            let next = move || wanted.lock().unwrap().recv();
            thread::spawn(move || {
                while let Ok(job) = next() {
                    job();
                }
            });
        }
        Self(jobs)
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (tell, answer) = mpsc::channel();
        self.0.send(Box::new(move || _ = tell.send(work()))).unwrap();
        answer
    }
}

#[test]
fn eight_tasks_on_four_threads_whose_closure_needs_a_fifth_end_if_those_that_wait_are_let_go() {
    let dir = fast_directory();
    let cache = impatient().on_fill_timeout(OnFillTimeout::Fail);
    let cache = cache.open(dir.path().join("cache")).unwrap();
    let pool = Pool::new(4);
    let task = || {
        let (cache, own) = (cache.clone(), pool.clone());
        pool.run(move || {
            let compute = || own.run(|| b"computed".to_vec()).recv().unwrap();
            cache.get_or_insert_with("key", compute)
        })
    };
    let tasks: Vec<_> = (0..8).map(|_| task()).collect();
    let answers = ends(move || tasks.iter().map(|task| task.recv().unwrap()).collect::<Vec<_>>());
    let mut computed = 0;
    for answer in answers {
        match answer {
            Ok(value) => {
                assert_eq!(value, b"computed");
                computed += 1;
            }
            Err(error) => {
                assert_is_clear(&error);
                assert_eq!(error.kind(), ErrorKind::Busy);
                assert!(error.to_string().contains("fill_timeout"), "{error}");
            }
        }
    }
    assert!(computed > 0);
    assert_eq!(cache.get("key").as_deref(), Some(&b"computed"[..]));
}

#[test]
fn a_closure_that_computes_beside_another_and_asks_for_its_own_key_gets_an_error() {
    let dir = fast_directory();
    let cache = impatient().open(dir.path().join("cache")).unwrap();
    let own = cache.clone();
    let beside = move || {
        let asks = || own.get_or_insert_with("key", Vec::new).unwrap_err();
        own.get_or_insert_with("key", || asks().to_string().into_bytes()).unwrap()
    };
    let value =
        ends(move || cache.get_or_insert_with("key", || thread::spawn(beside).join().unwrap()));
    assert!(String::from_utf8(value.unwrap()).unwrap().contains("its own computation"));
}

#[test]
fn a_closure_asks_a_copy_of_its_cache_for_the_same_key() {
    let dir = fast_directory();
    let (path, copy) = (dir.path().join("cache"), dir.path().join("copy"));
    drop(impatient().open(&path).unwrap());
    std::fs::create_dir(&copy).unwrap();
    for name in ["store", "log", "index"] {
        std::fs::copy(path.join(name), copy.join(name)).unwrap();
    }
    let (cache, copy) = (impatient().open(&path).unwrap(), impatient().open(&copy).unwrap());
    let value = cache.get_or_insert_with("key", || {
        copy.get_or_insert_with("key", || b"of the copy".to_vec()).unwrap()
    });
    assert_eq!(value.unwrap(), b"of the copy");
}

/// Computes two values for as long as it is not told to go on, and says what it got.
pub fn late_filler(directory: &Path) {
    let cache = FileCache::open(directory).unwrap();
    for key in ["replaced", "cleared"] {
        let got = cache.get_or_insert_with(key, || {
            say("computing");
            listen();
            b"late".to_vec()
        });
        say(String::from_utf8(got.unwrap()).unwrap());
    }
    say(cache.stats().unstored);
}

#[test]
fn a_stopped_process_holds_others_until_the_deadline_and_undoes_nothing_when_it_goes_on() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = impatient().open(&path).unwrap();
    let mut zombie = Process::start("late filler", &path, 0);
    assert_eq!(zombie.hear().as_deref(), Some("computing"));
    zombie.signal(libc::SIGSTOP);
    let own = cache.clone();
    let made = ends(move || own.get_or_insert_with("replaced", || b"in time".to_vec()).unwrap());
    assert_eq!(made, b"in time");
    assert_eq!(cache.get_or_insert_with("replaced", || unreachable!()).unwrap(), b"in time");
    cache.insert("replaced", "newer").unwrap();
    zombie.signal(libc::SIGCONT);
    zombie.tell("go on");
    assert_eq!(zombie.hear().as_deref(), Some("newer"), "it gets what the others have");
    assert_eq!(cache.get("replaced").as_deref(), Some(&b"newer"[..]), "it undid a newer value");

    assert_eq!(zombie.hear().as_deref(), Some("computing"));
    zombie.signal(libc::SIGSTOP);
    cache.clear().unwrap();
    zombie.signal(libc::SIGCONT);
    zombie.tell("go on");
    assert_eq!(zombie.hear().as_deref(), Some("late"), "whoever computed it gets it");
    assert_eq!(cache.get("cleared"), None, "it was computed before the clear");
    assert_eq!(zombie.finish(), ["1"], "one value could not be stored");
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn a_value_stored_while_another_is_computed_stays() {
    let dir = fast_directory();
    let cache = impatient().open(dir.path().join("cache")).unwrap();
    let got = cache.get_or_insert_with("key", || {
        cache.insert("key", "stored meanwhile").unwrap();
        b"computed".to_vec()
    });
    assert_eq!(got.unwrap(), b"stored meanwhile");
    // What has expired by then is no value.
    let got = cache.get_or_insert_with("other", || {
        cache.insert_with_ttl("other", "short", Duration::from_millis(1)).unwrap();
        thread::sleep(Duration::from_millis(5));
        b"computed".to_vec()
    });
    assert_eq!(got.unwrap(), b"computed");
    assert_eq!(cache.get("other").as_deref(), Some(&b"computed"[..]));
}

#[test]
fn a_read_only_handle_waits_for_nobody() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().fill_timeout(Duration::MAX).open(&path).unwrap();
    let reader = FileCache::builder().read_only(true).open(&path).unwrap();
    let value = cache.get_or_insert_with("key", || {
        thread::scope(|scope| {
            let reads = || reader.get_or_insert_with("key", || b"its own".to_vec()).unwrap();
            scope.spawn(reads).join().unwrap()
        })
    });
    assert_eq!(value.unwrap(), b"its own");
}
