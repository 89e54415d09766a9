//! A batch that no well-behaved client would write, and the request that brings it to the broker.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, RequestHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// The last version whose header has no tagged fields.
const PRODUCE_VERSION: i16 = 7;

/// A batch of one record whose header has the name `name` (two bytes) and the value `v`.
pub fn batch_with_header_key(
    name: &[u8; 2],
    key: Option<&str>,
    value: &str,
    timestamp: i64,
) -> Bytes {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp,
        key: key.map(|key| Bytes::from(key.to_owned())),
        value: Some(Bytes::from(value.to_owned())),
        headers: [("??".into(), Some(Bytes::from_static(b"v")))].into(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options).expect("encode");
    let at = batch.windows(2).position(|two| two == b"??").expect("the name");
    batch[at..at + 2].copy_from_slice(name);
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch.freeze()
}

/// Appends a batch to partition 0 as it is.
pub fn produce_batch(address: &str, topic: &str, batch: Bytes) {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let mut body = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(PRODUCE_VERSION)
        .encode(&mut body, 1)
        .expect("header");
    request.encode(&mut body, PRODUCE_VERSION).expect("request");
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.write_all(&u32::try_from(body.len()).expect("length").to_be_bytes()).expect("write");
    stream.write_all(&body).expect("write");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("length");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("answer");
    let mut answer = Bytes::from(answer).slice(4..);
    let answer = ProduceResponse::decode(&mut answer, PRODUCE_VERSION).expect("decode");
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}
