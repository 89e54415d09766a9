//! The examples, made by what makes messages, and schemas that judge as the service does.

use std::sync::Arc;

use aggregator_service::domain::aggregate::{Aggregate, Figures};
use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::pane::Sums;
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::shard::{Outcome, Shard};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::ports::{Message, Record};
use aggregator_service::wire::aggregate::{Form, TokenNames};
use aggregator_service::wire::dead_letter::DeadLetter;
use aggregator_service::wire::extended::Chosen;
use aggregator_service::wire::fields::TRADE;
use aggregator_service::wire::trade::{Element, Elements, decode};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::{file, folder, pretty, snake_case};
use crate::stage::{QUIET, Stage, until};
use crate::topic::Topic;
use support::oracle::Told;

/// 2025-01-08T10:30:15.250Z.
const NOW: WallMs = WallMs(1_736_332_215_250);

/// Every example's file.
pub(super) fn all() -> Vec<(String, String)> {
    EXAMPLES.map(|name| (format!("examples/{name}"), pretty(&of(name)))).into()
}

const EXAMPLES: [&str; 4] =
    ["trade.json", "aggregate.json", "aggregate-extended.json", "dead-letter.json"];

/// The example of this name.
pub(super) fn of(name: &str) -> Value {
    match name {
        "trade.json" => json!([trade()]),
        "aggregate.json" => aggregate(),
        "aggregate-extended.json" => aggregate_extended(),
        _ => dead_letter(),
    }
}

fn trade() -> Value {
    json!({
        "Token": "So11111111111111111111111111111111111111112",
        "Wallet": "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU",
        "SellBuy": "buy_exact_sol_in",
        "NativeAmount": "1.25",
        "TokenAmount": 1000.5,
        "PriceUsd": "0.00000001234",
        "TransTime": "2025-01-08T11:29:58.125+01:00",
        "TxHash": "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQ",
    })
}

/// What the trade comes to.
fn aggregate() -> Value {
    let window = |(name, seconds): (&str, u32)| Window { name: name.to_owned(), seconds };
    let windows = Windows::new([("1min", 60), ("1hour", 3_600)].map(window).into()).unwrap();
    let (mut made, value) = (Vec::new(), trade().to_string());
    decode(value.as_bytes(), None, &mut |element| {
        let Element::Trade { trade, .. } = element else { panic!("{element:?}") };
        let one = Figures { sums: Sums::of(&trade), open: trade.price, close: trade.price };
        let figures = [one; 2];
        let (token, hash, end) = (trade.token, trade.hash, NOW.second());
        let aggregate = Aggregate { token, hash, end, windows: &figures, extended: &[] };
        let names = TokenNames { symbol: "SOL", name: "Wrapped SOL" };
        Form::new(&windows).write(&mut made, &aggregate, names, NOW);
    });
    serde_json::from_slice(&made).unwrap()
}

/// The same with `AGGREGATE_FIELDS=extended`.
fn aggregate_extended() -> Value {
    let window = |(name, seconds): (&str, u32)| Window { name: name.to_owned(), seconds };
    let windows = Windows::new([("1min", 60), ("1hour", 3_600)].map(window).into()).unwrap();
    let (value, budget) = (trade().to_string(), Budget::new(1, 1).with_wallets(1));
    let (end, floor) = (NOW.second(), NOW.second().plus(-3_600));
    let mut shard = Shard::new(windows.clone(), Arc::new(budget), end, floor);
    let mut elements = Elements::of(value.as_bytes(), None).extended(true);
    match elements.read_next(None).unwrap().unwrap() {
        Element::Trade { trade, .. } => {
            assert_eq!(shard.absorb(Position::default(), &trade), Outcome::Counted);
        }
        rejected @ Element::Rejected { .. } => panic!("{rejected:?}"),
    }
    let mut made = Vec::new();
    shard.due(|aggregate| {
        let names = TokenNames { symbol: "SOL", name: "Wrapped SOL" };
        Form::extended(&windows, Chosen::ALL).write(&mut made, aggregate, names, NOW);
    });
    serde_json::from_slice(&made).unwrap()
}

/// What becomes of a trade that says less.
fn dead_letter() -> Value {
    let (value, mut letter) = (json!([{"Token": "So1"}]).to_string(), None);
    let record = Record {
        offset: Offset(41),
        timestamp: Some(NOW),
        key: None,
        value: Some(value.clone().into()),
        headers: Vec::new(),
    };
    decode(value.as_bytes(), None, &mut |element| {
        let Element::Rejected { index, reason, message, bytes, .. } = element else { panic!() };
        let (topic, partition) = ("trade-info", Partition(2));
        let value = Some(bytes.to_vec().into());
        let rejected = DeadLetter {
            topic,
            partition,
            record: &record,
            index,
            value,
            reason,
            message: &message,
        };
        letter = Some(headers(&rejected.into_message(NOW)));
    });
    letter.unwrap()
}

fn headers(message: &Message) -> Value {
    let text = |value: &[u8]| Value::from(String::from_utf8(value.to_vec()).unwrap());
    message.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn validator(name: &str) -> Validator {
    let schema = serde_json::from_str(&file(name)).unwrap();
    jsonschema::draft7::meta::validate(&schema).unwrap();
    jsonschema::draft7::new(&schema).unwrap()
}

/// Examples are valid, and so is what lies at the edge of what is read; what is rejected is not.
pub(crate) fn valid() {
    for name in EXAMPLES {
        let example = serde_json::from_str(&file(&format!("examples/{name}"))).unwrap();
        assert_valid(&validator(name), &example);
    }
    let validator = validator("trade.json");
    let mut counts = [0; 2];
    for value in variants() {
        let counted = is_counted(&value);
        assert_eq!(validator.is_valid(&value), counted, "{value}");
        counts[usize::from(counted)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 15), "{counts:?}");
    let document: Value = serde_json::from_str(&file("asyncapi.json")).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let found = match reference.strip_prefix('#') {
            Some(pointer) => document.pointer(pointer).is_some(),
            None => folder().join(&reference).is_file(),
        };
        assert!(found, "{reference} leads nowhere");
    }
}

/// The example with one field otherwise.
fn variants() -> Vec<Value> {
    let mut variants = vec![json!([]), json!(5), json!([[]]), json!([trade(), trade()])];
    let others = [
        json!(null),
        json!(""),
        json!("x"),
        json!(0),
        json!(1e-7),
        json!("1.5e-8"),
        json!("-1"),
        json!(-1),
        json!("1."),
        json!(".5"),
        json!("sell"),
        json!("SELL_x"),
        json!("sells"),
        json!([]),
        json!("1e"),
    ];
    for field in TRADE {
        let Value::Object(whole) = trade() else { panic!() };
        let mut without = whole.clone();
        let value = without.remove(field.name).unwrap();
        variants.push(Value::Object(without.clone()));
        without.insert(snake_case(field.name), value);
        variants.push(Value::Object(without));
        // Whether text is a time is more than a schema's matter.
        let others = others.iter().filter(|_| field.name != "TransTime");
        variants.extend(others.map(|other| {
            let mut changed = whole.clone();
            changed.insert(field.name.to_owned(), other.clone());
            changed.insert("More".to_owned(), json!({}));
            Value::Object(changed)
        }));
    }
    variants
}

fn is_counted(value: &Value) -> bool {
    let mut counted = true;
    let counts = |element: Element<'_>| matches!(element, Element::Trade { .. });
    decode(value.to_string().as_bytes(), None, &mut |element| counted &= counts(element));
    counted
}

/// All references in it.
fn collect(value: &Value, references: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(to) if name == "$ref" => references.push(to.to_owned()),
            _ => collect(value, references),
        }
    }
    value.as_array().into_iter().flatten().for_each(|value| collect(value, references));
}

/// Whatever the service has read and written is as the files say.
pub(crate) fn judged(stage: &Stage) {
    let trades = Value::Array(stage.trades.iter().map(Told::json).collect());
    assert_valid(&validator("trade.json"), &trades);
    let (aggregate, messages) = (validator("aggregate.json"), stage.messages(QUIET));
    assert!(!messages.is_empty());
    messages.iter().for_each(|(_, message)| assert_valid(&aggregate, message));
    let letters = Topic::open(&stage.kafka, "contract-letters");
    until("the dead letter", || !letters.all().is_empty());
    for letter in letters.all() {
        let text = |bytes: Vec<u8>| Value::from(String::from_utf8(bytes).unwrap());
        let headers: Map<_, _> =
            letter.record.headers.into_iter().map(|(name, value)| (name, text(value))).collect();
        assert_eq!(headers["aggregator.errors.reason"], Reason::MissingField.name());
        assert_valid(&validator("dead-letter.json"), &Value::Object(headers));
    }
}

fn assert_valid(validator: &Validator, value: &Value) {
    let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?} in {value}");
}
