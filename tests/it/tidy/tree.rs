//! The modules of a package and the names in them, from its sources.

use std::collections::BTreeMap;
use std::rc::Rc;

use syn::{Attribute, Expr, ExprLit, Item, ItemUse, Lit, Meta, UseTree};

use super::sources::{Package, beside};

/// A parsed file.
pub struct File {
    pub path: String,
    pub lines: usize,
    pub code: Rc<syn::File>,
    /// The module that it is, unless nothing declares it.
    pub module: Option<usize>,
    /// Whether other files are its children: then it hands on what they define.
    pub is_facade: bool,
    /// Whether it is compiled for tests alone.
    pub is_test: bool,
}

/// A module: a file, or a part of one in braces.
pub struct Module {
    pub file: usize,
    pub parent: Option<usize>,
    pub names: BTreeMap<String, Vec<Name>>,
    /// The paths of which it takes in all names.
    pub globs: Vec<Vec<String>>,
    /// Whether macros may define names in it that no one sees.
    pub has_macros: bool,
}

/// What a name stands for in a module.
#[derive(Clone)]
pub enum Name {
    /// Something that is defined here.
    Item,
    Module(usize),
    /// Something from elsewhere.
    Use(Vec<String>),
}

/// The files of a package as modules.
pub struct Tree {
    pub files: Vec<File>,
    pub modules: Vec<Module>,
    /// How programs name the library of the package, and its outermost module.
    pub library: Option<(String, usize)>,
}

impl Tree {
    pub fn of(package: &Package) -> Self {
        let parsed = package.sources.iter().map(|source| File {
            path: source.path.clone(),
            lines: source.text.lines().count(),
            code: Rc::new(
                syn::parse_file(&source.text).unwrap_or_else(|e| panic!("{}: {e}", source.path)),
            ),
            module: None,
            is_facade: false,
            is_test: package.is_test(),
        });
        let mut tree = Self { files: parsed.collect(), modules: Vec::new(), library: None };
        for file in 0..tree.files.len() {
            if package.is_root(&tree.files[file].path) {
                let root = tree.add_file(file, None, true, package.is_test());
                if tree.files[file].path.ends_with("/lib.rs") {
                    tree.library = Some((package.library.clone(), root));
                }
            }
        }
        tree
    }

    /// The outermost module above a module.
    pub fn root_of(&self, module: usize) -> usize {
        self.modules[module].parent.map_or(module, |parent| self.root_of(parent))
    }

    /// What is defined in a file but for its tests, each item with the module that it is in.
    pub fn items(&self, file: usize) -> Vec<(usize, &Item)> {
        let mut items = Vec::new();
        if let Some(module) = self.files[file].module {
            self.items_within(module, &self.files[file].code.items, &mut items);
        }
        items
    }

    /// A module in braces.
    pub fn inner(&self, module: usize, name: &str) -> Option<usize> {
        self.modules[module].names.get(name)?.iter().find_map(|name| match name {
            Name::Module(inner) => Some(*inner),
            _ => None,
        })
    }

    fn items_within<'a>(
        &'a self,
        module: usize,
        items: &'a [Item],
        found: &mut Vec<(usize, &'a Item)>,
    ) {
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            found.push((module, item));
            if let Item::Mod(inner) = item
                && let Some((_, content)) = &inner.content
                && let Some(within) = self.inner(module, &inner.ident.to_string())
            {
                self.items_within(within, content, found);
            }
        }
    }

    /// The children of a file are beside it if it heads its folder, else in a folder of its name.
    fn add_file(
        &mut self,
        file: usize,
        parent: Option<usize>,
        heads_folder: bool,
        is_test: bool,
    ) -> usize {
        let path = self.files[file].path.clone();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let children =
            if heads_folder { folder.to_owned() } else { path.trim_end_matches(".rs").to_owned() };
        let code = Rc::clone(&self.files[file].code);
        let module = self.add_module(file, parent, &children, &code.items, is_test);
        let own = &mut self.files[file];
        own.module.get_or_insert(module);
        own.is_test |= is_test;
        module
    }

    /// A module whose children are files in this folder.
    fn add_module(
        &mut self,
        file: usize,
        parent: Option<usize>,
        folder: &str,
        items: &[Item],
        test: bool,
    ) -> usize {
        let module = self.modules.len();
        let has_macros = |item: &Item| matches!(item, Item::Macro(call) if call.ident.is_none());
        self.modules.push(Module {
            file,
            parent,
            names: BTreeMap::new(),
            globs: Vec::new(),
            has_macros: items.iter().any(has_macros),
        });
        for item in items {
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let folder = format!("{folder}/{name}");
                    let is_test = test || is_test(&inner.attrs);
                    let child = match &inner.content {
                        Some(_) if is_test && !test => None,
                        Some((_, content)) => {
                            Some(self.add_module(file, Some(module), &folder, content, test))
                        }
                        None => self.declared(file, &folder, &inner.attrs).map(|child| {
                            self.files[file].is_facade = true;
                            let heads_folder = self.files[child].path.ends_with("/mod.rs")
                                || path_of(&inner.attrs).is_some();
                            self.add_file(child, Some(module), heads_folder, is_test)
                        }),
                    };
                    self.name(module, name, child.map(Name::Module));
                }
                Item::Use(item) => self.take_in(module, item),
                Item::ForeignMod(foreign) => {
                    for name in foreign.items.iter().filter_map(foreign_name) {
                        self.name(module, name, Some(Name::Item));
                    }
                }
                item => {
                    let name = name_of(item);
                    self.name(module, name.clone().unwrap_or_default(), name.map(|_| Name::Item));
                }
            }
        }
        module
    }

    fn take_in(&mut self, module: usize, item: &ItemUse) {
        for used in used(item) {
            match used.name {
                Some(name) => self.name(module, name, Some(Name::Use(used.path))),
                None => self.modules[module].globs.push(used.path),
            }
        }
    }

    fn name(&mut self, module: usize, name: String, is: Option<Name>) {
        self.modules[module].names.entry(name).or_default().extend(is);
    }

    /// The file of a module that `file` declares: where an attribute says, else at this path.
    fn declared(&self, file: usize, path: &str, attributes: &[Attribute]) -> Option<usize> {
        let places = match path_of(attributes) {
            Some(written) => vec![beside(&self.files[file].path, &written)],
            None => vec![format!("{path}.rs"), format!("{path}/mod.rs")],
        };
        self.files.iter().position(|file| places.contains(&file.path))
    }
}

/// One name, or all, that a `use` takes in.
pub struct Used {
    pub path: Vec<String>,
    /// What it is called here; nothing for all of them.
    pub name: Option<String>,
    pub line: usize,
}

/// What a `use` takes in, one by one.
pub fn used(item: &ItemUse) -> Vec<Used> {
    let mut found = Vec::new();
    // A path that begins with colons leads into another crate.
    if item.leading_colon.is_none() {
        flatten(&item.tree, &[], &mut found);
    }
    found
}

fn flatten(tree: &UseTree, before: &[String], found: &mut Vec<Used>) {
    let with = |ident: &syn::Ident| {
        let own = (ident != "self").then(|| ident.to_string());
        before.iter().cloned().chain(own).collect::<Vec<_>>()
    };
    match tree {
        UseTree::Path(path) if before.is_empty() => {
            flatten(&path.tree, &[path.ident.to_string()], found);
        }
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) => {
            let path = with(&name.ident);
            let line = name.ident.span().start().line;
            found.push(Used { name: path.last().cloned(), path, line });
        }
        UseTree::Rename(name) => {
            let line = name.ident.span().start().line;
            let path = with(&name.ident);
            found.push(Used { path, name: Some(name.rename.to_string()), line });
        }
        UseTree::Glob(glob) => {
            let line = glob.star_token.spans[0].start().line;
            found.push(Used { path: before.to_vec(), name: None, line });
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, found);
            }
        }
    }
}

/// Whether something is compiled for tests alone.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let when = list.tokens.to_string();
            let words: Vec<&str> = when.split(|c: char| !c.is_alphanumeric()).collect();
            words.contains(&"test") && !words.contains(&"not") && !words.contains(&"any")
        }
        _ => false,
    })
}

/// Where `#[path = "..."]` says that a module's file is, in its words.
fn path_of(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(written), .. }) => Some(written.value()),
            _ => None,
        },
        _ => None,
    })
}

pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn foreign_name(item: &syn::ForeignItem) -> Option<String> {
    match item {
        syn::ForeignItem::Fn(item) => Some(item.sig.ident.to_string()),
        syn::ForeignItem::Static(item) => Some(item.ident.to_string()),
        _ => None,
    }
}
