//! Pages of the index: whatever stands in their slots, a lookup stays within a key's two groups, each
//! slot is at home on one page at most, and a split moves every entry at home to where it is at home then.

use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use larder::internals::control::{self, Geometry};
use larder::internals::intent::WordAt;
use larder::internals::lock::ProcessId;
use larder::internals::page::{
    self, GROUP_SLOTS, PAGE_SLOTS, PageId, Probe, hash_low, moved_to, page_limit, page_of,
};
use larder::internals::slot::{Slot, TAG_BITS};
use larder::internals::{Index, Liveness, Patience, Transactions, Verdict, Words};

use super::paper::Paper;

/// Pages of the largest index here.
const PAGES: u64 = 5;
/// The area of the pages on the paper.
const INDEX: usize = 0;

/// One process, alone.
pub struct Alone;

impl Liveness for Alone {
    fn is_dead(&self, _: ProcessId) -> bool {
        true
    }
}

impl Patience for Alone {
    fn wait(&mut self, found: larder::internals::lock::LockWord) -> Verdict {
        panic!("somebody waits for {found:?} where nobody else is");
    }
}

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    hashes(input)?;
    let geometry = Geometry {
        seed: 1,
        level: input.int_in_range(0..=2)?,
        segment_shift: 16,
        max_processes: 1,
    };
    let mut paper = Paper::default();
    paper.lay(WordAt::index(PageId::new(0).offset()), PAGES as usize * PAGE_SLOTS);
    paper.lay(WordAt::log(0), 0x1200 / 8);
    paper.lay(WordAt::log(control::PROCESSES_OFFSET), (control::PROCESS_ROW_BYTES / 8) as usize);
    let first = 1u64 << geometry.level;
    let pages = input.int_in_range(first..=PAGES.max(first) - 1)?;
    paper.store_checked(control::PAGES, pages);
    paper.store_checked(control::SYNCS, input.int_in_range(0..=1)?);
    paper.store_checked(control::PAGES_DURABLE, input.int_in_range(0..=PAGES)?);
    let mut hashes = Vec::new();
    for _ in 0..input.int_in_range(0..=60)? {
        let at = input.int_in_range(0..=PAGES * PAGE_SLOTS as u64 - 1)?;
        let (mut page, mut position) =
            (PageId::new(at / PAGE_SLOTS as u64), at as usize % PAGE_SLOTS);
        let mut word: u64 = input.arbitrary()?;
        if input.ratio(1, 2)? {
            // Where a key of this hash may stand.
            let probe = Probe::new(word, geometry.level);
            word = u64::from(probe.tag) << (64 - TAG_BITS) | (word & 0xFFF_FFFF) | 1;
            page = page_of(probe.hash, pages);
            position = probe.group_a + position % GROUP_SLOTS;
            hashes.push(probe.hash);
        }
        paper.store(geometry.slot_at(page, position), word);
    }
    let index = Index::new(&paper, &geometry);
    hashes.push(input.arbitrary()?);
    hashes.iter().for_each(|&hash| look_up(&index, hash));
    split(&paper, &geometry, pages);
    Ok(())
}

/// What follows from a hash, at any number of pages.
fn hashes(input: &mut Unstructured<'_>) -> Result<()> {
    let hash: u64 = input.arbitrary()?;
    let level = input.int_in_range(0..=control::LEVEL_LIMIT)?;
    let pages = input.int_in_range(1 << level..=page_limit(level))?;
    let home = page_of(hash, pages);
    assert!(home.get() < pages);
    let probe = Probe::new(hash, level);
    for (group, other) in [(probe.group_a, probe.group_b), (probe.group_b, probe.group_a)] {
        assert!(group % GROUP_SLOTS == 0 && group + GROUP_SLOTS <= PAGE_SLOTS && group != other);
        assert_eq!(page::other_group(group + 3, probe.tag), other);
    }
    let slot = Slot::from_word(u64::from(probe.tag) << (64 - TAG_BITS) | 1);
    assert!(page::is_home(home, slot, level, pages));
    let bits = level + TAG_BITS;
    assert_eq!(hash_low(home, probe.tag, level), hash & ((1 << bits) - 1));
    // Of one page more, only that page takes anything.
    let then = page_of(hash, pages + 1);
    assert!(then == home || then == PageId::new(pages) && then.parent() == home);
    // A stray slot: wherever it stands, it leads away to a later page or nowhere.
    let page = PageId::new(input.int_in_range(0..=pages - 1)?);
    let tag = input.arbitrary::<u32>()? & ((1 << TAG_BITS) - 1);
    let stray = Slot::from_word(u64::from(tag) << (64 - TAG_BITS) | 1);
    if let Some(moved) = moved_to(page, stray, level) {
        assert_ne!(moved, page);
    }
    Ok(())
}

/// A lookup visits slots of its tag, in its groups, on its page.
fn look_up(index: &Index<'_, Paper>, hash: u64) {
    let (probe, home) = (index.probe(hash), index.page_of(hash).unwrap());
    let in_groups = |position: usize| {
        let first = position / GROUP_SLOTS * GROUP_SLOTS;
        first == probe.group_a || first == probe.group_b
    };
    let mut visited = BTreeSet::new();
    let none: Option<()> = index.find(hash, |found| {
        assert!(found.page == home && in_groups(found.position));
        assert!(found.slot.is_live() && found.slot.tag() == probe.tag);
        assert!(visited.insert(found.position), "visited twice");
        None
    });
    assert!(none.is_none());
    let groups = index.groups(hash, home);
    assert_eq!(groups.all().count(), 2 * GROUP_SLOTS);
    assert_eq!(groups.matching().filter(|found| found.slot.is_live()).count(), visited.len());
    for found in groups.matching() {
        assert!(found.slot.tag() == probe.tag && in_groups(found.position));
    }
    let is_any_empty = groups.all().any(|found| found.slot.is_empty());
    assert_eq!(groups.emptier().is_some(), is_any_empty);
    if let Some(found) = groups.emptier() {
        assert!(found.slot.is_empty() && in_groups(found.position));
    }
    for number in 0..2 * GROUP_SLOTS as u32 {
        let has_tag = groups.at(number).slot.tag() == probe.tag;
        assert_eq!(groups.equal() >> number & 1 == 1, has_tag);
    }
}

/// The entries at home, by their positions, which a split keeps.
fn entries(index: &Index<'_, Paper>) -> Vec<(usize, u64)> {
    let pages = (0..index.pages()).map(PageId::new);
    let all = pages.flat_map(|page| index.live_on(page));
    let mut entries: Vec<_> = all
        .map(|found| {
            assert!(found.slot == index.slot(found.page, found.position));
            (found.position, found.slot.word())
        })
        .collect();
    entries.sort_unstable();
    entries
}

fn split(paper: &Paper, geometry: &Geometry, pages: u64) {
    let index = Index::new(paper, geometry);
    let before = entries(&index);
    let Some(me) = ProcessId::new(0) else { return };
    let transactions = Transactions { words: paper, geometry, me, liveness: &Alone };
    let held = transactions.hold(&mut Alone).unwrap();
    held.split(PageId::new(pages)).unwrap();
    assert_eq!(index.pages(), pages + 1);
    assert_eq!(entries(&index), before, "a split lost or doubled an entry");
    // Done again, as after a death in its middle, it changes nothing.
    let words = paper.area(INDEX);
    let held = transactions.hold(&mut Alone).unwrap();
    held.split(PageId::new(pages)).unwrap();
    assert_eq!(paper.area(INDEX), words);
    assert_eq!(index.pages(), pages + 1);
}
