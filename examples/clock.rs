//! How long it takes to read the clock; `ci/compare-warp.sh` runs it with and without a warp.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "reading clocks is what is measured"
)]

use std::hint::black_box;
use std::time::{Instant, SystemTime};

const READINGS: u32 = 2_000_000;

fn main() {
    let start = Instant::now();
    for _ in 0..READINGS {
        black_box(SystemTime::now());
    }
    let each = start.elapsed().as_nanos() / u128::from(READINGS);
    println!("{each}");
}
