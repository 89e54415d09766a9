//! Lives that failed once, each with what was wrong then. They are written out: what a seed makes
//! changes with the plans' generator.

use aggregator_service::domain::token::Shards;

use crate::plan::What::{
    ClockStep, Freeze, Kill, Out, Remake, Start, Stop, StoreBehind, StoreEmpty, Truncate,
    Weather as W,
};
use crate::plan::{Fault, Outage, Plan, Weather, fault};

type Kept = (&'static str, Plan);

pub(crate) fn plans() -> Vec<Kept> {
    [of_the_log(), of_the_checkpoint()].concat()
}

fn plan(seed: u64, trading_ms: u32, faults: &[Fault]) -> Plan {
    Plan { seed, shards: Shards::DEFAULT, trading_ms, faults: faults.to_vec() }
}

fn of_the_log() -> Vec<Kept> {
    vec![
        (
            "some shards knew of a log made anew, others not: a successor read it again for all",
            plan(
                3_168_704_747,
                22_410,
                &[
                    fault(2_713, Stop),
                    fault(2_913, Remake(373)),
                    fault(3_422, Start),
                    fault(8_558, Freeze),
                    fault(9_029, Start),
                ],
            ),
        ),
        (
            "what retention took was counted once for each shard",
            plan(
                1,
                9_000,
                &[
                    fault(5_000, Kill),
                    fault(6_990, Truncate { partition: 0, keep: 0 }),
                    fault(7_000, Start),
                ],
            ),
        ),
        (
            "reading went back behind what some shards had counted: it counted twice",
            plan(
                3,
                20_000,
                &[
                    fault(8_000, Kill),
                    fault(8_000, Out(Outage::Fetches(0), 5_000)),
                    fault(8_300, Start),
                    fault(10_000, Truncate { partition: 0, keep: 40 }),
                ],
            ),
        ),
        (
            "a start under a clock that was ahead for a while published windows of then",
            plan(
                3_542_363_009,
                14_385,
                &[
                    fault(0, W(Weather::Slow, 38)),
                    fault(9_481, Start),
                    fault(11_299, ClockStep(19_515)),
                    fault(12_791, ClockStep(-69_893)),
                ],
            ),
        ),
    ]
}

fn of_the_checkpoint() -> Vec<Kept> {
    vec![
        (
            "a checkpoint was written anew without what was owed to tokens that had just ended",
            plan(
                1_723_200_835,
                14_484,
                &[
                    fault(12_412, StoreEmpty),
                    fault(12_918, ClockStep(-4_675)),
                    fault(15_593, Out(Outage::Producing, 9_000)),
                    fault(23_115, Kill),
                ],
            ),
        ),
        (
            "a claim was lost, and the entry of its owner was taken for one's own of that number",
            plan(
                2_898_292_823,
                10_567,
                &[
                    fault(0, W(Weather::Slow, 35)),
                    fault(0, W(Weather::FetchFails, 35)),
                    fault(0, W(Weather::ClaimReplyLost, 1_400)),
                    fault(0, W(Weather::ProduceFails, 35)),
                    fault(0, W(Weather::ProduceTakesEffectLater, 35)),
                    fault(0, W(Weather::ProduceArrivesTwice, 35)),
                    fault(0, W(Weather::LettersSlow, 35)),
                    fault(3_433, Start),
                    fault(4_639, Kill),
                    fault(6_889, Start),
                    fault(8_360, StoreBehind { claims: true }),
                ],
            ),
        ),
    ]
}
