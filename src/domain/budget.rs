//! How many tokens and panes one process may hold. Shared by all its shards. At the bound a trade
//! of a *new* token is refused; the known ones go on into a reserve, so that what has begun is
//! counted whole as long as there is room. Beyond the reserve no pane is added at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::extended::WalletBudget;

/// Tokens and live panes of all shards, with their bounds.
#[derive(Debug)]
pub struct Budget {
    tokens: AtomicUsize,
    panes: AtomicUsize,
    max_tokens: usize,
    max_panes: usize,
    wallets: Option<Arc<WalletBudget>>,
}

/// The reserve is this part of the panes: little beside the bound, and minutes for whoever looks
/// at the figures.
const RESERVE_PART: usize = 8;
/// It is never less than this: some 10 MB, below which a bound on memory means nothing.
const LEAST_RESERVE: usize = 100_000;

impl Budget {
    /// An empty budget.
    #[must_use]
    pub const fn new(max_tokens: usize, max_panes: usize) -> Self {
        let (tokens, panes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { tokens, panes, max_tokens, max_panes, wallets: None }
    }

    /// The same for extended figures: with at most so many pairs of a token and a wallet.
    #[must_use]
    pub fn with_wallets(self, max_wallets: usize) -> Self {
        Self { wallets: Some(Arc::new(WalletBudget::new(max_wallets))), ..self }
    }

    /// The pairs of a token and a wallet; `None` where the figures are standard.
    #[must_use]
    pub const fn wallets(&self) -> Option<&Arc<WalletBudget>> {
        self.wallets.as_ref()
    }

    /// Tokens held now.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens.load(Relaxed)
    }

    /// Live panes held now.
    #[must_use]
    pub fn panes(&self) -> usize {
        self.panes.load(Relaxed)
    }

    /// Takes a place for a new token, if there is one.
    pub(crate) fn take_token(&self) -> bool {
        if self.panes() >= self.max_panes {
            return false;
        }
        self.tokens
            .fetch_update(Relaxed, Relaxed, |held| (held < self.max_tokens).then_some(held + 1))
            .is_ok()
    }

    /// A checkpoint may hold more than today's bound: what was counted stays counted.
    pub(crate) fn restore_token(&self) {
        self.tokens.fetch_add(1, Relaxed);
    }

    pub(crate) fn release_token(&self) {
        self.tokens.fetch_sub(1, Relaxed);
    }

    /// Takes a place for a new pane of a token that is held, if there is one.
    pub(crate) fn take_pane(&self) -> bool {
        let reserve = (self.max_panes / RESERVE_PART).max(LEAST_RESERVE);
        let most = self.max_panes.saturating_add(reserve);
        self.panes.fetch_update(Relaxed, Relaxed, |held| (held < most).then_some(held + 1)).is_ok()
    }

    pub(crate) fn restore_pane(&self) {
        self.panes.fetch_add(1, Relaxed);
    }

    pub(crate) fn release_panes(&self, count: usize) {
        self.panes.fetch_sub(count, Relaxed);
    }
}
