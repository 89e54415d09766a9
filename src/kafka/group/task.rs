//! Drives a member: asks what it wants asked, within bounds, and tells the seat what it says. Keeps
//! one connection to the coordinator; one that gave no answer is dropped. Decides nothing.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::select_ok;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::permit::{PULSE, Permit};
use super::timing::{LEAVE_LIMIT, TROUBLE_AFTER};
use super::{Answer, Call, GroupConfig, GroupError, GroupStatus, Machine, Next, State};
use crate::kafka::connect::{KafkaConfig, KafkaError};
use crate::kafka::raw::{Connection, down};
use crate::ports::group::Served;

/// The membership of one process.
pub struct Group {
    kafka: KafkaConfig,
    machine: Machine,
    served: Served,
    permit: Arc<Permit>,
    status: watch::Sender<GroupStatus>,
    /// Whether it might publish when last looked at.
    permitted: bool,
    /// Since when something is not as it should be, and whether that was said.
    trouble: Option<(Instant, bool)>,
    /// Where it goes, and the connection.
    connection: Option<(String, Connection)>,
    now: fn() -> Instant,
}

impl Group {
    /// A membership that begins when it is run, and where it stands.
    #[must_use]
    pub fn new(
        kafka: KafkaConfig,
        group: GroupConfig,
        served: Served,
        now: fn() -> Instant,
    ) -> (Self, watch::Receiver<GroupStatus>) {
        let (status, shown) = watch::channel(GroupStatus::default());
        let machine = Machine::new(group);
        let permit = Arc::new(Permit::new(served.lease.clone(), now()));
        let member = Self {
            kafka,
            machine,
            served,
            permit,
            status,
            permitted: false,
            trouble: None,
            connection: None,
            now,
        };
        (member, shown)
    }

    /// Joins, stays, and leaves once `stop` is cancelled.
    ///
    /// # Errors
    /// It is not let in, or no more; the lease is over then.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), GroupError> {
        let (permit, now) = (Arc::clone(&self.permit), self.now);
        let pulse = async {
            loop {
                sleep(PULSE).await;
                permit.pulse(now());
            }
        };
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            () = pulse => Ok(()),
            Err(last) = self.stay() => Err(last),
        };
        let positions = self.served.positions.borrow().clone();
        let farewell = self.machine.farewell(&positions);
        self.show();
        if ended.is_ok() {
            self.leave(&farewell).await;
        }
        ended
    }

    /// Never ends well: there is always something to wait for.
    async fn stay(&mut self) -> Result<(), GroupError> {
        loop {
            let here = self.served.here();
            let positions = self.served.positions.borrow().clone();
            let now = self.now;
            match self.machine.next(now(), &here, &positions) {
                Next::Ask(call) => {
                    let sent = now();
                    match self.ask(&call).await {
                        Ok(answer) => self.machine.answered(sent, now(), answer)?,
                        Err(error) => self.machine.failed(now(), error),
                    }
                }
                Next::Wait(until) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = changed(&mut self.served) => {}
                },
            }
            self.show();
        }
    }

    /// Asks, within the limit for it.
    async fn ask(&mut self, call: &Call) -> Result<Answer, KafkaError> {
        let limit = self.machine.limit(call);
        let asking = async {
            match call {
                Call::Find(..) => find(&self.kafka, call).await,
                Call::Describe(_)
                | Call::Join(_)
                | Call::Sync(_)
                | Call::Heartbeat(_)
                | Call::Commit(_)
                | Call::Leave(_) => {
                    let at = self.machine.coordinator();
                    let at = at.ok_or_else(|| down("no broker coordinates the group"))?;
                    let kept = self.connection.take().filter(|(address, _)| address == at);
                    let (at, mut connection) = match kept {
                        Some(kept) => kept,
                        None => (at.to_owned(), Connection::open(&self.kafka, at).await?),
                    };
                    let answer = call.ask(&mut connection).await?;
                    self.connection = Some((at, connection));
                    Ok(answer)
                }
            }
        };
        match timeout(limit, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(down(format_args!("no answer within {limit:?}"))),
        }
    }

    /// Says goodbye, so that the others take over at once.
    async fn leave(&mut self, farewell: &[Call]) {
        let saying = async {
            for call in farewell {
                self.ask(call).await?;
            }
            Ok::<_, KafkaError>(())
        };
        let said = timeout(LEAVE_LIMIT, saying).await;
        match said.unwrap_or_else(|_| Err(down(format_args!("no answer within {LEAVE_LIMIT:?}")))) {
            Ok(()) => info!("left the group"),
            Err(error) => warn!(%error, "the group was not told of the end and notices it later"),
        }
    }

    /// Tells the seat, and people, what is new. First what is assigned, then until when.
    fn show(&mut self) {
        if let Some(told) = self.machine.told() {
            let (generation, shards) = (told.generation, told.shards.len());
            debug!(generation, shards, members = told.members.len(), "shards were assigned");
            self.served.assignment.send_replace(Some(Arc::new(told)));
        }
        let now = (self.now)();
        let lease = self.machine.lease(now);
        self.permit.granted(now, lease);
        let status = self.machine.status();
        let permitted = lease.is_some_and(|(until, _)| now < until);
        let before = std::mem::replace(&mut self.permitted, permitted);
        if before && !permitted && status.state != State::Left {
            warn!(generation = status.generation, "cut off from the group, nothing is published");
        }
        match (&status.trouble, &mut self.trouble) {
            (None, since) => *since = None,
            (Some(_), since @ None) => *since = Some((now, false)),
            (Some(trouble), Some((since, said @ false))) if now >= *since + TROUBLE_AFTER => {
                *said = true;
                warn!(
                    %trouble,
                    action = "check the brokers, and what this service may do with the group",
                    "the group does not answer as it should"
                );
            }
            (Some(_), Some(_)) => {}
        }
        self.status.send_if_modified(|shown| {
            let changed = *shown != status;
            *shown = status;
            changed
        });
    }
}

/// Returns when the pipeline says anything else; never once there is none.
async fn changed(served: &mut Served) {
    tokio::select! {
        Ok(()) = served.held.changed() => {}
        Ok(()) = served.ready.changed() => {}
        Ok(()) = served.retires.changed() => {}
        else => std::future::pending().await,
    }
}

/// The coordinator, from the first of the configured brokers that knows.
async fn find(kafka: &KafkaConfig, call: &Call) -> Result<Answer, KafkaError> {
    let asked = kafka.brokers.iter().map(|address| {
        let asking = async move { call.ask(&mut Connection::open(kafka, address).await?).await };
        asking.boxed()
    });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return Err(down("no broker is configured"));
    }
    select_ok(asked).await.map(|(answer, _)| answer)
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Group").field(&self.machine).finish()
    }
}
