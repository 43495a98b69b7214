//! What all files of the tour use: its results, how many processes it has, and how it prints.

/// Whatever goes wrong; its message is all that matters here.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Processes that use the cache at a time.
pub const PROCESSES: usize = 4;

/// Prints a line. Where the reader is gone (`| head`), this is an error and not a panic.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($line)*)
    }};
}
pub(crate) use say;
