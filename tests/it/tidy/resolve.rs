//! From a path in code to what it names, through whatever hands it on.

use super::tree::{Name, Tree};

/// What is defined somewhere: the module, and its name there.
pub type Key = (usize, String);

/// What the first parts of a path name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Module(usize),
    Item(Key),
}

/// What a path names from within a module, each with how many parts of the path led to it. Nothing,
/// if it leads out of the package.
pub fn resolve(tree: &Tree, module: usize, path: &[String]) -> Vec<(Found, usize)> {
    Search { tree, under_way: Vec::new() }.path(module, path)
}

struct Search<'a> {
    tree: &'a Tree,
    /// Names that are being looked for: whoever meets one again goes round in a circle.
    under_way: Vec<Key>,
}

impl Search<'_> {
    fn path(&mut self, module: usize, path: &[String]) -> Vec<(Found, usize)> {
        let Some(first) = path.first() else { return Vec::new() };
        let mut open = match first.as_str() {
            "crate" => vec![Found::Module(self.tree.root_of(module))],
            "self" => vec![Found::Module(module)],
            "super" => self.parent(module),
            name => self.name_or_library(module, name),
        };
        let mut found = Vec::new();
        for (at, part) in path.iter().enumerate().skip(1) {
            let mut next = Vec::new();
            for one in open {
                match one {
                    Found::Module(module) if part == "super" => next.extend(self.parent(module)),
                    Found::Module(module) => next.extend(self.named_in(module, part)),
                    // What follows belongs to the item.
                    Found::Item(_) => found.push((one, at)),
                }
            }
            open = next;
        }
        found.extend(open.into_iter().map(|one| (one, path.len())));
        found
    }

    fn parent(&self, module: usize) -> Vec<Found> {
        self.tree.modules[module].parent.map(Found::Module).into_iter().collect()
    }

    fn name_or_library(&mut self, module: usize, name: &str) -> Vec<Found> {
        let found = self.name(module, name);
        match &self.tree.library {
            Some((library, root)) if found.is_empty() && library == name => {
                vec![Found::Module(*root)]
            }
            _ => found,
        }
    }

    /// What a path finds in a module: whatever is not there, a macro has made.
    fn named_in(&mut self, module: usize, name: &str) -> Vec<Found> {
        let found = self.name(module, name);
        let is_made = found.is_empty() && self.tree.modules[module].has_macros;
        if is_made { vec![Found::Item((module, name.to_owned()))] } else { found }
    }

    fn name(&mut self, module: usize, name: &str) -> Vec<Found> {
        let key = (module, name.to_owned());
        if self.under_way.contains(&key) {
            return Vec::new();
        }
        self.under_way.push(key.clone());
        let tree = self.tree;
        let mut found = Vec::new();
        for is in tree.modules[module].names.get(name).into_iter().flatten() {
            match is {
                Name::Item => found.push(Found::Item(key.clone())),
                Name::Module(inner) => found.push(Found::Module(*inner)),
                Name::Use(path) => found.extend(self.whole(module, path)),
            }
        }
        if found.is_empty() {
            for glob in &tree.modules[module].globs {
                for from in self.whole(module, glob) {
                    if let Found::Module(from) = from {
                        found.extend(self.name(from, name));
                    }
                }
            }
        }
        self.under_way.pop();
        found
    }

    /// What all parts of a path name together.
    fn whole(&mut self, module: usize, path: &[String]) -> Vec<Found> {
        let found = self.path(module, path);
        // Parts of an item, such as variants, stand where the item does.
        found.into_iter().map(|(found, _)| found).collect()
    }
}
