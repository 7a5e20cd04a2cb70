//! A cache of Keystone's recent answers, keyed by the hash of the token.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::auth::{Identity, Unauthenticated};
use crate::clock::Monotonic;

/// The hash of a token, which cannot be used as a token. It is displayed as its first digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Keystone's answer about a token, and the time until which it can be used.
pub(super) struct Verdict {
    pub(super) outcome: Result<Good, Unauthenticated>,
    pub(super) until: Monotonic,
}

/// A valid token.
pub(super) struct Good {
    pub(super) identity: Arc<Identity>,
    pub(super) expires_at: Monotonic,
}

impl Verdict {
    /// Whether the verdict can be used without another question to Keystone.
    pub(super) fn holds(&self, now: Monotonic) -> bool {
        now < self.until
    }

    /// The identity that the token represents. A token that Keystone accepted may have expired
    /// since.
    pub(super) fn identity(&self, now: Monotonic) -> Result<Arc<Identity>, Unauthenticated> {
        match &self.outcome {
            Ok(good) if now < good.expires_at => Ok(Arc::clone(&good.identity)),
            Ok(_) => Err(Unauthenticated::Rejected),
            Err(error) => Err(*error),
        }
    }
}

/// A verdict that exists, or that requests wait for.
pub(super) type Entry = Arc<OnceCell<Verdict>>;

/// The verdicts on the most recently used tokens.
pub(super) struct Cache {
    entries: Mutex<LruCache<TokenHash, Entry>>,
}

impl Cache {
    pub(super) fn new(entries: NonZeroUsize) -> Self {
        Self { entries: Mutex::new(LruCache::new(entries)) }
    }

    /// The entry of a token: one whose verdict holds or is awaited, or a new one.
    pub(super) fn entry(&self, hash: TokenHash, now: Monotonic) -> Entry {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(&hash)
            && entry.get().is_none_or(|verdict| verdict.holds(now))
        {
            return Arc::clone(entry);
        }
        let entry = Entry::default();
        entries.put(hash, Arc::clone(&entry));
        entry
    }

    /// Makes the entry of a rejected token the first to be evicted, so that many invalid tokens
    /// displace few valid ones.
    pub(super) fn demote(&self, hash: &TokenHash) {
        self.lock().demote(hash);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<TokenHash, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &Cache, token: &str, until: u64) {
        let entry = cache.entry(TokenHash::of(token), Monotonic(0));
        entry.set(verdict(until)).ok().expect("it was new");
    }

    fn verdict(until: u64) -> Verdict {
        let good = Good { identity: Arc::default(), expires_at: Monotonic(30) };
        Verdict { outcome: Ok(good), until: Monotonic(until) }
    }

    fn knows(cache: &Cache, token: &str, now: u64) -> bool {
        cache.entry(TokenHash::of(token), Monotonic(now)).initialized()
    }

    #[test]
    fn a_verdict_holds_for_its_time() {
        let cache = Cache::new(NonZeroUsize::new(4).unwrap());
        put(&cache, "a", 20);
        assert!(knows(&cache, "a", 10) && knows(&cache, "a", 19));
        assert!(!knows(&cache, "a", 20));
    }

    /// A token that outlives its verdict is valid for the requests that waited for this verdict.
    #[test]
    fn a_valid_token_is_rejected_only_after_it_expires() {
        for now in [9, 10, 20, 29] {
            assert!(verdict(20).identity(Monotonic(now)).is_ok(), "{now}");
        }
        assert_eq!(verdict(20).identity(Monotonic(30)), Err(Unauthenticated::Rejected));
    }

    #[test]
    fn rejected_tokens_are_evicted_first() {
        let cache = Cache::new(NonZeroUsize::new(2).unwrap());
        put(&cache, "good", 20);
        for bad in ["x", "y", "z"] {
            put(&cache, bad, 20);
            cache.demote(&TokenHash::of(bad));
        }
        assert!(knows(&cache, "good", 15));
    }

    #[test]
    fn a_hash_shows_little() {
        assert_eq!(TokenHash::of("secret").to_string(), "2bb80d53");
    }
}
