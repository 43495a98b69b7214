//! What a file imports: each path and each method call in it that leads to another file.

use std::collections::BTreeMap;

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, Item, Macro, Member, Pat, Stmt, Token};

use super::resolve::{Found, Key, resolve};
use super::tokens::{Piece, pieces};
use super::tree::{Tree, attributes, is_test, used};
use super::types::{Kind, Types};

/// One place in a file that needs another file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    /// What is imported, in the words of the code.
    pub what: String,
}

/// What a file imports.
#[derive(Default)]
pub struct Imports {
    pub found: Vec<Import>,
    /// Paths within the package that were not followed to an end, each with its line.
    pub lost: Vec<(usize, String)>,
}

/// All imports of a file.
pub fn imports(tree: &Tree, types: &Types, file: usize) -> Imports {
    let Some(module) = tree.files[file].module else { return Imports::default() };
    let mut reader = Reader {
        tree,
        types,
        file,
        module,
        own: None,
        taken_in: Vec::new(),
        values: vec![BTreeMap::new()],
        imports: Imports::default(),
    };
    reader.visit_file(&tree.files[file].code);
    let mut imports = reader.imports;
    imports.found.sort();
    imports.found.dedup();
    imports
}

struct Reader<'a> {
    tree: &'a Tree,
    types: &'a Types<'a>,
    file: usize,
    module: usize,
    /// The type whose `impl` is being read.
    own: Option<Key>,
    /// What the blocks around take in for themselves.
    taken_in: Vec<BTreeMap<String, Vec<String>>>,
    /// What is known of values, by their names, a map a scope.
    values: Vec<BTreeMap<String, Kind>>,
    imports: Imports,
}

impl Reader<'_> {
    fn add(&mut self, to: usize, line: usize, what: &str) {
        if to != self.file {
            self.imports.found.push(Import { from: self.file, to, line, what: what.to_owned() });
        }
    }

    /// What a path names; one that begins here has to lead somewhere.
    fn follow(&mut self, path: &[String], line: usize) -> Vec<(Found, usize)> {
        let found = resolve(self.tree, self.module, path);
        let begins_here = ["crate", "self", "super"].contains(&path[0].as_str()) && path.len() > 1;
        if found.is_empty() && begins_here {
            self.imports.lost.push((line, path.join("::")));
        }
        found
    }

    /// A path in code, with what the blocks around took in put in its place.
    fn path(&mut self, path: &[String], line: usize) {
        let what = path.join("::");
        if path[0] == "Self" {
            if let (Some(own), Some(member)) = (self.own.clone(), path.get(1)) {
                self.member(&own, member, line, &what);
            }
            return;
        }
        let taken_in = self.taken_in.iter().rev().find_map(|names| names.get(&path[0]));
        let path = match taken_in {
            Some(start) => start.iter().chain(&path[1..]).cloned().collect(),
            None => path.to_vec(),
        };
        for (found, parts) in self.follow(&path, line) {
            // A module that is but named, as a value may be called like one.
            let Found::Item(key) = found else { continue };
            self.add(self.tree.modules[key.0].file, line, &what);
            if let Some(member) = path.get(parts) {
                self.member(&key, member, line, &what);
            }
        }
    }

    fn member(&mut self, of: &Key, name: &str, line: usize, what: &str) {
        for file in self.types.member(of, name) {
            self.add(file, line, what);
        }
    }

    fn call(&mut self, kind: &Kind, name: &str, line: usize) {
        let of = match kind {
            Kind::Foreign => return,
            Kind::Ours(key) if self.types.has_member(key, name) => key.clone(),
            // It may lead to another type (`Deref`).
            _ => match self.types.only_owner(name) {
                Some(key) => key.clone(),
                None => return,
            },
        };
        self.member(&of, name, line, &format!(".{name}() of {}", of.1));
    }

    fn takes_in(&mut self, item: &syn::ItemUse) {
        for one in used(item) {
            let what = format!("use {}", one.path.join("::"));
            for (found, _) in self.follow(&one.path, one.line) {
                match found {
                    Found::Item(key) => {
                        self.add(self.tree.modules[key.0].file, one.line, &what);
                    }
                    Found::Module(module) => {
                        // Through a folder's head one gets at what it hands on.
                        let file = self.tree.modules[module].file;
                        if !self.tree.files[file].is_facade {
                            self.add(file, one.line, &what);
                        }
                    }
                }
            }
        }
    }

    fn kind_of(&self, expression: &Expr) -> Kind {
        match expression {
            Expr::Path(path) => match path.path.get_ident() {
                Some(name) if name == "self" => match &self.own {
                    Some(own) => Kind::Ours(own.clone()),
                    None => Kind::Unknown,
                },
                Some(name) => self.value(&name.to_string()),
                None => Kind::Unknown,
            },
            Expr::Field(field) => match (self.kind_of(&field.base), &field.member) {
                (Kind::Ours(of), Member::Named(name)) => self.field(&of, &name.to_string()),
                _ => Kind::Unknown,
            },
            Expr::Paren(inner) => self.kind_of(&inner.expr),
            Expr::Reference(inner) => self.kind_of(&inner.expr),
            Expr::Unary(inner) => self.kind_of(&inner.expr),
            Expr::Lit(_) | Expr::Range(_) | Expr::Array(_) | Expr::Tuple(_) => Kind::Foreign,
            _ => Kind::Unknown,
        }
    }

    fn field(&self, of: &Key, name: &str) -> Kind {
        match self.types.known.get(of).and_then(|known| known.fields.get(name)) {
            Some(written) => self.types.kind(of.0, Some(of), written),
            None => Kind::Unknown,
        }
    }

    fn value(&self, name: &str) -> Kind {
        let known = self.values.iter().rev().find_map(|scope| scope.get(name));
        known.cloned().unwrap_or(Kind::Unknown)
    }

    fn bind(&mut self, name: String, kind: Kind) {
        self.values.last_mut().expect("there is a scope").insert(name, kind);
    }

    fn scoped(&mut self, read: impl FnOnce(&mut Self)) {
        self.values.push(BTreeMap::new());
        read(self);
        self.values.pop();
    }

    /// Reads a part in which `self` is of this type.
    fn within(&mut self, own: Option<Key>, read: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.own, own);
        read(self);
        self.own = outer;
    }

    fn tokens(&mut self, mac: &Macro) {
        for piece in pieces(&mac.tokens) {
            match piece {
                Piece::Path(path, line) => self.path(&path, line),
                Piece::Call { on, name, line } => {
                    let own = self.own.clone().filter(|_| on.as_deref() == Some("self"));
                    let kind = own.map_or_else(
                        || on.map_or(Kind::Unknown, |name| self.value(&name)),
                        Kind::Ours,
                    );
                    self.call(&kind, &name, line);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let Some(inner) = self.tree.inner(self.module, &item.ident.to_string()) else { return };
        if item.content.is_some() {
            let outer = std::mem::replace(&mut self.module, inner);
            visit::visit_item_mod(self, item);
            self.module = outer;
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.takes_in(item);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let own = match self.types.kind(self.module, None, &block.self_ty) {
            Kind::Ours(key) => Some(key),
            _ => None,
        };
        self.within(own, |reader| visit::visit_item_impl(reader, block));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(None, |reader| visit::visit_item_trait(reader, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.scoped(|reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.scoped(|reader| visit::visit_impl_item_fn(reader, item));
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.scoped(|reader| visit::visit_trait_item_fn(reader, item));
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.scoped(|reader| visit::visit_expr_closure(reader, closure));
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.scoped(|reader| visit::visit_arm(reader, arm));
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let mut names = BTreeMap::new();
        for stmt in &block.stmts {
            if let Stmt::Item(Item::Use(item)) = stmt {
                let named = used(item).into_iter().filter_map(|one| Some((one.name?, one.path)));
                names.extend(named);
            }
        }
        self.taken_in.push(names);
        self.scoped(|reader| visit::visit_block(reader, block));
        self.taken_in.pop();
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        // What it is made from does not know it yet.
        if let Some(init) = &local.init {
            self.visit_local_init(init);
        }
        self.visit_pat(&local.pat);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.bind(pattern.ident.to_string(), Kind::Unknown);
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_pat_type(&mut self, pattern: &'ast syn::PatType) {
        visit::visit_pat_type(self, pattern);
        if let Pat::Ident(name) = &*pattern.pat {
            let kind = self.types.kind(self.module, self.own.as_ref(), &pattern.ty);
            self.bind(name.ident.to_string(), kind);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if path.leading_colon.is_none() {
            self.path(&parts, path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let kind = self.kind_of(&call.receiver);
        self.call(&kind, &call.method.to_string(), call.method.span().start().line);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.visit_path(&mac.path);
        // Most take expressions; of the others what looks like a path is one.
        match mac.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            Ok(arguments) => arguments.iter().for_each(|one| self.visit_expr(one)),
            Err(_) => self.tokens(mac),
        }
    }

    /// Who may see something imports nothing, and attributes are for the compiler.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
