//! The configured windows. A window of D seconds that ends at `end` holds the panes with
//! `end − D < pane ≤ end`.

use std::sync::Arc;

use super::time::Second;

/// The longest window that may be configured, in seconds: a day.
pub const MAX_WINDOW_SECONDS: u32 = 86_400;

/// How many windows may be configured.
pub const MAX_WINDOWS: usize = 32;

/// One configured window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its name as configured, shown as `time_window`.
    pub name: String,
    /// Its length in seconds, 1 to [`MAX_WINDOW_SECONDS`].
    pub seconds: u32,
}

/// The configured windows in the configured order; at least one. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    list: Arc<[Window]>,
    longest: u32,
    /// Place of the first window of that length.
    longest_at: usize,
}

impl Window {
    /// The newest second that the window has lost when it ends at `end`.
    #[must_use]
    pub fn left_by(&self, end: Second) -> Second {
        end.plus(-i64::from(self.seconds))
    }

    /// `end − D < pane ≤ end`.
    #[must_use]
    pub fn holds(&self, pane: Second, end: Second) -> bool {
        self.left_by(end) < pane && pane <= end
    }
}

impl Windows {
    /// The windows in this order; `None` where there is none, too many, or a length is out of
    /// 1 to [`MAX_WINDOW_SECONDS`].
    #[must_use]
    pub fn new(list: Vec<Window>) -> Option<Self> {
        let fits = |window: &Window| (1..=MAX_WINDOW_SECONDS).contains(&window.seconds);
        if list.len() > MAX_WINDOWS || !list.iter().all(fits) {
            return None;
        }
        let longest = list.iter().map(|window| window.seconds).max()?;
        let longest_at = list.iter().position(|window| window.seconds == longest)?;
        Some(Self { list: list.into(), longest, longest_at })
    }

    /// In the configured order.
    pub fn iter(&self) -> std::slice::Iter<'_, Window> {
        self.list.iter()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// All but the longest, in the configured order; of several longest all but the first.
    pub(crate) fn shorter(&self) -> impl Iterator<Item = &Window> {
        let all = self.list.iter().enumerate();
        all.filter(|(at, _)| *at != self.longest_at).map(|(_, window)| window)
    }

    /// The place among [`shorter`](Self::shorter) of the window at a place; `None` for the longest.
    pub(crate) const fn shorter_at(&self, at: usize) -> Option<usize> {
        if at == self.longest_at {
            return None;
        }
        Some(if at < self.longest_at { at } else { at - 1 })
    }

    /// The longest one's length in seconds.
    #[must_use]
    pub const fn longest(&self) -> u32 {
        self.longest
    }
}

impl<'a> IntoIterator for &'a Windows {
    type Item = &'a Window;
    type IntoIter = std::slice::Iter<'a, Window>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
