//! How the cluster is reached: addresses, TLS, SASL, and the one shared client, which is rebuilt
//! from the configured addresses when nothing answers. Secrets are never shown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::topic::Topic;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::login::Sasl;
use super::raw::Connection;
use crate::tls::Fault;

/// One attempt to connect, or to open a partition: a silent peer would hang it for ever.
pub(super) const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Between two attempts to connect at the start: soon enough for a broker that is starting too.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Back-off inside one request: it rides over a moving leader; what takes longer is the caller's
/// matter, which sees an error and asks again.
const BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(1),
    base: 3.0,
    deadline: Some(Duration::from_secs(3)),
};

/// What a broker has to answer to the first question: below the 3 s that an attempt to connect
/// has at the start, so that a silent one is named.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Where the cluster is and how to log in.
#[derive(Clone)]
pub struct KafkaConfig {
    /// Bootstrap addresses, `host:port`; any of them will do.
    pub brokers: Vec<String>,
    /// Name shown in the brokers' logs and quotas.
    pub client_id: String,
    /// TLS; `None`: plain TCP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Login; `None`: anonymous.
    pub sasl: Option<Sasl>,
}

/// What brokers that answer do not agree to: asking again does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TLS that we speak, or theirs.
    Tls(Fault),
    /// That we speak no TLS.
    WantsTls,
    /// That we do not log in.
    WantsLogin,
    /// The way to log in.
    Mechanism,
    /// User, password or token.
    Login,
}

/// Why Kafka did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The brokers answer and refuse, or are refused: asking again will not help.
    #[error("{refusal}: {cause}")]
    Refused {
        /// What is refused.
        refusal: Refusal,
        /// What was said.
        cause: String,
    },
    /// No broker answered in time.
    #[error("none of the brokers {brokers} can be reached: {cause}")]
    Unreachable {
        /// Bootstrap addresses.
        brokers: String,
        /// What was said last.
        cause: String,
    },
    /// A topic does not exist and cannot be created.
    #[error("the topic {topic} does not exist and cannot be created: {cause}")]
    NoTopic {
        /// The topic.
        topic: String,
        /// What was said.
        cause: String,
    },
    /// A broker answered with an error.
    #[error("the broker says {0}")]
    Broker(ProtocolError),
    /// An answer that cannot be decoded.
    #[error("the answer cannot be decoded: {0}")]
    Undecodable(String),
    /// The connection broke, or the answer did not come in time.
    #[error("{0}")]
    Down(String),
}

/// The cluster, with the client that all parts share.
pub struct Cluster {
    config: KafkaConfig,
    client: Mutex<Option<Arc<Client>>>,
}

/// Connects to any of the brokers, trying again until `deadline` has passed.
///
/// # Errors
/// `Refused` as soon as brokers refuse and none agrees, `Unreachable` at the deadline.
pub async fn connect(config: &KafkaConfig, deadline: Duration) -> Result<Client, KafkaError> {
    let mut cause = format!("no answer within {deadline:?}");
    let attempts = async {
        loop {
            match attempt(config).await {
                Err(error) if !matches!(error, KafkaError::Refused { .. }) => {
                    cause = error.to_string();
                }
                decided => return decided,
            }
            sleep(CONNECT_PAUSE).await;
        }
    };
    if let Ok(decided) = timeout(deadline, attempts).await {
        return decided;
    }
    Err(KafkaError::Unreachable { brokers: config.brokers.join(","), cause })
}

async fn attempt(config: &KafkaConfig) -> Result<Client, KafkaError> {
    probe(config).await?;
    match timeout(OPEN_LIMIT, builder(config).build()).await {
        Ok(built) => Ok(built?),
        Err(_) => Err(KafkaError::Down(format!("no answer within {OPEN_LIMIT:?}"))),
    }
}

/// Whether any of the brokers lets us in; a refusal before any other failure. `rskafka` tries on
/// after a refusal, and hands on neither its kind nor what the broker said.
async fn probe(config: &KafkaConfig) -> Result<(), KafkaError> {
    let asked = config.brokers.iter().map(|address| async move {
        match timeout(PROBE_LIMIT, Connection::probe(config, address)).await {
            Ok(Err(KafkaError::Refused { refusal, cause })) => {
                Err(KafkaError::Refused { refusal, cause: format!("{address}: {cause}") })
            }
            Ok(answer) => answer.map(drop),
            Err(_) => Err(KafkaError::Down(format!("no answer within {PROBE_LIMIT:?}"))),
        }
    });
    let mut answers: FuturesUnordered<_> = asked.collect();
    let mut failure = KafkaError::Down("no broker is configured".to_owned());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(()) => return Ok(()),
            Err(_) if matches!(failure, KafkaError::Refused { .. }) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn builder(config: &KafkaConfig) -> ClientBuilder {
    let mut builder = ClientBuilder::new(config.brokers.clone())
        .client_id(config.client_id.as_str())
        .backoff_config(BACKOFF);
    if let Some(tls) = &config.tls {
        builder = builder.tls_config(Arc::clone(tls));
    }
    match &config.sasl {
        Some(sasl) => builder.sasl_config(sasl.config()),
        None => builder,
    }
}

impl Cluster {
    /// The cluster, reached within `deadline`.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn connect(config: KafkaConfig, deadline: Duration) -> Result<Arc<Self>, KafkaError> {
        let client = connect(&config, deadline).await?;
        Ok(Arc::new(Self { config, client: Mutex::new(Some(Arc::new(client))) }))
    }

    /// How the cluster is reached.
    #[must_use]
    pub const fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// The shared client, connected anew if the last one was given up.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn client(&self) -> Result<Arc<Client>, KafkaError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(connect(&self.config, OPEN_LIMIT).await?);
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }

    /// The partitions of `topic` as the brokers know them now, ascending; empty without the topic.
    ///
    /// # Errors
    /// No broker answered.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<i32>, KafkaError> {
        let topic = self.list().await?.into_iter().find(|listed| listed.name == topic);
        Ok(topic.map_or_else(Vec::new, |topic| topic.partitions.into_iter().collect()))
    }

    /// The names of the topics that we may see.
    ///
    /// # Errors
    /// No broker answered.
    pub(super) async fn topics(&self) -> Result<Vec<String>, KafkaError> {
        Ok(self.list().await?.into_iter().map(|topic| topic.name).collect())
    }

    async fn list(&self) -> Result<Vec<Topic>, KafkaError> {
        let client = self.client().await?;
        let listed = match timeout(OPEN_LIMIT, client.list_topics()).await {
            Ok(listed) => listed.map_err(KafkaError::from),
            Err(_) => Err(KafkaError::Down(format!("no answer within {OPEN_LIMIT:?}"))),
        };
        if listed.is_err() {
            self.give_up(&client).await;
        }
        listed
    }

    /// A client for one partition, on a connection of its own. The topics are listed just before:
    /// otherwise a leader that moved long ago would be asked, and a topic that is not there would
    /// be created with the brokers' own settings.
    pub(super) async fn open(&self, topic: &str, at: i32) -> Result<PartitionClient, KafkaError> {
        if !self.partitions(topic).await?.contains(&at) {
            return Err(KafkaError::Broker(ProtocolError::UnknownTopicOrPartition));
        }
        let client = self.client().await?;
        let opening = client.partition_client(topic, at, UnknownTopicHandling::Error);
        match timeout(OPEN_LIMIT, opening).await {
            Ok(opened) => opened.map_err(KafkaError::from),
            Err(_) => {
                self.give_up(&client).await;
                Err(KafkaError::Down(format!("no answer within {OPEN_LIMIT:?}")))
            }
        }
    }

    /// Once a client has seen metadata it never goes back to the configured addresses: one that
    /// gets no answer is dropped.
    async fn give_up(&self, client: &Arc<Client>) {
        let mut slot = self.client.lock().await;
        if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, client)) {
            *slot = None;
        }
    }
}

impl From<Error> for KafkaError {
    fn from(error: Error) -> Self {
        if let Error::ServerError { protocol_error, .. } = error {
            Self::Broker(protocol_error)
        } else {
            Self::Down(error.to_string())
        }
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("tls", &self.tls.is_some())
            .field("sasl", &self.sasl)
            .finish()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(fault) => write!(f, "{fault}"),
            Self::WantsTls => f.write_str("it wants TLS"),
            Self::WantsLogin => f.write_str("it wants a login"),
            Self::Mechanism => f.write_str("it does not know the mechanism"),
            Self::Login => f.write_str("it refuses the login"),
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.config).finish()
    }
}
