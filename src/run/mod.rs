//! Plays a scenario on a backend, collects the trace, decides the verdict.

pub mod trace;
