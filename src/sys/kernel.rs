//! The kernel's side of the door.

use std::sync::Arc;

use super::clock::{KernelBoot, KernelClock};
use super::door::Environment;
use super::files::KernelFiles;

impl Default for Environment {
    /// The kernel answers everything.
    fn default() -> Self {
        Self {
            files: Arc::new(KernelFiles),
            clock: Arc::new(KernelClock),
            boot: Arc::new(KernelBoot),
            number: 0,
        }
    }
}
