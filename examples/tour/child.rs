//! The tour's other processes. Each is this program again, in a role. It says one thing a line.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use crate::shared::Result;

/// A process; killed when dropped.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a role ("user 100"); see `roles`.
    pub fn start(
        role: &str,
        number: usize,
        work: &Path,
        files: &Path,
        cache: &Path,
    ) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(format!("--role={role}"))
            .arg(number.to_string())
            .args([work, files, cache])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let output = BufReader::new(output.ok_or("no pipe")?);
        Ok(Self { process, input, output })
    }

    /// The next line it says.
    pub fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        // A line without its end was cut off by the death of the process.
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_owned()),
            None => Err("a process of the tour ended early".into()),
        }
    }

    /// The rest of the next line, which must begin with a word.
    pub fn expect(&mut self, word: &str) -> Result<String> {
        let line = self.hear()?;
        let rest = line.strip_prefix(word).ok_or_else(|| format!("{line:?} for {word:?}"))?;
        Ok(rest.to_owned())
    }

    /// Sends it a line.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().ok_or("no pipe")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Kills it by SIGKILL. Returns the lines that it had said by then.
    pub fn kill(mut self) -> Result<Vec<String>> {
        self.process.kill()?;
        self.process.wait()?;
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        Ok(whole.lines().map(ToOwned::to_owned).collect())
    }

    /// Waits for its end, which must be a success.
    pub fn finish(mut self) -> Result<()> {
        self.input = None;
        if self.process.wait()?.success() {
            return Ok(());
        }
        Err("a process of the tour failed".into())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
