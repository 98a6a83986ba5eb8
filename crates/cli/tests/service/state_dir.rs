//! State directories that cannot be used: each is refused with the reason, left as it was, and works when the reason is
//! gone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::Path;

use service_judge::service::Service;

use crate::{ended, is_root, service, skip, submit};

/// Asserts that the service refuses to start, and returns what it says.
fn refusal(service: &Service) -> String {
    match service.try_serve() {
        Ok(_) => panic!("it serves"),
        Err(refused) => {
            assert_eq!(refused.status.code(), Some(125), "{refused:?}");
            refused.message
        }
    }
}

/// Asserts that the service works.
fn works(service: &Service) {
    let server = service.serve();
    assert_eq!(ended(service, &submit(service, "exit 7"))["exit_code"], 7);
    service.stop_all(Some(server));
}

fn private_dir(path: &Path) {
    fs::DirBuilder::new().mode(0o700).create(path).unwrap();
}

#[test]
fn second_service_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let server = service.serve();
    let message = refusal(&service);
    assert!(message.contains(&server.pid().to_string()), "{message}");
    assert_eq!(ended(&service, &submit(&service, "exit 7"))["exit_code"], 7);
    service.stop_all(Some(server));
}

#[test]
fn lock_that_was_left_over_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let server = service.serve();
    let lock = service.state().join("lock");
    let content = fs::read(&lock).unwrap();
    server.kill();
    assert_eq!(fs::read(&lock).unwrap(), content);
    works(&service);
    // The id of a process that lives, and that is not the service.
    fs::write(&lock, r#"{"pid": 1, "since": "2020-01-01T00:00:00Z"}"#).unwrap();
    works(&service);
    fs::write(&lock, "no JSON").unwrap();
    works(&service);
}

#[test]
fn foreign_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    private_dir(service.state());
    let database = service.state().join("exeng.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch("PRAGMA application_id = 7; CREATE TABLE theirs (x);").unwrap();
    drop(connection);
    let other_program = fs::read(&database).unwrap();
    let text = b"this is a text, and longer than the header of a database would be. ".repeat(20);
    for content in [other_program, text] {
        fs::write(&database, &content).unwrap();
        let message = refusal(&service);
        assert!(message.contains("exeng.db"), "{message}");
        assert!(fs::read(&database).unwrap() == content, "it was changed");
    }
    fs::remove_file(&database).unwrap();
    works(&service);
}

#[test]
fn newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let server = service.serve();
    let id = submit(&service, "exit 7");
    ended(&service, &id);
    service.stop_all(Some(server));

    let database = service.state().join("exeng.db");
    let version = |change: i64| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        let get = |row: &rusqlite::Row| row.get::<_, i64>(0);
        let version = connection.query_row("PRAGMA user_version", [], get).unwrap();
        connection.pragma_update(None, "user_version", version + change).unwrap();
        version + change
    };
    let newer = version(1000);
    let before = fs::read(&database).unwrap();
    let message = refusal(&service);
    assert!(message.contains(&format!("schema {newer}")), "{message}");
    assert!(fs::read(&database).unwrap() == before, "it was changed");
    version(-1000);
    let server = service.serve();
    assert_eq!(ended(&service, &id)["exit_code"], 7);
    service.stop_all(Some(server));
}

#[test]
fn path_that_is_too_long_for_a_socket_works() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(120)).join("y".repeat(120));
    fs::create_dir_all(&long).unwrap();
    let service = service(&long);
    let server = service.serve();
    let submitted = service.json(&["submit", "--json", "--", "sh", "-c", "echo text; exit 7"]);
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(service.run(&["wait", id]).status.code(), Some(7));
    assert_eq!(service.print(&["logs", "--raw", id]), b"text\n");
    service.stop_all(Some(server));
}

#[test]
fn file_in_the_place_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    fs::write(service.state(), "text").unwrap();
    let message = refusal(&service);
    assert!(message.contains("state"), "{message}");
    assert_eq!(fs::read(service.state()).unwrap(), b"text");
    fs::remove_file(service.state()).unwrap();
    works(&service);
}

#[test]
fn directory_of_somebody_else_is_refused() {
    if !is_root() {
        return skip("only root can give a directory to somebody else");
    }
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    private_dir(service.state());
    chown(service.state(), Some(65534), Some(65534)).unwrap();
    let message = refusal(&service);
    assert!(message.contains(service.state().to_str().unwrap()), "{message}");
    assert_eq!(fs::read_dir(service.state()).unwrap().count(), 0);
    chown(service.state(), Some(0), Some(0)).unwrap();
    works(&service);
}

#[test]
fn directory_that_cannot_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    private_dir(service.state());
    let mount = is_root().then(|| crate::disk::Mount::new(service.state(), "ro,size=1M"));
    match &mount {
        // Modes do not hold root back.
        Some(None) => return skip("no file system can be mounted here"),
        Some(Some(_)) => {}
        None => fs::set_permissions(service.state(), Permissions::from_mode(0o500)).unwrap(),
    }
    let message = refusal(&service);
    assert!(message.contains(service.state().to_str().unwrap()), "{message}");
    drop(mount);
    fs::set_permissions(service.state(), Permissions::from_mode(0o700)).unwrap();
    works(&service);
}
