//! Where a verb prints.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::failure::Failure;

/// The standard output, and what is wanted there.
pub struct Output {
    /// Objects instead of text.
    pub json: bool,
    to: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// The standard output, for as long as this lives.
    pub fn new(json: bool) -> Self {
        Self { json, to: BufWriter::new(io::stdout().lock()) }
    }

    /// A line of text.
    pub fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.to, "{line}").map_err(Failure::Output)
    }

    /// An object, on a line of its own.
    pub fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, object)
            .map_err(|error| Failure::Output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).map_err(Failure::Output)
    }

    /// Hands over what is still held back.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(Failure::Output)
    }
}
