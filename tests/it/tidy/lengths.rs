//! Lengths of files and functions, and how many arguments a function takes.

use syn::visit::{self, Visit};
use syn::{Block, FnArg, Signature};

use super::report::assert_none;
use super::sources::packages;
use super::tables::{TOO_LONG, TOO_MANY_ARGUMENTS};
use super::tree::{File, Tree, is_test};

/// A function, and where it is.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
    /// Without `self`.
    pub arguments: usize,
    pub is_test: bool,
}

/// What something measures, as it is told of and as an exception names it.
struct Measure {
    at: String,
    path: String,
    /// Nothing, if it is the file.
    function: String,
    is: usize,
    limit: usize,
}

/// Lines of a file, for what is part of the product and for tests.
const FILE_LINES: [usize; 2] = [400, 420];
const FUNCTION_LINES: [usize; 2] = [50, 80];
const ARGUMENTS: usize = 5;

/// All functions of a file, those in tests as well.
pub fn functions(file: &File) -> Vec<Function> {
    let mut counter = Counter { is_test: file.is_test, found: Vec::new() };
    counter.visit_file(&file.code);
    counter.found
}

struct Counter {
    is_test: bool,
    found: Vec<Function>,
}

impl Counter {
    fn count(&mut self, signature: &Signature, body: Option<&Block>) {
        let start = signature.fn_token.span.start().line;
        let body_end = body.map(|body| body.brace_token.span.close().end().line);
        let end = body_end.unwrap_or(signature.paren_token.span.close().end().line);
        let typed = signature.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_)));
        self.found.push(Function {
            name: signature.ident.to_string(),
            line: start,
            lines: end - start + 1,
            arguments: typed.count(),
            is_test: self.is_test,
        });
    }
}

impl<'ast> Visit<'ast> for Counter {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let outer = self.is_test;
        self.is_test |= is_test(&item.attrs);
        visit::visit_item_mod(self, item);
        self.is_test = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.count(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.count(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.count(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }
}

fn measure(of: impl Fn(&File) -> Vec<Measure>) -> Vec<Measure> {
    let trees: Vec<Tree> = packages().iter().map(Tree::of).collect();
    let files = trees.iter().flat_map(|tree| &tree.files);
    files.flat_map(of).filter(|measure| measure.is > measure.limit).collect()
}

fn lengths() -> Vec<Measure> {
    measure(|file| {
        let whole = Measure {
            at: file.path.clone(),
            path: file.path.clone(),
            function: String::new(),
            is: file.lines,
            limit: FILE_LINES[usize::from(file.is_test)],
        };
        let each = functions(file).into_iter().map(|function| Measure {
            at: format!("{}:{} {}", file.path, function.line, function.name),
            path: file.path.clone(),
            is: function.lines,
            limit: FUNCTION_LINES[usize::from(function.is_test)],
            function: function.name,
        });
        std::iter::once(whole).chain(each).collect()
    })
}

fn arguments() -> Vec<Measure> {
    measure(|file| {
        let each = functions(file).into_iter().map(|function| Measure {
            at: format!("{}:{} {}", file.path, function.line, function.name),
            path: file.path.clone(),
            is: function.arguments,
            limit: ARGUMENTS,
            function: function.name,
        });
        each.collect()
    })
}

/// What is over its limit and no exception, and the exceptions that are not needed.
fn compare(measured: &[Measure], exceptions: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let is = |measure: &Measure, (path, function): &(&str, &str)| {
        measure.path == *path && measure.function == *function
    };
    let over = measured.iter().filter(|one| !exceptions.iter().any(|pair| is(one, pair)));
    let over = over.map(|one| format!("{}: {}, not {}", one.at, one.is, one.limit));
    let idle = exceptions.iter().filter(|pair| !measured.iter().any(|one| is(one, pair)));
    (over.collect(), idle.map(|(path, function)| format!("{path} {function}")).collect())
}

#[test]
fn no_file_or_function_is_too_long() {
    assert_none("to be parted", compare(&lengths(), TOO_LONG).0);
}

#[test]
fn no_function_takes_too_many_arguments() {
    assert_none("arguments to be put together", compare(&arguments(), TOO_MANY_ARGUMENTS).0);
}

#[test]
fn no_exception_is_made_for_what_needs_none() {
    let mut idle = compare(&lengths(), TOO_LONG).1;
    idle.extend(compare(&arguments(), TOO_MANY_ARGUMENTS).1);
    assert_none("to be taken out of the exceptions in tests/it/tidy/tables.rs", idle);
}
