//! A handful of measurements as their median and how far they lie apart. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Median, least and most of some measurements.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one measurement.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median: f64::midpoint(low, high), min: values[0], max: values[values.len() - 1] }
    }

    /// Of what the measurements of two alternating things come to, pair by pair.
    pub(crate) fn of_pairs<T>(a: &[T], b: &[T], figure: impl Fn(&T) -> f64) -> Self {
        Self::of(a.iter().zip(b).map(|(a, b)| figure(a) / figure(b)))
    }
}

/// The median, and the range where there is one; with `{:.1}` to one place.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(2);
        let Self { median, min, max } = self;
        write!(f, "{median:.places$}")?;
        if min < max { write!(f, " ({min:.places$}–{max:.places$})") } else { Ok(()) }
    }
}
