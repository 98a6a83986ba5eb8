//! Hosts that are in another place: another control group or root directory, or other mounts.

use std::path::Path;

use test_support::lifeline::holding;

use super::*;

#[test]
fn programs_follow_their_host_to_another_cgroup() {
    in_a_host("is_moved", 4);
}

#[test]
fn programs_follow_a_host_without_rights_to_another_cgroup() {
    if let Some(reason) = cannot_fall() {
        return announce(&format!("SKIPPED: {reason}"));
    }
    let user = USERS + 5;
    let [first, second] = [Group::delegated_to(user), Group::delegated_to(user)];
    let mut host = Host::start(HOST, &format!("is_moved_by_others {user} {}", first.0.display()));
    let pid = host.next_line();
    second.take_in(&pid);
    host.resume();
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
}

/// Runs a part in a host with mounts of its own.
fn with_own_mounts(part: &str) {
    if let Some(reason) = cannot_fall() {
        return announce(&format!("SKIPPED: {reason}"));
    }
    if !host::can_unshare(&["-m"]) {
        return announce("SKIPPED: there can be no mounts of a host's own here");
    }
    let home = TempDir::new().unwrap();
    let role = format!("{part} 0 {}", home.path().display());
    let host = Host::start_in(&["-m"], "exec \"$@\"", "", HOST, &role);
    assert_eq!(host.next_line(), "all is well", "{part}");
    assert!(host.end().success());
}

#[test]
fn engine_of_a_host_whose_cgroup_mount_is_gone_goes_on() {
    with_own_mounts("loses_cgroups");
}

#[test]
fn engine_of_a_host_whose_cgroup_mount_is_moved_goes_on() {
    with_own_mounts("moves_cgroups");
}

#[test]
fn engine_of_a_host_that_changes_its_root_goes_on() {
    with_own_mounts("changes_root");
}

#[test]
fn engine_of_a_host_that_exchanges_its_root_goes_on() {
    with_own_mounts("exchanges_root");
}

#[test]
fn engine_of_a_host_whose_old_root_is_gone_goes_on() {
    with_own_mounts("loses_old_root");
}

#[test]
fn engine_of_a_host_whose_proc_is_gone_goes_on() {
    with_own_mounts("loses_proc");
}

/// Control group of a test below its own, removed with it.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
        let mount = Path::new(mount.split(' ').nth(4).unwrap());
        let name = format!("test-of-a-host.{}", Uuid::new_v4());
        let dir = mount.join(place_of("self").trim_start_matches('/')).join(name);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    /// Makes one as service managers make them for users.
    fn delegated_to(user: u32) -> Self {
        let group = Self::new();
        for name in [".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            std::os::unix::fs::chown(group.0.join(name), Some(user), Some(user)).unwrap();
        }
        group
    }

    fn take_in(&self, pid: &str) {
        std::fs::write(self.0.join("cgroup.procs"), pid).unwrap();
    }

    /// Returns `true` if a place is inside.
    fn has(&self, place: &str) -> bool {
        place.contains(&format!("{}/", self.0.file_name().unwrap().display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The groups of a host that has just ended go with their guard. On a thread, because this
        // one may be in a runtime.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let is_removed = || std::fs::remove_dir(&self.0).is_ok();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                runtime.unwrap().block_on(until("the group is removed", is_removed));
            });
        });
    }
}

/// Returns the place of a process in the hierarchy of version 2.
fn place_of(pid: &str) -> String {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_string()
}

/// Starts an execution that holds the lifeline of a scene in two sessions, and returns its id.
async fn tree_of(engine: &ExecutionEngine, scene: &Scene) -> Uuid {
    let line = holding(&scene.home, "echo ready >ready; setsid sleep 300 & sleep 300");
    let id = engine.execute(shell(line).working_dir(&scene.home)).await.unwrap();
    when_written(&scene.home.join("ready")).await;
    id
}

/// Creates two engines with control groups, the second of which requires them, and an execution of
/// the first.
async fn at_work(scene: &Scene) -> ([ExecutionEngine; 2], Uuid) {
    let engines = [engine(), at_cgroup()];
    for engine in &engines {
        assert_eq!(level_of(engine).await, ContainmentLevel::Cgroup);
    }
    let before = tree_of(&engines[0], scene).await;
    (engines, before)
}

/// Returns the place of a program that an engine runs.
async fn place_by(engine: &ExecutionEngine) -> String {
    let result = run(engine, shell("grep ^0:: /proc/self/cgroup")).await;
    assert_eq!(result.containment.level, ContainmentLevel::Cgroup, "{result:?}");
    result.stdout
}

/// Waits until the programs of an engine are in a group.
async fn follows(engine: &ExecutionEngine, group: &Group) {
    while !group.has(&place_by(engine).await) {
        pause(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn is_moved(scene: &Scene) {
    let life = scene.life();
    let [first, second] = [Group::new(), Group::new()];
    first.take_in(&std::process::id().to_string());
    let engines = [engine(), at_cgroup()];
    let before = tree_of(&engines[0], scene).await;
    for engine in &engines {
        assert!(first.has(&place_by(engine).await));
    }
    second.take_in(&std::process::id().to_string());
    for engine in &engines {
        soon("its programs follow", follows(engine, &second)).await;
    }
    assert!(second.has(&place_by(&engine()).await), "a new engine");
    engines[0].cancel(before).await.unwrap();
    let result = ended(&engines[0], before).await;
    assert!(result.containment.proven && life.is_cut(), "{result:?}");
    drop(engines);
    std::fs::write(first.0.parent().unwrap().join("cgroup.procs"), "0").unwrap();
}

/// This host may move no process between the two groups, and so make none in the first any more.
pub(crate) async fn is_moved_by_others(scene: &Scene) {
    std::fs::write(scene.home.join("cgroup.procs"), "0").unwrap();
    host::become_user(scene.user);
    let engines = [engine(), at_cgroup()];
    for engine in &engines {
        place_by(engine).await;
    }
    let before = place_of("self");
    host::say(&std::process::id().to_string());
    host::listen();
    let after = place_of("self");
    assert_ne!(before, after);
    assert_eq!(levels_of_many(&engines[0]).await, [ContainmentLevel::Cgroup; 20]);
    for engine in &engines {
        let place = place_by(engine).await;
        assert!(place.contains(&format!("{after}/")), "{place} is not below {after}");
    }
}

/// Runs programs until one is contained at this level.
async fn falls_to(level: ContainmentLevel, engine: &ExecutionEngine) {
    while level_of(engine).await != level {
        pause(Duration::from_millis(50)).await;
    }
}

/// Takes away what is mounted there, also if it is in use.
fn unmount(dir: &str) {
    let path = std::ffi::CString::new(dir).unwrap();
    // SAFETY: the call reads a string.
    assert_eq!(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }, 0, "{dir}");
}

/// Returns where control groups are mounted.
fn cgroup_mounts() -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    mounts.map(|mount| mount.split(' ').nth(4).unwrap().to_string()).collect()
}

/// Takes all mounts of control groups away from this process.
fn unmount_cgroups() {
    cgroup_mounts().iter().for_each(|mount| unmount(mount));
}

/// Makes a directory that shows the files of the root directory, and neither /proc nor control
/// groups.
fn jail(home: &Path) -> std::ffi::CString {
    let jail = std::ffi::CString::new(home.join("jail").to_str().unwrap()).unwrap();
    std::fs::create_dir(home.join("jail")).unwrap();
    let (root, none) = (c"/".as_ptr(), std::ptr::null());
    // SAFETY: the call reads strings.
    let bound = unsafe { libc::mount(root, jail.as_ptr(), none, libc::MS_BIND, none.cast()) };
    assert_eq!(bound, 0);
    jail
}

fn change_root(home: &Path) {
    let jail = jail(home);
    // SAFETY: the calls read strings.
    unsafe {
        assert_eq!(libc::chroot(jail.as_ptr()), 0);
        assert_eq!(libc::chdir(c"/".as_ptr()), 0);
    }
}

/// Changes the root directory as containers do: the old one is mounted below the new one.
fn exchange_root(home: &Path) {
    let (jail, here) = (jail(home), c".".as_ptr());
    // SAFETY: the calls read strings.
    unsafe {
        assert_eq!(libc::chdir(jail.as_ptr()), 0);
        assert_eq!(libc::syscall(libc::SYS_pivot_root, here, here), 0);
    }
}

pub(crate) async fn loses_cgroups(scene: &Scene) {
    let says = "no mount shows the group";
    loses_sight(scene, unmount_cgroups, ContainmentLevel::ProcessTree, says).await;
}

/// The groups are made anew where the control groups are then, and once.
pub(crate) async fn moves_cgroups(scene: &Scene) {
    let engine = engine();
    let parent = async || {
        let place = place_by(&engine).await;
        place.rsplitn(3, '/').last().unwrap().to_string()
    };
    let first = parent().await;
    let target = scene.home.join("groups");
    std::fs::create_dir(&target).unwrap();
    let [from, to] = [cgroup_mounts().remove(0), target.display().to_string()]
        .map(|path| std::ffi::CString::new(path).unwrap());
    let none = std::ptr::null();
    // SAFETY: the call reads strings.
    let moved =
        unsafe { libc::mount(from.as_ptr(), to.as_ptr(), none, libc::MS_MOVE, none.cast()) };
    assert_eq!(moved, 0, "{}", std::io::Error::last_os_error());
    let second = soon("its groups are made anew", async {
        loop {
            let present = parent().await;
            if present != first {
                return present;
            }
            pause(Duration::from_millis(50)).await;
        }
    })
    .await;
    for _ in 0..7 {
        pause(Duration::from_secs(1)).await;
        assert_eq!(parent().await, second);
    }
}

pub(crate) async fn changes_its_root(scene: &Scene) {
    changes_root(scene, change_root).await;
}

pub(crate) async fn exchanges_root(scene: &Scene) {
    changes_root(scene, exchange_root).await;
}

/// Nothing is found from an old root directory that is mounted nowhere, so engines look into the new
/// one.
pub(crate) async fn loses_old_root(scene: &Scene) {
    let lose = || {
        exchange_root(&scene.home);
        unmount(".");
        let (proc, none) = (c"proc".as_ptr(), std::ptr::null());
        // SAFETY: the call reads strings.
        let mounted = unsafe { libc::mount(proc, c"/proc".as_ptr(), proc, 0, none) };
        assert_eq!(mounted, 0);
    };
    loses_sight(scene, lose, ContainmentLevel::ProcessTree, "no mount shows the group").await;
}

/// The control groups are found from the old root directory, also by later looks at the host.
async fn changes_root(scene: &Scene, change: fn(&Path)) {
    let life = scene.life();
    let ([used, required], before) = at_work(scene).await;
    change(&scene.home);
    for _ in 0..8 {
        for engine in [&used, &required, &engine()] {
            assert_eq!(level_of(engine).await, ContainmentLevel::Cgroup);
        }
        pause(Duration::from_secs(1)).await;
    }
    used.cancel(before).await.unwrap();
    let receipt = ended(&used, before).await.containment;
    assert!(receipt.proven && receipt.survivors.is_empty(), "{receipt:?}");
    life.cut(&format!("{receipt:?}")).await;
}

/// Loses sight of the control groups, which are there all the same.
async fn loses_sight(scene: &Scene, lose: impl FnOnce(), left: ContainmentLevel, says: &str) {
    let life = scene.life();
    let ([used, required], before) = at_work(scene).await;
    lose();
    assert_eq!(level_of(&engine()).await, left);
    soon("its level falls", falls_to(left, &used)).await;
    let reason = loop {
        let result = soon("its end", required.run(shell("exec true"))).await.unwrap();
        match result.ending {
            Ending::SpawnFailed { reason, .. } => break reason,
            ending => assert!(ending.is_success(), "{ending}"),
        }
        pause(Duration::from_millis(50)).await;
    };
    for says in ["the level cgroup", "the process has", says] {
        assert!(reason.contains(says), "{says:?} is not in {reason}");
    }
    used.cancel(before).await.unwrap();
    let result = ended(&used, before).await;
    let receipt = &result.containment;
    assert!(receipt.level == ContainmentLevel::Cgroup && receipt.stopped >= 1, "{receipt:?}");
    life.cut(&format!("{receipt:?}")).await;
}

/// Without /proc no process can be listed. Trees are ended all the same.
pub(crate) async fn loses_proc(scene: &Scene) {
    let life = scene.life();
    let engines: Vec<_> = levels().into_iter().map(levels::engine_at).chain([engine()]).collect();
    for engine in &engines {
        assert!(run(engine, shell("true")).await.success);
    }
    // A user without control groups has the next level, which needs /proc.
    become_effective(USERS + 6);
    let of_user = engine();
    assert_eq!(level_of(&of_user).await, ContainmentLevel::ProcessTree);
    become_effective(0);
    unmount("/proc");
    soon("its level falls", falls_to(ContainmentLevel::ProcessGroup, &of_user)).await;
    for engine in engines.iter().chain([&engine()]) {
        let result = run(engine, shell(holding(&scene.home, "sleep 300 & exit 0"))).await;
        let receipt = &result.containment;
        assert!(result.success && receipt.stopped == 1, "{result:?}");
        life.cut(&format!("{receipt:?}")).await;
        let is_unknown = receipt.survivors.iter().all(|left| left.name == "(process tree)");
        assert!(is_unknown && receipt.proven == (receipt.level == ContainmentLevel::Cgroup));
    }
}
