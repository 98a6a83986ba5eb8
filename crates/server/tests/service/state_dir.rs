//! Where the state is, and directories that cannot be used.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use execution_engine_server::*;

use crate::support::*;

fn resolve(options: &PathOptions, variables: &[(&str, &str)]) -> StateDir {
    let of = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    StateDir::resolve(options, of).unwrap()
}

fn paths(dir: &StateDir) -> [&str; 3] {
    [dir.path(), dir.socket(), dir.config()].map(|path| path.to_str().unwrap())
}

#[test]
fn places_follow_flags_then_variables_then_xdg() {
    let none = PathOptions::default();
    let home = ("HOME", "/home/a");
    assert_eq!(
        paths(&resolve(&none, &[home])),
        [
            "/home/a/.local/state/exeng",
            "/home/a/.local/state/exeng/exeng.sock",
            "/home/a/.config/exeng/config.toml"
        ]
    );
    let xdg = [("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/c")];
    assert_eq!(
        paths(&resolve(&none, &xdg)),
        ["/s/exeng", "/r/exeng/exeng.sock", "/c/exeng/config.toml"]
    );
    let relative =
        [home, ("XDG_STATE_HOME", "s"), ("XDG_RUNTIME_DIR", ""), ("XDG_CONFIG_HOME", "./c")];
    assert_eq!(paths(&resolve(&none, &relative)), paths(&resolve(&none, &[home])));
    let own = [home, ("XDG_RUNTIME_DIR", "/r"), ("EXENG_STATE_DIR", "/own")];
    assert_eq!(paths(&resolve(&none, &own)), ["/own", "/own/exeng.sock", "/own/config.toml"]);
    let each = [("EXENG_STATE_DIR", "/own"), ("EXENG_SOCKET", "/x/s"), ("EXENG_CONFIG", "/x/c")];
    assert_eq!(paths(&resolve(&none, &each)), ["/own", "/x/s", "/x/c"]);
    let flags = PathOptions {
        state_dir: Some("/flag".into()),
        socket: Some("/flag.sock".into()),
        config: Some("/flag.toml".into()),
    };
    assert_eq!(paths(&resolve(&flags, &each)), ["/flag", "/flag.sock", "/flag.toml"]);
    let error = StateDir::resolve(&none, |_| None).unwrap_err();
    assert_eq!(error.code, ErrorCode::StateDir);
    assert!(error.to_string().contains("EXENG_STATE_DIR"), "{error}");
}

async fn refusal(home: &Home) -> String {
    let error = Service::open(home.options()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::StateDir, "{error}");
    assert!(
        error.detail.contains(home.state().to_str().unwrap()) && error.fix.is_some(),
        "{error}"
    );
    error.to_string()
}

#[tokio::test]
async fn directory_that_cannot_be_used_is_a_clear_error() {
    let home = Home::new();
    fs::write(home.state(), "a file").unwrap();
    assert!(refusal(&home).await.contains("is not a directory"));
    fs::remove_file(home.state()).unwrap();

    fs::create_dir(home.state()).unwrap();
    fs::set_permissions(home.state(), Permissions::from_mode(0o755)).unwrap();
    fs::write(home.state().join("notes.txt"), "mine").unwrap();
    let error = refusal(&home).await;
    assert!(error.contains("0755") && error.contains("EXENG_STATE_DIR"), "{error}");
    assert_eq!(mode(&home.state()), 0o755);
    fs::remove_file(home.state().join("notes.txt")).unwrap();
    // An empty one was made for us.
    home.open().await.close().await;
    assert_eq!(mode(&home.state()), 0o700);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn mode_of_a_directory_that_is_not_certainly_ours_is_left_alone() {
    let create = |path: &Path, files: &[(&str, &str)]| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        files.iter().for_each(|(name, text)| fs::write(path.join(name), text).unwrap());
    };
    let holder = r#"{"pid": 1, "since": "2020-01-01T00:00:00Z"}"#;
    let foreign = [
        &[("config.toml", ""), ("main.rs", "")][..],
        &[("lock", "of another program")],
        &[("service.log", "")],
        &[("keepers", "")],
        &[("exeng.sock", "")],
    ];
    let ours =
        [&[][..], &[("config.toml", "")], &[("exeng.db", ""), ("x", "")], &[("lock", holder)]];
    let cases = foreign.map(|files| (files, false)).into_iter();
    for (files, is_ours) in cases.chain(ours.map(|files| (files, true))) {
        let home = Home::new();
        let (path, other) = (home.file("there"), home.file("other"));
        create(&path, files);
        let options = |state: &Path, socket: &Path| PathOptions {
            state_dir: Some(state.into()),
            socket: Some(socket.join("x.sock")),
            config: None,
        };
        // For its socket alone no directory is changed.
        let dir = resolve(&options(&other, &path), &[]);
        let error = dir.create().unwrap_err().to_string();
        assert!(error.contains("the directory of the socket"), "{error}");
        assert!(error.contains("EXENG_SOCKET") && !error.contains("chmod"), "{error}");
        assert_eq!(mode(&path), 0o755, "{files:?}");
        let dir = resolve(&options(&path, &other), &[]);
        assert_eq!(dir.create().is_ok(), is_ours, "{files:?}");
        assert_eq!(mode(&path), if is_ours { 0o700 } else { 0o755 }, "{files:?}");
    }
}

#[tokio::test]
async fn directory_of_another_user_is_refused() {
    let home = Home::new();
    if !rustix::process::geteuid().is_root() {
        // Only root can give one away; what belongs to root is the example for all other users.
        let dir =
            resolve(&PathOptions { state_dir: Some("/".into()), ..PathOptions::default() }, &[]);
        let error = dir.create().unwrap_err().to_string();
        assert!(error.contains("belongs to user 0"), "{error}");
        return;
    }
    fs::create_dir(home.state()).unwrap();
    std::os::unix::fs::chown(home.state(), Some(65534), None).unwrap();
    let error = refusal(&home).await;
    assert!(error.contains("belongs to user 65534"), "{error}");
}

#[test]
fn directory_that_is_read_only_is_refused() {
    let in_proc =
        PathOptions { state_dir: Some("/proc/self/exeng".into()), ..PathOptions::default() };
    let error = resolve(&in_proc, &[]).create().unwrap_err();
    assert_eq!(error.code, ErrorCode::StateDir);
    assert!(error.detail.contains("/proc/self/exeng") && error.fix.is_some(), "{error}");
    let home = Home::new();
    if rustix::process::geteuid().is_root() {
        println!("SKIPPED the part about a mode: root may write everywhere");
        return;
    }
    fs::create_dir(home.state()).unwrap();
    fs::set_permissions(home.state().parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(home.state(), Permissions::from_mode(0o500)).unwrap();
    // The mode of an empty one is corrected.
    home.options().state_dir.create().unwrap();
    assert_eq!(fs::metadata(home.state()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn configuration_names_what_it_does_not_know() {
    let home = Home::new();
    let file = home.file("config.toml");
    assert_eq!(Config::load(&file).unwrap(), Config::default());
    for (text, word) in [
        ("max_runing = 3", "max_runing"),
        ("[retention]\nmax_days = 3", "max_days"),
        ("max_running = 0", "max_running"),
        ("[retention]\nmax_age = \"90\"", "30s"),
        ("durability = \"always\"", "always"),
        ("max_running", "line 1"),
    ] {
        fs::write(&file, text).unwrap();
        let error = Config::load(&file).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
        assert!(
            error.detail.contains(word) || error.detail.contains("expected"),
            "{text}: {error}"
        );
        assert!(error.detail.contains(file.to_str().unwrap()), "{error}");
    }
    fs::write(
        &file,
        "max_running = 3\ndurability = \"power\"\n[retention]\nmax_count = 5\nmax_bytes = 1024\n",
    )
    .unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!((config.max_running, config.durability), (3, Durability::Power));
    assert_eq!((config.retention.max_count, config.retention.max_bytes), (5, 1024));
    fs::write(&file, [0xff]).unwrap();
    assert!(Config::load(Path::new(&file)).unwrap_err().detail.contains("cannot be read"));
}
