//! What is replayed: requests read from a file, and some that are made up.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Requests, by numbers of keys.
pub struct Workload {
    pub name: String,
    pub requests: Vec<u64>,
}

impl Workload {
    /// That of a name, of a file, or of the standard input where it is `-`.
    pub fn of(name: &str) -> std::io::Result<Self> {
        let requests = match name {
            "drift" => drift(),
            "phases" => phases(),
            "-" => read(std::io::stdin())?,
            path => read(std::fs::File::open(path)?)?,
        };
        let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(Self { name: stem.unwrap_or_default(), requests })
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.requests.iter().collect::<std::collections::HashSet<_>>().len()
    }
}

/// The column `key` of comma-separated lines: the second, or the first where there is only one. What is no
/// number, as a head, is passed by.
fn read(from: impl Read) -> std::io::Result<Vec<u64>> {
    let mut requests = Vec::new();
    for line in BufReader::new(from).lines() {
        let line = line?;
        let mut columns = line.split(',');
        let (first, second) = (columns.next(), columns.next());
        requests.extend(second.or(first).and_then(|key| key.trim().parse::<u64>().ok()));
    }
    Ok(requests)
}

/// Zipf(0.9) over 50,000 ranks that slide by one every 20 requests: what is popular changes.
fn drift() -> Vec<u64> {
    let (mut random, ranks) = (Random(1), Zipf::new(50_000));
    (0..1_000_000).map(|number| number / 20 + ranks.draw(&mut random)).collect()
}

/// Four times other keys: Zipf(0.9) over 40,000 of them, in turns with a loop over 3,000.
fn phases() -> Vec<u64> {
    let (mut random, ranks) = (Random(2), Zipf::new(40_000));
    (0..1_000_000u64)
        .map(|number| {
            let phase = number / 250_000 * 1_000_000;
            match number / 25_000 % 2 {
                0 => phase + ranks.draw(&mut random),
                _ => phase + 500_000 + number % 3000,
            }
        })
        .collect()
}

/// Ranks, of which the first is the likeliest.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: u32) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += f64::from(rank).powf(-0.9);
            sum
        });
        Self(sums.collect())
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let all = self.0.last().copied().unwrap_or(1.0);
        let point = random.next() * all;
        self.0.partition_point(|&sum| sum < point) as u64
    }
}

/// Numbers from 0 to 1 (xorshift64*): the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}
