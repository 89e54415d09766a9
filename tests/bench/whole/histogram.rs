//! The service's histograms as `/metrics` tells them: what came between two readings, its mean,
//! and its quantiles, which are interpolated between two bounds, as Prometheus does.

use support::harness::service::Service;

/// Cumulated counts by upper bound in seconds, and the sum of all values.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    /// As it stands now.
    pub(crate) fn of(service: &Service, name: &str) -> Self {
        let (_, text) = service.get("/metrics").unwrap();
        let prefix = format!("aggregator_{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            Some((bound, count.parse().unwrap()))
        };
        let buckets: Vec<_> = text.lines().filter_map(bucket).collect();
        assert!(!buckets.is_empty(), "{name} is not in\n{text}");
        let sum = format!("aggregator_{name}_sum ");
        let sum = text.lines().find_map(|line| line.strip_prefix(&sum)).unwrap();
        Self { buckets, sum: sum.parse().unwrap() }
    }

    /// What came since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&before.buckets);
        let buckets = pairs.map(|((bound, now), (_, before))| (*bound, now - before)).collect();
        Self { buckets, sum: self.sum - before.sum }
    }

    /// In milliseconds.
    pub(crate) fn mean_ms(&self) -> f64 {
        self.sum * 1e3 / self.buckets[self.buckets.len() - 1].1
    }

    /// In milliseconds; at least one value has come.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let (_, all) = self.buckets[self.buckets.len() - 1];
        let rank = quantile * all;
        let found = self.buckets.iter().position(|(_, count)| *count >= rank && *count > 0.0);
        let at = found.expect("a value");
        let (low, below) = if at == 0 { (0.0, 0.0) } else { self.buckets[at - 1] };
        let (high, count) = self.buckets[at];
        let high = if high.is_finite() { high } else { low };
        1e3 * (low + (high - low) * (rank - below) / (count - below))
    }
}
