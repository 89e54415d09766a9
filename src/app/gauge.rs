//! What is held and how it is going, as figures, once a second; and a warning where a bound is
//! reached.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::domain::budget::Budget;
use crate::domain::extended::WalletBudget;
use crate::domain::reject::Reason;
use crate::gauges;
use crate::metrics::Metrics;
use crate::pipeline::Shared;
use crate::ports::group::Seat;
use crate::status::Phase;

/// Sets the figures that are states, not events, once a second.
pub async fn gauge(shared: Arc<Shared>, budget: Arc<Budget>, seat: Seat, stop: CancellationToken) {
    let (mut said_of, mut said_of_wallets) = (0, 0);
    loop {
        let refused = shared.metrics.rejected_for(Reason::Capacity);
        if refused > said_of {
            said_of = refused;
            warn!(
                refused,
                tokens = budget.tokens(),
                panes = budget.panes(),
                action = "raise MAX_TOKENS or MAX_PANES as far as memory allows",
                "MAX_TOKENS or MAX_PANES is reached: trades are rejected"
            );
        }
        if let Some(wallets) = budget.wallets() {
            tell_of(wallets, &shared.metrics, &mut said_of_wallets);
        }
        if shared.status.phase() == Phase::Running {
            shared.status.note_counted(shared.clock.now(), shared.metrics.trades_counted.get());
        }
        shared.metrics.group_lease.set(seat.has_lease().into());
        shared.metrics.tokens.set(count(budget.tokens()));
        shared.metrics.panes.set(count(budget.panes()));
        gauges::refresh(&shared.metrics, &shared.status, shared.clock.now());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(GAUGE_INTERVAL) => {}
        }
    }
}

/// Sets the figures of wallets, and warns where any found no room since it was said last.
fn tell_of(wallets: &WalletBudget, metrics: &Metrics, said_of: &mut u64) {
    let (held, refused) = (wallets.held(), wallets.refused());
    metrics.wallets.set(count(held));
    metrics.wallets_uncounted.inc_by(refused.saturating_sub(metrics.wallets_uncounted.get()));
    if refused > *said_of {
        *said_of = refused;
        warn!(
            refused,
            wallets = held,
            action = "raise MAX_WALLETS as far as memory allows",
            "MAX_WALLETS is reached: windows with further wallets do not tell how many"
        );
    }
}

pub(super) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const GAUGE_INTERVAL: Duration = Duration::from_secs(1);
