//! A life: trades under a plan's faults, then in peace until every window is empty, then the judge.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use aggregator_service::pipeline::Ended;
use aggregator_service::ports::Clock;
use futures::FutureExt;

use crate::audit;
use crate::judge::{self, Healed, Lived};
use crate::plan::{Plan, What};
use crate::process::Process;
use crate::world::{MARKER, World};

/// Twice as long as a clock is waited for that was set back.
const CLOCK_WAIT: Duration = Duration::from_secs(120);

/// How long a process may not notice that a rival has one of its shards: it writes all of them
/// every five seconds.
const UNNOTICED: Duration = Duration::from_secs(8);

/// How soon a supervisor starts a process again.
const RESTART: Duration = Duration::from_millis(300);

/// The newest process is the last; the others are its rivals, and those that stand still.
struct Life {
    world: Arc<World>,
    seed: u64,
    processes: Vec<Process>,
    /// None shall run.
    down: bool,
    /// The clock is set back by more than is waited for.
    far_back: bool,
}

/// Lives a plan.
pub(crate) fn live(plan: &Plan) -> Lived {
    runtime().block_on(life(plan))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

async fn life(plan: &Plan) -> Lived {
    let world = Arc::new(World::new(plan));
    let (seed, processes) = (plan.seed, Vec::new());
    let far_back = plan.sets_far_back();
    let mut life = Life { world: Arc::clone(&world), seed, processes, down: false, far_back };
    let market = tokio::spawn(Arc::clone(&world).trade(plan.trading_ms, plan.seed));
    life.start();
    for fault in &plan.faults {
        life.until(world.moment(fault.at)).await;
        life.suffer(fault.what).await;
    }
    life.until(world.moment(plan.trading_ms)).await;
    market.await.unwrap();
    life.end_in_peace().await
}

impl Life {
    fn start(&mut self) {
        self.down = false;
        self.processes.push(Process::start(&self.world, self.seed));
    }

    /// Waits, and starts anew what has died.
    async fn until(&mut self, moment: tokio::time::Instant) {
        let world = Arc::clone(&self.world);
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(moment) => break,
                () = world.deaths.notified() => tokio::time::sleep(RESTART).await,
            }
            self.supervise();
        }
        self.supervise();
    }

    /// Clears away who is dead or over; starts one anew if the newest was among them.
    fn supervise(&mut self) {
        let newest = self.processes.last().map(|process| process.number);
        let gone = |process: &mut Process| process.gate.is_dead() || process.is_over();
        for mut process in self.processes.extract_if(.., gone) {
            if !process.gate.is_dead() {
                let ended = process.end().now_or_never().flatten();
                let may_end = ended == Some(Ended::Fenced)
                    || (ended == Some(Ended::ClockSetBack) && self.far_back);
                assert!(may_end, "a process ends by itself: {ended:?}");
            }
            process.kill();
            after_death(&self.world, &process);
        }
        if self.processes.last().map(|process| process.number) != newest && !self.down {
            self.start();
        }
    }

    async fn suffer(&mut self, what: What) {
        let world = &self.world;
        match what {
            What::Start => self.start(),
            What::Kill => self.kill_newest(),
            What::KillAtCall(calls) => {
                if let Some(newest) = self.processes.last() {
                    newest.gate.kill_at(Some(calls));
                }
            }
            What::Stop => match self.processes.pop() {
                Some(mut newest) if !newest.gate.is_frozen() => {
                    self.down = self.processes.is_empty();
                    let ended = newest.stop().await;
                    assert_ne!(ended, Some(Ended::Failed), "it was asked to stop");
                    after_death(&self.world, &newest);
                }
                frozen => {
                    self.processes.extend(frozen);
                    self.kill_newest();
                }
            },
            What::Freeze => self.processes.last().into_iter().for_each(|one| one.gate.freeze()),
            What::Thaw => self.processes.iter().for_each(|one| one.gate.thaw()),
            What::Out(outage, during_ms) => world.take_out(outage, during_ms),
            What::Truncate { partition, keep } => world.truncate(partition, keep),
            What::Remake(away_ms) => world.remake(away_ms),
            What::AddPartition => world.add_partition(),
            What::StoreEmpty => world.store.clear(),
            What::StoreBehind { claims } => world.store.lose_last_writes(claims),
            What::Evict { key, every } => world.evict(key, every),
            What::ClockStep(by_ms) => world.set_clock(by_ms),
            What::Weather(weather, one_in) => world.set_weather(weather, one_in),
        }
    }

    fn kill_newest(&mut self) {
        if let Some(newest) = self.processes.pop() {
            self.down = self.processes.is_empty();
            newest.kill();
            after_death(&self.world, &newest);
        }
    }

    async fn end_in_peace(mut self) -> Lived {
        let world = Arc::clone(&self.world);
        world.heal();
        if self.far_back {
            self.until(tokio::time::Instant::now() + CLOCK_WAIT).await;
        }
        for process in &self.processes {
            process.gate.kill_at(None);
            process.gate.thaw();
        }
        // By then every write that was delayed has landed.
        tokio::time::sleep(Duration::from_secs(7)).await;
        let rivals = self.processes.len().saturating_sub(1);
        for mut rival in self.processes.drain(..rivals) {
            // It notices its successor, but where the claim of that was lost.
            let ended = rival.end().await;
            assert!(
                matches!(ended, None | Some(Ended::Fenced)) || self.far_back,
                "a rival: {ended:?}"
            );
            after_death(&world, &rival);
        }
        if rivals > 0 {
            self.until(tokio::time::Instant::now() + UNNOTICED).await;
        }
        self.supervise();
        if self.processes.is_empty() {
            self.start();
        }
        self.catch_up().await;
        Arc::clone(&world).trade(5_000, self.seed + 1).await;
        let healed = Healed {
            at_ms: world.elapsed_ms(),
            clock: world.now().second().0,
            far_back: self.far_back,
            grouped: false,
        };
        tokio::time::sleep(Duration::from_secs(14)).await;
        let mut last = self.processes.pop().unwrap();
        assert_eq!(last.ready(&world), Ok(()), "in peace it is ready again");
        for partition in 0..world.partitions.load(SeqCst) {
            let lost = world.ledger().lost_count(last.number, partition);
            assert_eq!(last.offsets_lost(partition), lost, "lost offsets of partition {partition}");
        }
        let held = (last.budget.tokens(), last.budget.panes());
        // After a far step back, panes lie ahead of the clock.
        assert!(held == (0, 0) || self.far_back, "held at the end: {held:?}");
        // Something to pass, but no trade that a flush would be due for.
        for partition in 0..world.partitions.load(SeqCst) {
            world.put(partition, MARKER.into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(last.stop().await, Some(Ended::Stopped), "nobody else is there any more");
        audit::nothing_to_read_again(&world);
        after_death(&world, &last);
        judge::judge(&world, last.number, &healed)
    }

    async fn catch_up(&mut self) {
        let mut waits = 0;
        while !self.processes.last().is_some_and(Process::has_caught_up) {
            waits += 1;
            assert!(waits < 1_200, "not caught up after two minutes");
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.supervise();
        }
    }
}

/// What the world looks like to a successor.
pub(crate) fn after_death(world: &World, process: &Process) {
    for partition in 0..world.partitions.load(SeqCst) {
        let lost = world.ledger().lost_count(process.number, partition);
        let said = process.offsets_lost(partition);
        assert!(said <= lost, "{said} lost offsets of partition {partition}, not {lost}");
    }
    world.ledger().gone(process.number, world.now());
    if process.number == 0 {
        world.first_steps.store(process.gate.steps(), SeqCst);
    }
    audit::store(world);
}
