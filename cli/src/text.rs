//! Keys, values, sizes and times as text.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::failure::Failure;

/// A key of the command line: its bytes as they are, or in hex.
pub fn key(given: &OsStr, hex: bool) -> Result<Vec<u8>, Failure> {
    if !hex {
        return Ok(given.as_bytes().to_vec());
    }
    from_hex(given.as_bytes()).ok_or_else(|| {
        Failure::Usage(format!(
            "{:?} is no key in hex. Give two digits for each byte, such as 6b6579.",
            given.to_string_lossy()
        ))
    })
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// Bytes in hex.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes for a JSON string, and the name of their encoding: the text itself (`utf-8`) where they are
/// text and `hex` is not asked for.
pub fn encoded(bytes: &[u8], hex: bool) -> (String, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !hex => (text.to_owned(), "utf-8"),
        _ => (to_hex(bytes), "hex"),
    }
}

/// A key for a terminal: what is not printable is escaped as in Rust, and so is the backslash, so
/// that no two keys look the same and none moves the cursor.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\'' => text.push(letter),
                _ => text.extend(letter.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A number of bytes, in units of 1,024.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    // What would be rounded to 1024.0 is 1.0 of the next unit.
    while number >= 1023.95 && unit + 1 < UNITS.len() {
        (number, unit) = (number / 1024.0, unit + 1);
    }
    format!("{number:.1} {}", UNITS[unit])
}

/// The bytes that a size means: a number, and behind it perhaps a unit of 1,000 (kB, MB, GB, TB) or 1,024
/// (KiB, MiB, GiB, TiB).
pub fn bytes(size: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    let digits = size.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(size.len());
    let (number, unit) = size.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let times = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, times)| *times);
    let bytes = number.parse::<u64>().ok().zip(times);
    bytes
        .and_then(|(number, times)| number.checked_mul(times))
        .ok_or_else(|| "give a whole number of bytes, or of a unit, such as 64MiB".to_owned())
}

/// A time in milliseconds.
pub fn time(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string()
}

/// A number and the noun it counts, in singular or plural.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_comes_back_and_what_is_no_hex_is_refused() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(to_hex(&bytes).as_bytes()), Some(bytes));
        assert_eq!(from_hex(b"fF00"), Some(vec![0xff, 0]));
        assert_eq!(from_hex(b""), Some(Vec::new()));
        for wrong in ["0", "0g", "0x00", "é"] {
            assert_eq!(from_hex(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_shown_key_moves_no_cursor_and_stands_for_one_key_alone() {
        assert_eq!(shown("käse 'a' \"b\"".as_bytes()), "käse 'a' \"b\"");
        assert_eq!(shown(b"a\n\x1b[2J\\n"), "a\\n\\u{1b}[2J\\\\n");
        assert_eq!(shown("\u{202e}".as_bytes()), "\\u{202e}");
        assert_eq!(shown(b"a\xffb"), "a\\xffb");
    }

    #[test]
    fn a_size_is_a_number_and_perhaps_a_unit() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("2GB", 2_000_000_000),
            ("16777215TiB", 16_777_215 << 40),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for wrong in
            ["", "MiB", "-1", "1.5GiB", "1 parsec", "16777216TiB", "99999999999999999999", "1é"]
        {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_rounded_to_a_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (64 << 20, "64.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
