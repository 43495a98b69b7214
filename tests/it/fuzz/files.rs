//! The files of a store as something to damage: its words, and where slots, chunks and records are.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use larder::internals::address::{Address, Generation, SegmentId};
use larder::internals::checked::CheckedAt;
use larder::internals::control::Geometry;
use larder::internals::identity::Identity;
use larder::internals::intent::WordAt;
use larder::internals::page::{PAGE_SLOTS, PageId};
use larder::internals::record::{HEADER_BYTES, Shape};
use larder::internals::segment::{self, StateWord};
use larder::internals::slot::Slot;

/// The files of a store, to look at and change.
pub struct Files {
    pub store: PathBuf,
    log: File,
    index: File,
    pub geometry: Geometry,
}

impl Files {
    pub fn open(directory: &Path, geometry: Geometry) -> Self {
        let open = |name| OpenOptions::new().read(true).write(true).open(directory.join(name));
        Self {
            store: directory.join("store"),
            log: open("log").unwrap(),
            index: open("index").unwrap(),
            geometry,
        }
    }

    fn file(&self, at: WordAt) -> &File {
        if at.is_index() { &self.index } else { &self.log }
    }

    /// A word; 0 where there is none.
    pub fn word(&self, at: WordAt) -> u64 {
        let mut bytes = [0; 8];
        let read = self.file(at).read_exact_at(&mut bytes, at.offset());
        read.map_or(0, |()| u64::from_le_bytes(bytes))
    }

    /// Sets a word that is there; a file never grows by it.
    pub fn set(&self, at: WordAt, value: u64) {
        let length = self.file(at).metadata().unwrap().len();
        if at.offset().checked_add(8).is_some_and(|end| end <= length) {
            self.file(at).write_all_at(&value.to_le_bytes(), at.offset()).unwrap();
        }
    }

    /// The value of a checked word.
    pub fn checked(&self, at: CheckedAt) -> Option<u64> {
        at.unseal(self.word(at.first())).or_else(|| at.unseal(self.word(at.second())))
    }

    /// Sets both copies of a checked word.
    pub fn set_checked(&self, at: CheckedAt, value: u64) {
        at.copies().into_iter().for_each(|copy| self.set(copy, at.seal(value)));
    }

    /// Changes some bytes of log or index, and cuts nothing.
    pub fn scribble(&self, at: WordAt, bytes: &[u8]) {
        let length = self.file(at).metadata().unwrap().len();
        let offset = at.offset() % length.max(1);
        let there = bytes.len().min((length - offset) as usize);
        self.file(at).write_all_at(&bytes[..there], offset).unwrap();
    }

    /// Makes a file shorter or longer; to be done only while nobody uses it.
    pub fn cut(&self, at: WordAt, length: u64) {
        self.file(at).set_len(length).unwrap();
    }

    pub fn identity(&self) -> Option<Identity> {
        Identity::decode(&fs::read(&self.store).ok()?).ok()
    }

    /// The n-th live slot of a page, counted round and round.
    pub fn slot(&self, page: u64, number: usize) -> Option<(WordAt, Slot)> {
        let mut bytes = [0; PAGE_SLOTS * 8];
        let page = PageId::new(page % 4);
        self.index.read_exact_at(&mut bytes, page.offset()).ok()?;
        let (words, _) = bytes.as_chunks::<8>();
        let slots = words.iter().map(|word| Slot::from_word(u64::from_le_bytes(*word)));
        let live: Vec<(usize, Slot)> =
            slots.enumerate().filter(|(_, slot)| slot.is_live()).collect();
        let (position, slot) = live.get(number % live.len().max(1))?;
        Some((self.geometry.slot_at(page, *position), *slot))
    }

    /// The start of a segment's n-th chunk in units, with its length.
    pub fn chunk(&self, segment: SegmentId, number: usize) -> Option<(u32, u32)> {
        let generation = self.state(segment)?.generation;
        let mut start = 0;
        for left in (0..=number).rev() {
            let address = self.geometry.address(segment, start);
            let at = WordAt::log(address.bytes());
            let header = [self.word(at), self.word(at.plus(1))];
            let checker = self.geometry.checker(address, generation);
            let units = segment::decode_chunk(checker, generation, header)?;
            if left == 0 {
                return Some((start, units));
            }
            start = start.checked_add(units)?;
        }
        None
    }

    pub fn state(&self, segment: SegmentId) -> Option<StateWord> {
        self.checked(self.geometry.state_at(segment)).and_then(StateWord::decode)
    }

    pub fn record(&self, slot: Slot) -> Option<(Address, Generation, Shape)> {
        let (segment, _) = self.geometry.locate(slot.address())?;
        let generation = self.state(segment)?.generation;
        let at = WordAt::log(slot.address().bytes());
        let checker = self.geometry.checker(slot.address(), generation);
        let words = [self.word(at), self.word(at.plus(1))];
        Some((slot.address(), generation, Shape::decode(checker, generation.get(), words)?))
    }

    /// Metadata, key and value as they stand.
    pub fn body(&self, address: Address, shape: Shape) -> Option<Vec<u8>> {
        let length = (shape.bytes() - HEADER_BYTES).min(1 << 20) as usize;
        let mut body = vec![0; length];
        self.log.read_exact_at(&mut body, address.bytes() + HEADER_BYTES).ok()?;
        Some(body)
    }
}
