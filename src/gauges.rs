//! States as figures. What happens is counted when it happens; what is, is asked for when somebody
//! looks: a scrape, and a timer for whoever reads figures without one.

use crate::domain::time::WallMs;
use crate::metrics::Metrics;
use crate::status::Status;

/// Sets the figures that say how the service is doing.
pub fn refresh(metrics: &Metrics, status: &Status, now: WallMs) {
    metrics.ready.set(i64::from(status.ready(now).is_ok()));
    if let Some(age) = status.checkpoint_age(now) {
        metrics.checkpoint_age_seconds.set(age.as_secs_f64());
    }
    for (partition, lag) in status.lags(now) {
        match lag {
            Some(lag) => metrics.set_lag(partition, lag.records, lag.age),
            None => metrics.drop_lag(partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::position::{Offset, Partition};
    use crate::status::Phase;

    #[test]
    fn what_the_status_knows_is_in_the_figures_and_what_is_gone_is_not() {
        let (metrics, start) = (Metrics::new().unwrap(), WallMs(1_000_000));
        let status = Status::new(start);
        let now = start.plus(Duration::from_millis(2_500));
        let said = |metrics: &Metrics, line: &str| {
            let text = metrics.text().unwrap();
            assert!(text.contains(&format!("\naggregator_{line}\n")), "{line} is not in\n{text}");
        };
        refresh(&metrics, &status, now);
        said(&metrics, "ready 0");
        status.enter(Phase::Running);
        status.flushed(0, start);
        status.ends(Partition(0), Offset(9), start);
        status.reads(Partition(0), Offset(2), Some(start));
        refresh(&metrics, &status, now);
        said(&metrics, "ready 1");
        said(&metrics, "checkpoint_age_seconds 2.5");
        said(&metrics, "lag_records{partition=\"0\"} 7");
        said(&metrics, "lag_seconds{partition=\"0\"} 2.5");
        status.listed(&[(Partition(1), Offset(1))].into(), now);
        refresh(&metrics, &status, now);
        assert!(!metrics.text().unwrap().contains("partition=\"0\""));
    }
}
