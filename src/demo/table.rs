//! The board as text: a table that fits a width and a height, or plain lines. Pure; colours only
//! where the caller's terminal takes them.

use console::{Style, truncate_str};

use super::board::{Board, Item};

/// What is said of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Trades counted per second, of late.
    pub trades_per_second: u64,
    /// Messages published.
    pub messages: u64,
    /// Things rejected.
    pub rejected: u64,
    /// Late trades.
    pub late: u64,
}

/// The table in at most `height` lines of at most `width` columns; `note` is the line below the
/// head.
#[must_use]
pub fn table(board: &Board, head: &Head, note: &str, height: usize, width: usize) -> Vec<String> {
    let shown = SHOWN_WINDOWS.min(width.saturating_sub(FIXED_WIDTH) / WINDOW_WIDTH).max(1);
    let bold = Style::new().bold();
    let mut lines = vec![
        bold.apply_to(format!("aggregator-service demo  {}", summary(board, head))).to_string(),
        Style::new().dim().apply_to(note).to_string(),
        Style::new().underlined().apply_to(titles(&board.windows(), shown)).to_string(),
    ];
    let room = height.saturating_sub(lines.len());
    lines.extend(board.busiest(room).iter().map(|(token, items)| row(token, items, shown)));
    lines.truncate(height);
    lines.iter().map(|line| truncate_str(line, width, "").into_owned()).collect()
}

/// One tick in plain lines: the busiest tokens, then the whole.
#[must_use]
pub fn plain(board: &Board, head: &Head) -> Vec<String> {
    let tick = board.tick();
    let token = |(token, items): &(&str, &[Item])| {
        let windows = items.iter().take(SHOWN_WINDOWS).map(|item| {
            let (change, volume) = (change(item.price_change), volume(&item.volume_usd));
            format!(", {} {change} {volume}", item.time_window)
        });
        let windows = windows.collect::<String>();
        let (price, sides, trades) = first(items);
        format!("{tick} {token} {price}{windows}, {sides} buys/sells, {trades} trades")
    };
    let mut lines: Vec<_> = board.busiest(PLAIN_TOKENS).iter().map(token).collect();
    lines.push(format!("{tick} {}", summary(board, head)));
    lines
}

fn summary(board: &Board, head: &Head) -> String {
    let tokens = board.tokens();
    let Head { trades_per_second, messages, rejected, late } = head;
    format!(
        "{trades_per_second} trades/s, {tokens} tokens, {messages} messages, \
         {rejected} rejected, {late} late"
    )
}

fn titles(windows: &[&str], shown: usize) -> String {
    let columns = windows.iter().take(shown).map(|name| format!(" {name:>8} {:>8}", "volume"));
    let columns = columns.collect::<String>();
    format!("{:<11} {:>14}{columns} {:>10} {:>6}", "token", "price", "buys/sells", "trades")
}

fn row(token: &str, items: &[Item], shown: usize) -> String {
    let columns = items.iter().take(shown).map(|item| {
        let change = format!("{:>8}", change(item.price_change));
        let style = match item.price_change {
            up if up > 0.0 => Style::new().green(),
            down if down < 0.0 => Style::new().red(),
            _ => Style::new().dim(),
        };
        format!(" {} {:>8}", style.apply_to(change), volume(&item.volume_usd))
    });
    let columns = columns.collect::<String>();
    let (price, sides, trades) = first(items);
    format!("{:<11} {price:>14}{columns} {sides:>10} {trades:>6}", short(token))
}

/// What is shown of the first window: price, buys and sells, trades.
fn first(items: &[Item]) -> (String, String, u64) {
    let Some(item) = items.first() else { return (String::new(), String::new(), 0) };
    let sides = format!("{}/{}", item.buy_count, item.sell_count);
    (price(&item.close_price), sides, item.total_trades)
}

/// `7xKXtg…gAsU`.
fn short(token: &str) -> String {
    let letters = token.chars().count();
    if letters <= 11 {
        return token.to_owned();
    }
    let (start, end) = (token.chars().take(6), token.chars().skip(letters - 4));
    start.chain(std::iter::once('…')).chain(end).collect()
}

/// Plain notation, four significant digits where there are fractional ones.
fn price(text: &str) -> String {
    let mut shown = String::new();
    let (mut significant, mut fraction) = (0, false);
    for digit in text.chars() {
        if fraction && significant >= PRICE_DIGITS {
            break;
        }
        fraction |= digit == '.';
        significant += u32::from(digit.is_ascii_digit() && (significant > 0 || digit != '0'));
        shown.push(digit);
    }
    shown.trim_end_matches('.').to_owned()
}

fn change(percent: f64) -> String {
    if percent.abs() < 1_000.0 { format!("{percent:+.2}%") } else { format!("{percent:+.0e}%") }
}

fn volume(usd: &str) -> String {
    let usd = usd.parse::<f64>().unwrap_or_default();
    let units = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(size, _)| usd >= *size) {
        Some((size, unit)) => format!("${:.1}{unit}", usd / size),
        None => format!("${usd:.2}"),
    }
}

const SHOWN_WINDOWS: usize = 3;

const PLAIN_TOKENS: usize = 10;

const PRICE_DIGITS: u32 = 4;

/// Token, price, buys and sells, trades.
const FIXED_WIDTH: usize = 44;

/// Change and volume.
const WINDOW_WIDTH: usize = 18;

#[cfg(test)]
mod tests {
    use console::measure_text_width;

    use super::*;

    fn board() -> Board {
        let mut board = Board::default();
        for token in 0..40_u64 {
            let item = |window: &str| {
                format!(
                    r#"{{"time_window":"{window}","sell_count":1,"buy_count":{token},
                    "total_trades":{},"volume_usd":"12345.6","price_change":-2.5,
                    "close_price":"0.00000001234567","timestamp":"2025-01-08T10:30:00Z"}}"#,
                    token + 1
                )
            };
            let items = ["1min", "5min", "15min", "30min"].map(item).join(",");
            let message = format!(r#"{{"token":"{token:044}","aggregate_data":[{items}]}}"#);
            board.take(message.as_bytes()).unwrap();
        }
        board
    }

    #[test]
    fn the_table_fits_any_width_and_height() {
        let board = board();
        for (height, width) in [(24, 80), (3, 200), (1, 10), (0, 0), (50, 66), (10, 300)] {
            let lines = table(&board, &Head::default(), "a note", height, width);
            assert!(lines.len() <= height && (height > 43 || lines.len() == height));
            let widest = lines.iter().map(|line| measure_text_width(line)).max();
            assert!(widest.unwrap_or(0) <= width, "{lines:?}");
        }
    }

    #[test]
    fn columns_stand_below_their_titles_and_windows_go_where_there_is_no_room() {
        for (width, windows) in [(62, 1), (80, 2), (98, 3), (300, 3)] {
            let lines = table(&board(), &Head::default(), "", 5, width);
            let lines: Vec<_> = lines.iter().map(|line| console::strip_ansi_codes(line)).collect();
            assert_eq!(lines[2].matches("volume").count(), windows);
            assert!(lines[3..].iter().all(|row| row.chars().count() == 44 + 18 * windows));
            assert!(lines[3].ends_with("      39/1     40"), "{}", lines[3]);
            assert!(lines[3].starts_with("000000…0039  0.00000001234   -2.50%   $12.3k"));
        }
    }

    #[test]
    fn plain_lines_are_the_ten_busiest_and_the_whole() {
        let head = Head { trades_per_second: 7, messages: 5, rejected: 2, late: 1 };
        let lines = plain(&board(), &head);
        assert_eq!(lines.len(), 11);
        let whole = "7 trades/s, 40 tokens, 5 messages, 2 rejected, 1 late";
        assert_eq!(lines[10], format!("2025-01-08T10:30:00Z {whole}"));
        assert!(lines[0].ends_with(
            "0039 0.00000001234, 1min -2.50% $12.3k, 5min -2.50% $12.3k, 15min -2.50% $12.3k, \
             39/1 buys/sells, 40 trades"
        ));
    }

    #[test]
    fn figures_are_short() {
        for (text, short) in [
            ("0.000000", "0.000000"),
            ("123456.789012", "123456"),
            ("12.345678", "12.34"),
            ("0.00000001234567", "0.00000001234"),
            ("1.000000", "1.000"),
        ] {
            assert_eq!(price(text), short);
        }
        assert_eq!(
            ["0.5", "999.9", "1500", "2500000"].map(volume),
            ["$0.50", "$999.90", "$1.5k", "$2.5M"]
        );
        assert_eq!([0.0, -12.345, 123_456.0].map(change), ["+0.00%", "-12.35%", "+1e5%"]);
    }
}
