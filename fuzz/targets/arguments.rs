//! Command lines of any words: one a line. The first byte chooses the version.

#![no_main]

#[path = "../../tests/hostile/arguments.rs"]
mod arguments;
#[path = "../../tests/hostile/machine.rs"]
mod machine;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, words)) = bytes.split_first() else {
        return;
    };
    let minor = 15 + u16::from(choice) % 23;
    let words: Vec<String> = String::from_utf8_lossy(words)
        .split('\n')
        .map(str::to_owned)
        .collect();
    arguments::arguments(minor, &words);
});
