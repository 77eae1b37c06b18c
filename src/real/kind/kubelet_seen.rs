//! Whether a kubelet lives, or ends at each start.

use super::agent::ProcessFound;
use super::picture::identity;

/// A kubelet that has lived this long runs; one that cannot start ends within a second.
const LIVES_AFTER_S: f64 = 4.0;
/// A kubelet that systemd has started again so often since it lived ends at each start.
const ENDS_AFTER: u64 = 3;

/// What was seen of a kubelet.
#[derive(Debug, Clone, Default)]
pub(super) struct KubeletSeen {
    /// The process that lives.
    pub living: Option<u64>,
    /// Processes that came and went.
    ended: Vec<u64>,
    /// How often systemd had started it again when it was first seen, or last seen to live.
    restarts: Option<u64>,
}

impl KubeletSeen {
    /// Whether it was seen to run.
    pub fn runs(&self) -> bool {
        self.living.is_some()
    }

    /// Takes a look in. Says whether it is known by now what the kubelet does.
    pub fn follow(&mut self, found: Option<&ProcessFound>, restarts: Option<u64>) -> bool {
        let lives = found.is_some_and(|process| process.age_s >= LIVES_AFTER_S);
        match (self.restarts, restarts) {
            // Where it lives for less than a second, looks would seldom meet it.
            (Some(before), Some(now)) if !lives && now >= before + ENDS_AFTER => {
                self.living = None;
                self.ended.clear();
                // At the next look one more says that it still does.
                self.restarts = Some(now - (ENDS_AFTER - 1));
                return true;
            }
            (_, None) => {}
            (Some(before), Some(now)) if now >= before && !lives => {}
            // It lives, is seen for the first time, or was started by hand: systemd counts anew.
            _ => self.restarts = restarts,
        }
        match found {
            None => {
                if let Some(gone) = self.living.take() {
                    self.ended.push(gone);
                }
                self.ended.len() >= 2
            }
            Some(process) => {
                let id = identity(process);
                if process.age_s >= LIVES_AFTER_S {
                    self.living = Some(id);
                    self.ended.clear();
                    return true;
                }
                if self.living != Some(id) {
                    self.living = None;
                }
                if !self.ended.contains(&id) {
                    self.ended.push(id);
                }
                // Three of them in a row: it ends at each start.
                self.ended.len() >= 3
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, age_s: f64) -> ProcessFound {
        ProcessFound {
            name: "kubelet".to_owned(),
            pid,
            start_ticks: u64::from(pid),
            age_s,
        }
    }

    #[test]
    fn a_kubelet_that_lives_for_an_instant_is_known_by_its_restarts() {
        let mut seen = KubeletSeen::default();
        assert!(seen.follow(Some(&process(1, 10.0)), Some(0)));
        assert!(seen.runs());
        // Looks meet no process, systemd counts.
        assert!(!seen.follow(None, Some(1)));
        assert!(!seen.follow(Some(&process(4, 0.1)), Some(2)));
        assert!(seen.follow(None, Some(3)));
        assert!(!seen.runs());
        // Later one more is enough, and none is not.
        assert!(!seen.follow(Some(&process(5, 0.2)), Some(3)));
        assert!(seen.follow(None, Some(4)));
        // Mended, it lives.
        assert!(!seen.follow(Some(&process(6, 0.2)), Some(4)));
        assert!(seen.follow(Some(&process(6, 5.0)), Some(4)));
        assert!(seen.runs());
        // Started by hand: the count begins anew.
        let mut seen = KubeletSeen {
            restarts: Some(30),
            ..KubeletSeen::default()
        };
        assert!(!seen.follow(Some(&process(7, 0.1)), Some(0)));
        assert!(seen.follow(None, Some(3)));
    }
}
