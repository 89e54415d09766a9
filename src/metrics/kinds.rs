//! The kinds of figures, and how each is made from its name, its help and its label.
//!
//! Histograms have the bounds that Prometheus' native ones have: powers of two for durations
//! (its schema 0), powers of four for sizes (schema -1). So series of before and after a change to
//! native ones fit together, a quantile is off by less than the factor, and 18 series hold the
//! whole range; √2 would double them. The crate speaks the text format alone, which has no native
//! histograms; for them it would need protobuf, more than all figures together.

use std::ops::Deref;

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Makes a figure and has it gathered.
pub(super) fn register<F: Figure>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<F, Error> {
    let figure = F::make(name, help.trim(), labels)?;
    registry.register(figure.collector())?;
    Ok(figure)
}

/// A histogram of bytes; of seconds is [`Histogram`] itself.
#[derive(Clone, Debug)]
pub struct Sizes(Histogram);

impl Deref for Sizes {
    type Target = Histogram;

    fn deref(&self) -> &Histogram {
        &self.0
    }
}

/// What can be made and gathered.
pub(super) trait Figure: Sized {
    fn make(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error>;

    fn collector(&self) -> Box<dyn Collector>;
}

macro_rules! figures {
    ($($kind:ident: |$opts:ident, $labels:ident| $make:expr;)+) => {$(
        impl Figure for $kind {
            fn make(name: &str, help: &str, $labels: &[&str]) -> Result<Self, Error> {
                let $opts = Opts::new(name, help);
                debug_assert!($labels.len() <= 1, "one label a figure");
                $make
            }

            fn collector(&self) -> Box<dyn Collector> {
                Box::new(self.clone())
            }
        }
    )+};
}

figures! {
    IntCounter: |opts, labels| IntCounter::with_opts(opts);
    IntGauge: |opts, labels| IntGauge::with_opts(opts);
    Gauge: |opts, labels| Gauge::with_opts(opts);
    IntCounterVec: |opts, labels| IntCounterVec::new(opts, labels);
    IntGaugeVec: |opts, labels| IntGaugeVec::new(opts, labels);
    GaugeVec: |opts, labels| GaugeVec::new(opts, labels);
    Histogram: |opts, labels| Histogram::with_opts(
        HistogramOpts::from(opts).buckets(SECONDS.to_vec())
    );
}

impl Figure for Sizes {
    fn make(name: &str, help: &str, _: &[&str]) -> Result<Self, Error> {
        let opts = HistogramOpts::new(name, help).buckets(BYTES.to_vec());
        Histogram::with_opts(opts).map(Self)
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.0.clone())
    }
}

/// 2⁻¹¹ to 2⁶: from a flush on the same host to beyond a broker that is given up.
const SECONDS: [f64; 18] = [
    0.000_488_281_25,
    0.000_976_562_5,
    0.001_953_125,
    0.003_906_25,
    0.007_812_5,
    0.015_625,
    0.031_25,
    0.062_5,
    0.125,
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    32.0,
    64.0,
];

/// 4⁴ to 4¹³: from the positions of one shard alone to a snapshot of all.
const BYTES: [f64; 10] = [
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_by_one_factor() {
        let by = |factor: f64| move |pair: &[f64]| (pair[1] / pair[0] - factor).abs() < 1e-12;
        assert!(SECONDS.windows(2).all(by(2.0)) && BYTES.windows(2).all(by(4.0)));
        assert!((SECONDS[11] - 1.0).abs() < 1e-12, "powers of two, not multiples of one");
    }
}
