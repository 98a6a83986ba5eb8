//! Children that run as another user.

use execution_engine_process::{Containment, Launch, Level, UserIds};
use rustix::process::Uid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_uid,
};

use crate::support::*;

/// A service manager gives such capabilities to a service that is not root, so that it can run
/// programs as other users. These must not be able to become root.
#[test]
fn child_of_another_user_has_none_of_the_ambient_capabilities_of_its_host() {
    in_own_process(|| {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("SKIPPED: only root can give itself ambient capabilities");
        }
        let kept = CapabilitySet::SETUID | CapabilitySet::SETGID;
        set_keep_capabilities(true).unwrap();
        set_thread_uid(Uid::from_raw(60_140)).unwrap();
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
        set_capabilities(None, sets).unwrap();
        for capability in [CapabilitySet::SETUID, CapabilitySet::SETGID] {
            configure_capability_in_ambient_set(capability, true).unwrap();
        }
        let containment = Containment::at(Level::ProcessGroup).unwrap();
        let mut launch = shell("id -u; exec sed -n 's/^CapPrm:.//p' /proc/self/status");
        let seen =
            |launch: &Launch| output(containment.spawn(launch).unwrap().stdout.as_ref().unwrap());
        assert_eq!(seen(&launch), "60140\n00000000000000c0\n", "those of the host");
        launch.user = Some(UserIds::new(60_141, 60_141));
        assert_eq!(seen(&launch), "60141\n0000000000000000\n");
    });
}
