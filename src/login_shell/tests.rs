//! The frame around the answer of a shell, and what is taken from it.

use std::ffi::OsString;

use super::*;

fn vars(pairs: &[(&str, &str)]) -> EnvVars {
    pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

#[test]
fn noise_around_the_frame_is_ignored() {
    let output = b"Welcome!\nA=1\0BEGINabc=PATH=/a:/b\0X=1\n2\0EMPTY=\0ENDabc=bye\0B=2";
    let found = variables(framed(output, "abc").unwrap());
    assert_eq!(found, vars(&[("PATH", "/a:/b"), ("X", "1\n2"), ("EMPTY", "")]));
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    for output in [&b""[..], b"noise", b"BEGINabc=PATH=/a\0", b"ENDabc=PATH=/a\0BEGINabc="] {
        assert_eq!(framed(output, "abc"), None);
    }
}

#[test]
fn the_line_itself_has_no_frame() {
    let echoed = format!("+ {}\n", line("abc"));
    assert_eq!(framed(echoed.as_bytes(), "abc"), None);
}

#[test]
fn variables_about_the_shell_are_those_of_this_process() {
    let shell = vars(&[("PATH", "/new"), ("SHLVL", "2"), ("PWD", "/home"), (READING, "1")]);
    let own = vars(&[("PATH", "/old"), ("SHLVL", "1"), ("GONE", "1"), ("with.dot", "1")]);
    let expected = vars(&[("PATH", "/new"), ("SHLVL", "1"), ("with.dot", "1")]);
    assert_eq!(merged(shell, own), expected);
}
