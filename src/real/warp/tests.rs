//! The plan for a vDSO, on the one of this process.

use std::process::{Command, Stdio};

use super::find::Found;
use super::patch::{self, State};
use super::{stop, sys, vdso};

/// Set for the child of a test that reads the clock until it is killed.
const SPIN: &str = "CERTDRILL_TEST_SPINS";

/// The image as the kernel gave it, and how many bytes of it are used.
fn own() -> (Vec<u8>, u64) {
    let found = Found::in_process(std::process::id()).unwrap();
    let image = found.image().to_vec();
    let used = vdso::image_bytes(&image).unwrap();
    (image, used)
}

fn apply(image: &mut [u8], plan: &vdso::Plan, offsets: [i64; 3]) {
    for (at, bytes) in patch::writes(plan, offsets) {
        image[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
    }
}

#[test]
fn a_patch_is_recognised_with_its_offsets() {
    let (mut image, used) = own();
    let plan = vdso::plan(&image, used).unwrap();
    assert_eq!(patch::state(&image, &plan), State::Untouched);
    apply(&mut image, &plan, [-5, 7, 0]);
    let again = vdso::plan(&image, used).unwrap();
    assert_eq!(again, plan);
    let State::Warped { offsets, at } = patch::state(&image, &again) else {
        panic!("{:?}", patch::state(&image, &again));
    };
    assert_eq!(offsets, [-5, 7, 0]);
    // Aligned, so that a clock is moved by one store.
    assert_eq!(at % 8, 0);
    let layout = plan.routine as usize + 8;
    image[layout] = 9;
    assert_eq!(patch::state(&image, &again), State::OtherLayout(9));
}

#[test]
fn only_padding_and_the_begin_of_each_function_change() {
    let (before, used) = own();
    let plan = vdso::plan(&before, used).unwrap();
    let mut after = before.clone();
    apply(&mut after, &plan, [1, 1, 0]);
    let code = patch::code(&plan);
    for (at, (old, new)) in before.iter().zip(&after).enumerate() {
        let at = at as u64;
        let jump = |entry: &vdso::Entry| (entry.at..entry.at + vdso::JUMP_BYTES).contains(&at);
        let expected = code.contains(&at) || plan.entries.iter().any(jump);
        assert!(old == new || expected, "byte {at:#x}");
    }
}

#[test]
fn without_padding_the_body_of_the_function_makes_room() {
    let (mut image, used) = own();
    let whole = image.len() as u64;
    // All in use: the last byte of the padding is not zero.
    image[whole as usize - 1] = 1;
    match vdso::plan(&image, used) {
        Ok(plan) => {
            assert!(plan.overwrites);
            let clock_gettime = plan.entries[0].at;
            assert!(plan.routine >= clock_gettime + vdso::JUMP_BYTES);
            apply(&mut image, &plan, [3, 4, 1]);
            let again = vdso::plan(&image, used).unwrap();
            assert!(matches!(
                patch::state(&image, &again),
                State::Warped {
                    offsets: [3, 4, 1],
                    ..
                }
            ));
        }
        // A kernel whose function is small.
        Err(what) => assert!(what.contains("no room"), "{what}"),
    }
}

#[test]
fn broken_images_are_refused() {
    let (image, used) = own();
    assert!(vdso::image_bytes(&image[..40]).is_err());
    assert!(vdso::image_bytes(&[0; 4096]).is_err());
    for cut in (0..image.len()).step_by(97) {
        // Neither a panic nor a write that is out of bounds.
        if let Ok(plan) = vdso::plan(&image[..cut], used) {
            assert!(patch::code(&plan).end <= cut as u64);
        }
    }
    for at in 0..1024 {
        let mut wrong = image.clone();
        wrong[at] ^= 0xff;
        let _ = vdso::image_bytes(&wrong);
        if let Ok(plan) = vdso::plan(&wrong, used) {
            for (at, bytes) in patch::writes(&plan, [0, 0, 0]) {
                assert!(at + bytes.len() as u64 <= image.len() as u64);
            }
        }
    }
}

#[test]
fn offsets_in_the_routine_are_aligned() {
    assert_eq!(sys::routine().len() % 16, 0);
    assert_eq!(sys::clock_gettime_at(), 40);
    assert!(sys::routine().len() <= 512, "{}", sys::routine().len());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the child reads a clock")]
fn threads_are_led_out_of_what_is_overwritten() {
    let name = "real::warp::platform::tests::threads_are_led_out_of_what_is_overwritten";
    if std::env::var_os(SPIN).is_some() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while std::time::SystemTime::now() > std::time::UNIX_EPOCH {});
            }
            // The parent's end of the pipe is closed when the test fails, too.
            let _ = std::io::stdin().lines().next();
            std::process::exit(0);
        });
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(SPIN, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut inside = 0;
    for _ in 0..10_000 {
        // In this order: right after its start a process may have no vDSO yet.
        let stopped = stop::stop(child.id()).unwrap();
        let whole = Found::in_process(child.id()).unwrap().whole();
        let count = |threads: &[i32]| {
            let pcs = threads.iter().map(|tid| sys::registers(*tid).unwrap().pc);
            pcs.filter(|pc| whole.contains(pc)).count()
        };
        let threads = stopped.threads();
        inside += count(&threads);
        stopped.leave(std::slice::from_ref(&whole)).unwrap();
        assert_eq!(count(&threads), 0);
        stopped.release();
        if inside >= 20 {
            break;
        }
        // On a busy machine the child would hardly run between two stops.
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    assert!(child.try_wait().unwrap().is_none(), "it did not survive");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(inside >= 20, "only {inside} threads were caught inside");
}
