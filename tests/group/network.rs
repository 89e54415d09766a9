//! Members and the coordinator with a network between them: requests and answers take time, get
//! lost, and are given up. Each member has a pipeline that lets go after a while. At every step it
//! is checked that no two members may publish one shard.

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::token::ShardId;
use aggregator_service::kafka::group::{Answer, Call, GroupError, Machine, Next, Permit};
use aggregator_service::ports::group::{Assignment, Here};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config;
use crate::model::{Coordinator, Ticket};

/// One step of time.
pub(crate) const STEP: Duration = Duration::from_millis(20);

/// A process, or the place where one was.
#[derive(Debug)]
pub(crate) struct Place {
    name: String,
    fixed: bool,
    pub(crate) process: Option<Process>,
    /// One that lives on while another began under its name.
    pub(crate) older: Option<Process>,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) machine: Machine,
    pub(crate) assignment: Option<Arc<Assignment>>,
    permit: Permit,
    pub(crate) lease: watch::Receiver<Option<Instant>>,
    /// What it has, and what it follows.
    pub(crate) here: Here,
    /// When that is what it was told to follow.
    follows: Instant,
    /// When it lets go of what it was not assigned.
    lets_go: Instant,
    /// Stopped, and lives on then.
    pub(crate) hangs_until: Instant,
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    ticket: Ticket,
    sent: Instant,
    given_up: Instant,
    /// `None`: the connection broke.
    answer: Option<(Instant, Option<Answer>)>,
}

struct Flight {
    ticket: Ticket,
    place: usize,
    arrives: Instant,
    to: Option<String>,
    call: Call,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) coordinator: Coordinator,
    pub(crate) places: Vec<Place>,
    flights: Vec<Flight>,
    tickets: Ticket,
    /// Nobody ever follows what it was told to.
    pub(crate) none_is_ready: bool,
    /// Of a hundred messages so many are lost.
    pub(crate) losses: u32,
    pub(crate) random: StdRng,
}

impl World {
    /// Places for members, half of them static.
    pub(crate) fn new(places: usize, seed: u64) -> Self {
        let place =
            |at| Place { name: format!("p{at}"), fixed: at % 2 == 0, process: None, older: None };
        Self {
            now: Instant::now(),
            coordinator: Coordinator::new(),
            places: (0..places).map(place).collect(),
            flights: Vec::new(),
            tickets: 0,
            none_is_ready: false,
            losses: 0,
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(crate) fn start(&mut self, at: usize) {
        let place = &mut self.places[at];
        let machine = Machine::new(config(place.fixed.then_some(&*place.name)));
        let (shown, lease) = watch::channel(None);
        place.older = place.process.replace(Process {
            machine,
            assignment: None,
            permit: Permit::new(shown, self.now),
            lease,
            here: Here::default(),
            follows: self.now,
            lets_go: self.now,
            hangs_until: self.now,
            asked: None,
        });
    }

    /// It ends and says so; whether that is heard is a matter of the network.
    pub(crate) fn stop(&mut self, at: usize) {
        let Some(mut process) = self.places[at].process.take() else { return };
        let to = process.machine.coordinator().map(str::to_owned);
        for call in process.machine.farewell(&[]) {
            let (ticket, arrives) = (self.ticket(), self.arrival(at));
            self.send(Flight { ticket, place: at, arrives, to: to.clone(), call });
        }
    }

    /// All connections break.
    pub(crate) fn cut(&mut self) {
        self.flights.clear();
        for process in self.places.iter_mut().flat_map(Place::processes) {
            if let Some(asked) = &mut process.asked {
                asked.answer = Some((self.now, None));
            }
        }
    }

    /// Time goes on by one step.
    pub(crate) fn step(&mut self) {
        self.now += STEP;
        self.arrive();
        self.coordinator.tick(self.now);
        for (ticket, answer) in self.coordinator.take_ready() {
            let (lost, at) = (self.lost(), self.now + self.delay());
            let processes = self.places.iter_mut().flat_map(Place::processes);
            let mut asked = processes.filter_map(|process| process.asked.as_mut());
            if let Some(asked) = asked.find(|asked| asked.ticket == ticket && !lost) {
                asked.answer = Some((at, Some(answer)));
            }
        }
        for at in 0..self.places.len() {
            self.live(at, |place| &mut place.process);
            self.live(at, |place| &mut place.older);
        }
        self.check();
    }

    fn arrive(&mut self) {
        let (arrived, flying) =
            std::mem::take(&mut self.flights).into_iter().partition(|one| one.arrives <= self.now);
        self.flights = flying;
        let mut arrived: Vec<Flight> = arrived;
        arrived.sort_by_key(|one| (one.arrives, one.ticket));
        for one in arrived {
            let here = format!("moved:{}", self.coordinator.moves);
            if one.to.is_none_or(|to| to == here) {
                self.coordinator.handle(self.now, one.ticket, &one.call);
            } else {
                self.refuse(one.place, one.ticket);
            }
        }
    }

    /// The broker that coordinated before is not there any more.
    fn refuse(&mut self, place: usize, ticket: Ticket) {
        let mut asked = self.places[place].processes().filter_map(|one| one.asked.as_mut());
        if let Some(asked) = asked.find(|asked| asked.ticket == ticket) {
            asked.answer = Some((self.now, None));
        }
    }

    fn live(&mut self, at: usize, which: fn(&mut Place) -> &mut Option<Process>) {
        let (now, cold) = (self.now, self.none_is_ready);
        let pauses = [(); 2].map(|()| Duration::from_millis(self.random.random_range(0..3_000)));
        let one = which(&mut self.places[at]);
        let Some(process) = one else { return };
        if process.hangs_until > now {
            return;
        }
        process.permit.pulse(now);
        if let Err(last) = process.hear(now) {
            assert!(matches!(last, GroupError::Fenced { .. }), "{last}");
            *one = None;
            return;
        }
        if let Some(told) = process.machine.told() {
            process.here.held.extend(&told.shards);
            process.here.ready.retain(|shard| told.standby.contains(shard));
            process.assignment = Some(Arc::new(told));
            [process.lets_go, process.follows] = pauses.map(|pause| now + pause);
        }
        process.permit.granted(now, process.machine.lease(now));
        if let Some(told) = process.assignment.as_ref().filter(|_| process.lets_go <= now) {
            process.here.held.clone_from(&told.shards);
        }
        if let Some(told) = process.assignment.as_ref().filter(|_| process.follows <= now && !cold)
        {
            process.here.ready.clone_from(&told.standby);
        }
        if process.asked.is_some() {
            return;
        }
        let Process { machine, here, .. } = process;
        let Next::Ask(call) = machine.next(now, here, &POSITIONS) else { return };
        let given_up = now + process.machine.limit(&call);
        let to = process.machine.coordinator().map(str::to_owned);
        let ticket = self.ticket();
        let arrives = self.arrival(at);
        if let Some(process) = which(&mut self.places[at]) {
            process.asked = Some(Asked { ticket, sent: now, given_up, answer: None });
        }
        self.send(Flight { ticket, place: at, arrives, to, call: *call });
    }

    fn send(&mut self, flight: Flight) {
        if !self.lost() {
            self.flights.push(flight);
        }
    }

    /// Requests of one member do not overtake each other.
    fn arrival(&mut self, place: usize) -> Instant {
        let after = self.now + self.delay();
        let before = self.flights.iter().filter(|one| one.place == place);
        before.map(|one| one.arrives).max().map_or(after, |before| before.max(after))
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    fn delay(&mut self) -> Duration {
        let slow = self.losses > 0 && self.random.random_ratio(1, 50);
        let most = if slow { 4_000 } else { 60 };
        Duration::from_millis(self.random.random_range(0..most))
    }

    fn lost(&mut self) -> bool {
        self.random.random_range(0..100) < self.losses
    }

    /// Those who may publish a shard now.
    pub(crate) fn publishers(&self, shard: ShardId) -> usize {
        let processes = self.places.iter().flat_map(|place| [&place.process, &place.older]);
        processes.flatten().filter(|process| process.may_publish(shard, self.now)).count()
    }

    /// Who knows what, for one who has to find out.
    pub(crate) fn picture(&self) -> String {
        let line = |place: &Place| {
            let process = place.process.as_ref()?;
            let told = process.assignment.as_ref();
            let shards: Vec<_> =
                told.iter().flat_map(|told| &told.shards).map(|shard| shard.0).collect();
            let lease =
                process.lease.borrow().map(|until| until.saturating_duration_since(self.now));
            let hangs = process.hangs_until > self.now;
            let status = process.machine.status();
            let name = &place.name;
            Some(format!("\n{name} {status:?} lease {lease:?} hangs {hangs} shards {shards:?}"))
        };
        self.places.iter().filter_map(line).collect()
    }

    fn check(&self) {
        for shard in (0..64).map(ShardId) {
            let publishers = self.publishers(shard);
            assert!(publishers <= 1, "{publishers} may publish {shard:?}: {}", self.picture());
        }
    }
}

const POSITIONS: [(Partition, Offset); 1] = [(Partition(0), Offset(1))];

impl Place {
    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        [&mut self.process, &mut self.older].into_iter().flatten()
    }
}

impl Process {
    /// Takes an answer, or that there is none.
    fn hear(&mut self, now: Instant) -> Result<(), GroupError> {
        let Some(asked) = &mut self.asked else { return Ok(()) };
        let sent = asked.sent;
        match asked.answer.take_if(|(at, _)| *at <= now) {
            Some((_, Some(answer))) => {
                self.machine.answered(sent, now, answer)?;
            }
            Some((_, None)) => self.machine.failed(now, "the connection broke"),
            None if asked.given_up <= now => self.machine.failed(now, "no answer"),
            None => return Ok(()),
        }
        self.asked = None;
        Ok(())
    }

    fn may_publish(&self, shard: ShardId, now: Instant) -> bool {
        let leased = self.lease.borrow().is_some_and(|until| until > now);
        leased && self.assignment.as_ref().is_some_and(|told| told.shards.contains(&shard))
    }
}
