//! The unit file of the service. Pure.

use std::ffi::OsStr;
use std::path::Path;

use execution_engine_server::StateDir;

use super::Instance;
use crate::failure::Failure;

/// Name of the unit.
pub(super) const NAME: &str = "exeng.service";

/// Returns the text of the unit that runs this program with these places.
///
/// `KillMode=process` and the scopes of the keepers are why a stop, a restart and an upgrade of the
/// service end no program.
pub(super) fn text(
    program: &Path,
    places: &StateDir,
    instance: Instance,
    user: Option<&str>,
) -> Result<String, Failure> {
    // No variable is looked for in the name of the program.
    let program = quote(program.as_os_str())?.replace("$$", "$");
    let mut command = vec![program, "serve".into(), "--systemd".into()];
    command.push(instance.name().into());
    for (option, path) in [
        ("--state-dir", places.path()),
        ("--socket", places.socket()),
        ("--config", places.config()),
    ] {
        command.extend([option.into(), quote(path.as_os_str())?]);
    }
    let command = command.join(" ");
    let target = match instance {
        Instance::User => "default.target",
        Instance::System => "multi-user.target",
    };
    let user = match user {
        Some(user) => format!("User={}\n", user_name(user)?),
        None => String::new(),
    };
    Ok(format!(
        "# Made by `exeng service install`, which writes it anew. For your changes: systemctl edit {NAME}\n\
         [Unit]\n\
         Description=Execution service exeng\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={command}\n\
         {user}\
         # Programs run in keepers, which go on without the service.\n\
         KillMode=process\n\
         Delegate=yes\n\
         # The end of a program for lack of memory is not that of the service.\n\
         OOMPolicy=continue\n\
         TasksMax=infinity\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    ))
}

/// Checks the name of a user, which systemd takes as it stands, with quotes.
fn user_name(name: &str) -> Result<&str, Failure> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    if !name.is_empty() && name.chars().all(fits) && !name.starts_with(['-', '.']) {
        return Ok(name);
    }
    Err(Failure::new(format!(
        "--user: {name:?} is no name of a user; it has letters, digits, '_', '-' and '.'"
    )))
}

/// Quotes a word of a unit file: it has escapes, specifiers (%) and variables ($).
fn quote(word: &OsStr) -> Result<String, Failure> {
    let refused = |what: &str| {
        Failure::new(format!("{} {what}, which a unit of systemd cannot have", word.display()))
    };
    let text = word.to_str().ok_or_else(|| refused("is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused("has a control character"));
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' | '$' => quoted.extend([character, character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        let of = |word: &str| quote(word.as_ref());
        assert_eq!(of("/usr/bin/exeng").unwrap(), "\"/usr/bin/exeng\"");
        assert_eq!(of("a b%c$d\"e\\f").unwrap(), r#""a b%%c$$d\"e\\f""#);
        for bad in ["", "-a", "a b", "a\"b", "%u", "a\nb"] {
            assert!(user_name(bad).unwrap_err().to_string().contains("--user"), "{bad}");
        }
        assert_eq!(user_name("www-data").unwrap(), "www-data");
        assert!(of("two\nlines").unwrap_err().to_string().contains("control character"));
    }
}
