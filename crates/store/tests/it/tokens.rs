//! Tokens of clients.

use chrono::{DateTime, Utc};
use execution_engine_store::{StoredToken, TokenScope};

use crate::support::open;

/// Returns a token to store.
pub(crate) fn token(name: &str, byte: u8, scope: TokenScope) -> StoredToken {
    let at = |seconds| DateTime::<Utc>::from_timestamp(seconds, 123_456_000).unwrap();
    let expires_at = (byte % 2 == 1).then(|| at(4_000_000_000));
    StoredToken { name: name.into(), digest: [byte; 32], scope, created_at: at(1_000), expires_at }
}

#[tokio::test]
async fn tokens_are_kept_until_they_are_removed_and_names_are_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.tokens().await.unwrap(), []);
    let all: Vec<_> = TokenScope::ALL.into_iter().zip(1..).collect();
    let all: Vec<_> = all.iter().map(|(it, byte)| token(&format!("t{byte}"), *byte, *it)).collect();
    for token in &all {
        assert!(store.create_token(token.clone()).await.unwrap());
    }
    assert!(!store.create_token(token("t2", 9, TokenScope::Admin)).await.unwrap());
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.tokens().await.unwrap(), all);
    assert!(store.remove_token("t1").await.unwrap());
    assert!(!store.remove_token("t1").await.unwrap(), "it is gone");
    assert_eq!(store.tokens().await.unwrap(), &all[1..]);
    assert!(store.create_token(token("t1", 9, TokenScope::Read)).await.unwrap());
}
