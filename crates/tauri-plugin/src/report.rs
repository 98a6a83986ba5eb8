//! Reports invalid entries of capability files when a page is loaded, so that they are known before
//! the first call that needs them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tauri::ipc::ScopeObject;
use tauri::{Runtime, Webview};
use tauri_plugin_execution_engine_rules::InvalidRule;

use crate::commands::{LAUNCHING, REACHING};
use crate::scope::LaunchEntry;
use crate::visible::ExecutionsEntry;

/// Entry that may be invalid.
trait Entry: ScopeObject {
    /// Whether the scope of the plugin has entries of this kind.
    const IN_GLOBAL_SCOPE: bool;
    fn invalid(&self) -> Option<&InvalidRule>;
}

impl Entry for LaunchEntry {
    const IN_GLOBAL_SCOPE: bool = true;

    fn invalid(&self) -> Option<&InvalidRule> {
        match self {
            Self::Valid(_) => None,
            Self::Invalid(invalid) => Some(invalid),
        }
    }
}

impl Entry for ExecutionsEntry {
    const IN_GLOBAL_SCOPE: bool = false;

    fn invalid(&self) -> Option<&InvalidRule> {
        match self {
            Self::Valid(_) => None,
            Self::Invalid(invalid) => Some(invalid),
        }
    }
}

/// Logs each invalid entry of the scopes of a webview, once.
pub(crate) fn report_invalid_entries<R: Runtime>(
    webview: &Webview<R>,
    reported: &Mutex<HashSet<String>>,
) {
    let found = [
        LAUNCHING.iter().flat_map(|command| invalid::<R, LaunchEntry>(webview, command)).collect(),
        REACHING
            .iter()
            .flat_map(|command| invalid::<R, ExecutionsEntry>(webview, command))
            .collect::<Vec<_>>(),
    ];
    let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
    for text in found.into_iter().flatten() {
        if reported.insert(text.clone()) {
            tracing::error!(window = webview.label(), "{text}");
        }
    }
}

/// Returns the texts about the invalid entries of one command.
fn invalid<R: Runtime, E: Entry>(webview: &Webview<R>, command: &str) -> Vec<String> {
    let Ok(Some(scope)) = webview.resolve_command_scope::<E>("execution-engine", command) else {
        return Vec::new();
    };
    let (own, all) = (scope.command_scope(), scope.global_scope());
    let of = |own: &[Arc<E>], all: &[Arc<E>], effect: &str| -> Vec<String> {
        let all = all.iter().filter(|_| E::IN_GLOBAL_SCOPE);
        let invalid = own.iter().chain(all).filter_map(|entry| entry.invalid());
        invalid
            .map(|invalid| format!("invalid entry of a capability, {effect}: {invalid}"))
            .collect()
    };
    let mut texts = of(own.allows(), all.allows(), "which allows nothing");
    texts.extend(of(own.denies(), all.denies(), "whose `deny` closes the scope"));
    texts
}
