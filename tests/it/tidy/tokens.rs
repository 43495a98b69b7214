//! What can be seen of paths and calls in the tokens of a macro.

use proc_macro2::{TokenStream, TokenTree};

/// What looks like an import.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Path(Vec<String>, usize),
    /// A method call, on a plain name if that is what stands before it.
    Call {
        on: Option<String>,
        name: String,
        line: usize,
    },
}

/// All pieces of a macro's tokens, in their order.
pub fn pieces(tokens: &TokenStream) -> Vec<Piece> {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => found.extend(pieces(&group.stream())),
            TokenTree::Ident(name) => {
                let (path, end) = path(&tokens, at);
                let line = name.span().start().line;
                let (before, after) = (punct(&tokens, at.wrapping_sub(1)), tokens.get(end));
                let is_called = matches!(after, Some(TokenTree::Group(_)));
                // A macro's own variables may stand for anything, but for `$crate`.
                let is_variable = before == Some('$') && path[0] != "crate";
                if before == Some('.') && is_called && path.len() == 1 {
                    let on = plain_name(&tokens, at);
                    found.push(Piece::Call { on, name: path[0].clone(), line });
                } else if before != Some('.') && !is_variable && is_worth_a_look(&path, after) {
                    found.push(Piece::Path(path, line));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The path that begins at a token, and where it ends.
fn path(tokens: &[TokenTree], start: usize) -> (Vec<String>, usize) {
    let (mut path, mut at) = (Vec::new(), start);
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        path.push(name.to_string());
        at += 1;
        if punct(tokens, at) != Some(':') || punct(tokens, at + 1) != Some(':') {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// A single word in lower case is a variable or a keyword, unless it is called.
fn is_worth_a_look(path: &[String], after: Option<&TokenTree>) -> bool {
    let is_called = matches!(after, Some(TokenTree::Group(_)));
    path.len() > 1 || is_called || path[0].starts_with(|first: char| first.is_uppercase())
}

/// The name before the dot at `at - 1`, if it stands alone.
fn plain_name(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at.checked_sub(2)?)? {
        TokenTree::Ident(name) if punct(tokens, at.wrapping_sub(3)) != Some('.') => {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn punct(tokens: &[TokenTree], at: usize) -> Option<char> {
    match tokens.get(at)? {
        TokenTree::Punct(punct) => Some(punct.as_char()),
        _ => None,
    }
}
