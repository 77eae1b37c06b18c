//! Kubeconfigs and YAML of any bytes.

#![no_main]

#[path = "../../tests/hostile/kubeconfig.rs"]
mod kubeconfig;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kubeconfig::kubeconfig(bytes));
