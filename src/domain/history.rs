//! A token's last hour in steps: what a plot is drawn from. Steps begin at multiples of their
//! length, so that they stay where they are while time goes on; the last one is not over yet.

use serde::{Deserialize, Serialize};

use super::pane::Pane;
use super::price::Price;
use super::time::Second;

/// How far back it goes, where the longest window does too: beyond it there are no panes.
const SPAN_SECONDS: u32 = 3_600;

/// Steps at most: more than a plot has room for.
pub const MAX_STEPS: u32 = 300;

/// The steps with trades of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The length of a step in seconds.
    pub step_seconds: u32,
    /// The begin of the first step.
    pub from: Second,
    /// The last second that is looked at.
    pub to: Second,
    /// The steps that have trades, oldest first.
    pub points: Vec<Point>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its first second.
    pub at: Second,
    /// Price of its last trade.
    pub price: Price,
    /// Volume in USD, in units of 10⁻¹⁸.
    pub usd: i128,
    /// Buys.
    pub buys: u64,
    /// Sells.
    pub sells: u64,
}

impl History {
    /// An empty one that ends at `to`, where the longest window has so many seconds.
    #[must_use]
    pub fn new(longest: u32, to: Second) -> Self {
        let span = longest.clamp(1, SPAN_SECONDS);
        let step_seconds = span.div_ceil(MAX_STEPS);
        let steps = i64::from(span.div_ceil(step_seconds));
        let from = begin(to, step_seconds).plus((1 - steps) * i64::from(step_seconds));
        Self { step_seconds, from, to, points: Vec::new() }
    }

    /// Adds a pane; they come in the order of their seconds. One outside is left out.
    pub fn add(&mut self, second: Second, pane: &Pane) {
        if second < self.from || second > self.to {
            return;
        }
        let at = begin(second, self.step_seconds);
        let (sums, price) = (&pane.sums, pane.last.price);
        let (usd, buys, sells) = (sums.usd, sums.buy.count, sums.sell.count);
        match self.points.last_mut() {
            Some(point) if point.at == at => {
                point.price = price;
                point.usd += usd; // a part of the token's total, which fits
                point.buys += buys;
                point.sells += sells;
            }
            Some(_) | None => self.points.push(Point { at, price, usd, buys, sells }),
        }
    }
}

/// The begin of the step that a second lies in.
fn begin(second: Second, step_seconds: u32) -> Second {
    second.plus(-second.0.rem_euclid(i64::from(step_seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_at_multiples_and_are_never_more_than_a_plot_has_room_for() {
        for (longest, to, step, from) in [
            (3_600, 7_199, 12, 3_600),
            (3_600, 7_200, 12, 3_612),
            (86_400, 7_211, 12, 3_612),
            (300, 1_000, 1, 701),
            (301, 1_000, 2, 700),
            (10, 1_000, 1, 991),
            (1, 1_000, 1, 1_000),
        ] {
            let history = History::new(longest, Second(to));
            assert_eq!((history.step_seconds, history.from), (step, Second(from)), "{longest}");
            let steps = (to - from) / i64::from(step) + 1;
            assert!(steps <= i64::from(MAX_STEPS), "{longest}: {steps} steps");
        }
    }
}
