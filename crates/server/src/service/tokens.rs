//! Tokens: who may call the service over the network, and for what. All are in memory, by their digests, so that a
//! request is compared with them without the store, and a revoked one ends at once.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, Utc};
use execution_engine_store::{StoredToken, TokenScope};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Service;
use super::errors::internal;
use super::inner::Inner;
use crate::config::HttpConfig;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{CreatedToken, NewToken, TokenList, TokenView};

/// Begin of each token, by which people and scanners for secrets recognise one.
const PREFIX: &str = "exeng_";
/// Random bytes of a token: so many that its digest needs neither salt nor many rounds.
const RANDOM_BYTES: usize = 32;
/// Longest name in bytes.
const LONGEST_NAME: usize = 64;
/// How many there may be: each request is compared with all of them.
const MOST_TOKENS: usize = 1_000;
/// Longest time until the clock is looked at again for what is open.
const CLOCK_EVERY: Duration = Duration::from_secs(30);

/// All tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    all: Mutex<BTreeMap<String, Arc<Grant>>>,
    /// Held while one is made or revoked, so that what is stored is what counts.
    changes: tokio::sync::Mutex<()>,
}

/// What the owner of a token may do, until when, and how much of it at a time.
pub(crate) struct Grant {
    stored: StoredToken,
    revoked: CancellationToken,
    rate: DefaultDirectRateLimiter,
    open: Arc<Semaphore>,
    limits: HttpConfig,
}

/// Why a request is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// There were more than `most` a second, `most` of them at once; the next is served in `seconds`.
    Rate {
        /// Seconds until then, rounded up.
        seconds: u64,
        /// How many there may be in a second.
        most: NonZeroU32,
    },
    /// So many are open.
    Open {
        /// How many there may be.
        most: usize,
    },
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such token: it never was one, or it was revoked.
    Unknown,
    /// Its time is over.
    Expired,
}

impl Service {
    /// Makes a token, and returns it with the only copy of it. When this returns, it is durable and accepted.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest), [`NameTaken`](crate::ErrorCode::NameTaken),
    /// [`TooManyTokens`](crate::ErrorCode::TooManyTokens), [`StoreFull`](crate::ErrorCode::StoreFull),
    /// [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn create_token(&self, new: NewToken) -> Result<CreatedToken, ServiceError> {
        check(&new)?;
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.create_token(new).await }).await
    }

    /// Returns all tokens, by their names.
    pub fn tokens(&self) -> TokenList {
        let all = self.inner().tokens.all.lock();
        TokenList { tokens: all.values().map(|grant| view(&grant.stored)).collect() }
    }

    /// Revokes a token. When this returns it is refused, and what is open for it is ending.
    ///
    /// # Errors
    /// [`UnknownToken`](crate::ErrorCode::UnknownToken), [`StoreFull`](crate::ErrorCode::StoreFull): then it is
    /// still accepted; [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn revoke_token(&self, name: &str) -> Result<(), ServiceError> {
        let (inner, name) = (Arc::clone(self.inner()), name.to_string());
        self.to_its_end(async move { inner.revoke_token(&name).await }).await
    }

    /// Finds what a token allows.
    pub(crate) fn grant(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        let wanted = digest(token);
        let all = self.inner().tokens.all.lock();
        // All of them, and each to its last byte: the time tells nothing about the digests.
        let found = all.values().fold(None, |found, grant| {
            let is_it = bool::from(grant.stored.digest.ct_eq(&wanted));
            if is_it { Some(grant) } else { found }
        });
        let grant = found.ok_or(Refusal::Unknown)?;
        if is_over(&grant.stored) { Err(Refusal::Expired) } else { Ok(Arc::clone(grant)) }
    }
}

impl Inner {
    /// Reads the tokens.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn recover_tokens(&self) -> Result<(), ServiceError> {
        let stored = self.store.tokens().await?;
        let grants = stored.into_iter().map(|it| (it.name.clone(), self.grant(it)));
        *self.tokens.all.lock() = grants.collect();
        Ok(())
    }

    fn grant(&self, stored: StoredToken) -> Arc<Grant> {
        let limits = self.options.config.http.clone();
        Arc::new(Grant {
            stored,
            revoked: CancellationToken::new(),
            rate: RateLimiter::direct(Quota::per_second(limits.max_requests_per_second)),
            open: Arc::new(Semaphore::new(limits.max_open_requests)),
            limits,
        })
    }

    async fn create_token(&self, new: NewToken) -> Result<CreatedToken, ServiceError> {
        let _alone = self.tokens.changes.lock().await;
        if self.tokens.all.lock().len() >= MOST_TOKENS {
            let text = format!("there are {MOST_TOKENS} tokens, and no more are possible");
            return Err(ServiceError::new(ErrorCode::TooManyTokens, text)
                .fix("revoke those that nobody uses (exeng token ls)"));
        }
        let token = random().map_err(internal)?;
        let NewToken { name, scope, expires_at } = new;
        let stored = StoredToken {
            name,
            digest: digest(&token),
            scope,
            created_at: to_micros(Utc::now()),
            expires_at: expires_at.map(to_micros),
        };
        if !self.store.create_token(stored.clone()).await? {
            let text = format!("there is a token {:?} already", stored.name);
            let fix =
                format!("choose another name, or revoke it (exeng token revoke {})", stored.name);
            return Err(ServiceError::new(ErrorCode::NameTaken, text).field("name").fix(fix));
        }
        let view = view(&stored);
        self.tokens.all.lock().insert(stored.name.clone(), self.grant(stored));
        Ok(CreatedToken { token, view })
    }

    async fn revoke_token(&self, name: &str) -> Result<(), ServiceError> {
        let _alone = self.tokens.changes.lock().await;
        if !self.store.remove_token(name).await? {
            let text = format!("there is no token {name:?}");
            return Err(ServiceError::new(ErrorCode::UnknownToken, text)
                .fix("list the tokens to find its name (exeng token ls)"));
        }
        let revoked = self.tokens.all.lock().remove(name);
        if let Some(grant) = revoked {
            grant.revoked.cancel();
        }
        Ok(())
    }
}

impl Grant {
    /// Returns the name of the token.
    pub(crate) fn name(&self) -> &str {
        &self.stored.name
    }

    /// Returns what it allows.
    pub(crate) fn scope(&self) -> TokenScope {
        self.stored.scope
    }

    /// Lets a request begin, or says why not. It is open as long as the permit lives.
    pub(crate) fn begin(&self) -> Result<OwnedSemaphorePermit, Excess> {
        self.rate.check().map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            Excess::Rate { seconds, most: self.limits.max_requests_per_second }
        })?;
        let open = Arc::clone(&self.open).try_acquire_owned();
        open.map_err(|_| Excess::Open { most: self.limits.max_open_requests })
    }

    /// Waits until the token is revoked or has expired.
    pub(crate) async fn over(self: Arc<Self>) {
        loop {
            let left =
                self.stored.expires_at.map(|at| (at - Utc::now()).to_std().unwrap_or_default());
            let Some(left) = left else { return self.revoked.cancelled().await };
            // The clock may be set meanwhile, and stands for this timeout while the machine sleeps.
            let left = left.min(CLOCK_EVERY);
            let revoked = tokio::time::timeout(left, self.revoked.cancelled()).await.is_ok();
            if revoked || is_over(&self.stored) {
                return;
            }
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("name", &self.stored.name).finish_non_exhaustive()
    }
}

/// Refuses names that would need quotes somewhere, and tokens that nobody could use.
fn check(new: &NewToken) -> Result<(), ServiceError> {
    let NewToken { name, expires_at, .. } = new;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    let is_good = name.len() <= LONGEST_NAME && name.chars().all(is_plain);
    if !is_good || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let fix = format!(
            "write 1 to {LONGEST_NAME} letters, digits, '.', '_', '@' and '-', the first a letter or a digit"
        );
        let text = format!("{name:?} is no name of a token");
        return Err(ServiceError::invalid("name", text).fix(fix));
    }
    if expires_at.is_some_and(|at| at <= Utc::now()) {
        let text = "the token would have expired already";
        return Err(ServiceError::invalid("expires_at", text).fix("name a moment that comes"));
    }
    Ok(())
}

fn view(stored: &StoredToken) -> TokenView {
    TokenView {
        name: stored.name.clone(),
        scope: stored.scope,
        created_at: stored.created_at,
        expires_at: stored.expires_at,
        expired: is_over(stored),
    }
}

fn is_over(stored: &StoredToken) -> bool {
    stored.expires_at.is_some_and(|at| at <= Utc::now())
}

/// Returns a moment as the store keeps it.
fn to_micros(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.trunc_subsecs(6)
}

/// Makes a token.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognisable_and_none_is_like_another() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[..6]), (49, "exeng_"));
        let bytes = URL_SAFE_NO_PAD.decode(&one[6..]).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_ne!(digest(&one), digest(&other));
    }

    #[test]
    fn names_that_would_need_quotes_are_refused() {
        let named = |name: &str| {
            check(&NewToken { name: name.to_string(), scope: TokenScope::Read, expires_at: None })
        };
        for good in ["a", "7", "ci@build.example", "x_1-2"] {
            assert_eq!(named(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "-x", "a b", "a/b", "../a", "\u{e4}", "a\n", &"x".repeat(65)] {
            assert_eq!(named(bad).unwrap_err().field.as_deref(), Some("name"), "{bad:?}");
        }
    }

    #[test]
    fn token_is_in_no_debug_output() {
        let view = view(&StoredToken {
            name: "ci".into(),
            digest: [0; 32],
            scope: TokenScope::Run,
            created_at: Utc::now(),
            expires_at: None,
        });
        let created = CreatedToken { token: random().unwrap(), view };
        assert!(!format!("{created:?}").contains(&created.token));
    }
}
