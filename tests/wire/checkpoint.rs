//! Checkpoint entries: what is written is read back, anything else is a named error, and how many
//! bytes a pane takes.

use aggregator_service::domain::pane::{Flow, Mark, Pane, Sums};
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::Second;
use aggregator_service::wire::checkpoint::{
    self, CodecError, Entry, MAX_PARTITIONS, NEWEST, PaneAt, VERSION, encode,
};
use proptest::prelude::*;

type Owned = (String, Second, Pane);
type Positions = Vec<(Partition, Offset)>;

fn write(positions: &Positions, [published, clock]: [Second; 2], panes: &[Owned]) -> Vec<u8> {
    let panes = panes.iter().map(|(token, second, pane)| PaneAt {
        token,
        second: *second,
        pane: *pane,
        extended: None,
    });
    encode(positions, published, clock, panes)
}

fn decode(bytes: &[u8]) -> Result<(Entry, Vec<Owned>), CodecError> {
    let mut panes = Vec::new();
    let owned = |at: &PaneAt<'_>| panes.push((at.token.to_owned(), at.second, at.pane));
    let entry = checkpoint::decode(bytes, owned)?;
    Ok((entry, panes))
}

fn flow() -> impl Strategy<Value = Flow> {
    prop_oneof![
        Just(Flow::default()),
        (any::<u64>(), 0..=i128::MAX).prop_map(|(count, volume)| Flow { count, volume }),
        (0..9_u64, 0..10_i128.pow(15))
            .prop_map(|(count, gwei)| Flow { count, volume: gwei * 1_000_000_000 }),
    ]
}

fn price() -> impl Strategy<Value = Price> {
    (0..10_u128.pow(28), any::<u8>())
        .prop_map(|(mantissa, scale)| Price::from_parts(mantissa, scale).expect("28 digits"))
}

fn mark() -> impl Strategy<Value = Mark> {
    let nanos =
        prop_oneof![Just(0), 0..1_000_000_000_u32, (0..1_000_u32).prop_map(|ms| ms * 1_000_000)];
    (nanos, any::<(i32, i64, u32)>(), price()).prop_map(
        |(nanos, (partition, offset, index), price)| Mark {
            nanos,
            position: Position { partition: Partition(partition), offset: Offset(offset), index },
            price,
        },
    )
}

fn pane() -> impl Strategy<Value = Pane> {
    let usd = prop_oneof![Just(0), 0..=i128::MAX];
    (flow(), flow(), usd, mark(), mark(), 0..4_u8).prop_map(
        |(sell, buy, usd, first, last, kind)| Pane {
            sums: Sums { sell, buy, usd },
            first,
            last: match kind {
                0 => first,
                1 => Mark { price: first.price, ..last },
                _ => last,
            },
        },
    )
}

fn panes() -> impl Strategy<Value = Vec<Owned>> {
    let token = prop_oneof!["[a-c]", "[a-zA-Z0-9é]{1,64}"];
    let second = prop_oneof![any::<i64>(), 0..100_i64].prop_map(Second);
    prop::collection::vec((token, second, pane()), 0..12)
}

fn positions() -> impl Strategy<Value = Positions> {
    let position = (0..MAX_PARTITIONS, any::<i64>());
    prop::collection::vec(position.prop_map(|(p, o)| (Partition(p), Offset(o))), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_back(
        positions in positions(),
        published: i64,
        clock: i64,
        panes in panes(),
    ) {
        let bytes = write(&positions, [Second(published), Second(clock)], &panes);
        let (entry, read) = decode(&bytes).expect("what was written");
        prop_assert_eq!([entry.published, entry.latest], [published, clock].map(Second));
        prop_assert_eq!(read, panes);
        prop_assert_eq!(entry.positions, positions);
    }

    #[test]
    fn a_changed_or_cut_entry_is_an_error(
        panes in panes(),
        place: prop::sample::Index,
        flip in 1..=255_u8,
    ) {
        let mut bytes = write(&vec![], [Second(0); 2], &panes);
        let place = place.index(bytes.len());
        prop_assert!(decode(&bytes[..place]).is_err());
        bytes[place] ^= flip;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn bytes_with_a_right_checksum_never_panic(
        tail: Vec<u8>,
        panes in panes(),
        place: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = write(&vec![], [Second(0); 2], &panes);
        let place = place.index(bytes.len() - 4);
        bytes[place] = byte;
        for body in [[&[VERSION][..], &tail].concat(), bytes[..bytes.len() - 4].to_vec()] {
            if let Ok((_, panes)) = decode(&sealed(body)) {
                for (token, _, pane) in panes {
                    prop_assert!(!token.is_empty() && pane.sums.usd >= 0);
                }
            }
        }
    }
}

fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&body);
    body.extend_from_slice(&crc.to_le_bytes());
    body
}

fn error(bytes: &[u8]) -> Option<CodecError> {
    decode(bytes).err()
}

#[test]
fn what_is_no_entry_has_a_name() {
    assert_eq!(error(&[]), Some(CodecError::Truncated));
    assert_eq!(error(&[VERSION, 0, 0]), Some(CodecError::Truncated));
    for other in [VERSION - 1, NEWEST + 1] {
        let bytes = sealed(vec![other, 0, 0, 0]);
        assert_eq!(error(&bytes), Some(CodecError::UnknownVersion(other)));
    }
    assert_eq!(error(&[VERSION, 0, 0, 0, 0, 0, 0]), Some(CodecError::Checksum));
    let malformed = |body: &[u8]| {
        let error = error(&sealed([&[VERSION, 0, 0, 0], body].concat()));
        matches!(error, Some(CodecError::Malformed(_)))
    };
    assert!(malformed(&[0x80]), "an unknown flag");
    assert!(malformed(&[0x21]), "no token before");
    assert!(malformed(&[0x20, 0]), "an empty token");
    assert!(malformed(&[0x20, 1, 0xff]), "a token of no text");
    assert!(malformed(&[&[0x20][..], &[0xff; 30]].concat()), "a number without end");
}

#[test]
fn a_damaged_first_byte_is_not_taken_for_a_newer_version() {
    assert_eq!(error(&[9, 0, 0, 0, 0, 0, 0]), Some(CodecError::Checksum));
}

#[test]
fn a_hostile_length_costs_nothing() {
    let mut many = vec![VERSION];
    many.extend([0xff; 9]);
    many.push(1);
    assert_eq!(error(&sealed(many)), Some(CodecError::Truncated));
    let long = vec![VERSION, 0, 0, 0, 0x20, 0xff, 0xff, 0xff, 0x7f];
    assert!(matches!(error(&sealed(long)), Some(CodecError::Malformed(_))));
}

/// A shard keeps a place for every partition up to the highest.
#[test]
fn a_position_of_a_partition_that_no_topic_has_is_malformed() {
    let positions = |partition| vec![(Partition(partition), Offset(7))];
    assert_eq!(error(&write(&positions(MAX_PARTITIONS - 1), [Second(0); 2], &[])), None);
    for partition in [-1, MAX_PARTITIONS, i32::MAX, i32::MIN] {
        let malformed = Some(CodecError::Malformed("partition"));
        assert_eq!(error(&write(&positions(partition), [Second(0); 2], &[])), malformed);
    }
}

/// A base58 token whose panes hold a few trades of one block with volumes of 9 decimals.
fn typical(count: u32, per_token: u32) -> Vec<Owned> {
    (0..count)
        .map(|n| {
            let noise = n.wrapping_mul(2_654_435_761);
            let mark = |step: u32| Mark {
                nanos: noise % 1_000 * 1_000_000,
                position: Position {
                    partition: Partition((n % 3).cast_signed()),
                    offset: Offset(1_234_567_890 + i64::from(noise % 400)),
                    index: noise % 60 + step,
                },
                price: Price::from_parts(u128::from(noise) * 317 + u128::from(step), 15)
                    .expect("small"),
            };
            let flow = |count: u64| Flow {
                count,
                volume: i128::from(count) * i128::from(noise) * 1_000_000_000,
            };
            let usd = i128::from(noise) * 123_456_789_017;
            let sums = Sums { sell: flow(u64::from(noise % 2)), buy: flow(2), usd };
            let last = if noise.is_multiple_of(2) { mark(0) } else { mark(1) };
            let pane = Pane { sums, first: mark(0), last };
            let token = format!("{:044}", n / per_token);
            (token, Second(1_736_332_200 + i64::from(n % per_token)), pane)
        })
        .collect()
}

#[test]
fn a_typical_pane_takes_few_bytes() {
    let size = |per_token| {
        let panes = typical(1_000, per_token);
        let ends = [Second(1_736_332_190); 2];
        let bytes = write(&vec![(Partition(0), Offset(1_234_567_890))], ends, &panes);
        assert_eq!(decode(&bytes).expect("written").1, panes);
        bytes.len() / panes.len()
    };
    let (apart, together) = (size(1), size(60));
    println!(
        "bytes a pane: {apart} with its address of 44 bytes, {together} behind one of its token"
    );
    assert!(apart <= 90 && together <= 45, "{apart}, {together}");
}
