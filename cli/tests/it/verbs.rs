//! The program `larder`, run as a user runs it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::FileCache;
use serde_json::{Value, json};

use crate::program::{Fixture, PROGRAM, Ran, run, run_with};
use crate::untouched::{deny_writing, is_root, on_a_read_only_mount, set_mode, unchanged};

#[test]
fn what_is_put_is_got_listed_and_removed() {
    let store = Fixture::new();
    let at = store.at();
    assert_eq!(run(&["put", at, "c", "three"]).text(), "");
    assert_eq!(run(&["get", at, "c"]).text(), "three");
    let listed = run(&["ls", at]);
    let mut lines: Vec<&str> = listed.text().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "c"]);
    assert_eq!(run(&["ls", at, "--long", "--prefix", "c"]).text(), "       5 B  c\n");
    assert_eq!(run(&["ls", at, "--limit", "2"]).text().lines().count(), 2);
    assert_eq!(run(&["ls", at, "--prefix", "x"]).text(), "");
    assert_eq!(run(&["rm", at, "a", "c"]).text(), "");
    assert_eq!(run(&["ls", at]).text(), "b\n");
    let stat = run(&["stat", at]);
    assert!(stat.text().contains("entries          1 (no limit)\n"), "{stat:?}");
    assert!(stat.text().contains("at most 8.0 MiB"), "{stat:?}");
    assert!(run(&["verify", at]).text().ends_with("The store is sound.\n"));
    assert!(run(&["compact", at]).text().contains("freed"));
    assert_eq!(store.cache().get("b").as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_cache_gets_limits_that_its_files_are_not_cut_for() {
    let store = Fixture::new();
    let at = store.at();
    let done = run(&["relimit", at, "--max-bytes", "4GiB", "--max-entries", "9"]);
    assert_eq!(done.text(), "2 entries copied, 0 left out.\n");
    let stats = store.cache().stats();
    assert_eq!((stats.max_bytes, stats.max_entries), (4 << 30, 9));
    let done = run(&["--json", "relimit", at, "--segment-size", "1MiB"]);
    assert_eq!(done.json(), [json!({"entries": 2, "left_out": 0})]);
    let cache = store.cache();
    assert_eq!((cache.stats().segment_bytes, cache.stats().max_bytes), (1 << 20, 4 << 30));
    assert_eq!(cache.get("b").as_deref(), Some(&b"two"[..]));
    // Not while it is in use, and not for what cannot be.
    let busy = run(&["relimit", at, "--max-bytes", "1GiB"]);
    assert!(busy.code == 4 && busy.error.contains("use the store"), "{busy:?}");
    drop(cache);
    assert_eq!(run(&["relimit", at, "--max-bytes", "much"]).code, 2);
    assert_eq!(run(&["relimit", at, "--max-bytes", "1kB"]).code, 4);
    assert_eq!(run(&["ls", at]).text().lines().count(), 2);
}

#[test]
fn values_come_from_argument_file_or_input_and_go_to_a_file() {
    let store = Fixture::new();
    let at = store.at();
    let bytes: Vec<u8> = (0..100_000u64).map(|i| ((i * i) >> 7) as u8).collect();
    let (source, target) = (store.file("source"), store.file("target"));
    std::fs::write(&source, &bytes).unwrap();
    run(&["put", at, "file", "--file", &source]).text();
    assert_eq!(run_with(&["put", at, "input"], &bytes).text(), "");
    assert_eq!(run(&["get", at, "file"]).out, bytes);
    assert_eq!(run(&["get", at, "input", "--output", &target]).text(), "");
    assert_eq!(std::fs::read(&target).unwrap(), bytes);
    run_with(&["put", at, "empty"], b"").text();
    assert_eq!(run(&["get", at, "empty"]).text(), "");
    assert_eq!(run(&["put", at, "--", "-k", "-v"]).text(), "");
    assert_eq!(run(&["get", at, "--", "-k"]).text(), "-v");

    let missing = run(&["get", at, "none", "--output", &store.file("untouched")]);
    assert_eq!(missing.code, 1);
    assert!(!Path::new(&store.file("untouched")).exists());
    let unread = run(&["put", at, "k", "--file", &store.file("missing")]);
    assert_eq!(unread.code, 4);
    assert!(unread.error.contains("missing: cannot open it"), "{unread:?}");
    let large = run_with(&["put", at, "k"], &vec![0; 1 << 20]);
    assert_eq!(large.code, 4);
    assert!(large.error.contains("Store less"), "{large:?}");
}

#[test]
fn keys_and_values_of_any_bytes_are_named_in_hex_and_shown_escaped() {
    let store = Fixture::new();
    let at = store.at();
    let all: Vec<u8> = (0..=255).collect();
    let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
    run_with(&["put", at, "--hex", &hex], &all).text();
    assert_eq!(run(&["get", at, "--hex", &hex]).out, all);
    assert_eq!(store.cache().get(&all), Some(all.clone()));
    assert_eq!(run(&["ls", at, "--hex", "--prefix", "0001"]).text().trim(), hex);
    let got = run(&["get", at, "--hex", &hex, "--json"]).json();
    let expected = json!({
        "key": hex, "key_encoding": "hex", "value": hex, "value_encoding": "hex", "value_bytes": 256,
    });
    assert_eq!(got, [expected]);
    assert_eq!(run(&["rm", at, "--hex", &hex]).text(), "");
    // A key that is text, too.
    let removed = run(&["rm", at, "--hex", "6b6579", "--json"]).json();
    assert_eq!(removed[0], json!({"key": "6b6579", "key_encoding": "hex", "removed": false}));

    run(&["put", at, "\u{1b}[2J\n\\\u{202e}käse", "v"]).text();
    let shown = run(&["ls", at]);
    assert!(shown.text().contains("\\u{1b}[2J\\n\\\\\\u{202e}käse\n"), "{shown:?}");
    let missing = run(&["get", at, "no\u{7}ne"]);
    assert_eq!((missing.code, &*missing.error), (1, "larder: there is no key no\\u{7}ne\n"));
    assert_eq!(run(&["get", at, "--hex", "0"]).code, 2);
}

#[test]
fn json_has_the_fields_that_are_documented() {
    let store = Fixture::new();
    let at = store.at();
    let document = include_str!("../../README.md");
    for arguments in [
        &["stat", at][..],
        &["ls", at, "--prefix", "a"],
        &["get", at, "a"],
        &["put", at, "c", "three"],
        &["rm", at, "c"],
        &["verify", at],
        &["compact", at],
    ] {
        let printed = run(&[arguments, &["--json"]].concat());
        assert!(printed.code == 0 && printed.error.is_empty(), "{printed:?}");
        let printed = printed.json();
        let row = format!("| `{}` | ", arguments[0]);
        let row = document.lines().find(|line| line.starts_with(&row)).unwrap();
        for field in printed[0].as_object().unwrap().keys() {
            assert!(row.contains(&format!("`{field}`")), "{field} is missing in: {row}");
        }
        assert_eq!(printed.len(), 1);
    }
    assert_eq!(
        run(&["ls", at, "--json", "--prefix", "a"]).json(),
        [json!({"key": "a", "key_encoding": "utf-8", "value_bytes": 3})]
    );
    let removed = run(&["rm", at, "--json", "a", "none"]);
    assert_eq!(removed.code, 0);
    assert_eq!(
        removed.json(),
        [
            json!({"key": "a", "key_encoding": "utf-8", "removed": true}),
            json!({"key": "none", "key_encoding": "utf-8", "removed": false}),
        ]
    );
    let stat = &run(&["stat", at, "--json"]).json()[0];
    assert_eq!((&stat["entries"], &stat["max_entries"]), (&json!(1), &Value::Null));
    assert_eq!((&stat["max_bytes"], &stat["time_to_live_ms"]), (&json!(8 << 20), &Value::Null));
    let verified = &run(&["verify", at, "--json"]).json()[0];
    assert_eq!((&verified["sound"], &verified["whole"]), (&json!(true), &json!(1)));
}

#[test]
fn times_to_live_are_kept_and_wrong_ones_refused() {
    let store = Fixture::new();
    let at = store.at();
    let builder = FileCache::builder().time_to_live(Duration::from_millis(1));
    drop(builder.open(&store.path).unwrap());
    run(&["put", at, "default", "v"]).text();
    run(&["put", at, "short", "v", "--ttl", "1ms"]).text();
    run(&["put", at, "long", "v", "--ttl", "1h 30m"]).text();
    run(&["put", at, "never", "v", "--ttl", "never"]).text();
    std::thread::sleep(Duration::from_millis(5));
    for (key, code) in [("default", 1), ("short", 1), ("long", 0), ("never", 0)] {
        assert_eq!(run(&["get", at, key]).code, code, "{key}");
    }
    assert!(run(&["stat", at]).text().contains("time to live     1ms\n"));
    let wrong = run(&["put", at, "k", "v", "--ttl", "soon"]);
    assert_eq!(wrong.code, 2);
}

#[test]
fn nothing_is_made_but_by_put_with_create() {
    let dir = tempfile::tempdir().unwrap();
    let alien = dir.path().join("alien");
    std::fs::create_dir(&alien).unwrap();
    std::fs::write(alien.join("file"), "mine").unwrap();
    let missing = dir.path().join("missing");
    for path in [&missing, &alien] {
        let at = path.to_str().unwrap();
        for arguments in [
            &["stat", at][..],
            &["ls", at],
            &["get", at, "k"],
            &["put", at, "k", "v"],
            &["rm", at, "k"],
            &["verify", at],
            &["compact", at],
        ] {
            let refused = unchanged(&alien, || run(arguments));
            assert_eq!(refused.code, 4, "{refused:?}");
            assert!(refused.out.is_empty());
            assert!(refused.error.starts_with(&format!("larder: {at}: ")), "{refused:?}");
            assert!(refused.error.contains("Check the path"), "{refused:?}");
        }
    }
    assert!(!missing.exists());
    let at = alien.to_str().unwrap();
    assert_eq!(unchanged(&alien, || run(&["put", at, "k", "v", "--create"])).code, 4);
    let at = missing.to_str().unwrap();
    assert_eq!(run(&["put", at, "k", "v", "--create"]).text(), "");
    assert_eq!(run(&["get", at, "k"]).text(), "v");
}

#[test]
fn exit_codes_tell_what_happened_and_the_help_documents_them() {
    let store = Fixture::new();
    let at = store.at();
    let help = run(&["--help"]);
    for code in ["0  done", "1  get", "2  the command", "3  the store", "4  any other"] {
        assert!(help.text().contains(code), "{help:?}");
    }
    for arguments in [&[][..], &["stat"], &["nonsense", at], &["rm", at], &["get", at, "a", "-x"]] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(run(&["put", at, "k", "v", "--file", "f"]).code, 2);
    assert_eq!(run(&["get", at, "none"]).code, 1);
    let removed = run(&["rm", at, "none", "nobody"]);
    assert_eq!((removed.code, removed.error.lines().count()), (1, 2));
    let removed = run(&["rm", at, "none", "a"]);
    assert_eq!((removed.code, removed.error.lines().count()), (0, 1));
    std::fs::remove_file(store.path.join("index")).unwrap();
    for verb in ["stat", "ls", "verify"] {
        let damaged = unchanged(&store.path, || run(&[verb, at]));
        assert_eq!(damaged.code, 3, "{damaged:?}");
        assert!(damaged.error.contains("index"), "{damaged:?}");
    }
}

#[test]
fn verify_says_what_is_damaged_and_what_to_do() {
    let store = Fixture::new();
    store.damage(b"aone", b"aOne");
    let found = unchanged(&store.path, || run(&["verify", store.at()]));
    let text = String::from_utf8(found.out).unwrap();
    assert_eq!(found.code, 3, "{text}");
    assert!(text.starts_with("1 entry is whole"), "{text}");
    assert!(text.contains("DAMAGED: 1 slot names a record"), "{text}");
    assert!(!text.contains("WRONG COUNT"), "{text}");
    assert!(text.trim_end().ends_with("to start with an empty cache."), "{text}");
    assert_eq!(run(&["get", store.at(), "a"]).code, 1);
    assert_eq!(run(&["get", store.at(), "b"]).text(), "two");

    // The counter of entries, in the control block.
    let log = std::fs::OpenOptions::new().write(true).open(store.path.join("log")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&log, &7u64.to_le_bytes(), 0x88).unwrap();
    let found = run(&["verify", store.at()]);
    let text = String::from_utf8(found.out).unwrap();
    assert!(text.contains("WRONG COUNT: the store counts 7 entries"), "{text}");
    let found = run(&["verify", "--json", store.at()]);
    assert_eq!(found.code, 3);
    let found = &found.json()[0];
    assert_eq!(
        (&found["sound"], &found["damaged"], &found["counted"]),
        (&json!(false), &json!(1), &json!(7))
    );
}

/// Sets a flag when dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_store_that_others_write_to_is_listed_changed_and_verified() {
    let store = Fixture::new();
    let at = store.at();
    let cache = store.cache();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // So few that nothing is evicted.
        let writer = scope.spawn(|| {
            for i in (0..4000u32).cycle() {
                cache.insert(i.to_le_bytes(), vec![i as u8; 500]).unwrap();
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        // Dropped also by an assertion that fails, so that the writer ends.
        let _stop = Stop(&done);
        for round in 0..10 {
            let value = format!("value {round}");
            run(&["put", at, "mine", &value]).text();
            assert_eq!(run(&["get", at, "mine"]).text(), value);
            assert_eq!(cache.get("mine"), Some(value.into_bytes()));
            let listed = run(&["ls", at, "--json"]);
            assert_eq!((listed.code, &*listed.error), (0, ""));
            for line in listed.json().iter().filter(|line| line["key_encoding"] == "hex") {
                assert_eq!(line["value_bytes"], 500);
            }
            run(&["stat", at]).text();
            run(&["verify", at]).text();
            run(&["compact", at]).text();
            run(&["rm", at, "mine"]).text();
        }
        assert!(!writer.is_finished(), "it failed");
    });
    assert_eq!(cache.stats().evictions, 0);
    assert!(cache.verify().unwrap().is_sound());
}

/// Every verb that only reads, with what it is given and the code it ends with.
const READING: [(&[&str], i32); 7] = [
    (&["stat"], 0),
    (&["ls"], 0),
    (&["ls", "--long", "--json"], 0),
    (&["get", "a"], 0),
    (&["get", "none"], 1),
    (&["verify"], 0),
    (&["verify", "--json"], 0),
];

fn read_by(path: &Path, command: &dyn Fn() -> Command) {
    for (arguments, code) in READING {
        let (verb, rest) = arguments.split_first().unwrap();
        let ran: Ran = command().arg(verb).arg(path).args(rest).output().unwrap().into();
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
    }
}

#[test]
fn verbs_that_read_modify_nothing() {
    let store = Fixture::new();
    let command = || Command::new(PROGRAM);
    unchanged(&store.path, || read_by(&store.path, &command));
    let _in_use = store.cache();
    unchanged(&store.path, || read_by(&store.path, &command));
}

#[test]
fn verbs_that_read_work_where_nothing_can_be_written() {
    let store = Fixture::new();
    match on_a_read_only_mount(&store.path, Path::new(PROGRAM)) {
        Some(_) => unchanged(&store.path, || {
            read_by(&store.path, &|| {
                on_a_read_only_mount(&store.path, Path::new(PROGRAM)).unwrap()
            });
        }),
        None => println!("skipped: this machine allows no read-only bind mount"),
    }
    let program = store.file("larder");
    std::fs::copy(PROGRAM, &program).unwrap();
    set_mode(store.dir.path(), 0o755);
    deny_writing(&store.path);
    let command = || {
        let mut command = Command::new(&program);
        if is_root() {
            command.uid(65534).gid(65534);
        }
        command
    };
    unchanged(&store.path, || read_by(&store.path, &command));
    let refused: Ran = command().args(["rm", store.at(), "a"]).output().unwrap().into();
    assert_eq!(refused.code, 4, "{refused:?}");
    set_mode(&store.path, 0o755);
}

#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    let store = Fixture::new();
    let cache = store.cache();
    for i in 0..5000 {
        cache.insert(format!("a key that is rather long, so that pipes fill: {i}"), "v").unwrap();
    }
    for more in [&[][..], &["--json"], &["--long"]] {
        let mut child = Command::new(PROGRAM)
            .args(["ls", store.at()])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "{line}");
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    }
}
