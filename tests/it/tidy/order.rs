//! Orders within folders: a file imports only what stands below it.

use std::collections::BTreeSet;

use super::graph::{Graph, graphs, order};
use super::report::assert_none;
use super::tables::{FLOORS, NOT_ORDERED_YET, ORDERS};

/// The tables that say what stands below what.
pub struct Orders<'a> {
    /// Of what stands in the outermost folder: its floors.
    pub floors: &'a [(&'a str, u32)],
    /// Of each folder below: its files and folders, the lowest first.
    pub folders: &'a [(&'a str, &'a [&'a str])],
    /// Folders that have no order yet.
    pub not_yet: &'a [&'a str],
}

/// The head of a folder: it may import its children, and they do not import it.
const HEAD: &str = "mod";

impl Orders<'_> {
    /// The imports that do not go down. Tests may use whatever they test.
    pub fn not_down(&self, graph: &Graph) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((from, to), imports) in graph.pairs() {
            let (folder, unit, imported) = parted(&graph.paths[from], &graph.paths[to]);
            let is_free = graph.is_test[from] && !graph.is_test[to];
            if is_free || self.not_yet.contains(&folder) {
                continue;
            }
            let why = self.objection(folder, unit, imported);
            wrong.extend(why.map(|why| format!("{}: {why}", graph.line(&imports))));
        }
        wrong
    }

    /// Why something in a folder may not import something else in it.
    fn objection(&self, folder: &str, from: &str, to: &str) -> Option<String> {
        if !folder.contains('/') {
            let floor = |unit| self.floors.iter().find(|(name, _)| *name == unit);
            let (from, to) = (floor(from)?.1, floor(to)?.1);
            return (from <= to).then(|| format!("from floor {from} to {to}"));
        }
        if to == HEAD {
            return Some("a child does not import from the head of its folder".to_owned());
        }
        let (_, units) = self.folders.iter().find(|(name, _)| *name == folder)?;
        let place = |unit| units.iter().position(|name| *name == unit);
        let is_up = from != HEAD && place(from)? < place(to)?;
        is_up.then(|| format!("{to} stands above {from} in the order of {folder}"))
    }

    /// What the tables lack, and what they have that is not there.
    pub fn gaps(&self, graph: &Graph) -> Vec<String> {
        let mut wrong = Vec::new();
        let folders = folders(graph);
        for folder in &folders {
            let units = units(graph, folder);
            let table: Vec<&str> = match self.folders.iter().find(|(name, _)| name == folder) {
                _ if self.not_yet.contains(folder) => continue,
                _ if !folder.contains('/') => self.floors.iter().map(|(name, _)| *name).collect(),
                Some((_, table)) => table.to_vec(),
                None => {
                    let lines = suggestion(graph, folder);
                    wrong.push(format!("{folder}: add it to ORDERS, lowest first: {lines}"));
                    continue;
                }
            };
            let where_to = if folder.contains('/') { "its folder in ORDERS" } else { "FLOORS" };
            let lacks = units.iter().filter(|unit| !table.contains(unit));
            wrong.extend(lacks.map(|unit| format!("{folder}/{unit}: add it to {where_to}")));
            let past = table.iter().filter(|unit| !units.contains(**unit));
            wrong.extend(past.map(|unit| format!("{folder}/{unit}: take it out of {where_to}")));
        }
        let named = self.folders.iter().map(|(folder, _)| folder).chain(self.not_yet);
        let past = named.filter(|folder| !folders.contains(*folder));
        wrong.extend(past.map(|folder| format!("{folder}: there is no such folder")));
        wrong
    }

    /// Folders said to have no order that have one.
    fn ordered_by_now(&self, graph: &Graph) -> Vec<String> {
        let by_now = self.not_yet.iter().filter(|folder| {
            let is_head = |(_, to): &(&str, &str)| *to == HEAD;
            order_in(graph, folder).is_some() && !pairs_in(graph, folder).iter().any(is_head)
        });
        by_now.map(|folder| format!("{folder}: {}", suggestion(graph, folder))).collect()
    }
}

/// The deepest folder that has both files, and what leads to each in it.
fn parted<'a>(from: &'a str, to: &'a str) -> (&'a str, &'a str, &'a str) {
    let is_end = |at: &usize| from.get(..=*at) == to.get(..=*at);
    let slashes = from.match_indices('/').map(|(at, _)| at);
    let end = slashes.take_while(is_end).last().unwrap_or(0);
    (&from[..end], unit(from, end), unit(to, end))
}

/// The name of the file or folder that a path leads through behind `end`.
fn unit(path: &str, end: usize) -> &str {
    path[end..].trim_start_matches('/').split('/').next().unwrap().trim_end_matches(".rs")
}

/// All folders with files.
fn folders(graph: &Graph) -> BTreeSet<&str> {
    let paths = graph.paths.iter();
    paths.flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect()
}

/// Files and folders in a folder, but for its head.
fn units<'a>(graph: &'a Graph, folder: &str) -> BTreeSet<&'a str> {
    let below = graph
        .paths
        .iter()
        .filter(|path| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    below.map(|path| unit(path, folder.len())).filter(|unit| *unit != HEAD).collect()
}

/// Who imports whom of the children of a folder.
fn pairs_in<'a>(graph: &'a Graph, folder: &str) -> BTreeSet<(&'a str, &'a str)> {
    let paths = &graph.paths;
    let all = graph.imports.iter().map(|one| parted(&paths[one.from], &paths[one.to]));
    all.filter(|(at, ..)| *at == folder).map(|(_, from, to)| (from, to)).collect()
}

fn order_in<'a>(graph: &'a Graph, folder: &str) -> Option<Vec<&'a str>> {
    let pairs = pairs_in(graph, folder).into_iter();
    let pairs = pairs.filter(|(from, to)| *from != HEAD && *to != HEAD);
    order(&units(graph, folder), &pairs.collect())
}

/// An order that would do.
fn suggestion(graph: &Graph, folder: &str) -> String {
    match order_in(graph, folder) {
        Some(order) => format!("(\"{folder}\", &{order:?}),"),
        None => "there is none, as its files import each other in a circle".to_owned(),
    }
}

fn product() -> (&'static Graph, Orders<'static>) {
    let orders = Orders { floors: FLOORS, folders: ORDERS, not_yet: NOT_ORDERED_YET };
    (&graphs()["src"], orders)
}

#[test]
fn a_file_imports_only_what_stands_below_it_in_its_folder() {
    let (graph, orders) = product();
    assert_none("imports that do not go down", orders.not_down(graph));
}

#[test]
fn every_file_of_the_product_has_a_place_in_an_order() {
    let (graph, orders) = product();
    assert_none("to be mended in tests/it/tidy/tables.rs", orders.gaps(graph));
}

#[test]
fn no_folder_is_left_without_an_order_that_has_one() {
    let (graph, orders) = product();
    let by_now = orders.ordered_by_now(graph);
    assert_none("to be moved from NOT_ORDERED_YET to ORDERS in tests/it/tidy/tables.rs", by_now);
}
