//! A consumer that is not ours, beside the instances: `kcat`, which is librdkafka's, in a group of
//! its own. It reads the input for as long as it lives, and notes each record and whatever happens
//! to its membership.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::topic::Topic;
use support::install;
use support::kafka::KafkaBroker;

/// For what it has not read yet, when nothing more comes.
const READS_WITHIN: Duration = Duration::from_secs(30);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A running consumer, and where it writes.
pub(crate) struct Foreign {
    process: Child,
    folder: TempDir,
}

impl Foreign {
    /// Reads `topic` from its begin.
    pub(crate) fn start(broker: &KafkaBroker, topic: &str) -> Self {
        install::ensure("kcat", &["kcat"]);
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| File::create(folder.path().join(name)).expect("a file");
        let process = Command::new("kcat")
            .args(["-b", &broker.address(), "-G", "foreign"])
            .args(["-X", "auto.offset.reset=earliest", "-u", "-f", "%p %o\n", topic])
            .stdin(Stdio::null())
            .stdout(file("records"))
            .stderr(file("said"))
            .spawn()
            .expect("kcat");
        Self { process, folder }
    }

    /// It has read each record of the topic once, in order, and was never disturbed: it was given
    /// the partitions when it came, and nothing else was ever said to it.
    pub(crate) fn was_undisturbed(mut self, topic: &Topic) {
        let ends: Vec<_> = (0..).zip(topic.ends()).collect();
        let begun = Instant::now();
        let read = loop {
            let read = self.read();
            if read.iter().map(|(partition, next)| (*partition, *next)).eq(ends.iter().copied()) {
                break read;
            }
            assert!(begun.elapsed() < READS_WITHIN, "{read:?} of {ends:?}: {}", self.said());
            std::thread::sleep(LOOK);
        };
        self.process.kill().expect("it still runs");
        let said = self.said();
        let lines: Vec<_> = said.lines().filter(|line| !line.contains("Reached end")).collect();
        let [waits, given] = lines.as_slice() else { panic!("{said}") };
        assert!(waits.contains("Waiting for group rebalance"), "{said}");
        assert!(given.contains("assigned:"), "{said}");
        println!("a consumer of librdkafka beside them: {read:?}, {given}");
    }

    /// Which offset would come next, by partition. Each came once, and in order.
    fn read(&self) -> BTreeMap<i32, i64> {
        let mut read = BTreeMap::new();
        let text = fs::read_to_string(self.folder.path().join("records")).expect("its records");
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        for line in whole.lines() {
            let (partition, offset) = line.split_once(' ').expect("partition and offset");
            let next = read.entry(partition.parse().expect("a partition")).or_insert(0);
            assert_eq!(offset.parse(), Ok(*next), "partition {partition}");
            *next += 1;
        }
        read
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).expect("what it said")
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // One that was killed is waited for here.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
