//! Options that are refused, and what is said then.

use crate::support::{Done, Host, finish};

#[test]
fn empty_variables_name_no_place() {
    let host = Host::new();
    let run = |args: &[&str], config: &str| -> Done {
        let mut command = host.command(args);
        command.env("EXENG_SOCKET", "").env("EXENG_CONFIG", config);
        finish(command.spawn().unwrap(), "exeng")
    };
    let id = run(&["submit", "--wait", "--", "true"], "").ok();
    assert_eq!(run(&["show", &id], "").code, Some(0));
    assert!(host.state().join("exeng.sock").exists());
    let mut elsewhere = host.command(&["ls", "--no-start"]);
    elsewhere.env("EXENG_STATE_DIR", "").env("XDG_STATE_HOME", host.file("xdg"));
    elsewhere.env_remove("XDG_RUNTIME_DIR");
    let said = finish(elsewhere.spawn().unwrap(), "ls").refused();
    assert!(said.contains(&host.file("xdg/exeng/exeng.sock")), "{said}");
    // One that names nothing is told.
    let missing = host.file("no.toml");
    let page = run(&["doctor"], &missing);
    assert!(page.text().contains(&missing), "{page:?}");
    assert!(page.text().contains("does not exist"), "{page:?}");
    assert!(!run(&["doctor"], "").text().contains("does not exist"));
}
