//! The graph of a package's files: its circles, and the orders that go down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::imports::{Import, imports};
use super::sources::{Package, packages};
use super::tree::Tree;
use super::types::Types;

/// Who imports whom in a package.
pub struct Graph {
    pub paths: Vec<String>,
    /// Whether a file is compiled for tests alone.
    pub is_test: Vec<bool>,
    pub imports: Vec<Import>,
    /// What the checker does not see: files that no module declares, and paths that it cannot
    /// follow.
    pub unseen: Vec<String>,
}

/// The graphs of all packages, by their folders: made once, as it takes a second.
pub fn graphs() -> &'static BTreeMap<String, Graph> {
    static GRAPHS: LazyLock<BTreeMap<String, Graph>> = LazyLock::new(|| {
        packages().iter().map(|package| (package.folder.clone(), Graph::of(package))).collect()
    });
    &GRAPHS
}

impl Graph {
    pub fn of(package: &Package) -> Self {
        let tree = Tree::of(package);
        let types = Types::of(&tree);
        let paths: Vec<String> = tree.files.iter().map(|file| file.path.clone()).collect();
        let is_test = tree.files.iter().map(|file| file.is_test).collect();
        let (mut all, mut unseen) = (Vec::new(), Vec::new());
        for (file, path) in paths.iter().enumerate() {
            let imports = imports(&tree, &types, file);
            all.extend(imports.found);
            unseen.extend(imports.lost.iter().map(|(line, lost)| format!("{path}:{line}: {lost}")));
            unseen.extend(tree.files[file].module.is_none().then(|| path.clone()));
        }
        Self { paths, is_test, imports: all, unseen }
    }

    /// The circles: files of which each imports each other, if by way of others.
    pub fn circles(&self) -> Vec<Vec<usize>> {
        let pairs = self.imports.iter().map(|import| (import.from, import.to));
        circles(&pairs.collect())
    }

    /// A circle and the imports that make it, a line a pair of files.
    pub fn tell(&self, circle: &[usize]) -> String {
        let names: Vec<&str> = circle.iter().map(|file| self.paths[*file].as_str()).collect();
        let pairs = self.pairs().into_iter();
        let inside = pairs.filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
        let mut lines = vec![format!("a circle of {}: {}", circle.len(), names.join(", "))];
        lines.extend(inside.map(|(_, imports)| self.line(&imports)));
        lines.join("\n    ")
    }

    /// The imports of each file from each other.
    pub fn pairs(&self) -> BTreeMap<(usize, usize), Vec<&Import>> {
        let mut pairs = BTreeMap::<_, Vec<&Import>>::new();
        for import in &self.imports {
            pairs.entry((import.from, import.to)).or_default().push(import);
        }
        pairs
    }

    /// The imports of one file from another as a line: the first place of each thing.
    pub fn line(&self, imports: &[&Import]) -> String {
        let mut places = BTreeMap::new();
        for import in imports {
            let what = import.what.strip_prefix("use ").unwrap_or(&import.what);
            let what = what.rsplit("super::").next().unwrap();
            let line = places.entry(what).or_insert(import.line);
            *line = import.line.min(*line);
        }
        let mut places: Vec<(&str, usize)> = places.into_iter().collect();
        places.sort_by_key(|(_, line)| *line);
        let by: Vec<String> = places.iter().map(|(what, at)| format!("{what} (:{at})")).collect();
        let (from, to) = (&self.paths[imports[0].from], &self.paths[imports[0].to]);
        format!("{from}:{} -> {to}, by {}", places[0].1, by.join(", "))
    }
}

/// Sets of more than one that reach each other.
pub fn circles<T: Copy + Ord>(pairs: &BTreeSet<(T, T)>) -> Vec<Vec<T>> {
    let all: BTreeSet<T> = pairs.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let reached: BTreeMap<T, BTreeSet<T>> =
        all.iter().map(|one| (*one, reached(pairs, *one))).collect();
    let mut circles = BTreeSet::new();
    for (one, others) in &reached {
        let circle: Vec<T> =
            others.iter().copied().filter(|other| reached[other].contains(one)).collect();
        circles.extend((circle.len() > 1).then_some(circle));
    }
    circles.into_iter().collect()
}

/// What can be got at from one, itself only if it is on a circle.
fn reached<T: Copy + Ord>(pairs: &BTreeSet<(T, T)>, from: T) -> BTreeSet<T> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(one) = open.pop() {
        for (_, to) in pairs.iter().filter(|(from, _)| *from == one) {
            if reached.insert(*to) {
                open.push(*to);
            }
        }
    }
    reached
}

/// An order of all in which each comes after what it imports; none if there is a circle.
pub fn order<'a>(all: &BTreeSet<&'a str>, pairs: &BTreeSet<(&str, &str)>) -> Option<Vec<&'a str>> {
    let mut order = Vec::new();
    while order.len() < all.len() {
        let is_next = |one: &&&str| {
            let open = |to: &str| to != **one && !order.contains(&to);
            !order.contains(*one) && !pairs.iter().any(|(from, to)| from == *one && open(to))
        };
        let next = all.iter().find(is_next)?;
        order.push(*next);
    }
    Some(order)
}
