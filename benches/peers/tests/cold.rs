//! The workloads beyond memory, small, by the program itself: it makes processes of its own.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const WORKLOADS: [&str; 6] =
    ["cold-get", "cold-zipf", "cold-miss", "cold-fill", "cold-churn", "cold-mixed"];
const PEERS: &str = "larder,raw-file,raw-file-2";
const SIZE: f64 = 16384.0;

/// Runs the program with a store on disk; its rows, and what it said.
fn run(arguments: &[&str]) -> (Vec<Value>, Output) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let json = directory.path().join("run.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder-peers"));
    command.args(["--directory", text(directory.path()), "--json", text(&json)]);
    command.args(["--memory", "48MiB", "--sizes", "16KiB", "--rounds", "1", "--settle", "0"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    (record["rows"].as_array().unwrap().clone(), output)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn measured<'a>(rows: &'a [Value], workload: &str, peer: &str) -> &'a Value {
    let right = |row: &&Value| row["cell"]["workload"] == workload && row["cell"]["peer"] == peer;
    let row = rows.iter().find(right).unwrap();
    let outcome = &row["finding"]["measured"];
    assert!(outcome.is_object(), "{workload} by {peer}: {}", row["finding"]);
    outcome
}

#[test]
fn every_workload_beyond_memory_is_measured_in_a_cgroup_with_what_the_device_had_to_do() {
    let workloads = WORKLOADS.join(",");
    let arguments =
        ["--workloads", &workloads, "--peers", PEERS, "--operations", "200", "--limit", "2"];
    let (rows, output) = run(&arguments);
    if String::from_utf8_lossy(&output.stderr).contains("no memory cgroup can be made") {
        println!("skipped: no memory cgroup can be made here");
        assert!(rows.iter().all(|row| row["finding"]["cannot"].is_string()));
        return;
    }
    for workload in WORKLOADS {
        for peer in ["larder", "raw-file"] {
            let outcome = measured(&rows, workload, peer);
            assert!(outcome["operations"].as_u64().unwrap() > 0, "{workload} by {peer}");
            assert!(outcome["read_an_operation"].is_f64(), "{workload} by {peer}");
        }
        let written = measured(&rows, workload, "raw-file")["written_an_operation"].as_f64();
        match workload {
            "cold-fill" | "cold-churn" => assert!(written.unwrap() >= SIZE, "{workload}"),
            "cold-mixed" => assert!(written.unwrap() > 0.0),
            _ => {}
        }
    }
    for peer in ["raw-file", "raw-file-2"] {
        let read = measured(&rows, "cold-get", peer)["read_an_operation"].as_f64().unwrap();
        // Some of what is read is still there when it is asked for again.
        assert!(read > SIZE / 2.0 && read < SIZE * 2.0, "{peer}: {read}");
    }
    assert_eq!(measured(&rows, "cold-fill", "larder")["kept"], 1.0);
    assert_eq!(measured(&rows, "cold-get", "larder")["hit_ratio"], 1.0);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("three times as much"), "{table}");
}

#[test]
fn without_a_cgroup_nothing_is_measured_and_it_says_why() {
    let (rows, output) = run(&["--workloads", "cold-get", "--peers", "larder", "--cgroup", "/"]);
    let reason = rows[0]["finding"]["cannot"].as_str().unwrap();
    assert!(reason.contains("no memory cgroup can be made"), "{reason}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Nothing is measured"));
}
