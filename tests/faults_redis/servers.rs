//! Several Redis servers together: a master with a replica and a sentinel, or a cluster of three.

use std::collections::BTreeSet;
use std::time::Duration;

use support::redis::{RedisServer, free_port};

/// A master, its replica, and the sentinel that promotes it.
pub(crate) struct Watched {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    sentinel: RedisServer,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let master = RedisServer::start_with(&quick);
        let port = master.port().to_string();
        let follow = ["--replicaof", "127.0.0.1", &port];
        let replica = RedisServer::start_with(&[&quick[..], &follow].concat());
        let sentinel = RedisServer::sentinel(&format!(
            "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 1000\n"
        ));
        let watched = Self { master, replica, sentinel };
        watched.settle();
        watched
    }

    /// The URL that names the sentinel.
    pub(crate) fn url(&self) -> String {
        format!("redis-sentinel://{}?sentinelServiceName=mymaster", self.sentinel.addr())
    }

    /// Waits until the replica follows, and the sentinel knows it.
    pub(crate) fn settle(&self) {
        until("a replica that follows", || {
            says(&self.replica, "INFO replication", "master_link_status:up")
                && says(&self.sentinel, "INFO sentinel", "status=ok")
                && says(&self.sentinel, "INFO sentinel", "slaves=1")
        });
    }

    /// The master dies with writes that it had acknowledged and its replica has never seen, and
    /// the replica is promoted. `acknowledged` returns when there were some.
    pub(crate) fn fail_over(&mut self, acknowledged: impl FnOnce()) {
        self.replica.stop();
        // What was sent so far waits in the replica's socket; nothing more comes.
        self.master.command("CLIENT KILL TYPE replica");
        acknowledged();
        self.master.kill();
        self.replica.cont();
        until("a promotion", || says(&self.replica, "INFO replication", "role:master"));
    }

    /// The two change places in order, and the former master goes on to acknowledge what the new
    /// one never sees, until it is told. `acknowledged` returns when there was some of that.
    pub(crate) fn hand_over(&mut self, acknowledged: impl FnOnce()) {
        until("a handover", || says(&self.sentinel, "SENTINEL FAILOVER mymaster", "+OK"));
        until("a promotion", || says(&self.replica, "INFO replication", "role:master"));
        acknowledged();
        // The sentinel would tell it some ten seconds later.
        ok(&self.master, &format!("REPLICAOF 127.0.0.1 {}", self.replica.port()));
        std::mem::swap(&mut self.master, &mut self.replica);
    }
}

/// Three masters.
pub(crate) struct Cluster {
    pub(crate) nodes: [RedisServer; 3],
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes = [(); 3].map(|()| {
            let bus = free_port().to_string();
            let node = RedisServer::start_with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-announce-ip",
                "127.0.0.1",
            ]);
            (node, bus)
        });
        for ((node, _), (first, last)) in nodes.iter().zip(SLOTS) {
            // Else all have the same, and who owns what is settled by chance.
            ok(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", first / 5_000 + 1));
            ok(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            let [(one, bus), ..] = &nodes;
            ok(node, &format!("CLUSTER MEET 127.0.0.1 {} {bus}", one.port()));
        }
        let cluster = Self { nodes: nodes.map(|(node, _)| node) };
        until("a cluster", || {
            cluster.nodes.iter().all(|node| {
                says(node, "CLUSTER INFO", "cluster_state:ok")
                    && says(node, "CLUSTER INFO", "cluster_known_nodes:3")
            })
        });
        cluster
    }

    /// The URL that names one of them.
    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://{}", self.nodes[0].addr())
    }

    /// Moves the slot of `keys` to the next node, key by key; `meanwhile` is called when the slot
    /// is about to move, after each key, and when it has moved.
    pub(crate) fn move_slot(&self, keys: [&str; 2], mut meanwhile: impl FnMut(usize)) {
        let slot = self.nodes[0].command(&format!("CLUSTER KEYSLOT {}", keys[0]));
        let slot: u16 = slot.trim().trim_start_matches(':').parse().unwrap();
        let both = format!("CLUSTER COUNTKEYSINSLOT {slot}");
        let mut owner = 0;
        until("both keys", || {
            let found = self.nodes.iter().position(|node| says(node, &both, ":2"));
            owner = found.unwrap_or_default();
            found.is_some()
        });
        let [from, to, other] = [owner, owner + 1, owner + 2].map(|at| &self.nodes[at % 3]);
        let [from_id, to_id] = [from, to].map(id);
        ok(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
        ok(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
        meanwhile(0);
        for (at, key) in keys.iter().enumerate() {
            ok(from, &format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.port()));
            meanwhile(at + 1);
        }
        // All are told: a node that hears of it by gossip alone may miss it for good.
        for node in [to, from, other] {
            ok(node, &format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
        }
        // Two moves at a time can leave a node with an old view for good: Redis' own trouble.
        until("one view of the slots", || {
            let views = self.nodes.each_ref().map(view);
            views.iter().all(|view| *view == views[0])
        });
        meanwhile(3);
    }
}

/// Who has which slots since which epoch, as this node sees it.
fn view(node: &RedisServer) -> BTreeSet<String> {
    let nodes = node.command("CLUSTER NODES");
    let lines = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let lines = lines.filter(|words| words.len() > 8);
    lines.map(|words| format!("{} {} {:?}", words[0], words[6], &words[8..])).collect()
}

fn id(node: &RedisServer) -> String {
    node.command("CLUSTER MYID").lines().nth(1).unwrap().to_owned()
}

fn ok(node: &RedisServer, words: &str) {
    assert_eq!(node.command(words), "+OK\r\n", "{words}");
}

fn says(server: &RedisServer, words: &str, text: &str) -> bool {
    server.command(words).contains(text)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..POLLS {
        if done() {
            return;
        }
        std::thread::sleep(POLL);
    }
    panic!("waited for {what} in vain");
}

const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];
const POLL: Duration = Duration::from_millis(20);
/// A minute: far above what these take on a busy machine.
const POLLS: u32 = 3_000;
