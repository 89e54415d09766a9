//! Messages of random figures against a writer that is as plain as can be: `format!` throughout.

use aggregator_service::domain::aggregate::{Aggregate, Figures};
use aggregator_service::domain::pane::{Flow, Sums};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::TokenHash;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::wire::aggregate::{Form, TokenNames};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fn decimal(digits: u128, scale: usize) -> String {
    let text = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = text.split_at(text.len() - scale);
    format!("{whole}.{:0<6}", fraction.trim_end_matches('0'))
}

fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e21 {
        format!("{value:e}").replace('e', "e+")
    } else if size != 0.0 && size < 1e-6 {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

fn time(second: i64) -> String {
    OffsetDateTime::from_unix_timestamp(second).unwrap().format(&Rfc3339).unwrap()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn item(window: &Window, figures: &Figures, end: i64) -> String {
    let Figures { sums: Sums { sell, buy, usd }, open, close } = figures;
    let amount = |units: i128| decimal(units.unsigned_abs(), 18);
    let price = |price: &Price| decimal(price.mantissa(), price.scale().into());
    format!(
        concat!(
            r#"{{"time_window":{},"sell_count":{},"buy_count":{},"total_trades":{},"#,
            r#""sell_volume":"{}","buy_volume":"{}","total_volume":"{}","volume_usd":"{}","#,
            r#""price_change":{},"open_price":"{}","close_price":"{}","timestamp":"{}"}}"#
        ),
        quoted(&window.name),
        sell.count,
        buy.count,
        sell.count + buy.count,
        amount(sell.volume),
        amount(buy.volume),
        amount(sell.volume + buy.volume),
        amount(*usd),
        number(Price::change_percent(*open, *close)),
        price(open),
        price(close),
        time(end),
    )
}

/// Of every size, round ones among them.
fn units() -> impl Strategy<Value = i128> {
    let most = i128::MAX / 2;
    (0..=most, 0_u32..38, 0_u32..20).prop_map(move |(digits, cut, zeros)| {
        let cut = digits / 10_i128.pow(cut);
        cut.checked_mul(10_i128.pow(zeros)).filter(|units| *units <= most).unwrap_or(cut)
    })
}

fn price() -> impl Strategy<Value = Price> {
    (0..10_u128.pow(28), 0_u32..28, prop_oneof![0_u8..30, any::<u8>()]).prop_map(
        |(digits, cut, scale)| Price::from_parts(digits / 10_u128.pow(cut), scale).unwrap(),
    )
}

fn count() -> impl Strategy<Value = u64> {
    (0..=u64::MAX / 2, 0_u32..19).prop_map(|(count, cut)| count / 10_u64.pow(cut))
}

fn figures() -> impl Strategy<Value = Figures> {
    let flow = || (count(), units()).prop_map(|(count, volume)| Flow { count, volume });
    let close = prop_oneof![Just(None), price().prop_map(Some)];
    (flow(), flow(), units(), price(), close).prop_map(|(sell, buy, usd, open, close)| Figures {
        sums: Sums { sell, buy, usd },
        open,
        close: close.unwrap_or(open),
    })
}

proptest! {
    /// Each of the windows has figures of its own, or those of the one before it.
    #[test]
    fn messages_are_those_of_a_plain_writer(
        (token, symbol, name) in (".{1,44}", ".{0,9}", ".{0,20}"),
        (end, generated_at) in (0_i64..253_402_300_800, 0_i64..253_402_300_800_000),
        windows in prop::collection::vec(("[a-z0-9\"]{1,6}", figures(), any::<bool>()), 1..7),
    ) {
        let mut all: Vec<Figures> = Vec::new();
        for (_, own, repeated) in &windows {
            all.push(all.last().copied().filter(|_| *repeated).unwrap_or(*own));
        }
        let window = |(name, _, _): &(String, _, _)| Window { name: name.clone(), seconds: 60 };
        let windows = Windows::new(windows.iter().map(window).collect()).unwrap();
        let items = windows.iter().zip(&all).map(|(window, one)| item(window, one, end));
        let items: Vec<_> = items.collect();
        let expected = format!(
            concat!(
                r#"{{"token":{},"symbol":{},"name":{},"aggregate_data":[{}],"#,
                r#""generated_at":"{}","version":"1.0"}}"#
            ),
            quoted(&token), quoted(&symbol), quoted(&name), items.join(","),
            time(generated_at.div_euclid(1_000)),
        );
        let hash = TokenHash::of(&token);
        let (token, end) = (&*token, Second(end));
        let aggregate = Aggregate { token, hash, end, windows: &all, extended: &[] };
        let mut made = Vec::new();
        let names = TokenNames { symbol: &symbol, name: &name };
        Form::new(&windows).write(&mut made, &aggregate, names, WallMs(generated_at));
        prop_assert_eq!(String::from_utf8(made).unwrap(), expected);
    }
}
