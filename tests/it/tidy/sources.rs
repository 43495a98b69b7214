//! What is looked at: the files of the repository, and the packages that they make up.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file, from disk or made up.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path below the repository.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The lines that are part of the product: those before its tests, and none if the file is a test.
    pub fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let ours = if self.is_test() { 0 } else { usize::MAX };
        let tests = "#[cfg(test)]\nmod tests {";
        let end = self.text.find(tests).unwrap_or(self.text.len());
        (1..).zip(self.text[..end].lines()).take(ours)
    }

    /// The files that it makes modules of by `#[path]`, wherever they are.
    pub fn borrows(&self) -> Vec<String> {
        let lines = self.text.lines().map(str::trim);
        let written =
            lines.filter_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
        written.map(|written| beside(&self.path, written)).collect()
    }

    pub fn is_test(&self) -> bool {
        ["src/models/", "src/format/spec/", "tests/"].iter().any(|at| self.path.starts_with(at))
    }
}

/// Files that import each other: what is below a `src`, or one program of several files beside it,
/// and what they borrow from elsewhere.
#[derive(Clone, Debug)]
pub struct Package {
    /// The folder of its files below the repository, by which it is named.
    pub folder: String,
    /// What its programs call its library.
    pub library: String,
    pub sources: Vec<Source>,
}

impl Package {
    /// A package of sources that are on no disk.
    pub fn made_up(sources: &[(&str, &str)]) -> Self {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        let sources = sources.iter().map(source).collect();
        Self { folder: "src".to_owned(), library: "made_up".to_owned(), sources }
    }

    /// Whether nothing in it reaches a user: tests and benchmarks.
    pub fn is_test(&self) -> bool {
        self.folder.split('/').any(|part| part == "tests") || self.folder.ends_with("benches")
    }

    /// Whether a crate begins with this file.
    pub fn is_root(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.folder).unwrap_or(path).trim_start_matches('/');
        let alone = below.strip_prefix("bin/").unwrap_or(below);
        let stands_alone = alone != below || self.folder.ends_with("benches");
        matches!(below, "lib.rs" | "main.rs") || stands_alone && !alone.contains('/')
    }
}

/// The path below the repository of what a file calls `written`, seen from its own folder.
pub fn beside(file: &str, written: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in written.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources below these folders.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(entries(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source { text: fs::read_to_string(&path).unwrap(), path: below(&path) });
        }
    }
    assert!(!sources.is_empty());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// All packages of the repository. They are found by their manifests, so a new one is looked at
/// without being listed. The fuzz targets are left out: they are a few lines each, over files of
/// `tests/it`.
pub fn packages() -> Vec<Package> {
    let mut packages = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        folders.extend(entries(&folder).into_iter().filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let passed_over = ["target", "fuzz", "."].iter().any(|start| name.starts_with(start));
            path.is_dir() && !passed_over
        }));
        let manifest = folder.join("Cargo.toml");
        if manifest.is_file() && folder.join("src").is_dir() {
            let library = library(&fs::read_to_string(manifest).unwrap());
            packages.extend(programs(&folder).iter().map(|at| package(at, &library)));
        }
    }
    packages.sort_by(|a, b| a.folder.cmp(&b.folder));
    packages
}

/// What is compiled in the folder of a manifest, each by itself.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut programs = vec![folder.join("src")];
    for beside in ["tests", "examples"].map(|name| folder.join(name)) {
        let several = entries(&beside).into_iter().filter(|path| path.join("main.rs").is_file());
        programs.extend(several);
    }
    let benches = folder.join("benches");
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    programs.extend(entries(&benches).iter().any(is_source).then_some(benches));
    programs
}

fn package(folder: &Path, library: &str) -> Package {
    let folder = below(folder);
    let mut sources = sources(&[&folder]);
    if folder.ends_with("benches") {
        sources.retain(|source| !source.path[folder.len() + 1..].contains('/'));
    }
    borrow(&mut sources);
    Package { folder, library: library.to_owned(), sources }
}

/// Adds the files that these make modules of by `#[path]`. Such a file belongs to each package that
/// does so. Its own modules are not added, and are told of as lost where something uses them.
fn borrow(sources: &mut Vec<Source>) {
    let mut at = 0;
    while at < sources.len() {
        for path in sources[at].borrows() {
            if sources.iter().all(|source| source.path != path) && root().join(&path).is_file() {
                sources
                    .push(Source { text: fs::read_to_string(root().join(&path)).unwrap(), path });
            }
        }
        at += 1;
    }
}

/// The name of a manifest's library: its package's.
fn library(manifest: &str) -> String {
    let named = manifest.lines().find_map(|line| line.strip_prefix("name = \""));
    named.unwrap_or_default().trim_end_matches('"').replace('-', "_")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn below(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}
