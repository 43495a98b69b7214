//! The verb `mutations`: each patch in turn in a copy of the tree, and the tests that must notice.

mod bench;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use crate::mutation::{self, Mutation};
use crate::package::{self, Package};
use crate::show::{progress, tables};
use bench::Bench;

/// Options of `mutations`.
#[derive(Args)]
pub struct Options {
    /// Only these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only those that this kind must catch.
    #[arg(long)]
    kind: Option<String>,
    /// Do not check first that the tests pass on the source as it is.
    #[arg(long)]
    unchecked: bool,
    /// Print the list, and do nothing.
    #[arg(long)]
    list: bool,
}

/// Applies the mutations; whether all were caught.
pub fn mutations(options: &Options) -> Result<bool> {
    let root = package::root()?;
    let chosen = chosen(options, &root)?;
    if options.list {
        tables::mutations(&chosen);
        return Ok(true);
    }
    let bench = Bench::new(Package::at(root)?)?;
    let unable = if options.unchecked { BTreeMap::new() } else { bench.check_unbroken(&chosen)? };
    let mut verdicts = Vec::new();
    for mutation in &chosen {
        let verdict = match unable.get(&mutation.name) {
            Some(unable) => unable.clone(),
            None => bench.try_one(mutation)?,
        };
        progress::verdict(mutation, &verdict);
        verdicts.push((mutation, verdict));
    }
    bench.reset()?;
    tables::verdicts(&verdicts);
    Ok(verdicts.iter().all(|(_, verdict)| verdict.is_good()))
}

fn chosen(options: &Options, root: &Path) -> Result<Vec<Mutation>> {
    let mut all = mutation::read_all(&root.join("proof/mutations"))?;
    for name in &options.only {
        if !all.iter().any(|mutation| mutation.name == *name) {
            bail!("no such mutation: {name}");
        }
    }
    all.retain(|mutation| {
        (options.only.is_empty() || options.only.contains(&mutation.name))
            && options.kind.as_ref().is_none_or(|kind| *kind == mutation.kind)
    });
    Ok(all)
}
