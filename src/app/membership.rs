//! The membership of this process in its group, beside the pipeline.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Exit;
use crate::config::Config;
use crate::kafka::KafkaConfig;
use crate::kafka::group::{Group, GroupConfig, GroupError};
use crate::ports::group::Served;

/// A membership that runs.
pub(super) struct Membership {
    member: JoinHandle<Result<(), GroupError>>,
    leave: CancellationToken,
}

impl Membership {
    /// Joins, and tells the others where its HTTP paths are, on the port `http`. Where it is
    /// refused, `stop` is cancelled.
    pub(super) async fn start(
        config: &Config,
        kafka: KafkaConfig,
        http: Option<u16>,
        served: Served,
        stop: &CancellationToken,
    ) -> Self {
        let host = host();
        let port = if config.metrics_enabled { config.metrics_port } else { 0 };
        let address = match http {
            Some(http) => match towards(&config.kafka_brokers).await {
                Some(ip) => SocketAddr::new(ip, http).to_string(),
                None => format!("{host}:{http}"),
            },
            None => String::new(),
        };
        let group = GroupConfig {
            group: config.kafka_consumer_group.clone(),
            topic: config.kafka_topic.clone(),
            instance: config.kafka_group_instance_id.on(&host, port),
            address,
            session: config.kafka_session_timeout,
            shards: config.shards,
        };
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
        Self { member, leave }
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

/// The address of this host on the way to the brokers: the other members stand there, too, and
/// host names need not resolve. Nothing is sent.
async fn towards(brokers: &[String]) -> Option<IpAddr> {
    let first = async {
        let broker = lookup_host(brokers.first()?).await.ok()?.next()?;
        let any: IpAddr = match broker {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await.ok()?;
        socket.connect(broker).await.ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    timeout(LOOK_UP, first).await.ok()?
}

/// The name of this host, as its kernel has it.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How long a broker's name may take to be looked up; it was reached just before.
const LOOK_UP: Duration = Duration::from_secs(5);
