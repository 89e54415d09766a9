//! Token names as the tasks share them: read for every message, written now and then.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::domain::name::{Names, TokenName};

/// Shared names.
#[derive(Debug)]
pub struct SharedNames(RwLock<Names>);

impl SharedNames {
    /// No names yet, and room for `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(RwLock::new(Names::new(most)))
    }

    /// As [`Names::learn`].
    pub fn learn(&self, token: &str, name: TokenName) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).learn(token, name)
    }

    /// Runs `with` on what is known of a token: symbol and name, empty while unknown.
    pub fn with<T>(&self, token: &str, with: impl FnOnce(&str, &str) -> T) -> T {
        match self.read().get(token) {
            Some(TokenName { symbol, name, .. }) => with(symbol, name),
            None => with("", ""),
        }
    }

    /// For whoever asks for many: nothing is learned until it is dropped.
    pub fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
