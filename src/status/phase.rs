//! Where the service is in its life.

/// Where the service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Loading the checkpoint.
    Starting,
    /// Reading to where the log ended at the start.
    CatchingUp,
    /// Publishing.
    Running,
    /// Asked to stop.
    Stopping,
}

impl Phase {
    /// Its name on pages and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching up",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}
