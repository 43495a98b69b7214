//! How a check fails: with all that it found.

/// Fails if anything was found.
pub fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}
