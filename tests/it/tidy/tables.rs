//! What is edited when the house is rebuilt: floors, orders within folders, and what is let pass.
//!
//! What is let pass are debts: `NOT_ORDERED_YET`, `KNOWN_CIRCLES`, `TOO_LONG` and
//! `TOO_MANY_ARGUMENTS` shall be empty. Tests fail at a line in them that is not needed any longer.

/// What may import what: only what has a lower number, and itself (a folder is one floor; `ORDERS`
/// has the order within it). Those of equal number do not know each other.
pub const FLOORS: &[(&str, u32)] = &[
    ("format", 10),
    // The door to the operating system, limits and errors: errors lowest.
    ("error", 20),
    ("sys", 21),
    ("config", 22),
    ("transaction", 30),
    ("index", 30),
    ("policy", 40),
    ("segments", 41),
    ("entries", 50),
    ("sync", 51),
    ("reclaim", 52),
    ("open", 53),
    ("cache", 60),
    ("lib", 70),
    ("cli", 80),
    ("main", 81),
    // Not in the product: they may use anything.
    ("models", u32::MAX),
];

/// Within each folder of `src`: its files and folders, the lowest first. Each imports only what
/// stands before it. The folder's `mod.rs` is above them all, and is imported by none of them.
pub const ORDERS: &[(&str, &[&str])] = &[
    ("src/entries", &["locate", "orphans", "release", "split", "publish"]),
    (
        "src/models",
        &[
            "platform",
            "world",
            "locking",
            "dying",
            "segments",
            "pinning",
            "reading",
            "splitting",
            "storms",
        ],
    ),
    (
        "src/segments",
        &["hook", "original", "pins", "read", "statistics", "ground", "take", "reserve", "walk"],
    ),
    (
        "src/sys",
        &["bytes", "clock", "fork", "lock", "mapping", "space", "files", "tags", "words", "memory"],
    ),
];

/// Folders whose files import each other in a circle, or from the head of the folder.
pub const NOT_ORDERED_YET: &[&str] = &[
    // Children use `FileCache` and `Process`, which the head defines.
    "src/cache",
    // Verbs use what the head defines.
    "src/cli",
    // `identity` uses a constant of the head.
    "src/format",
    // Tables are made of what the head defines.
    "src/format/spec",
    // Circles.
    "src/open",
    "src/reclaim",
];

/// Files in circles: a circle of these alone is let pass.
pub const KNOWN_CIRCLES: &[&str] = &[
    // A cell, what it runs, and what it measures.
    "benches/peers/src/cell.rs",
    "benches/peers/src/measure.rs",
    "benches/peers/src/workload.rs",
    "benches/peers/src/workloads/bounded.rs",
    "benches/peers/src/workloads/children.rs",
    "benches/peers/src/workloads/crews.rs",
    "benches/peers/src/workloads/growth.rs",
    "benches/peers/src/workloads/many.rs",
    "benches/peers/src/workloads/mod.rs",
    "benches/peers/src/workloads/opening.rs",
    "benches/peers/src/workloads/plain.rs",
    // Roles, and `main` with constants that they use.
    "examples/tour/catalogue.rs",
    "examples/tour/child.rs",
    "examples/tour/main.rs",
    "examples/tour/roles.rs",
    "examples/tour/table.rs",
    "examples/tour/watch.rs",
    // What is told, and the tables that it is told in.
    "proof/src/mutations.rs",
    "proof/src/run.rs",
    "proof/src/table.rs",
    // `FileCache`, its methods, and the head that hands on their results.
    "src/cache/builder.rs",
    "src/cache/fill.rs",
    "src/cache/get.rs",
    "src/cache/iter.rs",
    "src/cache/mod.rs",
    "src/cache/put.rs",
    "src/cache/report.rs",
    "src/cache/view.rs",
    // The head: verbs, and what each verb uses.
    "src/cli/compact.rs",
    "src/cli/get.rs",
    "src/cli/ls.rs",
    "src/cli/mod.rs",
    "src/cli/put.rs",
    "src/cli/rm.rs",
    "src/cli/stat.rs",
    "src/cli/verify.rs",
    // Tables, and the head that puts them together.
    "src/format/spec/blocks.rs",
    "src/format/spec/entries.rs",
    "src/format/spec/mod.rs",
    // Attaching, mending and creating.
    "src/open/attach.rs",
    "src/open/boot.rs",
    "src/open/create.rs",
    "src/open/limits.rs",
    "src/open/mend.rs",
    "src/open/mod.rs",
    "src/open/reader.rs",
    // Steps, room and upkeep; `Worker` is in the head.
    "src/reclaim/first.rs",
    "src/reclaim/mod.rs",
    "src/reclaim/moves.rs",
    "src/reclaim/room.rs",
    "src/reclaim/skim.rs",
    "src/reclaim/step.rs",
    "src/reclaim/upkeep.rs",
    // The table of what children play, and those who start them.
    "tests/it/big.rs",
    "tests/it/children.rs",
    "tests/it/corpus.rs",
    "tests/it/counters.rs",
    "tests/it/errors.rs",
    "tests/it/faults/every_call.rs",
    "tests/it/forged.rs",
    "tests/it/fork.rs",
    "tests/it/full.rs",
    "tests/it/hostile.rs",
    "tests/it/processes.rs",
    "tests/it/steps/role.rs",
    "tests/it/storm/board.rs",
    "tests/it/storm/mod.rs",
    "tests/it/storm/supervisor.rs",
    "tests/it/storm/worker.rs",
    "tests/it/system_calls.rs",
    "tests/it/vandal.rs",
    // The macro for checks, and a check that the head runs.
    "tests/it/fuzz/chunk.rs",
    "tests/it/fuzz/mod.rs",
    // `Player`, whose methods are in several files.
    "tests/it/model/fill.rs",
    "tests/it/model/handles.rs",
    "tests/it/model/mod.rs",
    "tests/it/model/player.rs",
];

/// Files that are too long, and functions of theirs: a path, and a function's name or nothing.
pub const TOO_LONG: &[(&str, &str)] = &[
    // Each kind of call in turn, and what is told of it.
    ("benches/peers/src/workloads/many.rs", "beside_single"),
    // Tells a story from its beginning to its end.
    ("examples/tour/main.rs", "tour"),
    ("examples/tour/table.rs", "print"),
    // Over by a line.
    ("proof/src/run.rs", "tests"),
    ("src/cache/get.rs", "look_up"),
    ("src/segments/reserve.rs", "reserve"),
    // A line a field.
    ("src/cli/stat.rs", "lines"),
    // Under the lock, all at once.
    ("src/entries/publish.rs", "decide"),
    // Steps in a row.
    ("src/open/boot.rs", "mend_shared"),
    ("src/open/reader.rs", "map"),
    // With the tests of its plans.
    ("src/policy.rs", ""),
    // Who is evicted, and each case of a record.
    ("src/reclaim/room.rs", "evict_one"),
    ("src/reclaim/step.rs", "treat"),
    // Copying: a block of assembly with its proof.
    ("src/sys/bytes.rs", "copy"),
];

/// Functions that take too many arguments.
pub const TOO_MANY_ARGUMENTS: &[(&str, &str)] = &[
    // What a walk knows of a record.
    ("src/reclaim/step.rs", "treat"),
];
