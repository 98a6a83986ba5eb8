//! Files that executions get and leave.

use std::path::Path;
use std::sync::Arc;

use execution_engine::*;
use execution_engine_fleet::FleetBackend;
use test_support::soon;

use crate::test_fleet::TestFleet;

async fn client(fleet: &TestFleet) -> (ExecutionEngine, Arc<FleetBackend>) {
    let backend = FleetBackend::connect(fleet.cluster().await, "t", "test").await.unwrap();
    let backend = Arc::new(backend);
    let engine = ExecutionEngine::builder().backend(Arc::clone(&backend) as Arc<dyn Backend>);
    (engine.build().unwrap(), backend)
}

async fn content(backend: &FleetBackend, digest: ContentDigest) -> Vec<u8> {
    let mut content = Vec::new();
    soon("the content", backend.read_artifact(digest, &mut content)).await.unwrap();
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_from_one_execution_to_the_next_on_another_worker() {
    let fleet = TestFleet::start().await;
    let (engine, backend) = client(&fleet).await;
    let first = fleet.worker("w1").await;
    let script = "pwd; mkdir -p out/deep; printf data > out/a.txt; printf data > out/deep/b.txt; \
                  printf '#!/bin/sh\\necho ran' > out/tool; chmod +x out/tool; \
                  ln -s /etc/passwd out/leak; exit 3";
    let options = ExecutionOptions::default().collect("out/**").collect("none/*");
    let result = engine.run_with(ExecutionRequest::shell(script), options);
    let result = soon("the first result", result).await.unwrap();
    // What could not be collected changes nothing about the ending.
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    let left: Vec<_> = result.artifacts.iter().map(|it| (&*it.path, it.executable)).collect();
    assert_eq!(left, [("out/a.txt", false), ("out/deep/b.txt", false), ("out/tool", true)]);
    assert_eq!(result.artifacts[0].digest, result.artifacts[1].digest);
    assert_eq!(result.artifacts[0].digest.size, 4);
    let [leak, none] = &result.collect_errors[..] else { panic!("{:?}", result.collect_errors) };
    assert!(leak.contains("out/leak") && leak.contains("leads out"), "{leak}");
    assert!(none.contains("none/*"), "{none}");
    assert!(!Path::new(result.stdout.trim()).exists(), "the directory of the start is there");
    assert_eq!(content(&backend, result.artifacts[1].digest).await, b"data");

    first.worker.drain();
    soon("the end of the first worker", first.run).await.unwrap();
    let _second = fleet.worker("w2").await;
    let mut options = ExecutionOptions::default().stdin(StdinSource::bytes("input"));
    for artifact in &result.artifacts {
        let path = artifact.path.replace("out/", "in/");
        options.inputs.push(Artifact { path, ..artifact.clone() });
    }
    let script = "cat in/a.txt in/deep/b.txt; in/tool; cat";
    let next = engine.run_with(ExecutionRequest::shell(script), options);
    let next = soon("the second result", next).await.unwrap();
    assert_eq!((&*next.stdout, &*next.place.unwrap().worker), ("datadataran\ninput", "w2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_directory_is_used_as_it_is() {
    let fleet = TestFleet::start().await;
    let (engine, backend) = client(&fleet).await;
    let _worker = fleet.worker("w1").await;
    let home = tempfile::tempdir().unwrap();
    let digest = backend.put_artifact(&mut std::io::Cursor::new("new")).await.unwrap();
    std::fs::write(home.path().join("a"), "old").unwrap();
    std::os::unix::fs::symlink("/tmp", home.path().join("up")).unwrap();
    let run = async |path: &str, digest| {
        let request = ExecutionRequest::shell("cat a; echo $((1 + $(cat))) > b");
        let options = ExecutionOptions::default().input(path, digest).collect("b");
        let options = options.stdin(StdinSource::Piped);
        let execution = engine.start_with(request.working_dir(home.path()), options).await.unwrap();
        // What is written before the program runs comes to it.
        // One that has ended takes none.
        let _ended = execution.stdin().write("41").await;
        let _ended = execution.stdin().close().await;
        soon("the result", execution.wait()).await.unwrap()
    };
    let result = run("a", digest).await;
    assert_eq!((&*result.stdout, result.artifacts.len()), ("new", 1), "{:?}", result.ending);
    assert_eq!(content(&backend, result.artifacts[0].digest).await, b"42\n");
    assert_eq!(std::fs::read_to_string(home.path().join("b")).unwrap(), "42\n");
    let missing = ContentDigest { size: 4, ..digest };
    for (path, digest, reason) in
        [("a", missing, "is not there"), ("up/a", digest, "leads out of the working directory")]
    {
        let result = run(path, digest).await;
        let Ending::SpawnFailed { reason: told, .. } = &result.ending else {
            panic!("{:?}", result.ending)
        };
        assert!(told.contains(path) && told.contains(reason), "{told}");
        assert_eq!(std::fs::read_to_string(home.path().join("a")).unwrap(), "new");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_does_not_wait_for_files() {
    let fleet = TestFleet::start().await;
    let (engine, _backend) = client(&fleet).await;
    let _worker = fleet.worker("w1").await;
    // To read it takes longer than the test waits.
    let request = ExecutionRequest::shell("truncate -s 1T large; echo made");
    let options = ExecutionOptions::default().collect("large");
    let execution = engine.start_with(request, options).await.unwrap();
    let mut chunks = execution.chunks().await.unwrap();
    soon("its output", chunks.next()).await.unwrap();
    execution.cancel().await.unwrap();
    let result = soon("the result", execution.wait()).await.unwrap();
    assert_eq!((&*result.stdout, result.artifacts.len()), ("made\n", 0));
    assert_eq!(result.collect_errors, ["collecting was stopped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_stored_once_and_read_in_pieces() {
    let fleet = TestFleet::start().await;
    let (_engine, backend) = client(&fleet).await;
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let first = backend.put_artifact(&mut std::io::Cursor::new(&bytes)).await.unwrap();
    let second = backend.put_artifact(&mut std::io::Cursor::new(&bytes)).await.unwrap();
    assert_eq!((first, first.size), (second, 5_000_000));
    assert!(content(&backend, first).await == bytes);
    let stranger = async_nats::connect(&fleet.servers.urls()[..]).await.unwrap();
    let info = stranger.request("$JS.API.STREAM.INFO.EXENG_BIG_t", "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["state"]["messages"], 5_000_000_u64.div_ceil(262_144) + 1);
    let empty = backend.put_artifact(&mut std::io::Cursor::new("")).await.unwrap();
    assert_eq!(content(&backend, empty).await, b"");
}
