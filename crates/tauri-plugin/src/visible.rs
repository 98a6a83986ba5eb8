//! Which executions and plans a call may see or control, by the scope of its permission. What is not
//! visible does not exist for the caller: the error is that of an id that was never given.

use std::convert::Infallible;
use std::sync::Arc;

use execution_engine::{ExecutionError, Uuid};
use tauri::ipc::{CommandArg, CommandItem, CommandScope, InvokeError, ScopeObject};
use tauri::utils::acl::Value;
use tauri::{AppHandle, Runtime};
use tauri_plugin_execution_engine_rules::{Executions, ExecutionsRule, InvalidRule};

use crate::owners::{Owner, Owners, PageId};

mod records;

pub(crate) use records::visible_records;

/// Entry of the scope of a permission that reads or controls.
#[derive(Debug)]
pub(crate) enum ExecutionsEntry {
    Valid(Executions),
    /// Kept, because an error would take the other entries of the scope with it.
    Invalid(InvalidRule),
}

impl ScopeObject for ExecutionsEntry {
    type Error = Infallible;

    fn deserialize<R: Runtime>(_: &AppHandle<R>, raw: Value) -> Result<Self, Infallible> {
        let rule = ExecutionsRule::read(raw.into());
        Ok(rule.map_or_else(Self::Invalid, |rule| Self::Valid(rule.executions)))
    }
}

/// Caller of a command, and what it may see or control with it.
#[derive(Debug)]
pub(crate) struct Visible {
    page: PageId,
    allow: Vec<Executions>,
    deny: Vec<Executions>,
    /// An entry to deny is invalid. It is not known what it was to hide, so everything is hidden.
    is_closed: bool,
}

impl<'a, R: Runtime> CommandArg<'a, R> for Visible {
    fn from_command(command: CommandItem<'a, R>) -> Result<Self, InvokeError> {
        let CommandItem { plugin, name, key, message, acl } = command;
        let page = PageId::from_command(CommandItem { plugin, name, key, message, acl })?;
        let scope = CommandScope::<ExecutionsEntry>::from_command(CommandItem {
            plugin,
            name,
            key,
            message,
            acl,
        })?;
        Ok(Self::new(page, scope.allows(), scope.denies()))
    }
}

impl Visible {
    fn new(page: PageId, allow: &[Arc<ExecutionsEntry>], deny: &[Arc<ExecutionsEntry>]) -> Self {
        let valid = |entries: &[Arc<ExecutionsEntry>]| {
            let valid = entries.iter().filter_map(|entry| match &**entry {
                ExecutionsEntry::Valid(executions) => Some(executions.clone()),
                ExecutionsEntry::Invalid(_) => None,
            });
            valid.collect::<Vec<_>>()
        };
        let valid_deny = valid(deny);
        Self {
            page,
            allow: valid(allow),
            is_closed: valid_deny.len() < deny.len(),
            deny: valid_deny,
        }
    }

    /// Returns an error unless the caller may see this execution.
    pub(crate) async fn execution(&self, owners: &Owners, id: Uuid) -> Result<(), ExecutionError> {
        if self.includes_everything()
            || self.includes_those_of(owners.owner_ever(id).await.as_deref())
        {
            Ok(())
        } else {
            Err(ExecutionError::NotFound(id))
        }
    }

    /// Returns an error unless the caller may see this plan.
    pub(crate) async fn plan(&self, owners: &Owners, id: Uuid) -> Result<(), ExecutionError> {
        let owner = owners.owner(id).await;
        if self.includes_those_of(owner.as_deref()) {
            Ok(())
        } else {
            Err(ExecutionError::PlanNotFound(id))
        }
    }

    /// Returns `true` if the caller may see this execution or plan now, for a list.
    pub(crate) fn includes(&self, owners: &Owners, id: Uuid) -> bool {
        match owners.owner_now(id) {
            Owner::App => self.includes_those_of(None),
            Owner::Page(page) => self.includes_those_of(Some(&page)),
            Owner::Undecided => false,
        }
    }

    /// Returns `true` if the caller may see all executions, whatever their owners.
    pub(crate) fn includes_everything(&self) -> bool {
        !self.is_closed && self.deny.is_empty() && self.allow.contains(&Executions::All)
    }

    /// Returns `true` if the caller may see what belongs to a page, or to the app.
    pub(crate) fn includes_those_of(&self, owner: Option<&PageId>) -> bool {
        let is_own = owner.is_some_and(|owner| owner.webview == self.page.webview);
        let is_about = |executions: &Executions| match executions {
            Executions::Own => is_own,
            Executions::Window(label) => owner.is_some_and(|owner| owner.window == *label),
            Executions::All => true,
            // What was added later is no one's until it is decided here.
            _ => false,
        };
        !self.is_closed
            && !self.deny.iter().any(is_about)
            && (is_own || self.allow.iter().any(is_about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(label: &str) -> PageId {
        PageId::of_window(label)
    }

    pub(super) fn visible(allow: &[&str], deny: &[&str]) -> Visible {
        let entries = |texts: &[&str]| {
            let entry = |text: &&str| {
                let entry = serde_json::json!({ "executions": text });
                Arc::new(match ExecutionsRule::read(entry) {
                    Ok(rule) => ExecutionsEntry::Valid(rule.executions),
                    Err(invalid) => ExecutionsEntry::Invalid(invalid),
                })
            };
            texts.iter().map(entry).collect::<Vec<_>>()
        };
        Visible::new(page("main"), &entries(allow), &entries(deny))
    }

    /// Returns whether its own, those of the window `build`, and those of the app are visible.
    fn sees(allow: &[&str], deny: &[&str]) -> [bool; 3] {
        let visible = visible(allow, deny);
        [Some(page("main")), Some(page("build")), None]
            .map(|owner| visible.includes_those_of(owner.as_ref()))
    }

    #[test]
    fn a_window_sees_its_own_and_what_its_scope_adds() {
        assert_eq!(sees(&[], &[]), [true, false, false]);
        assert_eq!(sees(&["own"], &[]), [true, false, false]);
        assert_eq!(sees(&["window:build"], &[]), [true, true, false]);
        assert_eq!(sees(&["window:other"], &[]), [true, false, false]);
        assert_eq!(sees(&["all"], &[]), [true, true, true]);
    }

    #[test]
    fn what_is_denied_is_hidden_whatever_is_allowed() {
        assert_eq!(sees(&["all"], &["window:build"]), [true, false, true]);
        assert_eq!(sees(&["all"], &["own"]), [false, true, true]);
        assert_eq!(sees(&["window:build"], &["all"]), [false, false, false]);
    }

    #[test]
    fn an_invalid_entry_adds_nothing_and_hides_everything() {
        assert_eq!(sees(&["everything"], &[]), [true, false, false]);
        assert_eq!(sees(&["all"], &["everything"]), [false, false, false]);
    }

    #[test]
    fn everything_is_what_nothing_is_denied_of() {
        let everything = |allow, deny| visible(allow, deny).includes_everything();
        assert!(everything(&["own", "all"], &[]));
        assert!(!everything(&["window:build"], &[]));
        assert!(!everything(&["all"], &["window:vault"]));
        assert!(!everything(&["all"], &["nonsense"]), "an invalid entry closes the scope");
    }

    #[tokio::test]
    async fn what_is_hidden_is_told_like_an_unknown_id() {
        let (owners, mine, other) = (Owners::default(), Uuid::new_v4(), Uuid::new_v4());
        owners.give_execution(mine, page("main"));
        owners.give_execution(other, page("build"));
        let visible = visible(&[], &[]);
        assert_eq!(visible.execution(&owners, mine).await, Ok(()));
        let unknown = Uuid::new_v4();
        for id in [other, unknown] {
            assert_eq!(visible.execution(&owners, id).await, Err(ExecutionError::NotFound(id)));
            assert_eq!(visible.plan(&owners, id).await, Err(ExecutionError::PlanNotFound(id)));
        }
    }
}
