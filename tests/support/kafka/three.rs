//! Three brokers that are one cluster: every topic in three copies, two of which acknowledge. So
//! are the groups': there is a coordinator whichever broker dies.

use super::{BRIEF_JVM, KafkaBroker, Release, free_ports};

/// The brokers 1, 2 and 3. One that dies loses its partitions after some three seconds.
pub fn start_three() -> Vec<KafkaBroker> {
    let ports = [(); 3].map(|()| free_ports());
    let voter = |(id, [_, controller]): (usize, [u16; 2])| format!("{id}@127.0.0.1:{controller}");
    let voters: Vec<_> = (1..).zip(ports).map(voter).collect();
    let voters = voters.join(",");
    std::thread::scope(|scope| {
        // Each waits for an answer, which one alone does not give.
        let starting: Vec<_> = (1..)
            .zip(ports)
            .map(|(id, ports): (usize, _)| {
                let (id, voters) = (id.to_string(), &voters);
                scope.spawn(move || {
                    let properties = [
                        ("node.id", id.as_str()),
                        ("controller.quorum.voters", voters),
                        ("default.replication.factor", "3"),
                        ("offsets.topic.replication.factor", "3"),
                        ("min.insync.replicas", "2"),
                        ("broker.session.timeout.ms", "3000"),
                        ("broker.heartbeat.interval.ms", "500"),
                    ];
                    KafkaBroker::launch(ports, &properties, Release::Four, &BRIEF_JVM)
                })
            })
            .collect();
        starting.into_iter().map(|broker| broker.join().expect("a broker")).collect()
    })
}
