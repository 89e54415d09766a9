//! Where scenarios play: the cluster as tests and service reach it, and the broker that scenarios
//! share. It is never broken itself; what is bad lies in proxies before it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use aggregator_service::kafka::KafkaConfig;

use support::kafka::{KafkaBroker, Session, free_ports};
use support::proxy::Proxy;

/// The broker that scenarios share.
pub(crate) struct Shared {
    pub(crate) broker: KafkaBroker,
    /// Each before a listener of its own, so that a scenario has its weather for itself.
    pub(crate) proxies: Vec<Proxy>,
    session: Mutex<Session>,
}

impl Shared {
    /// A Java client that changes topics.
    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shared broker.
pub(crate) fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let ports: [u16; PROXIES] = free_ports();
        let proxies: Vec<_> = ports.iter().map(|port| Proxy::to(&local(*port))).collect();
        let list = |each: &dyn Fn(usize) -> String| {
            (0..PROXIES).map(|at| format!(",PROXIED{at}:{}", each(at))).collect::<String>()
        };
        let listeners = list(&|at| format!("//{}", local(ports[at])));
        let advertised = list(&|at| format!("//{}", proxies[at].addr()));
        let broker = KafkaBroker::start_for_load(&[
            ("+listeners", &listeners),
            ("+advertised.listeners", &advertised),
            ("+listener.security.protocol.map", &list(&|_| "PLAINTEXT".to_owned())),
            ("log.retention.check.interval.ms", "300"),
        ]);
        let session = Mutex::new(Session::start(&broker.address()));
        Shared { broker, proxies, session }
    })
}

/// How tests reach a cluster of several brokers.
pub(crate) fn config(brokers: &[KafkaBroker]) -> KafkaConfig {
    let addresses = brokers.iter().map(KafkaBroker::address).collect();
    KafkaConfig { brokers: addresses, ..brokers[0].config() }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

const PROXIES: usize = 4;
