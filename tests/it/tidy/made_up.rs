//! The checker itself, on packages of a few lines: what it has to find, and what it has to pass.

use super::graph::Graph;
use super::order::Orders;
use super::sources::{Package, Source};

fn graph(sources: &[(&str, &str)]) -> Graph {
    Graph::of(&Package::made_up(sources))
}

/// The circles of a package, a list of names of files each.
fn circles(sources: &[(&str, &str)]) -> Vec<String> {
    let graph = graph(sources);
    let name = |file: &usize| graph.paths[*file].trim_start_matches("src/").to_owned();
    let names = |circle: &Vec<usize>| circle.iter().map(name).collect::<Vec<_>>().join(" ");
    graph.circles().iter().map(names).collect()
}

/// Who imports whom, but for the crate's root.
fn imports(sources: &[(&str, &str)]) -> Vec<String> {
    let graph = graph(sources);
    let name = |file: usize| graph.paths[file].trim_start_matches("src/").trim_end_matches(".rs");
    let pairs = graph.pairs().into_keys().filter(|(from, _)| name(*from) != "lib");
    pairs.map(|(from, to)| format!("{} > {}", name(from), name(to))).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn a_circle_of_two_is_found_with_its_lines() {
    let sources = [
        ("src/lib.rs", "mod a;\nmod b;"),
        ("src/a.rs", "\nuse crate::b::Ball;\npub struct Alley(Ball);"),
        ("src/b.rs", "pub struct Ball;\nfn f(_: &super::a::Alley) {}"),
    ];
    assert_eq!(circles(&sources), ["a.rs b.rs"]);
    let told = graph(&sources).tell(&[0, 1, 2]);
    assert!(told.contains("src/a.rs:2 -> src/b.rs, by crate::b::Ball (:2)"), "{told}");
    assert!(told.contains("src/b.rs:2 -> src/a.rs, by a::Alley (:2)"), "{told}");
}

#[test]
fn a_circle_of_three_through_a_facade_is_found_without_the_facade() {
    let sources = [
        ("src/lib.rs", "mod x;\nmod c;"),
        ("src/x/mod.rs", "mod a;\nmod b;\npub(crate) use a::alpha as first;\npub use b::*;"),
        ("src/x/a.rs", "use super::beta;\npub fn alpha() { beta() }"),
        ("src/x/b.rs", "pub fn beta() { crate::c::gamma() }"),
        ("src/c.rs", "use crate::x::{self};\npub fn gamma() { x::first() }"),
    ];
    assert_eq!(circles(&sources), ["x/a.rs x/b.rs c.rs"]);
}

#[test]
fn a_circle_by_the_methods_of_a_spread_type_is_found() {
    let sources = [
        ("src/lib.rs", "mod bag;\nmod fill;\nmod user;"),
        ("src/bag.rs", "pub struct Bag;\nimpl Bag { pub fn shake(&self) { self.stuff(1) } }"),
        ("src/fill.rs", "use crate::bag::Bag;\nimpl Bag { pub fn stuff(&self, _: u8) {} }"),
        ("src/user.rs", "fn f(pair: (u8, crate::bag::Bag)) { pair.1.stuff(2); }"),
    ];
    assert_eq!(circles(&sources), ["bag.rs fill.rs"]);
    assert!(imports(&sources).contains(&"user > fill".to_owned()));
}

#[test]
fn a_method_that_several_types_have_counts_where_the_type_is_known() {
    let bag = "pub struct Bag { pub box_: crate::tin::Tin }";
    let fill = "use crate::bag::Bag;\nimpl Bag { pub fn stuff(&self) {} }";
    let tin = "pub struct Tin;\nimpl Tin { pub fn stuff(&self) {} }";
    let with = |user: &'static str| {
        let sources = [
            ("src/lib.rs", "mod bag;\nmod fill;\nmod tin;\nmod user;"),
            ("src/bag.rs", bag),
            ("src/fill.rs", fill),
            ("src/tin.rs", tin),
            ("src/user.rs", user),
        ];
        imports(&sources).contains(&"user > fill".to_owned())
    };
    assert!(!with("fn f() { something().stuff() }"));
    assert!(!with("fn f(bag: crate::bag::Bag) { bag.box_.stuff() }"));
    assert!(!with("fn f(bag: crate::bag::Bag) { let bag = other(); bag.stuff() }"));
    assert!(with("fn f(bag: &crate::bag::Bag) { bag.stuff() }"));
    assert!(with("use crate::bag::Bag;\nfn f(bag: &Bag) { Bag::stuff(bag) }"));
    assert!(with(
        "use crate::bag::Bag;\nimpl Bag { fn f(&self) { print!(\"{:?}\", self.stuff()) } }"
    ));
}

#[test]
fn a_name_that_came_with_a_glob_is_followed() {
    let sources = [
        ("src/lib.rs", "mod x;\nmod a;"),
        ("src/x/mod.rs", "pub mod b;\npub use b::deep::*;"),
        ("src/x/b.rs", "pub mod deep { pub fn call() { crate::a::back() } }"),
        ("src/a.rs", "use crate::x::*;\npub fn back() {}\nfn f() { call() }"),
    ];
    assert_eq!(circles(&sources), ["x/b.rs a.rs"]);
}

#[test]
fn a_program_gets_at_its_library_by_name() {
    let sources = [
        ("src/lib.rs", "mod a;\npub use a::Door;"),
        ("src/a.rs", "pub struct Door;"),
        ("src/main.rs", "mod b;\nfn main() {}"),
        ("src/b.rs", "use made_up::Door;\nuse other::Door as Gate;"),
    ];
    assert_eq!(imports(&sources), ["b > a"]);
}

#[test]
fn paths_in_macros_types_patterns_and_blocks_are_seen() {
    let with = |code: &str| {
        let b = "pub const ONE: u8 = 1;\npub enum Kind { A }\npub trait Trait {}\npub fn call() {}";
        let sources = [("src/lib.rs", "mod a;\nmod b;"), ("src/a.rs", code), ("src/b.rs", b)];
        imports(&sources) == ["a > b"]
    };
    assert!(with("fn f() { assert_eq!(1, crate::b::ONE) }"));
    assert!(with("macro_rules! m { ($x:expr) => { $crate::b::call() + $x } }"));
    assert!(with("fn f() { strange! { a => b; crate::b::ONE => 2 } }"));
    assert!(with("fn f<T: crate::b::Trait>() {}"));
    assert!(with("fn f(x: u8) { match x { crate::b::ONE => (), _ => () } }"));
    assert!(with("fn f() { use super::b as other; other::call() }"));
    assert!(with("fn f() -> Option<Box<dyn Fn(&super::b::Kind)>> { None }"));
    assert!(with("mod inner { use super::super::b::call; }"));
    assert!(!with("fn f() { b::call(); ::b::call(); other::b::call() }"));
    assert!(!with("/// See [`crate::b`].\npub(in crate::b) fn f() {}"));
}

#[test]
fn what_a_macro_defines_is_where_the_macro_is_used() {
    let b = "make! { Thing }";
    let a = "use crate::b::Thing;";
    let sources = [("src/lib.rs", "mod a;\nmod b;"), ("src/a.rs", a), ("src/b.rs", b)];
    assert_eq!(imports(&sources), ["a > b"]);
}

#[test]
fn a_path_that_leads_nowhere_and_a_file_that_nobody_declares_are_told() {
    let sources = [
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "\nuse crate::b::Thing;\nuse outside::b::Thing as Other;"),
        ("src/b.rs", "pub struct Thing;"),
    ];
    assert_eq!(graph(&sources).unseen, ["src/a.rs:2: crate::b::Thing", "src/b.rs"]);
}

#[test]
fn a_file_borrowed_by_its_path_belongs_to_the_package() {
    let text = "mod user;\n#[path = \"../other/it/lent.rs\"]\nmod own;";
    let lib = Source { path: "src/lib.rs".to_owned(), text: text.to_owned() };
    assert_eq!(lib.borrows(), ["other/it/lent.rs"]);
    let sources = [
        ("src/lib.rs", text),
        ("src/user.rs", "use crate::own::part::call;\npub fn back() { super::own::nothing() }"),
        ("other/it/lent.rs", "pub mod part;"),
        // The children of a file named by its path are beside it.
        ("other/it/part.rs", "pub fn call() { crate::user::back() }"),
    ];
    assert_eq!(circles(&sources), ["user.rs other/it/part.rs"]);
    assert_eq!(graph(&sources).unseen, ["src/user.rs:2: super::own::nothing"]);
}

#[test]
fn what_is_for_tests_alone_is_no_import_of_the_product() {
    let a = "#[cfg(test)]\nmod tests { use crate::b::call; }\n#[cfg(test)]\nuse crate::b::call;";
    let b = "pub fn call() {}\n#[cfg(test)]\nfn f() { crate::a::g() }";
    let sources = [("src/lib.rs", "mod a;\nmod b;"), ("src/a.rs", a), ("src/b.rs", b)];
    assert_eq!(imports(&sources), NONE);
}

const TREE: [(&str, &str); 5] = [
    ("src/lib.rs", "mod low;\nmod top;\npub use top::Door;"),
    ("src/low.rs", "pub struct Stone;"),
    ("src/top/mod.rs", "//! Above.\nmod door;\nmod hinge;\npub use door::Door;"),
    ("src/top/hinge.rs", "pub struct Hinge(pub crate::low::Stone);"),
    ("src/top/door.rs", "use super::hinge::Hinge;\npub struct Door(Hinge);"),
];

const FLOORS: [(&str, u32); 3] = [("low", 1), ("top", 2), ("lib", 3)];

fn orders<'a>(folders: &'a [(&'a str, &'a [&'a str])]) -> Orders<'a> {
    Orders { floors: &FLOORS, folders, not_yet: &[] }
}

#[test]
fn a_tree_that_goes_down_only_passes() {
    let (graph, orders) = (graph(&TREE), orders(&[("src/top", &["hinge", "door"])]));
    assert_eq!(circles(&TREE), NONE);
    assert_eq!(orders.not_down(&graph), NONE);
    assert_eq!(orders.gaps(&graph), NONE);
}

#[test]
fn an_import_up_within_a_folder_is_found() {
    let found = orders(&[("src/top", &["door", "hinge"])]).not_down(&graph(&TREE));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("src/top/door.rs:1 -> src/top/hinge.rs"), "{found:?}");
}

#[test]
fn an_import_from_the_head_of_the_folder_or_from_a_floor_above_is_found() {
    let mut sources = TREE;
    sources[1].1 = "pub struct Stone(crate::top::Door);";
    sources[2].1 = "mod door;\nmod hinge;\npub use door::Door;\npub const WIDTH: u8 = 1;";
    sources[3].1 = "pub struct Hinge(pub [u8; super::WIDTH]);";
    let found = orders(&[("src/top", &["hinge", "door"])]).not_down(&graph(&sources));
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("src/low.rs:1 -> src/top/door.rs"), "{found:?}");
    assert!(found[1].starts_with("src/top/hinge.rs:1 -> src/top/mod.rs"), "{found:?}");
}

#[test]
fn a_file_without_a_place_is_told_where_it_belongs() {
    let gaps = |folders: &[(&str, &[&str])]| orders(folders).gaps(&graph(&TREE));
    assert_eq!(gaps(&[("src/top", &["hinge"])]), ["src/top/door: add it to its folder in ORDERS"]);
    let suggested =
        "src/top: add it to ORDERS, lowest first: (\"src/top\", &[\"hinge\", \"door\"]),";
    assert_eq!(gaps(&[]), [suggested]);
}
