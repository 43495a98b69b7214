//! Figures as people read them.

/// Three figures say all that such a measurement knows.
pub fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub fn time(nanos: f64) -> String {
    match nanos {
        0.0..1e3 => format!("{nanos:.0} ns"),
        1e3..1e6 => format!("{} us", significant(nanos / 1e3)),
        1e6..1e9 => format!("{} ms", significant(nanos / 1e6)),
        _ => format!("{} s", significant(nanos / 1e9)),
    }
}

/// Bytes with the largest unit that fits, and what that leaves out.
pub fn amount(bytes: f64) -> String {
    humansize::format_size(
        bytes.round() as u64,
        humansize::BINARY.decimal_places(1).decimal_zeroes(0),
    )
}

/// Bytes with the largest unit that fits.
pub fn bytes(bytes: usize) -> String {
    humansize::format_size(bytes, humansize::BINARY.decimal_places(0))
}
