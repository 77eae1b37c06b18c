//! When what a move set off is done.

#![expect(
    clippy::disallowed_methods,
    reason = "how much a node works is read from its control group, in wall time"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A node is looked at so often.
const SAMPLE: Duration = Duration::from_millis(50);
/// It is calm when it has worked little for so long: answers across a node come faster than this.
const CALM: Duration = Duration::from_millis(200);
/// Little: this part of one processor. A control plane at rest takes 5 to 10 %, timers that come due take all there are for
/// 100 to 400 ms.
const LITTLE: f64 = 0.25;
/// Where nothing tells how much a node works, it gets so long.
const UNTOLD: Duration = Duration::from_millis(900);

/// Waits until the processes of this control group have done what came due: until they work little, and none waits for a
/// disk. At most `limit`, in wall time.
pub fn settle(limit: Duration) {
    let used = || used().map(|worked| (worked, waits_for_disk()));
    settle_by(limit, &used, &std::thread::sleep);
}

/// `look` tells how long they have had a processor, and whether one waits for a disk.
fn settle_by(
    limit: Duration,
    look: &dyn Fn() -> Option<(Duration, bool)>,
    sleep: &dyn Fn(Duration),
) {
    let begun = Instant::now();
    let mut looks: VecDeque<(Instant, Duration)> = VecDeque::new();
    loop {
        let Some((worked, waits)) = look() else {
            sleep(UNTOLD.min(limit).saturating_sub(begun.elapsed()));
            return;
        };
        let now = Instant::now();
        if waits {
            looks.clear();
        }
        looks.push_back((now, worked));
        // The youngest look that is long enough ago comes first.
        while looks
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= CALM)
        {
            looks.pop_front();
        }
        let (at, before) = looks[0];
        let span = now.duration_since(at);
        let calm = span >= CALM && worked.saturating_sub(before) <= span.mul_f64(LITTLE);
        if calm || begun.elapsed() >= limit {
            return;
        }
        sleep(SAMPLE);
    }
}

/// How long the processes of this control group have had a processor: cgroup v2, else v1.
fn used() -> Option<Duration> {
    let v2 = std::fs::read_to_string("/sys/fs/cgroup/cpu.stat")
        .ok()
        .and_then(|text| usage(&text));
    v2.or_else(|| {
        let text = std::fs::read_to_string("/sys/fs/cgroup/cpuacct/cpuacct.usage").ok()?;
        text.trim().parse().ok().map(Duration::from_nanos)
    })
}

/// Whether a thread that can be seen sleeps uninterruptibly: etcd answers when its disk has.
fn waits_for_disk() -> bool {
    let dirs = |path: &std::path::Path| {
        std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    dirs("/proc".as_ref())
        .flat_map(|process| dirs(&process.join("task")))
        .filter_map(|thread| std::fs::read_to_string(thread.join("stat")).ok())
        .any(|stat| is_uninterruptible(&stat))
}

/// From the text of `/proc/PID/stat`: the state follows the name, which may hold anything.
fn is_uninterruptible(stat: &str) -> bool {
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('D'))
}

/// From the text of `cpu.stat`.
fn usage(text: &str) -> Option<Duration> {
    text.lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
        .and_then(|number| number.trim().parse().ok())
        .map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often it is looked at a node that works for some looks and then rests.
    fn looks(busy: u32, limit: Duration) -> u32 {
        let (count, worked) = (Cell::new(0), Cell::new(Duration::ZERO));
        let used = || {
            count.set(count.get() + 1);
            if count.get() <= busy {
                worked.set(worked.get() + Duration::from_secs(1));
            }
            Some((worked.get(), false))
        };
        settle_by(limit, &used, &std::thread::sleep);
        count.get()
    }

    #[test]
    fn it_is_over_when_little_is_done_and_not_before() {
        let long = Duration::from_secs(600);
        // At least so long without work as is called calm: that is what is slept between looks.
        assert!(looks(0, long) > 2);
        assert!(looks(6, long) > 6 + 2);
        assert_eq!(looks(u32::MAX, Duration::ZERO), 1);
    }

    #[test]
    fn where_nothing_tells_it_is_a_fixed_time() {
        let slept = Cell::new(Duration::ZERO);
        let sleep = |span| slept.set(slept.get() + span);
        settle_by(Duration::from_millis(300), &|| None, &sleep);
        assert!(slept.get() <= Duration::from_millis(300));
        assert!(slept.get() > Duration::ZERO);
    }

    #[test]
    fn who_waits_for_a_disk_is_waited_for() {
        let count = Cell::new(0);
        let look = || {
            count.set(count.get() + 1);
            Some((Duration::ZERO, count.get() <= 8))
        };
        settle_by(Duration::from_secs(600), &look, &std::thread::sleep);
        assert!(count.get() > 8 + 2);
        assert!(is_uninterruptible("77 (a) b) D 1 77 77 0"));
        assert!(!is_uninterruptible("77 (D) S 1 77 77 0"));
    }

    #[test]
    fn version_two_tells_it_among_other_things() {
        let text = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n";
        assert_eq!(usage(text), Some(Duration::from_millis(1_500)));
        assert_eq!(usage("nr_periods 0\n"), None);
    }
}
