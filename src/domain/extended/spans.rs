//! The windows as a token's figures need them: lengths, and which have a preceding one.

use super::super::window::Windows;

/// A window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Its length in seconds.
    pub(super) seconds: i64,
    /// Its place among those with a preceding one.
    pub(super) link: Option<usize>,
}

/// All windows.
#[derive(Debug)]
pub(super) struct Spans {
    /// In the configured order.
    pub(super) list: Vec<Span>,
    /// The lengths of those with a preceding one.
    pub(super) links: Vec<i64>,
    /// The greatest of these; 0 where there is none.
    pub(super) farthest: i64,
    /// The length of the longest window.
    pub(super) longest: i64,
}

/// What moves with the windows of one token.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Running {
    /// Buyers; above them, by 32 bits, sellers.
    pub(super) sides: u64,
    pub(super) traders: u32,
    /// Traders of the preceding window.
    pub(super) before: u32,
    /// The first pane of the window.
    pub(super) start: u32,
    /// The first pane of the preceding one.
    pub(super) start_before: u32,
}

impl Spans {
    pub(super) fn new(windows: &Windows) -> Self {
        let mut links = Vec::new();
        let span = |seconds: u32| {
            let link = (u64::from(seconds) * 2 <= windows.longest().into()).then_some(links.len());
            links.extend(link.map(|_| i64::from(seconds)));
            Span { seconds: seconds.into(), link }
        };
        let list = windows.iter().map(|window| window.seconds).map(span).collect();
        let farthest = links.iter().copied().max().unwrap_or(0);
        Self { list, links, farthest, longest: windows.longest().into() }
    }
}

impl Span {
    /// Whether the window holds a second that is not after its end.
    #[inline]
    pub(super) const fn holds(&self, second: i64, end: i64) -> bool {
        second > end.saturating_sub(self.seconds)
    }

    /// Whether the preceding window holds a second.
    #[inline]
    pub(super) const fn held(&self, second: i64, end: i64) -> bool {
        !self.holds(second, end) && second > end.saturating_sub(2 * self.seconds)
    }
}
