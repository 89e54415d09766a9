//! What stands in a query: figures, selectors, Grafana's variables.

use std::collections::BTreeSet;

/// Every figure of the service begins so.
const PREFIX: &str = "aggregator_";

/// What Grafana puts in place of its variables: over this time, with these labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variables<'a> {
    pub(crate) rate_interval: &'a str,
    pub(crate) range: &'a str,
    pub(crate) job: &'a str,
    pub(crate) instance: &'a str,
}

impl Variables<'_> {
    /// The expression as Prometheus gets it.
    pub(crate) fn fill(&self, expr: &str) -> String {
        let filled = expr
            .replace("$__rate_interval", self.rate_interval)
            .replace("$__range", self.range)
            .replace("$job", self.job)
            .replace("$instance", self.instance);
        assert!(!filled.contains('$'), "a variable that nobody fills: {filled}");
        filled
    }
}

/// The names of the service's series in an expression.
pub(crate) fn figures(expr: &str) -> BTreeSet<&str> {
    selectors(expr).map(|selector| selector.split('{').next().unwrap()).collect()
}

/// The service's series in an expression, with the labels that they are picked by.
pub(crate) fn selectors(expr: &str) -> impl Iterator<Item = &str> {
    expr.match_indices(PREFIX).map(|(at, _)| {
        let rest = &expr[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        match rest[end..].strip_prefix('{') {
            Some(labels) => &rest[..=end + 1 + labels.find('}').expect("the end of labels")],
            None => &rest[..end],
        }
    })
}

/// The family of a series: a histogram's are three.
pub(crate) fn family<'a>(series: &'a str, families: &BTreeSet<String>) -> Option<&'a str> {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
    [Some(series), histogram].into_iter().flatten().find(|name| families.contains(*name))
}

#[test]
fn series_are_found_with_their_labels_and_without() {
    let expr =
        r#"rate(aggregator_a_total{x="1"}[5m]) / aggregator_b > on (job) up{j="aggregator-s"}"#;
    let found: Vec<_> = selectors(expr).collect();
    assert_eq!(found, [r#"aggregator_a_total{x="1"}"#, "aggregator_b"]);
    assert_eq!(figures(expr), BTreeSet::from(["aggregator_a_total", "aggregator_b"]));
    let families = BTreeSet::from(["aggregator_c".to_owned()]);
    assert_eq!(family("aggregator_c_bucket", &families), Some("aggregator_c"));
    assert_eq!(family("aggregator_d_bucket", &families), None);
}
