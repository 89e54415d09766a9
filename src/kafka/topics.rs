//! Topics that the service needs: created when they are missing. Never changes one that exists.

use std::time::Duration;

use rskafka::client::Client;
use rskafka::client::error::{Error, ProtocolError};
use tokio::time::{sleep, timeout};

use super::connect::{KafkaError, OPEN_LIMIT};

/// How long a broker may take to create a topic.
const CREATE_TIMEOUT_MS: i32 = 10_000;

/// When the creation is given up: creating, and then until every partition is seen.
const CREATE_LIMIT: Duration = Duration::from_secs(30);

/// Between two looks whether a new topic is there: brokers learn of it within some milliseconds.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The brokers' own `default.replication.factor`, understood since Kafka 2.4.
const DEFAULT_REPLICATION: i16 = -1;

/// Makes sure that the topic `name` exists: one that is missing is created with `partitions`
/// partitions and the brokers' default replication. Somebody else may be creating it at the same
/// time. Answers whether it was missing.
///
/// # Errors
/// `NoTopic` where it is missing and the brokers refuse to create it, otherwise as they came.
pub async fn ensure_topic(
    client: &Client,
    name: &str,
    partitions: i32,
) -> Result<bool, KafkaError> {
    if is_listed(client, name).await? {
        return Ok(false);
    }
    let creation = async {
        let refused =
            |cause: Error| KafkaError::NoTopic { topic: name.to_owned(), cause: said(&cause) };
        match create(client, name, partitions, DEFAULT_REPLICATION).await {
            Err(error) if code(&error) == Some(ProtocolError::InvalidReplicationFactor) => {
                create(client, name, partitions, 1).await.map_err(refused)
            }
            created => created.map_err(refused),
        }?;
        while !is_listed(client, name).await? {
            sleep(LOOK_PAUSE).await;
        }
        Ok(true)
    };
    match timeout(CREATE_LIMIT, creation).await {
        Ok(created) => created,
        Err(_) => Err(KafkaError::NoTopic {
            topic: name.to_owned(),
            cause: format!("no answer within {CREATE_LIMIT:?}"),
        }),
    }
}

async fn is_listed(client: &Client, name: &str) -> Result<bool, KafkaError> {
    match timeout(OPEN_LIMIT, client.list_topics()).await {
        Ok(listed) => Ok(listed?.iter().any(|topic| topic.name == name)),
        Err(_) => Err(KafkaError::Down(format!("no answer within {OPEN_LIMIT:?}"))),
    }
}

async fn create(
    client: &Client,
    name: &str,
    partitions: i32,
    replication: i16,
) -> Result<(), Error> {
    let created = client
        .controller_client()?
        .create_topic(name, partitions, replication, CREATE_TIMEOUT_MS)
        .await;
    match created {
        Err(error) if code(&error) == Some(ProtocolError::TopicAlreadyExists) => Ok(()),
        created => created,
    }
}

fn code(error: &Error) -> Option<ProtocolError> {
    if let Error::ServerError { protocol_error, .. } = error { Some(*protocol_error) } else { None }
}

/// What the broker said, without the request's own fields.
fn said(error: &Error) -> String {
    if let Error::ServerError { protocol_error, error_message, .. } = error {
        let message = error_message.as_deref().unwrap_or_default();
        format!("{protocol_error} {message}").trim_end().to_owned()
    } else {
        error.to_string()
    }
}
