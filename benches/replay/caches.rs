//! The caches that larder is compared with, as their papers tell them: of so many entries, in memory, without
//! values. A test holds them to counts that were worked out by hand.

use std::collections::{HashMap, HashSet, VecDeque};

/// Evicts what was used longest ago.
pub struct Lru {
    capacity: usize,
    clock: u64,
    used: HashMap<u64, u64>,
    order: std::collections::BTreeMap<u64, u64>,
}

impl Lru {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, used: HashMap::new(), order: Default::default() }
    }

    /// Asks for a key, and stores it if it is not there; whether it was.
    pub fn request(&mut self, key: u64) -> bool {
        self.clock += 1;
        let before = self.used.insert(key, self.clock);
        self.order.insert(self.clock, key);
        if let Some(before) = before {
            self.order.remove(&before);
            return true;
        }
        if self.used.len() > self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.used.remove(&oldest);
        }
        false
    }
}

/// S3-FIFO (Yang et al., SOSP 2023): a small queue of a tenth, a main queue, and as many ghosts as main has
/// entries.
pub struct S3Fifo {
    capacity: usize,
    small_share: usize,
    frequency: HashMap<u64, u8>,
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    ghosts: HashSet<u64>,
    ghost_order: VecDeque<u64>,
}

impl S3Fifo {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            small_share: (capacity / 10).max(1),
            frequency: HashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: HashSet::new(),
            ghost_order: VecDeque::new(),
        }
    }

    /// Asks for a key, and stores it if it is not there; whether it was.
    pub fn request(&mut self, key: u64) -> bool {
        if let Some(frequency) = self.frequency.get_mut(&key) {
            *frequency = (*frequency + 1).min(3);
            return true;
        }
        while self.frequency.len() >= self.capacity {
            self.evict();
        }
        self.frequency.insert(key, 0);
        let queue = if self.ghosts.remove(&key) { &mut self.main } else { &mut self.small };
        queue.push_back(key);
        false
    }

    fn evict(&mut self) {
        if self.small.len() >= self.small_share || self.main.is_empty() {
            self.evict_from_small();
        } else {
            self.evict_from_main();
        }
    }

    fn evict_from_small(&mut self) {
        while let Some(key) = self.small.pop_front() {
            if self.frequency.get(&key).is_some_and(|&frequency| frequency > 1) {
                self.frequency.insert(key, 0);
                self.main.push_back(key);
                if self.main.len() > self.capacity - self.small_share {
                    return self.evict_from_main();
                }
            } else {
                self.frequency.remove(&key);
                return self.leave_ghost(key);
            }
        }
    }

    fn evict_from_main(&mut self) {
        while let Some(key) = self.main.pop_front() {
            match self.frequency.get_mut(&key) {
                Some(frequency) if *frequency > 0 => {
                    *frequency -= 1;
                    self.main.push_back(key);
                }
                _ => {
                    self.frequency.remove(&key);
                    return;
                }
            }
        }
    }

    fn leave_ghost(&mut self, key: u64) {
        if self.ghosts.insert(key) {
            self.ghost_order.push_back(key);
        }
        while self.ghosts.len() > self.capacity - self.small_share {
            let Some(oldest) = self.ghost_order.pop_front() else { return };
            self.ghosts.remove(&oldest);
        }
    }
}
