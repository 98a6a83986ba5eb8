//! Hosts that change after their engine was made: they give up the rights of root, are moved to
//! another control group, lose their groups, or lower their limits. Programs still start, contained
//! as strongly as is possible by then, or the failure says what has changed.
//!
//! Each host is a process of its own.

mod descriptors;
mod file_sizes;
mod fork;
mod guard;
mod limits;
mod places;
mod rights;
mod root;

use std::os::unix::fs::PermissionsExt as _;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{announce, levels};
use test_support::lifeline::Lifeline;
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "engine_of_a_host_that_drops_root_goes_on";

/// The first of the users that hosts become. They have no other processes: one that drops root looks
/// like an orphan of another host that has become the same user.
const USERS: u32 = 61_910;

/// Runs a part in a host of its own, which becomes the user with this number.
fn in_a_host(part: &str, user: u32) {
    if let Some(reason) = cannot_fall() {
        return announce(&format!("SKIPPED: {reason}"));
    }
    // Removed here, since the host may not have the right to.
    let home = open_home();
    let host = Host::start(HOST, &format!("{part} {} {}", USERS + user, home.path().display()));
    assert_eq!(host.next_line(), "all is well", "{part}");
    assert!(host.end().success());
}

/// Makes a directory in which every user may write.
fn open_home() -> TempDir {
    let home = TempDir::new().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    home
}

/// Returns why this machine has no level that a host can lose.
fn cannot_fall() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can give up the rights of root");
    }
    let has_both = levels().starts_with(&[ContainmentLevel::Cgroup, ContainmentLevel::ProcessTree]);
    (!has_both).then_some("there are no control groups here")
}

#[test]
fn engine_of_a_host_that_drops_root_goes_on() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    in_a_host("drops_root", 0);
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let scene = Scene { user: words[1].parse().unwrap(), home: words[2].clone().into() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match words[0].as_str() {
            "drops_root" => rights::drops_root(&scene).await,
            "requires_a_level" => rights::requires_a_level(&scene).await,
            "takes_rights_back" => rights::takes_rights_back(&scene).await,
            "has_a_mightier_program" => rights::has_a_mightier_program(&scene).await,
            "enters_a_sandbox" => rights::enters_a_sandbox().await,
            "spills" => rights::spills(&scene).await,
            "lowers_open_files" => limits::lowers_open_files().await,
            "lowers_processes" => limits::lowers_processes(&scene).await,
            "is_killed" => rights::is_killed(&scene).await,
            "is_moved" => places::is_moved(&scene).await,
            "is_moved_by_others" => places::is_moved_by_others(&scene).await,
            "loses_cgroups" => places::loses_cgroups(&scene).await,
            "moves_cgroups" => places::moves_cgroups(&scene).await,
            "changes_root" => places::changes_its_root(&scene).await,
            "exchanges_root" => places::exchanges_root(&scene).await,
            "loses_old_root" => places::loses_old_root(&scene).await,
            "forks" => fork::forks().await,
            "loses_proc" => places::loses_proc(&scene).await,
            part => panic!("no such part: {part}"),
        }
    });
    host::say("all is well");
}

/// The user that a host becomes, and a directory in which every user may write.
struct Scene {
    user: u32,
    home: PathBuf,
}

impl Scene {
    /// Gives up the rights of root as servers do: nothing else about the process changes, so that
    /// `/proc/self` belongs to root from then on.
    fn drop_root(&self) {
        // SAFETY: the calls take numbers and an empty list only.
        unsafe {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setgid(self.user), 0);
            assert_eq!(libc::setuid(self.user), 0);
        }
    }

    /// Returns a lifeline that programs of every user can hold.
    fn life(&self) -> Lifeline {
        let life = Lifeline::new(&self.home);
        let fifo = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(self.home.join("life"), fifo).unwrap();
        life
    }
}

/// Creates an engine that requires the strongest level.
fn at_cgroup() -> ExecutionEngine {
    ExecutionEngine::builder().containment(ContainmentLevel::Cgroup).build().unwrap()
}

fn become_effective(user: u32) {
    // SAFETY: the call takes a number.
    assert_eq!(unsafe { libc::seteuid(user) }, 0);
}

/// Returns the levels at which programs of an engine were contained that were started at a time.
async fn levels_of_many(engine: &ExecutionEngine) -> Vec<ContainmentLevel> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let engine = engine.clone();
        tasks.spawn(async move { level_of(&engine).await });
    }
    soon("all have ended", tasks.join_all()).await
}

/// Returns the level at which a program of an engine was contained.
async fn level_of(engine: &ExecutionEngine) -> ContainmentLevel {
    let result = run(engine, shell("true")).await;
    assert!(result.success, "{result:?}");
    result.containment.level
}
