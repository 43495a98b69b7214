//! A run: carries the operations of a plan out, and compares after each.

use proptest::prelude::*;

use super::form::Form;
use super::operations::{Length, Limits, Lives, MANY, Op, Plan};
use super::oracle::Checked;
use super::player::{Player, fault};

/// Plays all operations of a plan. Returns how many there were.
pub fn play(form: Form, plan: &Plan) -> Checked<u64> {
    let mut player = Player::new(form, plan)?;
    for operation in &plan.operations {
        player.operate(operation)?;
        player.compare()?;
    }
    player.compare_all(&player.cache())?;
    player.compare_counters()?;
    Ok(plan.operations.len() as u64)
}

impl Player {
    fn operate(&mut self, operation: &Op) -> Checked {
        match *operation {
            Op::Put(key, length, lives) => self.put(key, length, lives),
            Op::PutMany(first, count, length) => (first..first.saturating_add(count).min(MANY))
                .try_for_each(|key| self.put(key, Length::Exact(length.into()), Lives::Default)),
            Op::Read(key, read) => self.read(&self.cache(), key, read),
            Op::Hold(key) => self.hold(key),
            Op::LetGo => {
                self.views.clear();
                Ok(())
            }
            Op::Remove(key) => self.remove(key),
            Op::Clear => {
                self.cache().clear().map_err(fault("a clear"))?;
                self.oracle.clear();
                prop_assert_eq!(self.cache().len(), 0);
                prop_assert!(self.cache().is_empty());
                Ok(())
            }
            Op::Fill(key, computes) => self.fill(key, computes),
            Op::Iterate => self.compare_all(&self.cache()),
            Op::Keys => {
                let mut keys: Vec<_> = self.cache().keys().collect();
                keys.sort();
                let mut pairs: Vec<_> = self.cache().iter().map(|(key, _)| key).collect();
                pairs.sort();
                prop_assert_eq!(keys, pairs);
                Ok(())
            }
            Op::KeyTooLong => self.key_too_long(),
            Op::Stats => self.compare_counters(),
            Op::Sync => self.cache().sync().map(|_| ()).map_err(fault("a sync")),
            Op::Maintain => self.maintain(),
            Op::Compact => self.cache().compact().map(|_| ()).map_err(fault("a compaction")),
            Op::Verify => self.verify(),
            Op::Clock(time) => self.set_clock(time),
            Op::Use(handle) => {
                self.current = handle.into();
                Ok(())
            }
            Op::Open(limits) => self.open(limits),
            Op::Reopen => {
                let at = self.current % self.handles.len();
                self.handles.remove(at);
                self.open(Limits::default())
            }
            Op::ReadOnly => {
                let reader = self.builder().read_only(true).open(self.path());
                self.compare_reader(&reader.map_err(fault("a reader"))?)
            }
            Op::Restart(limits, boots) => self.restart(limits, boots),
            Op::Relimit(limits, larger) => self.relimit(limits, larger),
        }
    }
}
