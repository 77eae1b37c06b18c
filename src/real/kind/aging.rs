//! Certificates that are issued again as if they were older: how time passes where no clock can be moved.
//!
//! The machines keep the present, and the world's time runs ahead of it. Each certificate has two faces (`faces.rs`): the one on
//! the machines, and the one that the world sees, whose dates are as far ahead as the world is. When the world's time leaps, the
//! cluster's own authorities sign what is on the machines again, for the same names, keys and serial numbers, with dates that
//! are as much earlier; what the world sees stays as it was. The faces are exchanged here, in what agents are told and what they
//! report, so that nobody else knows that there are two.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::agent::{Content, Edit, Order, Report, decode, encode};
use super::faces::{AgingError, Face, Faces};
use super::times::shift_times;
use crate::kubeadm::CommandOutput;
use crate::pki::Certificate;
use crate::time::{SignedDuration, Timestamp};

/// What stands between the world and machines that keep the present.
#[derive(Debug)]
pub(super) struct Aging(Mutex<Faces>);

impl Aging {
    /// The world is ahead of the machines' time, which is `now`.
    pub fn new(now: Timestamp, ahead: SignedDuration) -> Self {
        Self(Mutex::new(Faces::new(now, ahead)))
    }

    /// What is known of them.
    pub fn faces(&self) -> MutexGuard<'_, Faces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an agent is to do, in the words of its machine.
    pub fn order(&self, order: &Order) -> Result<Order, AgingError> {
        let mut faces = self.faces();
        let mut order = order.clone();
        for change in &order.changes {
            if let Edit::File(path, _, _, _, content) = change
                && let Ok(bytes) = decode(content)
            {
                faces.learn(path, &bytes);
            }
        }
        for change in &mut order.changes {
            match change {
                Edit::Remove(path) | Edit::Dir(path, _) => *path = faces.path(path, Face::Machine),
                Edit::File(path, _, _, _, content) => {
                    *path = faces.path(path, Face::Machine);
                    faces.turn_encoded(content, Face::Machine)?;
                }
                Edit::Link(path, target) => {
                    *path = faces.path(path, Face::Machine);
                    *target = faces.path(target, Face::Machine);
                }
            }
        }
        for (_, program) in &mut order.commands {
            if let Some(content) = &mut program.kubeconfig {
                faces.turn_encoded(content, Face::Machine)?;
            }
        }
        Ok(order)
    }

    /// What an agent reports, as the world sees it. Fingerprints in audit logs stay: the file may be on another machine.
    pub fn report(&self, report: &Report) -> Result<Report, AgingError> {
        let mut faces = self.faces();
        for file in &report.files {
            if let Content::File(content) = &file.what
                && let Ok(bytes) = decode(content)
            {
                faces.learn(&file.path, &bytes);
            }
        }
        let mut report = report.clone();
        for file in &mut report.files {
            if let Content::File(content) = &mut file.what {
                if let Ok(bytes) = decode(content) {
                    faces.must_be_of_now(&file.path, &bytes)?;
                }
                faces.turn_encoded(content, Face::World)?;
            }
            file.path = faces.path(&file.path, Face::World);
            if let Content::Link(target) = &mut file.what {
                *target = faces.path(target, Face::World);
            }
        }
        let ahead = faces.ahead();
        for shown in report.handshakes.values_mut() {
            for one in &mut shown.chain {
                let held = decode(one).ok();
                if let Some(held) = held.and_then(|der| Certificate::from_der(&der).ok()) {
                    *one = encode(faces.face(&held, Face::World)?.der());
                }
            }
            for text in [
                &mut shown.unreachable,
                &mut shown.refused,
                &mut shown.unusable,
            ] {
                *text = text.take().map(|text| shift_times(&text, ahead));
            }
        }
        for ended in report.commands.values_mut() {
            faces.turn_text(&mut ended.stdout)?;
            ended.stderr = shift_times(&ended.stderr, ahead);
        }
        for line in report.logs.values_mut().flat_map(|(lines, _)| lines) {
            *line = shift_times(line, ahead);
        }
        for named in report.audit.iter_mut().flat_map(|(named, _)| named) {
            named.at = faces.instant(named.at);
        }
        Ok(report)
    }

    /// What a command said, as the world sees it.
    pub fn output(&self, output: &mut CommandOutput) -> Result<(), AgingError> {
        let mut faces = self.faces();
        let ahead = faces.ahead();
        faces.turn_text(&mut output.stdout)?;
        for text in [&mut output.stdout, &mut output.stderr] {
            *text = shift_times(text, ahead);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::issue::self_signed_ca;
    use crate::pki::{KeyAlgorithm, pool_key};
    use crate::real::kind::agent::{Ended, FileFound};
    use crate::real::kind::handshake::Shown;
    use crate::time::shift;

    const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 100);

    fn at(day: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + day))
    }

    #[test]
    fn a_report_is_as_the_world_sees_it_and_an_order_as_the_machine_does() {
        let aging = Aging::new(at(10), AHEAD);
        let key = pool_key(KeyAlgorithm::Rsa2048, 0).unwrap();
        let one = self_signed_ca("kubernetes", &key, at(0), at(365), 1).unwrap();
        let file = |path: &str, text: &str| FileFound {
            path: path.to_owned(),
            mode: 0o600,
            owner: (0, 0),
            what: Content::File(encode(text.as_bytes())),
        };
        let mut report = Report {
            // The key comes after what it has signed.
            files: vec![
                file("/ca.crt", &one.to_pem()),
                file("/ca.key", &key.to_pem()),
            ],
            ..Report::default()
        };
        let shown = Shown {
            chain: vec![encode(one.der())],
            ..Shown::default()
        };
        report.handshakes.insert("a".to_owned(), shown);
        let ended = Ended {
            code: 1,
            stdout: one.to_pem(),
            stderr: format!("current time {} is after {}", at(1), at(0)),
        };
        report.commands.insert("k".to_owned(), ended);
        let report = aging.report(&report).unwrap();
        let said = &report.commands["k"];
        assert_eq!(
            said.stderr,
            format!("current time {} is after {}", at(101), at(100))
        );
        let seen = Certificate::parse_pem_certs(said.stdout.as_bytes())
            .unwrap()
            .remove(0);
        assert_eq!(seen.not_after(), shift(one.not_after(), AHEAD));
        assert_eq!(report.handshakes["a"].chain, [encode(seen.der())]);
        let Content::File(content) = &report.files[0].what else {
            panic!("a file");
        };
        assert_eq!(decode(content).unwrap(), seen.to_pem().as_bytes());
        let order = Order {
            changes: vec![Edit::File(
                "/ca.crt".to_owned(),
                0o600,
                0,
                0,
                content.clone(),
            )],
            ..Order::default()
        };
        let Edit::File(.., written) = &aging.order(&order).unwrap().changes[0] else {
            panic!("a file");
        };
        assert_eq!(decode(written).unwrap(), one.to_pem().as_bytes());
    }
}
