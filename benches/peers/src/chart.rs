//! A chart for people: a panel for each workload and size, a bar for each peer.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::options::words;
use crate::run::Record;
use crate::summary::{Group, groups, named};
use crate::table::{rate, significant};

/// Pixels.
const PANEL: i32 = 420;
const NAME: i32 = 110;
const LABEL: i32 = 80;
const LINE: i32 = 17;
const HEAD: i32 = 30;
const GAP: i32 = 14;
const COLUMNS: usize = 3;

const OURS: RGBColor = RGBColor(0xC2, 0x55, 0x0A);
const FLOOR: RGBColor = RGBColor(0x88, 0x88, 0x88);
const PEER: RGBColor = RGBColor(0x4C, 0x78, 0xA8);

/// `titles` are those of its panels; none: all.
pub fn draw(record: &Record, titles: &[String], path: &Path) -> Result<()> {
    let groups = groups(record);
    let chosen = if titles.is_empty() { groups.iter().collect() } else { named(&groups, titles) };
    let panels: Vec<(&Group<'_>, Vec<(&str, f64)>)> = chosen
        .into_iter()
        .map(|group| (group, bars(group)))
        .filter(|(_, bars)| bars.len() > 1)
        .collect();
    let heights: Vec<i32> = panels
        .chunks(COLUMNS)
        .map(|row| row.iter().map(|(_, bars)| bars.len() as i32 * LINE).max().unwrap_or(0))
        .map(|bars| HEAD + bars + GAP)
        .collect();
    let height = heights.iter().sum::<i32>() + HEAD;
    let width = PANEL * COLUMNS as i32;
    let root = SVGBackend::new(path, (width as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let head = format!("thousand operations a second; {}", record.machine.processor);
    root.draw(&Text::new(head, (GAP, GAP / 2), ("sans-serif", 13)))?;
    let mut y = HEAD;
    for (row, height) in panels.chunks(COLUMNS).zip(heights) {
        for (x, (group, bars)) in (0..).step_by(PANEL as usize).zip(row) {
            panel(&root, (x, y), group, bars)?;
        }
        y += height;
    }
    root.present()?;
    Ok(())
}

/// The peers that were measured, fastest first.
fn bars<'a>(group: &Group<'a>) -> Vec<(&'a str, f64)> {
    let measured =
        group.peers.iter().filter_map(|(peer, _)| Some((*peer, group.median(peer, rate)?)));
    let mut bars: Vec<(&str, f64)> = measured.collect();
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    bars
}

fn panel<DB: DrawingBackend>(
    root: &DrawingArea<DB, plotters::coord::Shift>,
    (x, y): (i32, i32),
    group: &Group<'_>,
    bars: &[(&str, f64)],
) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let (name, size) = (group.workload.name(), words(group.size));
    let title = format!("{name}, {size}, {} entries, {}", group.entries, group.crew);
    root.draw(&Text::new(title, (x + GAP, y), ("sans-serif", 14)))?;
    let most = bars.first().map_or(1.0, |(_, rate)| *rate);
    let room = f64::from(PANEL - NAME - LABEL - GAP);
    for (line, (peer, rate)) in (0..).zip(bars) {
        let top = y + HEAD / 2 + GAP / 2 + line * LINE;
        let end = x + NAME + (rate / most * room).ceil() as i32;
        let about = crate::peers::find(peer);
        let colour = match *peer {
            "larder" => OURS,
            _ if about.is_some_and(|about| about.floor) => FLOOR,
            _ => PEER,
        };
        root.draw(&Text::new((*peer).to_owned(), (x + GAP, top), ("sans-serif", 12)))?;
        let bar = [(x + NAME, top + 1), (end, top + LINE - 4)];
        root.draw(&Rectangle::new(bar, colour.filled()))?;
        let label = significant(rate / 1e3);
        root.draw(&Text::new(label, (end + 4, top), ("sans-serif", 12)))?;
    }
    Ok(())
}
