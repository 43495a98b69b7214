//! The roles of children: what a process started by `children` does.
//!
//! It stands above everything that starts children, which name a role by a string and do not know
//! this table.

use crate::children::{Part, part};

/// Not a test of its own: it does nothing unless `children` runs it in a role.
#[test]
fn a_child_plays_its_role() {
    let Some(Part { role, directory, seed }) = part() else { return };
    let directory = directory.as_path();
    match role.as_str() {
        "cold reader" => crate::beyond::cold_reader(directory),
        "mixed" => crate::processes::mixed(directory, seed),
        "writer" => crate::processes::writer(directory, seed),
        "filler" => crate::processes::filler(directory, seed),
        "stuck filler" => crate::processes::stuck_filler(directory),
        "dies in commit" => crate::fork::dies_in_commit(directory),
        "forks with handles" => crate::handles::forks_with_handles(directory),
        "in little space" => crate::handles::in_little_space(directory),
        "thousand stores" => crate::handles::thousand_stores(directory),
        "raises" => crate::handles::raises(directory),
        "without space for more" => crate::handles::without_space_for_more(directory),
        "forker" => crate::fork::forker(directory),
        "half a million" => crate::big::half(directory, seed),
        "flips" => crate::hostile::flips(directory, seed),
        "files" => crate::hostile::files(directory, seed),
        "records" => crate::hostile::records(directory, seed),
        "counters" => crate::counters::counters(directory, seed),
        "fuzzed" => crate::corpus::fuzzed(seed),
        "forged" => crate::forged::forged(seed),
        "nobody" => crate::errors::nobody(directory),
        "another boot" => crate::opening::another_boot(directory, seed),
        "dropping rights" => crate::opening::dropping_rights(directory),
        "sharing" => crate::opening::sharing(directory),
        "another user" => crate::opening::as_another_user(directory),
        "nowhere" => crate::messages::nowhere(directory),
        "idler" => crate::errors::idler(directory),
        "failing" => crate::faults::failing(directory, seed),
        "filled" => crate::full::filled(directory, seed),
        "on a disk" => crate::disks_that_fill::on_a_disk(directory, seed),
        "without a call" => crate::missing_calls::without(directory, seed),
        "on an old disk" => crate::missing_calls::on_an_old_disk(directory, seed),
        "limited" => crate::full::limited(directory, seed),
        "counted" => crate::system_calls::counted(directory, seed),
        "moved about" => crate::surroundings::moved_about(directory),
        "late filler" => crate::waiting::late_filler(directory),
        "ending" => crate::surroundings::ending(directory),
        "limits killed" => crate::relimit_stopped::killed_in_place(directory, seed),
        "relimit killed" => crate::relimit_stopped::killed(directory, seed),
        "power load" => crate::real_power::load(directory, seed),
        #[cfg(target_arch = "x86_64")]
        "stepped" => crate::steps::stepped(directory),
        "vandal" => crate::vandal::vandal(directory, seed),
        "vandal of all" => crate::vandal::vandal_of_all(directory, seed),
        "beside a worse vandal" => crate::vandal::beside_worse(directory, seed),
        "beside a vandal" => crate::vandal::beside(directory, seed),
        role if role.contains("storm") => crate::storm::supervise(role, directory, seed),
        _ => panic!("no such role: {role}"),
    }
}
