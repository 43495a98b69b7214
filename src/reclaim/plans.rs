//! Plans: what the policy says is begun here.

use super::walks::{begin, begin_sweep};
use super::writer::{Route, Writer};
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::walk::Purpose;
use crate::policy::Plan;
use crate::session::{Decision, Session};
use crate::store::transitions;

/// Begins what a plan says; `false` if there is nothing to do.
pub fn carry_out(session: &Session, writer: &mut Writer, plan: Plan) -> Result<bool> {
    match plan {
        Plan::Nothing => Ok(false),
        Plan::Promote(segment) => promote(session, segment).map(|()| true),
        Plan::Walk(segment, Purpose::Sweep) => begin_sweep(session, writer, segment).map(|()| true),
        Plan::Walk(segment, purpose) => {
            let old = session.store.load(Route::Upkeep.at());
            if old == 0 {
                begin(session, Route::Upkeep, old, segment, purpose)?;
            }
            Ok(true)
        }
    }
}

fn promote(session: &Session, segment: SegmentId) -> Result<()> {
    let store = &session.store;
    session.transact(|_, changes| {
        let Some(promoted) = store.state(segment).and_then(transitions::promoted) else {
            return Decision::Leave(());
        };
        changes.set_checked(store.geometry.state_at(segment), promoted.encode());
        Decision::Commit(())
    })
}
