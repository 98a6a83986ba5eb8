//! Search and its pages, against a model.

use chrono::{DateTime, TimeDelta, Utc};
use execution_engine::{Ending, ExecutionOptions, ExecutionRequest, ExecutionStatus};
use execution_engine_store::{
    EndedExecution, Hooks, NewExecution, OutputPlace, Query, Store, StoreConfig, StoredExecution,
};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

use crate::support::{accept, accept_shell, end, ended, new, open};

/// What an execution of a random history is made of.
#[derive(Debug, Clone)]
struct Made {
    tags: Vec<&'static str>,
    label: Option<&'static str>,
    group: Option<&'static str>,
    line: &'static str,
    /// 0 waits, 1 runs, the others have ended.
    fate: u8,
    /// Step of the clock in seconds, before it is accepted.
    clock: i64,
    is_removed: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let tag = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let word = |words: &'static [&'static str]| prop::option::of(prop::sample::select(words));
    let lines: &[&str] = &["make all", "MAKE ALL", "echo Ünï", "rm -rf x", "true"];
    let clock = prop_oneof![8 => 0..5i64, 1 => -100..100i64];
    let removed = prop::bool::weighted(0.1);
    let line = prop::sample::select(lines);
    (tag, word(&["x", "y"]), word(&["g", "h"]), line, 0..6u8, clock, removed).prop_map(
        |(tags, label, group, line, fate, clock, is_removed)| Made {
            tags,
            label,
            group,
            line,
            fate,
            clock,
            is_removed,
        },
    )
}

fn query() -> impl Strategy<Value = Query> {
    use ExecutionStatus::*;
    let status = prop::sample::subsequence(vec![Pending, Running, Completed, Failed, Lost], 0..=3);
    let tags = prop::sample::subsequence(vec!["a", "b", "c", "none"], 0..=2);
    let label = prop::option::of(prop::sample::select(&["x", "y", "none"][..]));
    let group = prop::option::of(prop::sample::select(&["g", "none"][..]));
    let text = prop::option::of(prop::sample::select(&["make", "ALL", "ÜNÏ", "none", ""][..]));
    let time = || prop::option::weighted(0.3, -50..150i64);
    (status, tags, label, group, text, time(), time(), 1..7usize).prop_map(
        |(status, tags, label, group, text, since, until, limit)| Query {
            status,
            tags: tags.into_iter().map(str::to_string).collect(),
            labels: label.into_iter().map(|value| ("k".to_string(), value.to_string())).collect(),
            group: group.map(str::to_string),
            plan: None,
            schedule: None,
            text: text.map(str::to_string),
            since: since.map(at),
            until: until.map(at),
            limit,
            cursor: None,
        },
    )
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

/// Says whether a search means an execution, by its plain definition.
fn means(query: &Query, stored: &StoredExecution) -> bool {
    (query.status.is_empty() || query.status.contains(&stored.status))
        && query.tags.iter().all(|tag| stored.tags.contains(tag))
        && query.labels.iter().all(|(name, value)| stored.labels.get(name) == Some(value))
        && query.group.as_ref().is_none_or(|group| stored.group.as_ref() == Some(group))
        && query.since.is_none_or(|since| stored.created_at >= since)
        && query.until.is_none_or(|until| stored.created_at < until)
        && query
            .text
            .as_ref()
            .is_none_or(|text| stored.command.to_lowercase().contains(&text.to_lowercase()))
}

async fn make(store: &Store, made: &Made) {
    let mut request = ExecutionRequest::shell(made.line);
    for tag in &made.tags {
        request = request.tag(*tag);
    }
    if let Some(value) = made.label {
        request = request.label("k", value);
    }
    let none = ExecutionOptions::default();
    let options = made.group.map_or(none.clone(), |group| none.group(group));
    let id = accept(store, NewExecution { options, ..new(request) }).await.id;
    if made.fate > 0 {
        store.dispatch(vec![id], "k").await.unwrap();
    }
    let ending = match made.fate {
        2 => Ending::Exited { code: 0 },
        3 => Ending::Exited { code: 2 },
        4 => Ending::Lost { reason: "r".into() },
        5 => Ending::Cancelled,
        _ => return,
    };
    let ended: EndedExecution = ended(id, ending, OutputPlace::None);
    store.ended(ended).await.unwrap();
    if made.is_removed {
        store.remove(id).await.unwrap();
    }
}

/// Returns all that a search finds, page by page. Between two pages more is accepted.
async fn all_pages(store: &Store, query: &Query) -> Vec<StoredExecution> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = store.list(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        assert!(
            page.next.is_none() || page.items.len() == query.limit,
            "only the last page is short"
        );
        found.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            return found;
        }
        accept(store, new(ExecutionRequest::shell("make later").tag("a").tag("b").label("k", "x")))
            .await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pages_have_what_the_definition_says(
        history in prop::collection::vec(made(), 0..25),
        queries in prop::collection::vec(query(), 6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(Mutex::new(at(0)));
        let clock = now.clone();
        let hooks = Hooks::default().clock(move || *clock.lock().unwrap());
        let store = Store::open(dir.path(), StoreConfig { hooks, ..StoreConfig::default() }).unwrap();
        Runtime::new().unwrap().block_on(async {
            for made in &history {
                *now.lock().unwrap() += TimeDelta::seconds(made.clock);
                make(&store, made).await;
            }
            for query in &queries {
                let all = Query { limit: 1000, ..Query::default() };
                let all = store.list(all).await.unwrap().items;
                let expected = all.into_iter().filter(|stored| means(query, stored));
                let found = all_pages(&store, query).await;
                let ids = |all: &[StoredExecution]| all.iter().map(|stored| stored.seq).collect::<Vec<_>>();
                assert_eq!(ids(&found), ids(&expected.collect::<Vec<_>>()), "{query:?}");
                assert!(found.is_sorted_by(|a, b| a.seq > b.seq), "newest first");
            }
        });
    }
}

#[tokio::test]
async fn equals_sign_does_not_mix_up_labels() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, new(ExecutionRequest::shell("true").label("a", "b=c"))).await;
    let label = async |name: &str, value: &str| {
        let labels = vec![(name.to_string(), value.to_string())];
        store.list(Query { labels, ..Query::default() }).await.unwrap().items.len()
    };
    assert_eq!((label("a", "b=c").await, label("a=b", "c").await), (1, 0));
}

#[tokio::test]
async fn cursor_survives_a_restart_and_the_removal_of_its_execution() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut ids = Vec::new();
    for number in 0..5 {
        let id = accept_shell(&store, &format!("echo {number}")).await;
        end(&store, id, 0).await;
        ids.push(id);
    }
    let first = store.list(Query { limit: 2, ..Query::default() }).await.unwrap();
    store.remove(first.items[1].id).await.unwrap();
    drop(store);
    let store = open(dir.path());
    let rest = store.list(Query { cursor: first.next, ..Query::default() }).await.unwrap();
    let found: Vec<_> = rest.items.iter().map(|stored| stored.id).collect();
    assert_eq!(found, [ids[2], ids[1], ids[0]]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn value_that_is_not_valid_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let queries = [
        (Query { limit: 0, ..Query::default() }, "limit"),
        (Query { limit: 1001, ..Query::default() }, "limit"),
        (Query { cursor: Some("7".into()), ..Query::default() }, "cursor"),
        (Query { cursor: Some("1--5".into()), ..Query::default() }, "cursor"),
    ];
    for (query, field) in queries {
        let error = store.list(query).await.unwrap_err();
        assert_eq!(error.code(), "invalid_query");
        assert!(error.to_string().starts_with(field), "{error}");
    }
}
