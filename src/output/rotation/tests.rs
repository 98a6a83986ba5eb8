use super::*;

fn log(lines: u64) -> String {
    (1..=lines).map(|line| format!("line {line}\n")).collect()
}

fn written(path: &Path, is_rotated: bool) -> WrittenLog {
    WrittenLog { path: path.to_path_buf(), access: LogAccess::Private, begin: 0, is_rotated }
}

fn tail_of(text: &str, tail: LogTail) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    fs::write(&path, text).unwrap();
    String::from_utf8(read(&written(&path, false), Some(tail)).unwrap()).unwrap()
}

#[test]
fn the_last_lines_and_bytes_of_a_file() {
    for (text, lines, expected) in [
        ("", 3, ""),
        ("a", 1, "a"),
        ("a\n", 1, "a\n"),
        ("a\nb\n", 1, "b\n"),
        ("a\nb", 1, "b"),
        ("a\nb", 2, "a\nb"),
        ("a\nb\n", 9, "a\nb\n"),
        ("a\n\n\n", 2, "\n\n"),
        ("\n", 1, "\n"),
        ("a\nb\n", 0, ""),
    ] {
        assert_eq!(tail_of(text, LogTail::Lines(lines)), expected, "{lines} of {text:?}");
    }
    assert_eq!(tail_of("a\nb\n", LogTail::Bytes(3)), "\nb\n");
    assert_eq!(tail_of("a\nb\n", LogTail::Bytes(0)), "");
    assert_eq!(tail_of("a\nb\n", LogTail::Bytes(u64::MAX)), "a\nb\n");
}

#[test]
fn the_last_lines_may_be_longer_than_a_block() {
    let long = "x".repeat(3 * usize::try_from(BLOCK).unwrap());
    let text = format!("first\n{long}\nlast\n");
    assert_eq!(tail_of(&text, LogTail::Lines(1)), "last\n");
    assert_eq!(tail_of(&text, LogTail::Lines(2)), format!("{long}\nlast\n"));
    assert_eq!(tail_of(&text, LogTail::Lines(3)), text);
    assert_eq!(tail_of(&text, LogTail::Lines(u64::MAX)), text);
    let many = log(50_000);
    assert!(many.ends_with(&tail_of(&many, LogTail::Lines(20_000))));
    assert_eq!(tail_of(&many, LogTail::Lines(20_000)).lines().count(), 20_000);
}

#[test]
fn files_are_rotated_at_the_ends_of_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let rotation = LogRotation { max_bytes: 150, kept_files: 2 };
    let open = || {
        let file = files::create_log(&path, LogAccess::Private).unwrap();
        RotatingFile::new(file, path.clone(), Uuid::nil(), rotation).unwrap()
    };
    let text = log(100);
    for piece in text.split_inclusive("3\n") {
        open().write_all(piece.as_bytes()).unwrap();
    }
    for number in [1, 2] {
        let part = fs::read_to_string(numbered(&path, number)).unwrap();
        assert!(part.len() <= 150 && part.ends_with('\n'), "{part:?}");
    }
    assert!(!numbered(&path, 3).exists());
    let all = String::from_utf8(read(&written(&path, true), None).unwrap()).unwrap();
    let lines: String = all.split_inclusive('\n').filter(|it| !it.starts_with('#')).collect();
    assert!(text.ends_with(&lines) && lines.lines().count() > 20, "{all}");
    let parts = all.lines().filter_map(|line| line.strip_prefix(PART));
    let parts: Vec<u64> = parts.map(|number| number.parse().unwrap()).collect();
    assert!(parts.len() == 3 && parts.is_sorted_by(|one, next| one + 1 == *next), "{all}");
    // The last lines are in more than one file.
    let tail = read(&written(&path, true), Some(LogTail::Lines(25))).unwrap();
    assert_eq!(tail.iter().filter(|byte| **byte == b'\n').count(), 25);
    assert!(all.as_bytes().ends_with(&tail));
    let tail = read(&written(&path, true), Some(LogTail::Bytes(200))).unwrap();
    assert!(tail.len() == 200 && all.as_bytes().ends_with(&tail));

    // A line that does not fit has a file of its own, as a whole.
    let long = format!("{}\n", "x".repeat(1000));
    open().write_all(long.as_bytes()).unwrap();
    open().write_all(b"after\n").unwrap();
    assert!(fs::read_to_string(numbered(&path, 1)).unwrap().ends_with(&format!("\n{long}")));
    assert!(fs::read_to_string(&path).unwrap().ends_with("\nafter\n"));
    remove_rotated(&path);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn files_that_are_rotated_while_they_are_read_come_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let part = |number: u64| format!("# execution x\n{PART}{number}\n");
    // As if they were rotated after the first was opened, and again before the third.
    fs::write(&path, part(5)).unwrap();
    for (number, content) in [(1, 6), (2, 5), (3, 4)] {
        fs::write(numbered(&path, number), part(content)).unwrap();
    }
    assert_eq!(read(&written(&path, true), None).unwrap(), [part(4), part(5)].concat().as_bytes());
}

#[test]
fn without_older_files_only_the_newest_lines_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let file = files::create_log(&path, LogAccess::Private).unwrap();
    let rotation = LogRotation { max_bytes: 100, kept_files: 0 };
    let log_file = RotatingFile::new(file, path.clone(), Uuid::nil(), rotation).unwrap();
    log_file.write_all(log(100).as_bytes()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.len() <= 100 && text.ends_with("line 100\n"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn files_that_are_being_renamed_are_found() {
    let part = |number: u64| format!("# execution x\n{PART}{number}\n");
    // What each file has; None if its name is not there just now.
    for files in [
        [None, Some(part(5)), Some(part(4)), Some(part(3))],
        [Some(part(5)), None, Some(part(4)), Some(part(3))],
        [Some(part(5)), Some(part(4)), None, Some(part(3))],
        // The current one has just been made.
        [Some(String::new()), Some(part(5)), Some(part(4)), Some(part(3))],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        for (number, text) in (0..).zip(&files) {
            if let Some(text) = text {
                fs::write(numbered(&path, number), text).unwrap();
            }
        }
        let all = String::from_utf8(read(&written(&path, true), None).unwrap()).unwrap();
        assert_eq!(all, [part(3), part(4), part(5)].concat(), "{files:?}");
    }
    let missing = tempfile::tempdir().unwrap().path().join("a.log");
    assert_eq!(read(&written(&missing, true), None).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_log_can_be_read_while_it_is_written() {
    for kept_files in [0, 1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let rotation = LogRotation { max_bytes: 150, kept_files };
        let file = files::create_log(&path, LogAccess::Private).unwrap();
        let log_file = RotatingFile::new(file, path.clone(), Uuid::nil(), rotation).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for line in 0..5_000 {
                    log_file.write_all(format!("line {line}\n").as_bytes()).unwrap();
                }
            });
            while !writer.is_finished() {
                let all = String::from_utf8(read(&written(&path, true), None).unwrap()).unwrap();
                let lines = all.lines().filter_map(|line| line.strip_prefix("line "));
                let lines: Vec<u64> = lines.map(|number| number.parse().unwrap()).collect();
                assert!(lines.is_sorted_by(|one, next| one + 1 == *next), "{all}");
                let tail = read(&written(&path, true), Some(LogTail::Bytes(40))).unwrap();
                assert!(tail.len() <= 40, "{} bytes", tail.len());
                let tail = read(&written(&path, true), Some(LogTail::Lines(3))).unwrap();
                assert!(tail.iter().filter(|byte| **byte == b'\n').count() <= 3, "{tail:?}");
            }
        });
    }
}
