//! `Links::Refuse`: what a path led to when it was judged is what each start uses, also if a program
//! has put a link there meanwhile.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::tempdir;
use test_support::links::{LinkField, LinkPart, LinkPlaces};
use test_support::*;

/// Ways from a request that was accepted to a start that comes later.
#[derive(Debug, Clone, Copy)]
enum Way {
    Queued,
    Retried,
    PlanStep,
}

/// Carries an attack out between the acceptance and the start of a request, and returns its result.
async fn attacked(
    places: &LinkPlaces,
    way: Way,
    field: LinkField,
    part: LinkPart,
    links: Links,
) -> ExecutionResult {
    let (request, options) = places.request(field);
    let options = options.links(links);
    match way {
        Way::Queued => {
            let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
            let queue = Admission::Queue { max_waiting: 1 };
            let engine = ExecutionEngine::builder().config(config).admission(queue).build();
            let engine = engine.unwrap();
            let go = places.root.join("go");
            let line = format!("{}; {}", wait_for(&go), places.attack(field, part));
            let attacker = engine.execute(shell(line)).await.unwrap();
            let id = engine.execute_with(request, options).await.unwrap();
            fs::write(go, "").unwrap();
            assert!(ended(&engine, attacker).await.success, "the attack was carried out");
            ended(&engine, id).await
        }
        Way::Retried => {
            places.arm(field, part);
            let retry = RetryPolicy::new(2).initial_delay(Duration::ZERO);
            let result = run_with(&engine(), request, options.retry(retry)).await;
            let first = &result.earlier_attempts[0];
            assert_eq!((first.stdout.as_str(), result.attempts), ("inside\n", 2), "{result:?}");
            result
        }
        Way::PlanStep => {
            let attack = shell(places.attack(field, part));
            let plan = ExecutionPlan::builder().step("attack", attack).step("later", request);
            let plan = plan.options(options).after("attack").build().unwrap();
            let result = soon("the plan", engine().run_plan(plan)).await.unwrap();
            assert!(result.step("attack").unwrap().success, "the attack was carried out");
            result.step("later").unwrap().clone()
        }
    }
}

/// Carries all attacks out, and returns those that got out.
async fn all_attacks(
    links: Links,
    mut judge: impl FnMut(Way, LinkField, LinkPart, &LinkPlaces, &ExecutionResult),
) {
    for way in [Way::Queued, Way::Retried, Way::PlanStep] {
        for field in LinkField::ALL {
            for part in LinkPart::BOTH {
                let dir = tempdir().unwrap();
                let places = LinkPlaces::new(dir.path());
                let result = attacked(&places, way, field, part, links).await;
                judge(way, field, part, &places, &result);
            }
        }
    }
}

#[tokio::test]
async fn link_that_appears_before_a_later_start_is_refused() {
    all_attacks(Links::Refuse, |way, field, part, places, result| {
        let what = format!("{way:?} {field:?} {part:?}: {result:?}");
        assert!(!places.got_out(result), "{what}");
        if matches!((way, field), (Way::Retried, LinkField::Log)) {
            // It is open since the first attempt, wherever its path leads by now.
            assert_eq!(result.stdout, "inside\n", "{what}");
            return;
        }
        let Ending::SpawnFailed { reason, .. } = &result.ending else { panic!("{what}") };
        assert!(reason.contains(field.name()) && reason.contains("link"), "{what}");
        assert_eq!(result.stdout, "", "{what}");
    })
    .await;
}

/// Without this, the attacks above would prove nothing.
#[tokio::test]
async fn link_that_appears_before_a_later_start_is_followed_by_default() {
    all_attacks(Links::Follow, |way, field, part, places, result| {
        // A log stays open between attempts.
        let is_open = matches!((way, field), (Way::Retried, LinkField::Log));
        let what = format!("{way:?} {field:?} {part:?}: {result:?}");
        assert_eq!(places.got_out(result), !is_open, "{what}");
    })
    .await;
}

#[tokio::test]
async fn request_with_a_link_is_refused_and_one_without_runs() {
    let engine = engine();
    for field in LinkField::ALL {
        let dir = tempdir().unwrap();
        let places = LinkPlaces::new(dir.path());
        let (request, options) = places.request(field);
        let options = options.links(Links::Refuse);
        let result = run_with(&engine, request, options.clone()).await;
        assert_eq!((result.stdout.as_str(), result.success), ("inside\n", true), "{result:?}");
        places.arm(field, LinkPart::Middle);
        run(&engine, shell(format!("sh {}/attack", places.root.display()))).await;
        let (request, _) = places.request(field);
        let error = engine.run_with(request, options).await.unwrap_err();
        let link = places.root.join("inside/sub").display().to_string();
        let text = error.to_string();
        assert!(text.contains(&link) && text.contains(field.name()), "{text}");
        match field {
            LinkField::Log => assert_eq!(error.error_code(), "log_failed"),
            _ => assert_eq!(error.error_code(), "link_refused"),
        }
    }
}

#[tokio::test]
async fn relative_paths_start_where_the_request_says() {
    let dir = tempdir().unwrap();
    let places = LinkPlaces::new(dir.path());
    let options = || ExecutionOptions::default().links(Links::Refuse);
    let script = ExecutionRequest::script("./script").working_dir(places.root.join("inside/sub"));
    let result = run_with(&engine(), script.clone(), options()).await;
    assert_eq!(result.stdout, "inside\n", "{result:?}");
    // Also with a dot or two in it.
    let dotted = places.root.join("inside/../inside/./sub");
    let result = run_with(&engine(), script.working_dir(dotted), options()).await;
    assert_eq!(result.stdout, "inside\n", "{result:?}");
    let there = places.root.join("inside/here");
    symlink("sub", &there).unwrap();
    let linked =
        ExecutionRequest::script("../here/script").working_dir(places.root.join("inside/sub"));
    let error = engine().run_with(linked, options()).await.unwrap_err();
    assert_eq!(error.error_code(), "link_refused", "{error}");
}

#[tokio::test]
async fn log_is_created_in_missing_directories_and_read_back() {
    let dir = tempdir().unwrap();
    let places = LinkPlaces::new(dir.path());
    let engine = engine();
    let options = || ExecutionOptions::default().links(Links::Refuse);
    let log = places.root.join("inside/a/b/log");
    let result = run_with(&engine, shell("echo hello").output_log(&log), options()).await;
    assert_eq!(engine.read_logs(result.id).await.unwrap(), "hello\n");
    // Not through a link to nothing, which is not removed either.
    let dangling = places.root.join("inside/dangling");
    symlink(places.root.join("outside/new"), &dangling).unwrap();
    let request = shell("echo hello").output_log(dangling.join("x/log"));
    let error = engine.run_with(request, options()).await.unwrap_err();
    assert_eq!(error.error_code(), "log_failed", "{error}");
    assert!(dangling.is_symlink() && !places.root.join("outside/new").exists());
}

#[tokio::test]
async fn log_that_a_program_replaces_by_a_link_is_not_read() {
    let dir = tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::write(root.join("secret"), "secret\n").unwrap();
    // A log that the engine has named, and one that was named under `Refuse`.
    let logs = root.join("logs");
    let config = ExecutionConfig { log_dir: Some(logs.clone()), ..Default::default() };
    for engine in [ExecutionEngine::new(config).unwrap(), engine()] {
        for link in ["ln -s", "ln"] {
            let named = root.join("named");
            let options = ExecutionOptions::default().links(Links::Refuse);
            let request = shell("echo hello").output_log(&named);
            let id = run_with(&engine, request, options).await.id;
            let log = engine.get_log_path(id).await.unwrap().unwrap();
            assert!(engine.read_logs(id).await.unwrap().contains("hello"));
            let line = format!("rm {0} && {link} {1}/secret {0}", log.display(), root.display());
            assert!(run(&test_support::engine(), shell(line)).await.success);
            let is_own = log.starts_with(&logs);
            for read in
                [engine.read_logs(id).await, engine.read_logs_tail(id, LogTail::Lines(1)).await]
            {
                // A second name of a log of the engine's own is the matter of its user.
                assert_eq!(read.is_err(), link == "ln -s" || !is_own, "{link} {read:?}");
            }
            fs::remove_file(log).unwrap();
            let _own_log_stays = fs::remove_file(named);
        }
    }
}

#[tokio::test]
async fn log_with_a_second_name_is_refused() {
    let dir = tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (log, other) = (root.join("log"), root.join("other"));
    fs::write(&other, "untouched\n").unwrap();
    fs::hard_link(&other, &log).unwrap();
    let request = || shell("echo hello").output_log(&log);
    let options = ExecutionOptions::default().links(Links::Refuse);
    let error = engine().run_with(request(), options).await.unwrap_err();
    assert!(error.to_string().contains("it has 2 names (hard links)"), "{error}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "untouched\n");
    assert!(run(&engine(), request()).await.success);
    assert_eq!(fs::read_to_string(&other).unwrap(), "untouched\nhello\n", "the default follows");
}

/// Exchanges a directory and a link again and again until it is dropped.
struct Exchanger {
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Exchanger {
    fn start(one: &Path, other: &Path) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (one, other, stop) = (one.to_path_buf(), other.to_path_buf(), Arc::clone(&is_over));
        let exchange = move || {
            let mut turns = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                // Each state lasts for a while of another length, or the other side could fall into
                // step with one of them.
                turns = turns.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (0..turns >> 17).for_each(|_| std::hint::spin_loop());
                std::thread::yield_now();
            }
        };
        Self { is_over, thread: Some(std::thread::spawn(exchange)) }
    }
}

impl Drop for Exchanger {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn path_that_is_exchanged_all_the_time_leads_nowhere_else() {
    const ROUNDS: u32 = 150;
    let engine = engine();
    for field in [LinkField::WorkingDir, LinkField::Stdin, LinkField::Log] {
        let dir = tempdir().unwrap();
        let places = LinkPlaces::new(dir.path());
        let link = places.root.join("link");
        symlink(places.root.join("outside"), &link).unwrap();
        let _exchanger = Exchanger::start(&places.root.join("inside/sub"), &link);
        let (mut inside, mut refused, mut rounds) = (0, 0, 0);
        soon("both outcomes", async {
            while rounds < ROUNDS || inside == 0 || refused == 0 {
                rounds += 1;
                // A refusal comes without a wait.
                tokio::task::yield_now().await;
                let (request, options) = places.request(field);
                match engine.run_with(request, options.links(Links::Refuse)).await {
                    Ok(result) if result.success => {
                        assert_eq!(result.stdout, "inside\n");
                        inside += 1;
                    }
                    Ok(result) => {
                        let is_refusal = matches!(result.ending, Ending::SpawnFailed { .. });
                        assert!(is_refusal && result.stdout.is_empty(), "{result:?}");
                        refused += 1;
                    }
                    Err(error) => {
                        assert!(error.to_string().contains("link"), "{error}");
                        refused += 1;
                    }
                }
            }
        })
        .await;
        let log = fs::read_to_string(places.root.join("outside/out.log")).unwrap();
        assert_eq!(log, "untouched\n");
    }
}
