//! A chosen parent for the control groups of executions.

use std::fs;
use std::path::Path;

use execution_engine::*;
use test_support::levels::{announce, levels};
use test_support::*;

/// A control group beside those of other engines, removed at the end.
struct Group(PathBuf);

impl Group {
    /// Makes one in the group of this process; None where there are no control groups.
    async fn make() -> Option<Self> {
        if !levels().contains(&ContainmentLevel::Cgroup) {
            return None;
        }
        let engine = ExecutionEngine::builder().containment(ContainmentLevel::Cgroup);
        let place = place(&engine.build().unwrap()).await;
        let own = place.split("/execution-engine.").next().unwrap().trim_start_matches('/');
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let shown = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let Some(mount) = shown else {
            announce("SKIPPED: control groups are mounted at an unusual place");
            return None;
        };
        let dir = mount.join(own).join(format!("chosen-by-a-test.{}", Uuid::new_v4()));
        fs::create_dir(&dir).unwrap();
        Some(Self(dir))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _removed = fs::remove_dir(&self.0);
    }
}

/// Returns the control group of a program of this engine.
async fn place(engine: &ExecutionEngine) -> String {
    let result = run(engine, shell("cat /proc/self/cgroup")).await;
    assert_eq!(result.containment.level, ContainmentLevel::Cgroup);
    let line = result.stdout.lines().find_map(|line| line.strip_prefix("0::"));
    line.unwrap().to_string()
}

#[tokio::test]
async fn executions_get_their_groups_below_the_chosen_one() {
    let Some(group) = Group::make().await else { return };
    let builder = ExecutionEngine::builder().control_group(&group.0);
    let engine = builder.stop_grace(Duration::from_millis(200)).build().unwrap();
    let name = group.0.file_name().unwrap().to_str().unwrap();
    let below = place(&engine).await;
    assert!(below.contains(&format!("/{name}/execution-engine.")), "{below}");
    let id = engine.execute(shell("sleep 1000 & exec sleep 1000")).await.unwrap();
    running(&engine, id).await;
    engine.cancel(id).await.unwrap();
    let receipt = ended(&engine, id).await.containment;
    assert!(receipt.proven && receipt.survivors.is_empty(), "{receipt:?}");
    engine.shutdown(Duration::ZERO).await;
    drop(engine);
    let is_empty = || fs::read_dir(&group.0).unwrap().flatten().all(|it| !it.path().is_dir());
    until("the removal of the engine's groups", is_empty).await;
}

#[tokio::test]
async fn what_is_no_usable_group_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [dir.path().to_path_buf(), dir.path().join("missing")] {
        let refused = ExecutionEngine::builder().control_group(&wrong).build().unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("control_group") && text.contains(test_support::text(&wrong)),
            "{text}"
        );
    }
    let weaker = ExecutionEngine::builder().containment(ContainmentLevel::ProcessGroup);
    let refused = weaker.control_group("/sys/fs/cgroup").build().unwrap_err();
    assert!(refused.to_string().contains("needs the level Cgroup"), "{refused}");
}
