//! How close two values must be when one of them was seen on a real cluster: instants, days that are left, drawn names, and
//! whatever a kubelet draws. Words must be the same.

use serde_json::Value as Json;

use super::parity::Key;
use crate::time::{IN_EXPIRATION_TABLE, IN_FILE_NAMES, SignedDuration, Timestamp, from_form};

/// How far apart the same instant may be on the two sides: kubeadm, elections and waiting take wall time on a real
/// cluster, and all of that is virtual time, too.
pub const CLOSE: SignedDuration = SignedDuration::from_mins(45);
/// The same for the end of a certificate that a kubelet has rotated: it draws its deadline between 70 and 90 % of
/// the life of the one before.
pub const ROTATED: SignedDuration = SignedDuration::from_hours(24 * 75);

/// Whether two values are the same as far as a real cluster can tell. `command` are the arguments of the command that a value
/// is the output of.
pub(super) fn close(
    (kind, subject, _): &Key,
    command: Option<&str>,
    at: Timestamp,
    first: &Json,
    second: &Json,
) -> bool {
    let talks =
        command.is_some_and(|args| args.starts_with("upgrade ") || args.starts_with("join "));
    match (kind.as_str(), first, second) {
        // What a kubelet rotates; nobody else's certificate has such a spread.
        ("loaded", Json::String(a), Json::String(b)) if subject.starts_with("kubelet@") => {
            alike(first, second, ROTATED) || rotation_is_due(a, b, at)
        }
        ("command", Json::String(a), Json::String(b)) if talks => {
            let errors = |text: &str| text.lines().filter(|line| is_error(line)).count();
            errors(a) == errors(b) && (contained(a, b) || contained(b, a))
        }
        _ => alike(first, second, CLOSE),
    }
}

/// Whether one of two certificates is the other's successor, at an instant at which either may be loaded.
fn rotation_is_due(a: &str, b: &str, at: Timestamp) -> bool {
    let (Ok(a), Ok(b)) = (a.parse::<Timestamp>(), b.parse::<Timestamp>()) else {
        return false;
    };
    let (old, new) = (a.min(b), a.max(b));
    let share = |percent: i64| SignedDuration::from_secs(365 * 86_400 / 100 * percent);
    let apart = new.duration_since(old);
    let left = old.duration_since(at);
    apart >= share(70) - CLOSE
        && apart <= share(90) + CLOSE
        && left >= share(10) - CLOSE
        && left <= share(30) + CLOSE
}

fn is_error(line: &str) -> bool {
    line.starts_with("error") || line.trim_start().starts_with("[ERROR ")
}

/// Whether every line of a text is in another one, in the same order.
fn contained(lines: &str, whole: &str) -> bool {
    let mut rest = whole.lines();
    lines
        .lines()
        .all(|line| rest.any(|one| alike_text(line, one, CLOSE)))
}

fn alike(first: &Json, second: &Json, within: SignedDuration) -> bool {
    match (first, second) {
        (Json::String(a), Json::String(b)) => a == b || alike_text(a, b, within),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b, within))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b, within)))
        }
        (a, b) => a == b,
    }
}

/// A piece of a text.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Word(&'a str),
    At(Timestamp),
    Days(i64),
}

fn alike_text(a: &str, b: &str, within: SignedDuration) -> bool {
    let lines = |text| -> Vec<Vec<Piece<'_>>> { str::lines(text).map(pieces).collect() };
    let (a, b) = (lines(a), lines(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| {
            a.len() == b.len()
                && a.iter().zip(b).all(|pair| match pair {
                    (Piece::At(a), Piece::At(b)) => a.duration_since(*b).abs() <= within,
                    (Piece::Days(a), Piece::Days(b)) => (a - b).abs() <= 1,
                    (a, b) => a == b,
                })
        })
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        // `Jan 01, 2027 00:00 UTC`, as check-expiration prints it.
        if let Some(five) = words.get(at..at + 5)
            && five[4] == "UTC"
            && let Some(instant) = from_form(IN_EXPIRATION_TABLE, &five.join(" "))
        {
            found.push(Piece::At(instant));
            at += 5;
            continue;
        }
        let word = words[at];
        if let Some((before, instant, after)) = dated_directory(word) {
            found.extend([Piece::Word(before), Piece::At(instant), Piece::Word(after)]);
            at += 1;
            continue;
        }
        if let Some((before, after)) = drawn_directory(word) {
            found.extend([Piece::Word(before), Piece::Word(after)]);
            at += 1;
            continue;
        }
        let days = word
            .strip_suffix('d')
            .and_then(|number| number.parse().ok());
        found.push(match (word.parse::<Timestamp>(), days) {
            (Ok(instant), _) => Piece::At(instant),
            (_, Some(days)) => Piece::Days(days),
            _ => Piece::Word(word),
        });
        at += 1;
    }
    found
}

/// `.../kubeadm-backup-manifests-2026-10-28-00-00-24/etcd.yaml`
fn dated_directory(word: &str) -> Option<(&str, Timestamp, &str)> {
    const NAME: &str = "kubeadm-backup-manifests-";
    let at = word.find(NAME)? + NAME.len();
    let end = at + "2026-10-28-00-00-24".len();
    let instant = from_form(IN_FILE_NAMES, word.get(at..end)?)?;
    Some((&word[..at], instant, &word[end..]))
}

/// `.../kubeadm-upgraded-manifests3508141302`: the number is drawn.
fn drawn_directory(word: &str) -> Option<(&str, &str)> {
    const NAME: &str = "kubeadm-upgraded-manifests";
    let at = word.find(NAME)? + NAME.len();
    let rest = &word[at..];
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((&word[..at], &rest[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(kind: &str, subject: &str) -> Key {
        (kind.to_owned(), subject.to_owned(), String::new())
    }

    const ROW: &str = "apiserver                  Jan 01, 2027 00:00 UTC   364d            ca                      no      ";

    #[test]
    fn instants_may_be_minutes_apart_and_words_not_at_all() {
        let at = Timestamp::UNIX_EPOCH;
        let close = |a: &str, b: &str| {
            close(
                &key("command", "kubeadm@cp1"),
                None,
                at,
                &json!(a),
                &json!(b),
            )
        };
        assert!(close(ROW, &ROW.replace("00:00", "00:07")));
        assert!(close(ROW, &ROW.replace("364d", "363d")));
        assert!(!close(ROW, &ROW.replace("364d", "362d")));
        assert!(!close(ROW, &ROW.replace("Jan 01", "Jan 03")));
        assert!(!close(ROW, &ROW.replace("no", "yes")));
        assert!(!close(ROW, &format!("{ROW}\n{ROW}")));
        assert!(close("2027-01-01T00:00:00Z", "2027-01-01T00:03:00Z"));
        assert!(!close("2027-01-01T00:00:00Z", "2027-01-02T00:03:00Z"));
    }

    #[test]
    fn what_a_kubelet_rotates_has_the_spread_of_its_deadline() {
        let at: Timestamp = "2026-10-28T00:00:00Z".parse().unwrap();
        let of = |subject: &str, a: &str, b: &str| {
            close(&key("loaded", subject), None, at, &json!(a), &json!(b))
        };
        let loaded = |a: &str, b: &str| of("kubelet@cp1", a, b);
        assert!(loaded("2027-09-20T00:00:00Z", "2027-11-20T00:00:00Z"));
        assert!(!loaded("2028-01-01T00:00:00Z", "2028-11-20T00:00:00Z"));
        // Day 300 of the first certificate: one has rotated, the other has not.
        assert!(loaded("2026-12-31T23:55:03Z", "2027-09-27T23:55:37Z"));
        assert!(!loaded("2026-12-31T23:55:03Z", "2027-12-27T23:55:37Z"));
        // Nobody rotates those of static Pods.
        for subject in ["kube-scheduler@cp1", "kube-apiserver@cp1"] {
            assert!(of(subject, "2027-01-01T00:00:00Z", "2027-01-01T00:03:00Z"));
            assert!(!of(subject, "2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z"));
            assert!(!of(subject, "2026-12-31T23:55:03Z", "2027-09-27T23:55:37Z"));
        }
    }

    #[test]
    fn an_upgrade_says_at_least_what_the_model_says_and_in_that_order() {
        let at = Timestamp::UNIX_EPOCH;
        let args = Some("upgrade apply v1.37.2 --yes");
        let close = |a: &str, b: &str| {
            close(
                &key("command", "kubeadm@cp1"),
                args,
                at,
                &json!(a),
                &json!(b),
            )
        };
        let moved = |stamp: &str| {
            format!("[upgrade] a\n[upgrade] to \"/x/kubeadm-backup-manifests-{stamp}/etcd.yaml\"\n")
        };
        let real = format!(
            "[preflight] x\n{}[addons] y\n",
            moved("2026-10-28-00-00-24")
        );
        assert!(close(&moved("2026-10-28-00-00-00"), &real));
        assert!(!close(&moved("2026-11-28-00-00-00"), &real));
        assert!(!close("[upgrade] to\n[upgrade] a\n", &real));
        let new = |number: &str| format!("[upgrade] /tmp/kubeadm-upgraded-manifests{number}\"");
        assert!(close(&new("1"), &new("350814")));
        assert!(!close(&new("1"), &new("350814x")));
        // Warnings about the machine are its own, an error is not.
        assert!(close("", "\t[WARNING SystemVerification]: cgroups v1\n"));
        assert!(!close("", "error execution phase preflight: x\n"));
        assert!(!close("", "\t[ERROR Port-10250]: Port 10250 is in use\n"));
    }
}
