//! Memory functions for the static build.
