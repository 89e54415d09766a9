//! What the published messages say: the newest of each active token, and which of them are
//! busiest. Reads the messages as any neighbour does.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One window of one token, as its message has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    /// The window's name.
    pub time_window: String,
    /// Sells.
    pub sell_count: u64,
    /// Buys.
    pub buy_count: u64,
    /// Both.
    pub total_trades: u64,
    /// Volume in USD.
    pub volume_usd: String,
    /// Percent.
    pub price_change: f64,
    /// Price in USD of the last trade.
    pub close_price: String,
    /// The tick.
    pub timestamp: String,
}

/// The newest message of each active token.
#[derive(Debug, Default)]
pub struct Board {
    items_by_token: BTreeMap<String, Vec<Item>>,
    tick: String,
}

#[derive(Deserialize)]
struct Said {
    token: String,
    aggregate_data: Vec<Item>,
}

impl Board {
    /// Takes in a message. A token's closing message takes it off the board.
    ///
    /// # Errors
    /// It is no message.
    pub fn take(&mut self, message: &[u8]) -> Result<(), serde_json::Error> {
        let Said { token, aggregate_data } = serde_json::from_slice(message)?;
        if let Some(item) = aggregate_data.first()
            && item.timestamp > self.tick
        {
            self.tick.clone_from(&item.timestamp);
        }
        if aggregate_data.iter().any(|item| item.total_trades > 0) {
            self.items_by_token.insert(token, aggregate_data);
        } else {
            self.items_by_token.remove(&token);
        }
        Ok(())
    }

    /// The newest tick, RFC 3339; empty before the first message.
    #[must_use]
    pub fn tick(&self) -> &str {
        &self.tick
    }

    /// Active tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.items_by_token.len()
    }

    /// The tokens with most trades in the first window, where that is equal in the next ones.
    #[must_use]
    pub fn busiest(&self, count: usize) -> Vec<(&str, &[Item])> {
        let trades = |items: &[Item]| items.iter().map(|item| item.total_trades).collect();
        let mut all: Vec<(Vec<u64>, &str, &[Item])> = self
            .items_by_token
            .iter()
            .map(|(token, items)| (trades(items), token.as_str(), items.as_slice()))
            .collect();
        all.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(right.1)));
        all.into_iter().take(count).map(|(_, token, items)| (token, items)).collect()
    }

    /// The names of the windows, as the messages have them.
    #[must_use]
    pub fn windows(&self) -> Vec<&str> {
        let items = self.items_by_token.values().next();
        items.into_iter().flatten().map(|item| item.time_window.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(token: &str, trades: u64, tick: &str) -> String {
        format!(
            r#"{{"token":"{token}","aggregate_data":[{{"time_window":"1min","sell_count":0,
            "buy_count":{trades},"total_trades":{trades},"volume_usd":"1.0","price_change":0,
            "close_price":"2.0","timestamp":"{tick}"}}]}}"#
        )
    }

    #[test]
    fn the_busiest_come_first_and_a_closing_message_takes_a_token_off() {
        let mut board = Board::default();
        for (token, trades) in [("a", 1), ("b", 3), ("c", 3), ("d", 2), ("b", 0)] {
            board.take(message(token, trades, "2025-01-08T10:30:00Z").as_bytes()).unwrap();
        }
        let busiest: Vec<_> = board.busiest(2).iter().map(|(token, _)| *token).collect();
        assert_eq!(busiest, ["c", "d"]);
        assert_eq!((board.tokens(), board.windows()), (3, vec!["1min"]));
        assert_eq!(board.tick(), "2025-01-08T10:30:00Z");
    }
}
