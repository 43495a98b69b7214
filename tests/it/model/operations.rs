//! What a run does, as values that proptest draws and makes shorter.

use proptest::collection::vec;
use proptest::prelude::*;

/// A key, by number: see [`name`].
pub type Key = u16;

/// Keys that there are.
pub const KEYS: Key = 60;
/// Keys that only [`Op::PutMany`] uses, so that the index has to split its pages.
pub const MANY: Key = 1500;

/// The bytes of a key: some are empty, long, or no text.
pub fn name(key: Key) -> Vec<u8> {
    match key {
        0 => Vec::new(),
        1 => vec![0xFF, 0xFE, 0x00],
        2 => vec![b'k'; 65_535],
        3 => vec![0; 300],
        _ => format!("key {key}").into_bytes(),
    }
}

/// The length of a value.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Exact(u16),
    /// As large as an entry may be, less so many bytes.
    Largest(u16),
    /// Larger than any entry may be.
    TooLarge(u16),
}

/// For how long.
#[derive(Clone, Copy, Debug)]
pub enum Lives {
    Default,
    Ever,
    Millis(u32),
}

/// A way of reading.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    Get,
    GetInto,
    View,
    Contains,
}

/// How a closure that computes a value behaves.
#[derive(Clone, Copy, Debug)]
pub enum Computes {
    Value(Length),
    /// It fails, and nothing is stored.
    Fails,
    /// It asks for its own key, which is refused, then makes a value.
    AsksForItself(Length),
    /// It stores another key first.
    Stores(Key, Length),
}

/// How the clock is set.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    Forwards(u32),
    Backwards(u32),
    /// To the very millisecond at which a key's entry expires.
    Until(Key),
    /// To the year 1970, or by a century.
    Far(bool),
}

/// Limits, by numbers that the configuration makes sense of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub entries: Option<u8>,
    pub bytes: Option<u8>,
    pub ttl_ms: Option<u32>,
}

#[derive(Clone, Debug)]
pub enum Op {
    Put(Key, Length, Lives),
    PutMany(Key, u16, u8),
    Read(Key, Read),
    /// A view that is held until so many others were made.
    Hold(Key),
    LetGo,
    Remove(Key),
    Clear,
    Fill(Key, Computes),
    Iterate,
    Keys,
    KeyTooLong,
    Stats,
    Sync,
    Maintain,
    Compact,
    Verify,
    Clock(Time),
    /// Another handle from now on, of those that are open.
    Use(u8),
    /// One more handle, or this one opened again.
    Open(Limits),
    Reopen,
    /// A handle that only reads: everything is compared.
    ReadOnly,
    /// All are dropped, and the store is opened with other limits, perhaps as after another boot.
    Restart(Limits, bool),
    /// All are dropped, and the store is copied into new files with other limits, perhaps with larger segments.
    Relimit(Limits, bool),
}

fn length() -> impl Strategy<Value = Length> {
    prop_oneof![
        40 => (0u16..1500).prop_map(Length::Exact),
        4 => (0u16..30).prop_map(Length::Exact),
        4 => (0u16..8000).prop_map(Length::Exact),
        1 => (0u16..100).prop_map(Length::Largest),
        1 => (0u16..100).prop_map(Length::TooLarge),
    ]
}

fn lives() -> impl Strategy<Value = Lives> {
    prop_oneof![
        6 => Just(Lives::Default),
        2 => Just(Lives::Ever),
        2 => (0u32..5000).prop_map(Lives::Millis),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    prop_oneof![Just(Read::Get), Just(Read::GetInto), Just(Read::View), Just(Read::Contains)]
}

fn computes() -> impl Strategy<Value = Computes> {
    prop_oneof![
        6 => length().prop_map(Computes::Value),
        2 => Just(Computes::Fails),
        1 => length().prop_map(Computes::AsksForItself),
        1 => (0..KEYS, length()).prop_map(|(key, length)| Computes::Stores(key, length)),
    ]
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        8 => (0u32..4000).prop_map(Time::Forwards),
        1 => (0u32..4_000_000).prop_map(Time::Forwards),
        3 => (0u32..4000).prop_map(Time::Backwards),
        4 => (0..KEYS).prop_map(Time::Until),
        1 => any::<bool>().prop_map(Time::Far),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (any::<Option<u8>>(), any::<Option<u8>>(), proptest::option::of(1u32..8000))
        .prop_map(|(entries, bytes, ttl_ms)| Limits { entries, bytes, ttl_ms })
}

/// An operation; those of whole crowds of keys only where `crowds` says so.
pub fn operation(crowds: bool) -> impl Strategy<Value = Op> {
    let key = 0..KEYS;
    let (many, count) = if crowds { (KEYS..MANY, 1..200u16) } else { (0..KEYS - 4, 1..4) };
    prop_oneof![
        60 => (key.clone(), length(), lives()).prop_map(|(k, l, t)| Op::Put(k, l, t)),
        4 => (many, count, any::<u8>())
            .prop_map(|(first, count, length)| Op::PutMany(first, count, length)),
        40 => (key.clone(), read()).prop_map(|(k, r)| Op::Read(k, r)),
        6 => key.clone().prop_map(Op::Hold),
        2 => Just(Op::LetGo),
        20 => key.clone().prop_map(Op::Remove),
        1 => Just(Op::Clear),
        12 => (key, computes()).prop_map(|(k, c)| Op::Fill(k, c)),
        2 => Just(Op::Iterate),
        1 => Just(Op::Keys),
        1 => Just(Op::KeyTooLong),
        1 => Just(Op::Stats),
        2 => Just(Op::Sync),
        2 => Just(Op::Maintain),
        1 => Just(Op::Compact),
        1 => Just(Op::Verify),
        8 => time().prop_map(Op::Clock),
        6 => any::<u8>().prop_map(Op::Use),
        1 => limits().prop_map(Op::Open),
        1 => Just(Op::Reopen),
        1 => Just(Op::ReadOnly),
        1 => (limits(), any::<bool>()).prop_map(|(l, b)| Op::Restart(l, b)),
        1 => (limits(), any::<bool>()).prop_map(|(l, b)| Op::Relimit(l, b)),
    ]
}

/// When a run's store syncs, beside when it is told to.
#[derive(Clone, Copy, Debug)]
pub enum Syncs {
    Never,
    First,
    EachWrite,
    EverySecond,
}

/// A run: whether its files are on a disk rather than in memory, and what it does.
#[derive(Clone, Debug)]
pub struct Plan {
    pub on_disk: bool,
    pub syncs: Syncs,
    pub operations: Vec<Op>,
}

pub fn plan(crowds: bool) -> impl Strategy<Value = Plan> {
    let syncs = prop_oneof![
        6 => Just(Syncs::Never),
        2 => Just(Syncs::First),
        1 => Just(Syncs::EachWrite),
        1 => Just(Syncs::EverySecond),
    ];
    (prop::bool::weighted(0.05), syncs, vec(operation(crowds), 1..300))
        .prop_map(|(on_disk, syncs, operations)| Plan { on_disk, syncs, operations })
}
