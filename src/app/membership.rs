//! The membership of this process in its group, beside the pipeline.

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Exit;
use crate::config::Config;
use crate::domain::token::SHARDS;
use crate::kafka::KafkaConfig;
use crate::kafka::group::{Group, GroupConfig, GroupError};
use crate::ports::group::{Seat, seat};

/// A membership that runs.
pub(super) struct Membership {
    pub(super) seat: Seat,
    member: JoinHandle<Result<(), GroupError>>,
    leave: CancellationToken,
}

impl Membership {
    /// Joins. Where it is refused, `stop` is cancelled.
    pub(super) fn start(config: &Config, kafka: KafkaConfig, stop: &CancellationToken) -> Self {
        let host = host();
        let port = if config.metrics_enabled { config.metrics_port } else { 0 };
        let group = GroupConfig {
            group: config.kafka_consumer_group.clone(),
            topic: config.kafka_topic.clone(),
            instance: config.kafka_group_instance_id.on(&host, port),
            address: if port > 0 { format!("{host}:{port}") } else { String::new() },
            session: config.kafka_session_timeout,
            shards: SHARDS,
        };
        let (seat, served) = seat();
        let (group, _) = Group::new(kafka, group, served, Instant::now);
        let (leave, stop) = (CancellationToken::new(), stop.clone());
        let leaving = leave.clone();
        let member = tokio::spawn(async move {
            let ended = group.run(leaving).await;
            if ended.is_err() {
                stop.cancel();
            }
            ended
        });
        Self { seat, member, leave }
    }

    /// Leaves; what became of the process in the end.
    pub(super) async fn leave(self, exit: Exit) -> anyhow::Result<Exit> {
        self.leave.cancel();
        match self.member.await? {
            Ok(()) => Ok(exit),
            Err(cause @ GroupError::Fenced { .. }) => {
                error!(
                    %cause,
                    action = "give each instance a KAFKA_GROUP_INSTANCE_ID of its own, or none",
                    "another instance of this name has taken over: this one ends"
                );
                Ok(Exit::Fenced)
            }
            Err(cause) => Err(cause.into()),
        }
    }
}

/// The name of this host, as its kernel has it.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
