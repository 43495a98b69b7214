//! The workloads: each cell is carried out by a process of its own.

mod bench;
mod bounded;
mod children;
mod cold;
mod crews;
mod growth;
mod many;
mod opening;
mod plain;
mod refusal;

use anyhow::{Context, Result};

use crate::cell::Cell;
use crate::cgroup;
use crate::outcome::{Finding, Outcome};
use crate::part::Part;
use crate::peers;
use crate::workload::Workload;
use bench::Bench;

/// Plays a part in a cell, in this process.
pub fn play(part: Part, cell: &Cell, index: usize) -> Result<()> {
    let bench = || {
        let about = peers::find(&cell.peer).context("no such peer")?;
        anyhow::Ok(Bench::new(cell, about))
    };
    // A cold cell's own process loads and counts; it is the one that measures which is confined.
    let confined = part == Part::Capped || part == Part::Cell && !cell.workload.is_cold();
    if let Some(group) = cell.group.as_deref().filter(|_| confined) {
        cgroup::join(group)?;
    }
    match part {
        Part::Cell => {
            println!("{}", serde_json::to_string(&measure(cell))?);
            Ok(())
        }
        Part::Holder => opening::hold(&mut bench()?),
        Part::Worker => crews::work_as_process(&mut bench()?, index),
        Part::Capped => cold::measure_capped(&mut bench()?),
    }
}

fn measure(cell: &Cell) -> Finding {
    let Some(about) = peers::find(&cell.peer) else {
        return Finding::Failed("no such peer in this build".to_owned());
    };
    if let Some(reason) = refusal::refusal(cell, about) {
        return Finding::Cannot(reason.to_owned());
    }
    match carry_out(&mut Bench::new(cell, about)) {
        Ok(mut outcome) => {
            let most = about.most_entries;
            if most < cell.entries && !cell.workload.is_cold() {
                outcome.notes.insert(0, format!("with {most} entries"));
            }
            Finding::Measured(Box::new(outcome))
        }
        Err(error) => Finding::Failed(format!("{error:#}")),
    }
}

fn carry_out(bench: &mut Bench<'_>) -> Result<Outcome> {
    match bench.cell.workload {
        Workload::Fill => plain::fill(bench),
        Workload::Get | Workload::GetZipf => plain::get(bench),
        Workload::View => plain::view(bench),
        Workload::Miss => plain::miss(bench),
        Workload::Overwrite => plain::overwrite(bench),
        Workload::Remove => plain::remove(bench),
        Workload::Churn => bounded::churn(bench),
        Workload::GetOrInsert => bounded::get_or_insert(bench),
        Workload::Open | Workload::OpenKilled | Workload::OpenReboot => opening::open(bench),
        Workload::Mixed | Workload::Read | Workload::Write => crews::side_by_side(bench),
        Workload::Beside => crews::beside(bench),
        Workload::Many => many::beside_single(bench),
        Workload::Growth => growth::grow(bench),
        workload if workload.is_cold() => cold::measure(bench),
        _ => anyhow::bail!("stands for other workloads"),
    }
}
