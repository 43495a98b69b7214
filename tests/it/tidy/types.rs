//! The types of a package: their fields, and in which files their methods are.
//!
//! What is known of a value's type is what its declaration says, and no more. It is enough to tell
//! whose method is called where a name alone would not.

use std::collections::{BTreeMap, BTreeSet};

use syn::{GenericArgument, ImplItem, Item, PathArguments, TraitItem, Type};

use super::resolve::{Found, Key, resolve};
use super::tree::{Tree, is_test};

/// A type of the package.
#[derive(Default)]
pub struct Known<'a> {
    pub fields: BTreeMap<String, &'a Type>,
    /// Its own methods, functions and constants, and the files that define them.
    members: BTreeMap<String, BTreeSet<usize>>,
    /// The files with a part of it.
    files: BTreeSet<usize>,
    pub public_fields: usize,
}

/// What is known of a value's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A type of the package.
    Ours(Key),
    /// A type that has no methods in the package.
    Foreign,
    Unknown,
}

/// All types of a package.
pub struct Types<'a> {
    tree: &'a Tree,
    pub known: BTreeMap<Key, Known<'a>>,
    /// The types that have a method of a name.
    owners: BTreeMap<String, BTreeSet<Key>>,
    /// Names of methods that a trait of the package has.
    of_traits: BTreeSet<String>,
}

/// Pointers and guards: their methods are those of what they lead to.
const POINTERS: [&str; 7] = ["Box", "Arc", "Rc", "MutexGuard", "Ref", "RefMut", "ManuallyDrop"];

/// Methods that types of the standard library have as well: their name says nothing of the type.
const COMMON: &str = " abs all and and_then any append as_bytes as_mut as_path as_ptr as_ref as_slice \
    as_str borrow borrow_mut by_ref bytes chain chars clear clone cloned cmp collect compare_exchange \
    contains contains_key copied count create deref drain drop elapsed end entry enumerate eq \
    expect extend file_name fill filter filter_map find first flush fmt fold for_each get get_mut \
    get_or_insert get_or_insert_with hash id insert into into_inner into_iter is_empty is_none \
    is_some iter iter_mut join keys kill last len lines load lock map map_err max metadata min name \
    new next ok open or_default or_else parent parse path peek pop position push read read_exact \
    remove replace reserve resize retain rev seek send recv set skip sleep sort spawn split \
    split_at start starts_with status step_by store strip_prefix sum swap sync sync_all take then \
    then_some to_owned to_string trim truncate try_lock unlock unwrap unwrap_or update values \
    wait windows with_capacity write write_all zip ";

impl<'a> Types<'a> {
    pub fn of(tree: &'a Tree) -> Self {
        let (known, owners) = (BTreeMap::new(), BTreeMap::new());
        let mut types = Self { tree, known, owners, of_traits: BTreeSet::new() };
        for file in 0..tree.files.len() {
            for (module, item) in tree.items(file) {
                types.declare(file, module, item);
            }
        }
        // Types first: a method's file may come before that of its type.
        for file in 0..tree.files.len() {
            for (module, item) in tree.items(file) {
                types.extend(file, module, item);
            }
        }
        types
    }

    /// The files that define a member of a type which is spread over several.
    pub fn member(&self, of: &Key, name: &str) -> Vec<usize> {
        let spread = self.known.get(of).filter(|known| known.files.len() > 1);
        let files = spread.and_then(|known| known.members.get(name));
        files.into_iter().flatten().copied().collect()
    }

    pub fn has_member(&self, of: &Key, name: &str) -> bool {
        self.known.get(of).is_some_and(|known| known.members.contains_key(name))
    }

    /// The only type that can be meant by a method's name.
    pub fn only_owner(&self, name: &str) -> Option<&Key> {
        let owners = self.owners.get(name)?;
        let is_common = COMMON.split_whitespace().any(|common| common == name);
        let is_plain = owners.len() == 1 && !is_common && !self.of_traits.contains(name);
        is_plain.then(|| owners.first()).flatten()
    }

    /// The type of the package that a path names.
    pub fn named(&self, module: usize, path: &[String]) -> Option<Key> {
        resolve(self.tree, module, path).into_iter().find_map(|(found, parts)| match found {
            Found::Item(key) if parts == path.len() && self.known.contains_key(&key) => Some(key),
            _ => None,
        })
    }

    /// What is known of a written type.
    pub fn kind(&self, module: usize, own: Option<&Key>, written: &Type) -> Kind {
        let path = match written {
            Type::Reference(to) => return self.kind(module, own, &to.elem),
            Type::Paren(inner) => return self.kind(module, own, &inner.elem),
            Type::Path(path) if path.qself.is_none() => &path.path,
            Type::Infer(_) | Type::Macro(_) | Type::Path(_) => return Kind::Unknown,
            _ => return Kind::Foreign,
        };
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts == ["Self"] {
            return own.map_or(Kind::Unknown, |own| Kind::Ours(own.clone()));
        }
        if let Some(key) = self.named(module, &parts) {
            return Kind::Ours(key);
        }
        let last = path.segments.last().filter(|last| POINTERS.iter().any(|p| last.ident == p));
        if let Some(PathArguments::AngleBracketed(arguments)) = last.map(|last| &last.arguments)
            && let Some(GenericArgument::Type(inner)) = arguments.args.last()
        {
            return self.kind(module, own, inner);
        }
        // An alias may stand for anything.
        let is_alias = !resolve(self.tree, module, &parts).is_empty() || parts[0] == "Self";
        if is_alias { Kind::Unknown } else { Kind::Foreign }
    }

    fn declare(&mut self, file: usize, module: usize, item: &'a Item) {
        let (name, fields) = match item {
            Item::Struct(item) => (&item.ident, item.fields.iter().collect()),
            Item::Enum(item) => (&item.ident, Vec::new()),
            Item::Union(item) => (&item.ident, item.fields.named.iter().collect()),
            Item::Trait(item) => {
                self.of_traits.extend(item.items.iter().filter_map(|item| match item {
                    TraitItem::Fn(item) => Some(item.sig.ident.to_string()),
                    _ => None,
                }));
                return;
            }
            _ => return,
        };
        let known = self.known.entry((module, name.to_string())).or_default();
        known.files.insert(file);
        let inherited = |field: &&&syn::Field| matches!(field.vis, syn::Visibility::Inherited);
        known.public_fields = fields.len() - fields.iter().filter(inherited).count();
        let named = fields.iter().filter_map(|field| Some((field.ident.as_ref()?, &field.ty)));
        known.fields.extend(named.map(|(name, written)| (name.to_string(), written)));
    }

    fn extend(&mut self, file: usize, module: usize, item: &Item) {
        let Item::Impl(block) = item else { return };
        if block.trait_.is_some() {
            return;
        }
        let Kind::Ours(key) = self.kind(module, None, &block.self_ty) else { return };
        let known = self.known.entry(key.clone()).or_default();
        known.files.insert(file);
        for item in &block.items {
            let (name, attributes) = match item {
                ImplItem::Fn(item) => (&item.sig.ident, &item.attrs),
                ImplItem::Const(item) => (&item.ident, &item.attrs),
                _ => continue,
            };
            if !is_test(attributes) {
                known.members.entry(name.to_string()).or_default().insert(file);
                self.owners.entry(name.to_string()).or_default().insert(key.clone());
            }
        }
    }
}
