//! What of a request must not be read: values of environments, and input.

use execution_engine::{ExecutionOptions, ExecutionRequest, OsText, StdinSource};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A request without what must not be read, and that apart.
pub(crate) struct Split {
    pub(crate) request: ExecutionRequest,
    pub(crate) options: ExecutionOptions,
    /// Names of the variables, sorted.
    pub(crate) env_names: Vec<String>,
    /// Size of the input that is sealed.
    pub(crate) stdin_bytes: Option<u64>,
    /// What to seal; None if there is nothing.
    pub(crate) secret: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Variables {
    env: Vec<(String, String)>,
    // Pairs, because a name that is not UTF-8 cannot be a key in JSON.
    set: Vec<(OsText, OsText)>,
}

/// Takes what must not be read out of a request.
pub(crate) fn split(mut request: ExecutionRequest, mut options: ExecutionOptions) -> Result<Split> {
    let variables = Variables {
        env: std::mem::take(&mut request.env).into_iter().collect(),
        set: std::mem::take(&mut options.env.set).into_iter().collect(),
    };
    let stdin = match std::mem::take(&mut options.stdin) {
        StdinSource::Bytes { data } => Some(data),
        other => {
            options.stdin = other;
            None
        }
    };
    let mut env_names: Vec<String> = variables.env.iter().map(|(name, _)| name.clone()).collect();
    env_names.extend(variables.set.iter().map(|(name, _)| name.to_string()));
    env_names.sort_unstable();
    env_names.dedup();
    let stdin_bytes = stdin.as_ref().map(|data| data.len() as u64);
    let secret = (!env_names.is_empty() || stdin.is_some())
        .then(|| -> Result<Vec<u8>> {
            let json = serde_json::to_vec(&variables)?;
            let mut secret = (json.len() as u64).to_le_bytes().to_vec();
            secret.extend_from_slice(&json);
            secret.extend_from_slice(stdin.as_deref().unwrap_or_default());
            Ok(secret)
        })
        .transpose()?;
    Ok(Split { request, options, env_names, stdin_bytes, secret })
}

/// Puts back what [`split`] has taken out.
pub(crate) fn join(
    request: &mut ExecutionRequest,
    options: &mut ExecutionOptions,
    has_stdin: bool,
    secret: &[u8],
) -> Option<()> {
    let (length, rest) = secret.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (json, stdin) = rest.split_at_checked(length)?;
    let variables: Variables = serde_json::from_slice(json).ok()?;
    request.env = variables.env.into_iter().collect();
    options.env.set = variables.set.into_iter().collect();
    if has_stdin {
        options.stdin = StdinSource::bytes(stdin.to_vec());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_comes_back_whole_and_says_nothing_meanwhile() {
        let request = ExecutionRequest::program("env").env("TOKEN", "hidden1");
        let options = ExecutionOptions::default()
            .env("OTHER", "hidden2")
            .stdin(StdinSource::bytes(&b"hidden3\xff"[..]));
        let split = split(request.clone(), options.clone()).unwrap();
        assert_eq!(split.env_names, ["OTHER", "TOKEN"]);
        assert_eq!(split.stdin_bytes, Some(8));
        let (mut shown, mut shown_options) = (split.request, split.options);
        let json = serde_json::to_string(&(&shown, &shown_options)).unwrap();
        assert!(!json.contains("hidden") && !json.contains("TOKEN"), "{json}");

        join(&mut shown, &mut shown_options, true, &split.secret.unwrap()).unwrap();
        assert_eq!((shown, shown_options), (request, options));
    }

    #[cfg(unix)]
    #[test]
    fn names_and_values_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let word = |bytes: &[u8]| OsText::from(std::ffi::OsString::from_vec(bytes.to_vec()));
        let options = ExecutionOptions::default().env(word(b"A\xff"), word(b"\xfe"));
        let split = split(ExecutionRequest::program("env"), options.clone()).unwrap();
        let (mut shown, mut shown_options) = (split.request, split.options);
        serde_json::to_string(&shown_options).unwrap();
        join(&mut shown, &mut shown_options, false, &split.secret.unwrap()).unwrap();
        assert_eq!(shown_options, options);
    }

    #[test]
    fn request_without_secrets_has_nothing_to_seal() {
        let split = split(ExecutionRequest::shell("true"), ExecutionOptions::default()).unwrap();
        assert!(split.secret.is_none() && split.env_names.is_empty());
    }
}
