//! Paths without links in a host that opens one part of a path after the other.

use std::os::unix::fs::symlink;

use execution_engine::*;
use test_support::links::{LinkField, LinkPart, LinkPlaces};
use test_support::*;

use crate::calls::call;

/// Runs requests whose paths have no links, and some that got one after they had been accepted.
pub(crate) fn refused_without_openat2(errno: i32) {
    let engines: Vec<_> = levels::levels().into_iter().map(levels::engine_at).collect();
    seccomp::refuse(&[call(libc::SYS_openat2)], errno);
    let none = rustix::fs::ResolveFlags::empty();
    let flags = rustix::fs::OFlags::PATH;
    let refused = rustix::fs::openat2(rustix::fs::CWD, "/", flags, rustix::fs::Mode::empty(), none);
    assert_eq!(refused.unwrap_err().raw_os_error(), errno, "the filter is there");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in engines {
        for field in LinkField::ALL {
            for part in LinkPart::BOTH {
                runtime.block_on(attack(&engine, field, part));
            }
        }
    }
    host::say("all is well");
}

async fn attack(engine: &ExecutionEngine, field: LinkField, part: LinkPart) {
    let dir = tempfile::tempdir().unwrap();
    let places = LinkPlaces::new(dir.path());
    let (request, options) = places.request(field);
    let options = options.links(Links::Refuse);
    let result = run_with(engine, request, options.clone()).await;
    assert_eq!(result.stdout, "inside\n", "{result:?}");
    let (request, _) = places.request(field);
    let plan = ExecutionPlan::builder().step("attack", shell(places.attack(field, part)));
    let plan = plan.step("later", request).options(options).after("attack").build().unwrap();
    let result = engine.run_plan(plan).await.unwrap();
    assert!(result.step("attack").unwrap().success, "{result:?}");
    let later = result.step("later").unwrap();
    let is_refused =
        matches!(&later.ending, Ending::SpawnFailed { reason, .. } if reason.contains("link"));
    assert!(is_refused && !places.got_out(later), "{field:?} {part:?}: {later:?}");
    // One of /proc is none of the ways either.
    let linked = places.root.join("linked");
    symlink(places.root.join("inside"), &linked).unwrap();
    let root = format!("/proc/{}/root{}", std::process::id(), places.root.join("inside").display());
    for dir in [linked, root.into()] {
        let options = ExecutionOptions::default().links(Links::Refuse);
        let error = engine.run_with(shell("pwd").working_dir(dir), options).await.unwrap_err();
        assert_eq!(error.error_code(), "link_refused", "{error}");
    }
}
