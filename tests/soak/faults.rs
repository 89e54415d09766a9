//! The faults: what is done to the service and to its servers, and what must follow at once.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use support::signals::{halt, resume};

use crate::service::{PATIENCE, Service};
use crate::world::World;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Killed,
    Stopped,
    Frozen,
    TakenOver,
    Zombie,
    KafkaKilled,
    KafkaFrozen,
    RedisEmpty,
    RedisFrozen,
    RedisFlushed,
}

/// Every fault, and what it is called.
pub(crate) const FAULTS: [(Fault, &str); 10] = [
    (Fault::Killed, "service killed −9, started again"),
    (Fault::Stopped, "service stopped by SIGTERM, started again"),
    (Fault::Frozen, "service frozen (SIGSTOP)"),
    (Fault::TakenOver, "a second instance takes over"),
    (Fault::Zombie, "service frozen, another takes over, the first wakes"),
    (Fault::KafkaKilled, "Kafka killed −9, started again"),
    (Fault::KafkaFrozen, "Kafka frozen (SIGSTOP)"),
    (Fault::RedisEmpty, "Redis killed, comes back empty"),
    (Fault::RedisFrozen, "Redis frozen (SIGSTOP)"),
    (Fault::RedisFlushed, "FLUSHALL"),
];

impl Fault {
    fn name(self) -> &'static str {
        FAULTS.iter().find(|(fault, _)| *fault == self).unwrap().1
    }
}

/// The faults in an order of chance: each kind once, then each again.
pub(crate) struct Deck(Vec<Fault>);

impl Deck {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn draw(&mut self, rng: &mut StdRng) -> Fault {
        let Self(rest) = self;
        if rest.is_empty() {
            rest.extend(FAULTS.map(|(fault, _)| fault));
        }
        let fault = *rest.choose(rng).unwrap();
        rest.retain(|other| *other != fault);
        fault
    }
}

impl World<'_> {
    /// Inflicts a fault, which lasts for `lasts` where it is one that lasts; returns when the
    /// service is ready again.
    pub(crate) fn inflict(&mut self, fault: Fault, lasts: Duration, service: Service) -> Service {
        self.shared.begins(fault.name());
        self.look(&service);
        let service = match fault {
            Fault::Killed => {
                let pid = service.pid.clone();
                service.kill9();
                self.ended(&pid);
                self.start()
            }
            Fault::Stopped => {
                self.stop(service);
                self.start()
            }
            Fault::Frozen => {
                freeze(&service.pid, lasts);
                service
            }
            Fault::TakenOver => self.take_over(service, Duration::ZERO),
            Fault::Zombie => self.take_over(service, lasts),
            Fault::KafkaKilled => {
                self.kafka.kill9();
                std::thread::sleep(lasts);
                self.kafka.restart();
                service
            }
            Fault::KafkaFrozen => {
                self.kafka.stop();
                std::thread::sleep(lasts);
                self.kafka.cont();
                service
            }
            Fault::RedisEmpty => {
                self.redis.kill();
                std::thread::sleep(lasts);
                self.redis.restart_empty();
                service
            }
            Fault::RedisFrozen => {
                self.redis.stop();
                std::thread::sleep(lasts);
                self.redis.cont();
                service
            }
            Fault::RedisFlushed => {
                assert_eq!(self.redis.command("FLUSHALL"), "+OK\r\n");
                service
            }
        };
        let over = Instant::now();
        service.ready();
        self.shared.is_over(over.elapsed());
        service
    }

    /// Stops the service in order.
    pub(crate) fn stop(&mut self, service: Service) {
        service.terminate();
        let code = service.exit_code(PATIENCE);
        self.ended(&service.pid);
        if code != 0 || service.log().contains("stopped at the deadline") {
            self.seen.broken_stops += 1;
            println!("ended with {code}:\n{}", service.log());
        }
    }

    /// Another instance takes over; the older is frozen meanwhile where `frozen` says so.
    fn take_over(&mut self, older: Service, frozen: Duration) -> Service {
        if !frozen.is_zero() {
            halt(&older.pid);
        }
        let newer = self.start();
        newer.ready();
        if !frozen.is_zero() {
            std::thread::sleep(frozen);
            resume(&older.pid);
        }
        let code = older.exit_code(PATIENCE);
        self.ended(&older.pid);
        assert_eq!(code, 75, "the older ends: {}", older.log());
        newer
    }
}

/// How long a fault lasts that is one among those of every `period`.
pub(crate) fn lasts(rng: &mut StdRng, period: Duration) -> Duration {
    period.mul_f64(rng.random_range(0.08..0.33))
}

/// Halts a process for some time.
fn freeze(pid: &str, lasts: Duration) {
    halt(pid);
    std::thread::sleep(lasts);
    resume(pid);
}
