//! `verify`: every record read, every counter compared, nothing changed.

use std::path::PathBuf;

use clap::Args;
use larder::Verification;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_read;
use crate::text;

/// Check every entry and counter; says what is wrong and what to do
#[derive(Args, Debug)]
pub struct Verify {
    /// The cache's directory
    directory: PathBuf,
}

#[derive(Serialize)]
struct Report {
    sound: bool,
    other_boot: bool,
    disturbed: bool,
    whole: u64,
    bytes: u64,
    dead: u64,
    damaged: u64,
    counted: u64,
    miscounted_segments: u64,
    damaged_words: Vec<String>,
}

impl Verify {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let cache = open_to_read(&self.directory)?;
        let other_boot = cache.opening().other_boot;
        let found = cache.verify()?;
        if output.json {
            output.object(&Report {
                sound: found.is_sound(),
                other_boot,
                disturbed: found.disturbed,
                whole: found.whole,
                bytes: found.bytes,
                dead: found.dead,
                damaged: found.damaged,
                counted: found.counted,
                miscounted_segments: found.miscounted_segments,
                damaged_words: found.damaged_words.clone(),
            })?;
        } else {
            for line in lines(&found, other_boot) {
                output.line(line)?;
            }
        }
        Ok(if found.is_sound() { Answer::Done } else { Answer::Damaged })
    }
}

fn lines(found: &Verification, other_boot: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "{} whole, with {} of keys and values; {} of them expired or cleared, not collected yet.",
        text::counted(found.whole, "entry is", "entries are"),
        text::size(found.bytes),
        found.dead,
    )];
    if found.damaged > 0 {
        lines.push(format!(
            "DAMAGED: {} a record that is damaged or gone; reads of them miss.",
            text::counted(found.damaged, "slot names", "slots name"),
        ));
    }
    if !found.damaged_words.is_empty() {
        lines.push(format!("DAMAGED: {}.", found.damaged_words.join(", ")));
    }
    let counts = found.whole + found.damaged;
    if found.counted != counts && !found.disturbed {
        lines.push(format!(
            "WRONG COUNT: the store counts {}, and the index holds {counts}.",
            text::counted(found.counted, "entry", "entries"),
        ));
    }
    if found.miscounted_segments > 0 && !found.disturbed {
        lines.push(format!(
            "WRONG COUNT: {} another number of entries than the index names in them.",
            text::counted(found.miscounted_segments, "segment counts", "segments count"),
        ));
    }
    if found.disturbed {
        lines.push("The store was written meanwhile, so counters were not judged.".into());
    }
    if found.is_sound() {
        lines.push("The store is sound.".into());
    } else if other_boot {
        lines.push(
            "The store was last used before the machine started, or was copied: what had not \
             reached the disk then is missing. Store it again; damaged slots go as the cache is used."
                .into(),
        );
    } else {
        lines.push(
            "Nothing wrong is returned to anybody: what is damaged is a miss, to be stored again. \
             If counts are wrong or damage comes back, check the disk and the kernel's log, stop \
             all users of the store, and delete its directory to start with an empty cache."
                .into(),
        );
    }
    lines
}
