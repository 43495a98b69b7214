//! No circles: no two files of a package import each other, by whatever way.

use super::graph::graphs;
use super::report::assert_none;
use super::tables::KNOWN_CIRCLES;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for graph in graphs().values() {
        for circle in graph.circles() {
            let is_known = |file: &usize| KNOWN_CIRCLES.contains(&graph.paths[*file].as_str());
            if !circle.iter().all(is_known) {
                wrong.push(graph.tell(&circle));
            }
        }
    }
    assert_none("circles", wrong);
}

#[test]
fn no_file_is_said_to_be_in_a_circle_that_is_in_none() {
    let mut left: Vec<&str> = KNOWN_CIRCLES.to_vec();
    for graph in graphs().values() {
        let circles = graph.circles();
        left.retain(|path| !circles.iter().flatten().any(|file| graph.paths[*file] == *path));
    }
    let left = left.into_iter().map(str::to_owned).collect();
    assert_none("to be taken out of KNOWN_CIRCLES in tests/it/tidy/tables.rs", left);
}

#[test]
fn no_file_and_no_path_is_passed_over() {
    let unseen = graphs().values().flat_map(|graph| graph.unseen.clone()).collect();
    assert_none("files that no module declares, or paths that lead nowhere", unseen);
}
