//! Tables for people, which are Markdown as well: a row for each peer, a column for each task.

use std::collections::BTreeSet;

use comfy_table::{CellAlignment, Table, presets};

use crate::peers;
use crate::summary::Group;

/// A figure of a peer in a group, as text.
pub type Figure<'a> = &'a dyn Fn(&Group<'_>, &str) -> Option<String>;

/// What is faster at what, at a glance. A peer without any figure has no row.
pub fn grid(groups: &[&Group<'_>], head: &str, figure: Figure<'_>) -> Table {
    let mut table = empty(
        std::iter::once(head.to_owned()).chain(groups.iter().map(|group| group.task.title())),
    );
    let names: BTreeSet<&str> =
        groups.iter().flat_map(|group| group.peers.iter().map(|(peer, _)| *peer)).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|peer| peers::rank(peer));
    for peer in names {
        let figures: Vec<_> = groups.iter().map(|group| figure(group, peer)).collect();
        if figures.iter().any(Option::is_some) {
            let cells = figures.into_iter().map(Option::unwrap_or_default);
            table.add_row(std::iter::once(peer.to_owned()).chain(cells));
        }
    }
    let columns = groups.len();
    align_right(&mut table, columns);
    table
}

pub fn empty(head: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head.into_iter().collect::<Vec<_>>());
    table
}

/// So many columns after the first, which are figures.
pub fn align_right(table: &mut Table, columns: usize) {
    for column in table.column_iter_mut().skip(1).take(columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
