use execution_engine::OutputStream::{Stderr, Stdout};

use super::super::styles::Styles;

fn after(text: &str) -> String {
    let whole = settings(&[text]);
    // Cut anywhere, it is the same.
    for at in 0..text.len() {
        assert_eq!(settings(&[&text[..at], &text[at..]]), whole, "cut at {at}");
    }
    whole
}

fn settings(parts: &[&str]) -> String {
    let mut styles = Styles::default();
    parts.iter().for_each(|part| styles.pass(Stdout, part.as_bytes()));
    String::from_utf8(styles.settings(Stdout).to_vec()).unwrap()
}

#[test]
fn settings_since_the_last_reset_are_known() {
    assert_eq!(after("plain"), "");
    assert_eq!(after("\x1b[1mbold \x1b[31mred"), "\x1b[1m\x1b[31m");
    assert_eq!(after("\x1b[1mbold\x1b[0m plain \x1b[4m"), "\x1b[4m");
    assert_eq!(after("\x1b[1mbold\x1b[m plain"), "");
    assert_eq!(after("\x1b[1mbold \x1b[0;32mgreen"), "\x1b[0;32m");
    assert_eq!(after("\x1b[1m\x1b[38;5;0mblack"), "\x1b[1m\x1b[38;5;0m");
    assert_eq!(after("\x1b[1m\x1b[48;2;0;0;0mblack"), "\x1b[1m\x1b[48;2;0;0;0m");
    assert_eq!(after("\x1b[2J\x1b[31mred\x1b[K\x1b[10;3H"), "\x1b[31m");
    assert_eq!(after("\x1b]0;a title\x07\x1b[31mred"), "\x1b[31m");
}

#[test]
fn each_stream_has_its_own() {
    let mut styles = Styles::default();
    styles.pass(Stdout, b"\x1b[31m");
    styles.pass(Stderr, b"\x1b[1m");
    assert_eq!(
        (styles.settings(Stdout), styles.settings(Stderr)),
        (&b"\x1b[31m"[..], &b"\x1b[1m"[..])
    );
    styles.pass(Stdout, b"\x1b[0m");
    assert_eq!((styles.settings(Stdout), styles.settings(Stderr)), (&b""[..], &b"\x1b[1m"[..]));
}

#[test]
fn programs_that_set_more_and_more_use_no_more_memory() {
    let text = "\x1b[31m".repeat(10_000);
    let kept = settings(&[&text]);
    assert!(kept.len() <= 512 && kept.starts_with("\x1b[31m"), "{}", kept.len());
    assert_eq!(settings(&["\x1b[", &"1;".repeat(10_000)]), "", "a sequence that never ends");
}
