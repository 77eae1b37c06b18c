//! certdrill rehearses certificate rotation of kubeadm clusters on a clock that you control.
//!
//! A scenario says what cluster there is, how time passes and what must be seen. It is played on a simulated
//! cluster whose certificates are real: issued in kubeadm's shape, verified by Go's rules at the virtual
//! time of the node that looks at them.
//!
//! ```
//! use certdrill::run::{PlayOptions, play, trace::Verdict};
//! use certdrill::scenario;
//!
//! let text = r#"
//! apiVersion: certdrill/v1
//! kind: Scenario
//! metadata: { name: a-year, title: Nobody renews for a year }
//! spec:
//!   cluster: { version: v1.36.3, start: 2026-01-01T00:00:00Z, nodes: { controlPlane: 1 } }
//!   steps:
//!     - walk: until 2027-01-01T00:00:00Z
//!     - expect: { edge: admin@cp1 -> apiserver, is: ok }
//!     - walk: 1s
//!     - expect: { edge: admin@cp1 -> apiserver, is: failing, text: certificate has expired }
//! "#;
//! for variant in scenario::load("a-year.yaml", text).expect("the text is a scenario") {
//!     let run = play(&variant, &PlayOptions { seed: 0 });
//!     assert_eq!(run.verdict, Verdict::Passed);
//! }
//! ```
//!
//! The world can be driven without YAML, too: [`cluster::World`] has the machines, the clock and the edges.
//! The engine alone is [`kubeadm::run`]: kubeadm's command line on any [`fs::Tree`], at any time, as any
//! version from 1.15 on. What happened in a run is its trace, [`run::trace`]; reports read nothing else.

pub mod check;
pub mod cli;
pub mod cluster;
pub mod forecast;
pub mod fs;
pub mod kubeadm;
pub mod pki;
pub mod real;
pub mod report;
pub mod run;
pub mod scenario;
pub mod time;
