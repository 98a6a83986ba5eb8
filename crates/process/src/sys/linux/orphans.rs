//! A host that is process 1 or a subreaper inherits the orphans of its children, and their zombies.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::proc;

/// Reaps the zombies that the tree of `main` has left to this process, each by its id: those of
/// other children are none of our business.
pub(super) fn reap(main: Pid) {
    if !inherits_orphans() {
        return;
    }
    let (me, leader) = (std::process::id().cast_signed(), main.as_raw_nonzero().get());
    let Ok(all) = proc::all() else { return };
    for stat in all.filter(|stat| stat.parent == me && !stat.is_alive()) {
        let is_ours = stat.pid != leader && (stat.session == leader || stat.group == leader);
        if let Some(pid) = Pid::from_raw(stat.pid).filter(|_| is_ours) {
            // Somebody else may have been faster.
            let _reaped = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}

fn inherits_orphans() -> bool {
    if std::process::id() == 1 {
        return true;
    }
    let mut is_subreaper: libc::c_int = 0;
    // SAFETY: the kernel stores one integer at the address.
    let answer = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper) };
    answer == 0 && is_subreaper != 0
}
