//! Real processes for the tests: this test binary, run again in a role.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const ROLE: &str = "LARDER_TEST_ROLE";
const DIRECTORY: &str = "LARDER_TEST_DIRECTORY";
const SEED: &str = "LARDER_TEST_SEED";

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
        let mut command = match program {
            [] => Command::new(own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        let mut child = command
            .args(["--exact", "children::a_child_plays_its_role", "--nocapture", "--quiet"])
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

    /// The next line that the role printed with [`say`]; `None` at its end.
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
        // SAFETY: a signal to a child that was not waited for yet.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, which must be a success; what it said until then.
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

/// Not a test of its own: does nothing unless [`Process::start`] runs it in a role.
#[test]
fn a_child_plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = std::env::var(DIRECTORY).unwrap();
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let directory = Path::new(&directory);
    match role.as_str() {
        "mixed" => crate::processes::mixed(directory, seed),
        "writer" => crate::processes::writer(directory, seed),
        "filler" => crate::processes::filler(directory, seed),
        "stuck filler" => crate::processes::stuck_filler(directory),
        "dies in commit" => crate::fork::dies_in_commit(directory),
        "forker" => crate::fork::forker(directory),
        "half a million" => crate::big::half(directory, seed),
        "flips" => crate::hostile::flips(directory, seed),
        "files" => crate::hostile::files(directory, seed),
        "records" => crate::hostile::records(directory, seed),
        "counters" => crate::counters::counters(directory, seed),
        "fuzzed" => crate::corpus::fuzzed(seed),
        "forged" => crate::forged::forged(seed),
        "nobody" => crate::errors::nobody(directory),
        "idler" => crate::errors::idler(directory),
        "failing" => crate::faults::failing(directory, seed),
        "filled" => crate::full::filled(directory, seed),
        "limited" => crate::full::limited(directory, seed),
        "counted" => crate::system_calls::counted(directory, seed),
        "power load" => crate::real_power::load(directory, seed),
        #[cfg(target_arch = "x86_64")]
        "stepped" => crate::steps::stepped(directory),
        "vandal" => crate::vandal::vandal(directory, seed),
        "vandal of all" => crate::vandal::vandal_of_all(directory, seed),
        "beside a worse vandal" => crate::vandal::beside_worse(directory, seed),
        "beside a vandal" => crate::vandal::beside(directory, seed),
        role if role.contains("storm") => crate::storm::supervise(role, directory, seed),
        _ => panic!("no such role: {role}"),
    }
}

/// Mounts for this thread and its children alone.
pub fn own_mounts() -> Result<(), String> {
    // SAFETY: system calls with plain numbers and terminated strings; only this thread changes.
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
