//! Real processes for the tests: this test binary, run again in a role.
//!
//! Nothing here knows what a role does. `roles` has the table of them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The test that plays a role, by its full name.
const PLAYS: &str = "roles::a_child_plays_its_role";

const ROLE: &str = "LARDER_TEST_ROLE";
const DIRECTORY: &str = "LARDER_TEST_DIRECTORY";
const SEED: &str = "LARDER_TEST_SEED";

/// What a child was started with.
pub struct Part {
    pub role: String,
    pub directory: PathBuf,
    pub seed: u64,
}

/// The part that [`Process::start`] gave this process; `None` if it is not a child.
pub fn part() -> Option<Part> {
    Some(Part {
        role: std::env::var(ROLE).ok()?,
        directory: std::env::var_os(DIRECTORY).unwrap().into(),
        seed: std::env::var(SEED).unwrap().parse().unwrap(),
    })
}

/// A process in a role; killed when dropped.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a role on a directory.
    pub fn start(role: &str, directory: &Path, seed: u64) -> Self {
        Self::start_under(&[], role, directory, seed)
    }

    /// Starts a role under another program, such as a tracer.
    pub fn start_under(program: &[&str], role: &str, directory: &Path, seed: u64) -> Self {
        let own = std::env::current_exe().unwrap();
        let command = match program {
            [] => Command::new(own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        Self::start_as(command, role, directory, seed)
    }

    /// Starts a role, once `prepare` was done in the new process.
    ///
    /// # Safety
    ///
    /// It may do nothing but system calls: other threads may hold any lock.
    pub unsafe fn start_after(
        prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
        role: &str,
        directory: &Path,
        seed: u64,
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        // SAFETY: the caller says so.
        unsafe { command.pre_exec(prepare) };
        Self::start_as(command, role, directory, seed)
    }

    fn start_as(mut command: Command, role: &str, directory: &Path, seed: u64) -> Self {
        let mut child = command
            .args(["--exact", PLAYS, "--nocapture", "--quiet"])
            .env(ROLE, role)
            .env(DIRECTORY, directory)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// The next line that the role printed with [`say`], or `None` at its end.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(said) = line.trim_end().strip_prefix("said: ") {
                return Some(said.to_owned());
            }
        }
    }

    /// Sends the role a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the signal goes to a child that was not waited for yet.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Kills it at once, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; whether it was a success.
    pub fn ends_well(mut self) -> bool {
        self.input = None;
        while self.hear().is_some() {}
        self.child.wait().unwrap().success()
    }

    /// Waits for its end, which must be a success. Returns what it said until then.
    pub fn finish(mut self) -> Vec<String> {
        self.input = None;
        let mut said = Vec::new();
        while let Some(line) = self.hear() {
            said.push(line);
        }
        assert!(self.child.wait().unwrap().success(), "a child failed: {said:?}");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints a line for [`Process::hear`].
pub fn say(line: impl std::fmt::Display) {
    // The test harness may print on the same line before.
    println!("\nsaid: {line}");
    std::io::stdout().flush().unwrap();
}

/// The next line from the parent; `None` when it has closed the pipe.
pub fn listen() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line).unwrap() {
        0 => None,
        _ => Some(line.trim_end().to_owned()),
    }
}

/// Mounts for this thread and its children alone.
pub fn own_mounts() -> Result<(), String> {
    // SAFETY: system calls with plain numbers and terminated strings. They change this thread alone.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    };
    if done {
        Ok(())
    } else {
        Err(format!("no mounts of its own ({}): needs root", std::io::Error::last_os_error()))
    }
}
