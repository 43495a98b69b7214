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
    ("store", 41),
    ("session", 42),
    ("entries", 50),
    ("sync", 51),
    ("reclaim", 52),
    ("verify", 52),
    ("request", 53),
    ("directory", 54),
    ("recovery", 55),
    ("open", 56),
    ("cache", 60),
    ("lib", 70),
    // Not in the product: they may use anything.
    ("models", u32::MAX),
];

/// Within each folder of `src`: its files and folders, the lowest first. Each imports only what
/// stands before it. The folder's `mod.rs` is above them all, and is imported by none of them.
pub const ORDERS: &[(&str, &[&str])] = &[
    (
        "src/cache",
        &[
            "fills", "process", "lookup", "stages", "builder", "handle", "get", "put", "view",
            "iter", "many", "fill", "report",
        ],
    ),
    ("src/directory", &["lock", "identity", "header", "files", "order", "limits", "users"]),
    ("src/entries", &["locate", "release", "duplicates", "publish", "growth", "unpublished"]),
    (
        "src/format",
        &[
            "files", "address", "check", "lock", "record", "segment", "slot", "page", "intent",
            "control", "identity", "walk", "spec",
        ],
    ),
    ("src/format/spec", &["table", "blocks", "entries"]),
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
            "reserving",
            "splitting",
            "storms",
        ],
    ),
    ("src/open", &["source", "reader", "create", "attach", "limits", "opened"]),
    (
        "src/reclaim",
        &[
            "writer", "facts", "repair", "moves", "walks", "records", "step", "plans", "hands",
            "clear", "upkeep", "room", "first",
        ],
    ),
    ("src/recovery", &["epoch", "active", "duplicates", "pass", "table", "steps", "boot"]),
    (
        "src/session",
        &["counters", "pins", "disk", "medium", "attached", "take", "chunks", "write", "free"],
    ),
    ("src/store", &["readings", "records", "cursor", "transitions", "barrier"]),
    ("src/sys/simulated", &["side", "file", "answers"]),
    (
        "src/sys",
        &[
            "bytes",
            "fork",
            "naps",
            "space",
            "door",
            "clock",
            "lock",
            "files",
            "kernel",
            "simulated",
            "mapping",
            "tags",
            "words",
            "memory",
        ],
    ),
];

/// Folders whose files import each other in a circle, or from the head of the folder.
pub const NOT_ORDERED_YET: &[&str] = &[];

/// Files in circles: a circle of these alone is let pass.
pub const KNOWN_CIRCLES: &[&str] = &[
    // A cell, what it runs, and what it measures.
    // Roles, and `main` with constants that they use.
    "examples/tour/catalogue.rs",
    "examples/tour/child.rs",
    "examples/tour/main.rs",
    "examples/tour/roles.rs",
    "examples/tour/table.rs",
    "examples/tour/watch.rs",
    // What is told, and the tables that it is told in.
    // `FileCache`, its methods, and the head that hands on their results.
    // The head: verbs, and what each verb uses.
    // Tables, and the head that puts them together.
    // Attaching, mending and creating.
    // Steps, room and upkeep; `Worker` is in the head.
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
    // Tells a story from its beginning to its end.
    ("examples/tour/main.rs", "tour"),
    ("examples/tour/table.rs", "print"),
    // A line a field.
    ("cli/src/verbs/stat.rs", "lines"),
    // With the tests of its plans.
    ("src/policy.rs", ""),
    // Copying: a block of assembly with its proof.
    ("src/sys/bytes.rs", "copy"),
];

/// Functions that take too many arguments.
pub const TOO_MANY_ARGUMENTS: &[(&str, &str)] = &[];
