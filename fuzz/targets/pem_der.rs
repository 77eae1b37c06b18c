//! Keys, certificates and requests of any bytes.

#![no_main]

#[path = "../../tests/hostile/pem_der.rs"]
mod pem_der;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pem_der::pem_der(bytes));
