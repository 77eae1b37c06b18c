//! certdrill rehearses certificate rotation of kubeadm clusters on a clock that you control.

pub mod check;
pub mod cli;
pub mod cluster;
pub mod fs;
pub mod kubeadm;
pub mod pki;
pub mod real;
pub mod report;
pub mod run;
pub mod scenario;
pub mod time;
