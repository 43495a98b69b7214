//! The chart: a panel for each task, a line for each peer.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::figures::significant;
use crate::peers;
use crate::record::Record;
use crate::summary::{Group, groups, named};

/// Pixels.
const PANEL: i32 = 420;
const NAME: i32 = 110;
const LABEL: i32 = 80;
const LINE_HEIGHT: i32 = 17;
const HEAD: i32 = 30;
const GAP: i32 = 14;
const COLUMNS: usize = 3;

const OURS: RGBColor = RGBColor(0xC2, 0x55, 0x0A);
const LOWER_BOUND: RGBColor = RGBColor(0x88, 0x88, 0x88);
const PEER: RGBColor = RGBColor(0x4C, 0x78, 0xA8);

/// `titles` are those of its panels; none: all.
pub fn draw(record: &Record, titles: &[String], path: &Path) -> Result<()> {
    let groups = groups(record);
    let chosen = if titles.is_empty() { groups.iter().collect() } else { named(&groups, titles) };
    let panels: Vec<(&Group<'_>, Vec<Line<'_>>)> = chosen
        .into_iter()
        .map(|group| (group, lines(group)))
        .filter(|(_, lines)| lines.len() > 1)
        .collect();
    let heights: Vec<i32> = panels
        .chunks(COLUMNS)
        .map(|row| row.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0))
        .map(|lines| HEAD + lines as i32 * LINE_HEIGHT + GAP)
        .collect();
    let height = heights.iter().sum::<i32>() + HEAD;
    let width = PANEL * COLUMNS as i32;
    let root = SVGBackend::new(path, (width as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let head = format!("thousand operations a second; {}", record.machine.processor);
    root.draw(&Text::new(head, (GAP, GAP / 2), ("sans-serif", 13)))?;
    let mut y = HEAD;
    for (row, height) in panels.chunks(COLUMNS).zip(heights) {
        for (x, (group, lines)) in (0..).step_by(PANEL as usize).zip(row) {
            panel(&root, (x, y), group, lines)?;
        }
        y += height;
    }
    root.present()?;
    Ok(())
}

/// A peer and its operations a second.
type Line<'a> = (&'a str, f64);

/// The peers that were measured, fastest first.
fn lines<'a>(group: &Group<'a>) -> Vec<Line<'a>> {
    let rate = |peer| group.median(peer, |outcome| outcome.rate);
    let measured = group.peers.iter().filter_map(|(peer, _)| Some((*peer, rate(peer)?)));
    let mut lines: Vec<Line<'_>> = measured.collect();
    lines.sort_by(|(_, rate), (_, other)| other.total_cmp(rate));
    lines
}

fn panel<Backend: DrawingBackend>(
    root: &DrawingArea<Backend, plotters::coord::Shift>,
    (x, y): (i32, i32),
    group: &Group<'_>,
    lines: &[Line<'_>],
) -> Result<()>
where
    Backend::ErrorType: 'static,
{
    let title = group.task.to_string();
    root.draw(&Text::new(title, (x + GAP, y), ("sans-serif", 14)))?;
    let most = lines.first().map_or(1.0, |(_, rate)| *rate);
    let room = f64::from(PANEL - NAME - LABEL - GAP);
    for (line, (peer, rate)) in (0..).zip(lines) {
        let top = y + HEAD / 2 + GAP / 2 + line * LINE_HEIGHT;
        let end = x + NAME + (rate / most * room).ceil() as i32;
        let about = peers::find(peer);
        let colour = match *peer {
            "larder" => OURS,
            _ if about.is_some_and(|about| about.lower_bound) => LOWER_BOUND,
            _ => PEER,
        };
        root.draw(&Text::new((*peer).to_owned(), (x + GAP, top), ("sans-serif", 12)))?;
        let bar = [(x + NAME, top + 1), (end, top + LINE_HEIGHT - 4)];
        root.draw(&Rectangle::new(bar, colour.filled()))?;
        let label = significant(rate / 1e3);
        root.draw(&Text::new(label, (end + 4, top), ("sans-serif", 12)))?;
    }
    Ok(())
}
