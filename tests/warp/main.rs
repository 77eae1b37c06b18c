//! A warped process sees the shifted time, and nothing else about it changes.
//!
//! Readings are compared with the machine's clock before and after them, never with a duration. Tests that want a
//! tool say so when it is missing; with `CERTDRILL_REQUIRE=cc,go,kubeadm,openssl,perl,python3,runc` they fail then.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "these tests are about clocks and processes, print for each other, and may stop at what they did not expect"
)]

mod container;
mod executed;
mod helper;
mod library;
mod node;
mod parent;
mod readings;
mod running;
mod tools;
