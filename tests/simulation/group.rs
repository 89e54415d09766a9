//! A group's life: several processes share the shards. They come, are asked to stop, die, or hang
//! for longer than the session lasts and wake when others have what was theirs, while calls fail,
//! come late and arrive twice. Then peace, then the judge, who besides all else lets no two members
//! say different things of a tick.
//!
//! And one that is wide: the routing is one seam, so nothing but time is against sixteen members,
//! each of which reads a thousand partitions.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use aggregator_service::domain::token::Shards;
use aggregator_service::local::LocalGroup;
use aggregator_service::pipeline::Ended;
use aggregator_service::ports::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::audit;
use crate::judge::{self, Healed, Lived};
use crate::life::{after_death, runtime};
use crate::plan::{Outage, Plan, Weather, shards};
use crate::process::Process;
use crate::world::{MARKER, TICK, World};

/// How long trades come in under faults.
const TRADING_MS: u32 = 24_000;

/// How long a member is not heard of before it is one no more.
const SESSION: Duration = Duration::from_secs(3);

/// Until those that follow know of the last tick: it is written, and asked for, every five seconds.
const FOLLOWED: Duration = Duration::from_secs(12);

/// Members at a time at most.
const MEMBERS: usize = 4;

/// Of the life in which members come: trades, and how long a load takes. Of 16 at a time the 32 of
/// the second would take two ticks.
const JOINING_MS: u32 = 90_000;
const LOAD: Duration = Duration::from_secs(2);

/// Of the life in which shards move over and over.
const SLOW_ONE_IN: u32 = 4;
const BETWEEN_MOVES: Duration = Duration::from_secs(5);

/// Of the wide life: trades under faults, members, partitions, and tokens that trade all the time.
const WIDE_TRADING_MS: u32 = 12_000;
const WIDE_MEMBERS: usize = 16;
const WIDE_PARTITIONS: i32 = 1_024;
const WIDE_TOKENS: u32 = 200;

/// Records come in by so many.
const WIDE_MARKETS: u64 = 3;

/// By then all that hung have woken, and every write that was delayed has landed.
const UNTIL_CALM: Duration = Duration::from_secs(12);

/// Lives a seed.
pub(crate) fn live(seed: u64) -> Lived {
    runtime().block_on(Group::new(seed).life())
}

/// Lives a seed with many members and partitions.
pub(crate) fn live_wide(seed: u64) -> Lived {
    runtime().block_on(Group::wide(seed).wide_life())
}

/// Lives a seed in which members come and go one by one, and a load takes more than a tick.
pub(crate) fn live_joined(seed: u64) -> Lived {
    runtime().block_on(Group::slow(seed).joined_life())
}

/// Lives a seed in which shards move the cold way over and over, while any call may be slow.
pub(crate) fn live_moved(seed: u64) -> Lived {
    runtime().block_on(Group::new(2 * seed).moved_life())
}

struct Group {
    world: Arc<World>,
    group: Arc<LocalGroup>,
    rng: StdRng,
    seed: u64,
    members: Vec<Member>,
}

struct Member {
    id: String,
    process: Process,
}

impl Group {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let shards = shards(&mut rng);
        let plan = Plan { seed, shards, trading_ms: TRADING_MS, faults: Vec::new() };
        Self::of(World::new(&plan), rng, seed)
    }

    fn wide(seed: u64) -> Self {
        let (shards, faults) = (Shards::DEFAULT, Vec::new());
        let plan = Plan { seed, shards, trading_ms: WIDE_TRADING_MS, faults };
        let world = World::wide(&plan, WIDE_PARTITIONS, WIDE_TOKENS);
        Self::of(world, StdRng::seed_from_u64(seed), seed)
    }

    fn slow(seed: u64) -> Self {
        let seed = seed | 1; // of those that warm up
        let (shards, faults) = (Shards::DEFAULT, Vec::new());
        let plan = Plan { seed, shards, trading_ms: JOINING_MS, faults };
        let mut world = World::new(&plan);
        world.load = LOAD;
        Self::of(world, StdRng::seed_from_u64(seed), seed)
    }

    fn of(mut world: World, rng: StdRng, seed: u64) -> Self {
        world.grouped = true;
        // In every third life nobody follows, in every other third one or two. Of a single shard
        // nobody does: the store could not tell why its newest entry is asked for.
        let followed = world.shards.count() > 1;
        let replicas = if followed { u16::try_from(seed % 3).unwrap() } else { 0 };
        // Every other one moves shards as versions before the warm-up do.
        let group = if seed.is_multiple_of(2) {
            LocalGroup::cold(world.shards, replicas)
        } else {
            LocalGroup::with_standbys(world.shards, replicas)
        };
        Self { world: Arc::new(world), group, rng, seed, members: Vec::new() }
    }

    /// Nobody misses more than a tick of any token: what moves is followed before.
    async fn joined_life(mut self) -> Lived {
        let market = tokio::spawn(Arc::clone(&self.world).trade(JOINING_MS, self.seed));
        self.join();
        self.catch_up().await;
        // Until each shard was written.
        tokio::time::sleep(UNTIL_CALM).await;
        let from = self.world.now().second().0;
        for _ in 0..2 {
            self.join();
            self.are_even().await;
        }
        for one in 0..2 {
            self.stop(one).await;
            self.are_even().await;
        }
        let (silence, token) = judge::longest_silence(&self.world, from);
        assert!(silence <= TICK, "{token} is missing for {silence} s");
        market.await.unwrap();
        self.end_in_peace().await
    }

    async fn moved_life(mut self) -> Lived {
        let market = tokio::spawn(Arc::clone(&self.world).trade(TRADING_MS, self.seed));
        self.world.set_weather(Weather::Slow, SLOW_ONE_IN);
        self.join();
        while self.world.elapsed_ms() < TRADING_MS.into() {
            self.join();
            tokio::time::sleep(BETWEEN_MOVES).await;
            self.stop(0).await;
        }
        market.await.unwrap();
        self.end_in_peace().await
    }

    /// All but one are there at the begin, the last one comes later; one is killed, one hangs.
    async fn wide_life(mut self) -> Lived {
        let market = |part| Arc::clone(&self.world).trade(WIDE_TRADING_MS, self.seed + part);
        let markets: Vec<_> = (0..WIDE_MARKETS).map(|part| tokio::spawn(market(part))).collect();
        (1..WIDE_MEMBERS).for_each(|_| self.join());
        self.are_even().await;
        self.join();
        self.are_even().await;
        let one = self.rng.random_range(0..self.members.len());
        self.members[one].process.gate.kill();
        self.clear_away();
        self.join();
        let one = self.rng.random_range(0..self.members.len());
        self.hang(one);
        for market in markets {
            market.await.unwrap();
        }
        self.are_even().await;
        self.end_in_peace().await
    }

    /// Waits until each has its share of the shards.
    async fn are_even(&self) {
        let share =
            i64::from(self.world.shards.count()) / i64::try_from(self.members.len()).unwrap();
        let has_share = |member: &Member| (share..=share + 1).contains(&member.process.shards());
        for _ in 0..600 {
            if self.members.iter().all(has_share) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no even shares after a minute");
    }

    async fn life(mut self) -> Lived {
        let market = tokio::spawn(Arc::clone(&self.world).trade(TRADING_MS, self.seed));
        self.join();
        while self.world.elapsed_ms() < TRADING_MS.into() {
            let pause = self.rng.random_range(50..4_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.clear_away();
            self.suffer().await;
        }
        market.await.unwrap();
        self.end_in_peace().await
    }

    fn join(&mut self) {
        let id = format!("member-{}", self.world.ledger().count());
        let seat = self.group.join(&id, "");
        let process = Process::seated(&self.world, self.seed, seat);
        self.members.push(Member { id, process });
    }

    /// Members that have died: the group notices that at the end of their session.
    fn clear_away(&mut self) {
        let gone = |member: &mut Member| {
            assert!(member.process.gate.is_dead() || !member.process.is_over(), "it ended itself");
            member.process.gate.is_dead()
        };
        for member in self.members.extract_if(.., gone) {
            member.process.kill();
            after_death(&self.world, &member.process);
            let group = Arc::clone(&self.group);
            tokio::spawn(async move {
                tokio::time::sleep(SESSION).await;
                group.leave(&member.id);
            });
        }
    }

    async fn suffer(&mut self) {
        let one = self.rng.random_range(0..self.members.len().max(1));
        match self.rng.random_range(0..10) {
            _ if self.members.is_empty() => self.join(),
            0..3 if self.members.len() < MEMBERS => self.join(),
            0..3 => self.stop(one).await,
            3 => self.members[one].process.gate.kill(),
            4 => {
                let calls = self.rng.random_range(1..400);
                self.members[one].process.gate.kill_at(Some(calls));
            }
            5 => self.stop(one).await,
            6 | 7 => self.hang(one),
            8 => {
                let outages = [Outage::Store, Outage::Producing, Outage::Fetches(0)];
                let outage = outages[self.rng.random_range(0..outages.len())];
                self.world.take_out(outage, self.rng.random_range(500..4_000));
            }
            _ => {
                let weather = Weather::ALL[self.rng.random_range(0..Weather::ALL.len())];
                let one_in = [0, 4, 10, 40][self.rng.random_range(0..4)];
                self.world.set_weather(weather, one_in);
            }
        }
    }

    async fn stop(&mut self, one: usize) {
        if self.members[one].process.gate.is_frozen() {
            return;
        }
        let Member { id, mut process } = self.members.remove(one);
        let ended = process.stop().await;
        assert!(matches!(ended, None | Some(Ended::Stopped)), "it was asked to stop: {ended:?}");
        after_death(&self.world, &process);
        if ended.is_none() {
            tokio::time::sleep(SESSION).await;
        }
        self.group.leave(&id);
    }

    /// Stands still; wakes before its session ends, or after.
    fn hang(&mut self, one: usize) {
        let Member { id, process } = &self.members[one];
        if process.gate.is_frozen() {
            return;
        }
        process.gate.freeze();
        let (id, gate, group) = (id.clone(), Arc::clone(&process.gate), Arc::clone(&self.group));
        let wakes = Duration::from_millis(self.rng.random_range(500..8_000));
        tokio::spawn(async move {
            let evicted = wakes > SESSION;
            tokio::time::sleep(wakes.min(SESSION)).await;
            if evicted {
                group.evict(&id);
                tokio::time::sleep(wakes - SESSION).await;
            }
            gate.thaw();
            if evicted && !gate.is_dead() {
                tokio::time::sleep(Duration::from_millis(200)).await;
                group.return_of(&id);
            }
        });
    }

    async fn end_in_peace(mut self) -> Lived {
        let world = Arc::clone(&self.world);
        world.heal();
        for member in &self.members {
            member.process.gate.kill_at(None);
        }
        tokio::time::sleep(UNTIL_CALM).await;
        self.clear_away();
        tokio::time::sleep(SESSION).await;
        if self.members.is_empty() {
            self.join();
        }
        self.catch_up().await;
        Arc::clone(&world).trade(5_000, self.seed + 1).await;
        let (at_ms, clock) = (world.elapsed_ms(), world.now().second().0);
        let healed = Healed { at_ms, clock, far_back: false, grouped: true };
        tokio::time::sleep(Duration::from_secs(14)).await;
        // What is followed empties with the last ticks that the checkpoint says.
        tokio::time::sleep(FOLLOWED).await;
        for member in &self.members {
            assert_eq!(member.process.ready(&world), Ok(()), "in peace it is ready again");
            let held = (member.process.budget.tokens(), member.process.budget.panes());
            assert_eq!(held, (0, 0), "held at the end");
        }
        for partition in 0..world.partitions.load(SeqCst) {
            world.put(partition, MARKER.into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut last = 0;
        for Member { mut process, .. } in self.members {
            assert_eq!(process.stop().await, Some(Ended::Stopped));
            after_death(&world, &process);
            last = process.number;
        }
        audit::nothing_to_read_again(&world);
        judge::judge(&world, last, &healed)
    }

    async fn catch_up(&self) {
        for _ in 0..1_200 {
            if self.members.iter().all(|member| member.process.has_caught_up()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not caught up after two minutes");
    }
}
