//! A configuration file of any bytes, for two commands of any version. The first byte chooses.

#![no_main]

#[path = "../../tests/hostile/commands.rs"]
mod commands;
#[path = "../../tests/hostile/machine.rs"]
mod machine;

const VERSIONS: [&str; 6] = [
    "v1.15.12", "v1.17.17", "v1.22.17", "v1.29.15", "v1.34.4", "v1.37.2",
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, content)) = bytes.split_first() else {
        return;
    };
    let version = VERSIONS[usize::from(choice / 2) % VERSIONS.len()];
    let line = ["certs check-expiration", "certs renew front-proxy-client"][usize::from(choice % 2)];
    commands::command(version, line, "/kubeadm.yaml", content);
});
