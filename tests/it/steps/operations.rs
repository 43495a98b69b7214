//! The operations that are stepped through: how each store is prepared, what is done to it, and what
//! may have come of that at any moment.

use std::path::Path;

use super::examine::Rule;
use super::role::builder;
use crate::common::Random;

/// One operation on a store made for it.
pub struct Operation {
    /// Its name in reports.
    pub name: &'static str,
    /// Commands before it.
    pub prepare: Vec<String>,
    /// The commands that are stepped through.
    pub commands: Vec<String>,
    /// What may come of them; what the store held before is added later.
    pub rule: Rule,
    /// In a short run one in so many states is looked at, of those behind the first.
    pub share: u64,
}

fn operation(name: &'static str, prepare: &[&str], commands: &[&str], share: u64) -> Operation {
    let own = |list: &[&str]| list.iter().map(|&line| line.to_owned()).collect();
    let rule = Rule { boot: 1, ..Rule::default() };
    Operation { name, prepare: own(prepare), commands: own(commands), rule, share }
}

impl Operation {
    /// It stores `version` under these keys.
    fn puts(mut self, keys: std::ops::Range<u64>, version: u64) -> Self {
        self.rule.news.extend(keys.map(|key| (key, Some(version))));
        self
    }

    fn removes(mut self, keys: impl Iterator<Item = u64>) -> Self {
        self.rule.news.extend(keys.map(|key| (key, None)));
        self
    }

    fn loses(mut self, losses: usize) -> Self {
        self.rule.losses = losses;
        self
    }

    fn of_entries(mut self, entries: u64) -> Self {
        self.rule.entries = entries;
        self
    }
}

/// All of them, with lengths drawn anew: those that take few instructions, and those that take many.
pub fn operations(random: &mut Random) -> [Vec<Operation>; 2] {
    let open = "open 0 1";
    let length = 24 + random.below(120);
    let fill = &format!("put 0 12 1 {}", 24 + random.below(400));
    let put = &format!("put 5 6 2 {length}");
    let new = &format!("put 100 101 2 {length}");
    let short = vec![
        operation("first put", &[open], &[new], 1).puts(100..101, 2),
        operation("overwrite", &[open, fill], &[put], 1).puts(5..6, 2),
        operation("remove", &[open, fill], &["remove 5 6 1"], 1).removes(5..6),
        operation("clear", &[open, fill], &["clear"], 1),
        operation("eviction by entries", &["open 12 1", fill], &[new], 2)
            .puts(100..101, 2)
            .of_entries(12)
            .loses(1),
        operation("sync", &[open, fill, "sync", put], &["sync"], 1),
        operation("first sync", &[open, fill], &["sync"], 1),
        operation("put after a sync", &[open, fill, "sync"], &[put], 2).puts(5..6, 2),
        operation("close", &[open, fill], &["close"], 1),
        operation("creation", &[], &[open], 1),
        operation("beginning anew", &[open, fill, "close", "lose"], &[open], 1),
    ];
    let long = vec![
        operation("page split", &[open, "put 0 184 1 24"], &["put 184 185 1 24"], 12)
            .puts(184..185, 1),
        operation("attaching", &[open, fill, "close"], &[open, put], 1).puts(5..6, 2),
        operation("another boot", &[open, fill, put, "close"], &["open 0 2"], 3),
        operation("upkeep after a clear", &[open, fill, "clear"], &["put 100 104 2 24"], 2)
            .puts(100..104, 2),
        operation("eviction by bytes", &[open, "put 0 90 1 9000"], &["put 100 102 2 9000"], 200)
            .puts(100..102, 2)
            .loses(30),
        operation("compaction", &garbage(&[]), &["compact"], 10),
        operation("compaction after a sync", &garbage(&["sync"]), &["compact", "sync"], 10),
        operation(
            "page split after a sync",
            &[open, "put 0 184 1 24", "sync"],
            &["put 184 185 1 24"],
            12,
        )
        .puts(184..185, 1),
        operation("a lowered limit", &[open, fill, "close"], &["open 6 1"], 4).loses(6),
        operation("expiry", &[open, fill, "brief 20 26 1 40"], &["maintain"], 4),
    ];
    let mut both = [short, long];
    for operation in both.iter_mut().flatten() {
        operation.rule.clears = operation.name == "clear";
        if operation.name == "another boot" {
            operation.rule.boot = 2;
        }
        operation.rule.begins_anew = operation.name == "beginning anew";
        operation.rule.recovers =
            operation.rule.begins_anew || ["creation", "another boot"].contains(&operation.name);
    }
    both
}

/// Some segments with little that lives between much that was removed.
fn garbage<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let puts = ["open 0 1", "put 0 4 1 90", "put 50 53 1 20000", "put 4 8 1 200"];
    let more_puts = ["put 53 56 1 20000", "put 8 12 1 40", "put 56 59 1 20000"];
    [&puts[..], &more_puts, &["remove 50 59 1"], more].concat()
}

/// What the first does that finds a store as its last writer left it in the middle of a commit.
pub fn takeover(mut rule: Rule) -> Operation {
    let key = 500;
    if rule.clears {
        rule.news = rule.before.keys().map(|key| (*key, None)).collect();
    }
    rule.unsure = rule.news.len();
    rule.news.push((key, Some(3)));
    rule.losses += usize::from(rule.entries > 0);
    rule.clears = false;
    let commands =
        vec![format!("open {} {}", rule.entries, rule.boot), format!("put {key} {} 3 24", key + 1)];
    Operation { name: "takeover", prepare: Vec::new(), commands, rule, share: 2 }
}

/// What opens a store of a rule as the tester does.
pub fn open(directory: &Path, rule: &Rule) -> larder::FileCache {
    builder(rule.entries, rule.boot).open(directory).unwrap()
}
