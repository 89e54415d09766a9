//! The service's histograms as `/metrics` tells them: what came between two readings, and its
//! quantiles. Bounds are powers of two; between them a quantile is interpolated, as Prometheus
//! does.

use crate::harness::service::Service;

/// Cumulated counts by upper bound in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Vec<(f64, f64)>);

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
        Self(buckets)
    }

    /// What came since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let pairs = self.0.iter().zip(&before.0);
        Self(pairs.map(|((bound, now), (_, before))| (*bound, now - before)).collect())
    }

    /// In milliseconds; nothing where nothing came.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let (_, all) = *self.0.last()?;
        let rank = quantile * all;
        let at = self.0.iter().position(|(_, count)| *count >= rank && *count > 0.0)?;
        let (low, below) = if at == 0 { (0.0, 0.0) } else { self.0[at - 1] };
        let (high, count) = self.0[at];
        let high = if high.is_finite() { high } else { low };
        Some(1e3 * (low + (high - low) * (rank - below) / (count - below)))
    }
}
