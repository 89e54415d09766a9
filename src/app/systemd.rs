//! Tells systemd how the service is doing: what it waits for, ready, alive, stopping. *Ready* is
//! what `/readyz` calls so, and comes once; until then a start that makes progress or waits for a
//! dependency may go on, however long. Never holds the pipeline up. Where systemd does not listen
//! none of this runs.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState::{self, ExtendTimeoutUsec, Ready, Status as Says, Stopping, Watchdog};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::domain::time::WallMs;
use crate::pipeline::Shared;
use crate::status::Status;

/// Tells it all beside the pipeline.
#[derive(Debug)]
pub(super) struct Teller {
    over: CancellationToken,
    telling: JoinHandle<()>,
}

impl Teller {
    /// Begins; a service that is told to `stop` may need `shutdown_timeout` for it.
    pub(super) fn start(
        shared: &Arc<Shared>,
        stop: &CancellationToken,
        shutdown_timeout: Duration,
    ) -> Self {
        let over = stop.child_token();
        let telling = tokio::spawn(tell(Arc::clone(shared), over.clone(), shutdown_timeout));
        Self { over, telling }
    }

    /// Says the last word: a service ends for other reasons than being told to, too.
    pub(super) async fn finish(self) {
        self.over.cancel();
        if let Err(cause) = self.telling.await {
            error!(%cause, "systemd was not told that the service stops");
        }
    }
}

async fn tell(shared: Arc<Shared>, over: CancellationToken, shutdown_timeout: Duration) {
    let mut looks = tokio::time::interval(LOOK);
    let mut beats = tokio::time::interval(beat(sd_notify::watchdog_enabled()));
    let mut told = Told::default();
    loop {
        let message = tokio::select! {
            biased;
            () = over.cancelled() => break,
            _ = beats.tick() => told.beat(&shared.status, shared.clock.now()),
            _ = looks.tick() => told.news(&shared.status, shared.clock.now()),
        };
        told.send(message).await;
    }
    told.send(stopping(shutdown_timeout)).await;
}

/// What was told so far.
#[derive(Debug, Default)]
struct Told {
    ready: bool,
    status: String,
    /// The last attempt failed: the next failure is no news.
    unheard: bool,
}

impl Told {
    /// What has changed; empty where nothing has.
    fn news(&mut self, status: &Status, now: WallMs) -> String {
        let (ready, says) = match status.ready(now) {
            Ok(()) => (true, status.phase().name().to_owned()),
            // A line break would end the status.
            Err(reasons) => (false, reasons.join("; ").replace(char::is_control, " ")),
        };
        let mut news = Vec::new();
        if ready && !self.ready {
            news.push(Ready);
            self.ready = true;
        }
        if says != self.status {
            news.push(Says(&says));
        }
        let message = lines(&news);
        self.status = says;
        message
    }

    /// That the service is alive; empty where it is not.
    fn beat(&self, status: &Status, now: WallMs) -> String {
        match (status.live(now), self.ready) {
            (false, _) => String::new(),
            (true, false) => lines(&[Watchdog, ExtendTimeoutUsec(micros(EXTENSION))]),
            (true, true) => lines(&[Watchdog]),
        }
    }

    /// Sends what is not empty, on a thread that may block. What was not heard is said again.
    async fn send(&mut self, message: String) {
        if message.is_empty() {
            return;
        }
        let sending = move || sd_notify::notify(&[NotifyState::Custom(&message)]);
        let sent = tokio::time::timeout(HEARD_WITHIN, tokio::task::spawn_blocking(sending)).await;
        let failure = match sent {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(cause))) => Some(cause.to_string()),
            Ok(Err(cause)) => Some(cause.to_string()),
            Err(_) => Some("it does not listen".to_owned()),
        };
        let Some(cause) = failure else {
            self.unheard = false;
            return;
        };
        if !self.unheard {
            let action = "look at NOTIFY_SOCKET, and at Type= in the unit";
            warn!(cause, action, "systemd cannot be told how the service is doing");
        }
        *self = Self { unheard: true, ..Self::default() };
    }
}

fn stopping(shutdown_timeout: Duration) -> String {
    let allowed = shutdown_timeout.saturating_add(EXIT_TAKES);
    lines(&[Stopping, Says("stopping"), ExtendTimeoutUsec(micros(allowed))])
}

/// How often to say that the service is alive: twice in the time that the watchdog allows.
fn beat(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(BEAT, |allowed| (allowed / 2).clamp(SHORTEST_BEAT, BEAT))
}

fn lines(states: &[NotifyState<'_>]) -> String {
    states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// People look at the status; it need not be newer.
const LOOK: Duration = Duration::from_secs(1);

/// It listens always, and at once; one that hangs must not keep the process from its end.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// Well below [`EXTENSION`] and the 90 s that systemd gives a start by default.
const BEAT: Duration = Duration::from_secs(10);

/// A watchdog of less is a mistake, and an interval of nothing would panic.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// For so long a start may go on from one beat to the next: some beats may be late.
const EXTENSION: Duration = Duration::from_secs(60);

/// From the end of the drain to the end of the process.
const EXIT_TAKES: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Component, Phase, STUCK_AFTER, WHOLE};

    const START: WallMs = WallMs(1_000_000);

    #[test]
    fn ready_is_said_once_and_the_status_when_it_changes() {
        let (status, mut told) = (Status::new(START), Told::default());
        assert_eq!(told.news(&status, START), "STATUS=starting");
        assert_eq!(told.news(&status, START), "");
        let cause = "waiting for it:\nno broker answers".to_owned();
        status.fails(Component::Kafka, WHOLE, START, cause);
        let later = START.plus(Duration::from_secs(60));
        status.progressed(later);
        let waits = told.news(&status, later);
        assert!(waits.starts_with("STATUS=starting; kafka: "), "{waits}");
        assert!(waits.ends_with("waiting for it: no broker answers"), "{waits}");
        status.works(Component::Kafka, WHOLE);
        status.enter(Phase::Running);
        assert_eq!(told.news(&status, later), "READY=1\nSTATUS=running");
        status.fails(Component::Kafka, WHOLE, START, "away".to_owned());
        let away = told.news(&status, later);
        assert!(away.starts_with("STATUS=kafka: ") && away.ends_with("away"), "{away}");
        status.works(Component::Kafka, WHOLE);
        assert_eq!(told.news(&status, later), "STATUS=running");
    }

    #[test]
    fn a_start_that_is_alive_may_go_on_and_one_that_is_stuck_may_not() {
        let (status, mut told) = (Status::new(START), Told::default());
        let alive = "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000";
        assert_eq!(told.beat(&status, START), alive);
        let stuck = START.plus(STUCK_AFTER * 2);
        assert_eq!(told.beat(&status, stuck), "");
        status.enter(Phase::Running);
        status.progressed(stuck);
        assert_eq!(told.news(&status, stuck), "READY=1\nSTATUS=running");
        assert_eq!(told.beat(&status, stuck), "WATCHDOG=1");
        assert_eq!(told.beat(&status, stuck.plus(STUCK_AFTER * 2)), "");
    }

    #[test]
    fn a_stop_may_take_as_long_as_configured() {
        let longest = Duration::from_secs(3_600);
        let asked = "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=3605000000";
        assert_eq!(stopping(longest), asked);
    }

    #[test]
    fn the_watchdog_hears_of_us_twice_in_its_time() {
        assert_eq!(beat(None), BEAT);
        assert_eq!(beat(Some(Duration::from_secs(3))), Duration::from_millis(1_500));
        assert_eq!(beat(Some(Duration::from_secs(600))), BEAT);
        assert_eq!(beat(Some(Duration::ZERO)), SHORTEST_BEAT);
    }
}
