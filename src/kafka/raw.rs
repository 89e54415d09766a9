//! A connection of our own to a partition's leader, to fetch (see `fetch`) and to produce (why, say
//! `log` and `producer`): requests by the codecs of `kafka-protocol`, TLS and SASL as configured,
//! no delay. One request at a time; a connection on which a request failed or was cancelled must be
//! dropped, because an answer may still be on its way. Never looks inside record batches.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    MetadataRequest, MetadataResponse, ProduceRequest, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslHandshakeRequest, SaslHandshakeResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use rskafka::client::error::ProtocolError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connect::{KafkaConfig, KafkaError, Refusal};
use super::leader;
use super::login::{self, Sasl};
use crate::tls::{self, Fault};

/// Versions that Kafka 2.8 to 4.x and Redpanda all speak.
pub(super) const METADATA_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 7;
const SASL_HANDSHAKE_VERSION: i16 = 1;
const SASL_AUTHENTICATE_VERSION: i16 = 0;

/// Acknowledged by all in-sync replicas.
const ALL_REPLICAS: i16 = -1;

/// How long a broker waits for them.
const REPLICATION_MS: i32 = 30_000;

/// The largest answer that is taken: `rskafka`'s own limit. A batch is below a broker's
/// `message.max.bytes`, far less.
const MAX_FRAME_BYTES: usize = 100 << 20;

/// What one bootstrap address has to answer: a silent one must leave time for the next.
const METADATA_LIMIT: Duration = Duration::from_secs(3);

/// A plain or TLS stream.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// One connection to one broker.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    client_id: StrBytes,
    correlation: i32,
}

impl Connection {
    /// Connects to the leader of a partition, asking any of the bootstrap brokers for it.
    pub(super) async fn to_leader(
        config: &KafkaConfig,
        topic: &str,
        partition: i32,
    ) -> Result<Self, KafkaError> {
        let mut failure = KafkaError::Down("no broker is configured".to_owned());
        for address in &config.brokers {
            let asking = Self::metadata(config, address, topic);
            match timeout(METADATA_LIMIT, asking).await {
                Ok(Ok(metadata)) => {
                    let leader = leader::address_of(&metadata, partition)?;
                    return Self::open(config, &leader).await;
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = down(format_args!("no answer from {address}")),
            }
        }
        Err(failure)
    }

    /// Appends one record batch; all in-sync replicas have it when this returns.
    pub(super) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> Result<(), KafkaError> {
        // The batch is the last field: it goes out behind the request, and is not copied into it.
        let none = Some(Bytes::new());
        let data = PartitionProduceData::default().with_index(partition).with_records(none);
        let data = TopicProduceData::default()
            .with_name(topic_name(topic))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(ALL_REPLICAS)
            .with_timeout_ms(REPLICATION_MS)
            .with_topic_data(vec![data]);
        let mut frame = self.frame(&request, PRODUCE_VERSION).map_err(down)?;
        announce(&mut frame, batch.len()).map_err(down)?;
        let response = self.exchange::<ProduceRequest>(frame.chain(batch), PRODUCE_VERSION).await?;
        let answer = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partition_responses)
            .find(|answer| answer.index == partition)
            .ok_or_else(|| KafkaError::Down("the broker held its answer back".to_owned()))?;
        check(answer.error_code)
    }

    async fn metadata(
        config: &KafkaConfig,
        address: &str,
        topic: &str,
    ) -> Result<MetadataResponse, KafkaError> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        let mut connection = Self::open(config, address).await?;
        connection.request(&request, METADATA_VERSION).await
    }

    /// Connects and logs in, and sees that an answer comes: the cluster, without its topics.
    pub(super) async fn probe(
        config: &KafkaConfig,
        address: &str,
    ) -> Result<(Self, MetadataResponse), KafkaError> {
        let asking = async {
            let request = MetadataRequest::default().with_topics(Some(Vec::new()));
            let mut connection = Self::open(config, address).await?;
            let answer = connection.request(&request, METADATA_VERSION).await?;
            Ok((connection, answer))
        };
        match asking.await {
            Ok(answer) => Ok(answer),
            Err(KafkaError::Down(cause)) => Err(Self::diagnose(config, address, cause).await),
            Err(error) => Err(error),
        }
    }

    /// A broker that is spoken to in the wrong way hangs up without a word.
    async fn diagnose(config: &KafkaConfig, address: &str, cause: String) -> KafkaError {
        let (host, port) = host_and_port(address);
        if config.tls.is_none() && tls::is_spoken(host, port).await {
            return refused(Refusal::WantsTls, cause);
        }
        if config.sasl.is_none() {
            let request = SaslHandshakeRequest::default().with_mechanism("PLAIN".into());
            if let Ok(mut connection) = Self::open(config, address).await
                && let Ok(answer) = connection.request(&request, SASL_HANDSHAKE_VERSION).await
                && !answer.mechanisms.is_empty()
            {
                return refused(Refusal::WantsLogin, mechanisms(&answer));
            }
        }
        KafkaError::Down(cause)
    }

    /// Connects and logs in.
    pub(super) async fn open(config: &KafkaConfig, address: &str) -> Result<Self, KafkaError> {
        let tcp = TcpStream::connect(address).await.map_err(down)?;
        tcp.set_nodelay(true).map_err(down)?;
        let stream: Box<dyn Stream> = match &config.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let (host, _) = host_and_port(address);
                let host = ServerName::try_from(host.to_owned()).map_err(down)?;
                let connector = TlsConnector::from(Arc::clone(tls));
                Box::new(connector.connect(host, tcp).await.map_err(shaken)?)
            }
        };
        let mut connection = Self {
            stream,
            client_id: StrBytes::from_string(config.client_id.clone()),
            correlation: 0,
        };
        if let Some(sasl) = &config.sasl {
            connection.log_in(sasl).await?;
        }
        Ok(connection)
    }

    async fn log_in(&mut self, sasl: &Sasl) -> Result<(), KafkaError> {
        let request = SaslHandshakeRequest::default().with_mechanism(sasl.name().into());
        let answer = self.request(&request, SASL_HANDSHAKE_VERSION).await?;
        if answer.error_code != 0 {
            let cause = format!("{} is not among [{}]", sasl.name(), mechanisms(&answer));
            return Err(refused(Refusal::Mechanism, cause));
        }
        let (mechanism, username, password) = match sasl {
            Sasl::Password { mechanism, username, password } => (mechanism, username, password),
            Sasl::TokenFile(file) => {
                let shown = login::initial_response(file).await.map_err(down)?;
                let answer = self.authenticate(shown).await?;
                // Success is silent.
                return match &*answer {
                    [] => Ok(()),
                    said => Err(refused(Refusal::Login, String::from_utf8_lossy(said))),
                };
            }
        };
        let mut session = mechanism.session(username, password).map_err(down)?;
        let mut received: Option<Bytes> = None;
        loop {
            let mut sent = Vec::new();
            let state = session
                .step(received.as_deref(), &mut sent)
                .map_err(|error| refused(Refusal::Login, error))?;
            if state.has_sent_message() {
                received = Some(self.authenticate(sent).await?);
            }
            if state.is_finished() {
                return Ok(());
            }
        }
    }

    async fn authenticate(&mut self, shown: Vec<u8>) -> Result<Bytes, KafkaError> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(shown.into());
        let answer = self.request(&request, SASL_AUTHENTICATE_VERSION).await?;
        match (ProtocolError::new(answer.error_code), answer.error_message) {
            (None, _) => Ok(answer.auth_bytes),
            (Some(_), Some(said)) => Err(refused(Refusal::Login, &*said)),
            (Some(error), None) => Err(refused(Refusal::Login, error)),
        }
    }

    /// Asks, and waits for the answer without a limit of its own.
    pub(super) async fn request<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, KafkaError> {
        let frame = self.frame(request, version).map_err(down)?;
        self.exchange::<R>(frame, version).await
    }

    /// Asks, and waits until the answer begins: how many bytes it has.
    pub(super) async fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<usize, KafkaError> {
        let frame = self.frame(request, version).map_err(down)?;
        self.send(frame).await
    }

    /// Sends a request's frame, and waits for the answer.
    async fn exchange<R: Request>(
        &mut self,
        frame: impl Buf + Send,
        version: i16,
    ) -> Result<R::Response, KafkaError> {
        let length = self.send(frame).await?;
        let mut answer = BytesMut::zeroed(length);
        self.receive(&mut answer).await?;
        self.decode::<R>(answer.freeze(), version)
    }

    /// Sends a request's frame, and waits until the answer begins: how many bytes it has.
    async fn send(&mut self, mut frame: impl Buf + Send) -> Result<usize, KafkaError> {
        self.stream.write_all_buf(&mut frame).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        let length = self.stream.read_u32().await.map_err(broken)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(down(format_args!("an answer of {length} bytes")));
        }
        Ok(length)
    }

    /// Reads an answer, all of it.
    pub(super) async fn receive(&mut self, answer: &mut [u8]) -> Result<(), KafkaError> {
        self.stream.read_exact(answer).await.map_err(broken)?;
        Ok(())
    }

    /// What an answer says.
    pub(super) fn decode<R: Request>(
        &self,
        mut answer: Bytes,
        version: i16,
    ) -> Result<R::Response, KafkaError> {
        let header = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut answer, header).map_err(down)?;
        if header.correlation_id != self.correlation {
            return Err(down("an answer to another request"));
        }
        R::Response::decode(&mut answer, version).map_err(down)
    }

    /// Length, header, request.
    fn frame<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<BytesMut> {
        self.correlation = self.correlation.wrapping_add(1);
        let mut body = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()))
            .encode(&mut body, R::header_version(version))?;
        request.encode(&mut body, version)?;
        let mut frame = BytesMut::with_capacity(body.len() + 4);
        frame.put_u32(u32::try_from(body.len())?);
        frame.unsplit(body);
        Ok(frame)
    }
}

/// Makes a frame that ends in bytes of length 0 the begin of one with `length` bytes there.
fn announce(frame: &mut BytesMut, length: usize) -> anyhow::Result<()> {
    let whole = u32::try_from(frame.len() - size_of::<u32>() + length)?.to_be_bytes();
    let length = i32::try_from(length)?.to_be_bytes();
    if let Some(place) = frame.first_chunk_mut() {
        *place = whole;
    }
    if let Some(place) = frame.last_chunk_mut() {
        *place = length;
    }
    Ok(())
}

/// Addresses in metadata have a port always, and those that are configured, too.
fn host_and_port(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host.trim_matches(['[', ']']), port.parse().unwrap_or_default())
}

fn mechanisms(answer: &SaslHandshakeResponse) -> String {
    let names: Vec<_> = answer.mechanisms.iter().map(|name| &**name).collect();
    names.join(", ")
}

pub(super) fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

pub(super) fn check(code: i16) -> Result<(), KafkaError> {
    ProtocolError::new(code).map_or(Ok(()), |error| Err(KafkaError::Broker(error)))
}

pub(super) fn down(cause: impl fmt::Display) -> KafkaError {
    KafkaError::Down(cause.to_string())
}

fn refused(refusal: Refusal, cause: impl fmt::Display) -> KafkaError {
    KafkaError::Refused { refusal, cause: cause.to_string() }
}

/// A handshake that broke.
fn shaken(error: io::Error) -> KafkaError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return down("it closed the connection in the middle of the TLS handshake");
    }
    broken(error)
}

/// A connection that broke. With TLS 1.3 what is wrong with our certificate is told only to the
/// first read.
fn broken(error: io::Error) -> KafkaError {
    match Fault::of(&format!("{error:?}")) {
        Some(fault) => refused(Refusal::Tls(fault), error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => down("it closed the connection"),
        None => down(error),
    }
}
