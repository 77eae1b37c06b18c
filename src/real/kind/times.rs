//! Instants in what programs say.

use crate::time::{IN_EXPIRATION_TABLE, SignedDuration, Timestamp, from_form, shift};

/// Forms in which Go programs write an instant in UTC, and the length of each: of certificates in errors of TLS and in logs, and of
/// `kubeadm certs check-expiration`.
const FORMS: [(&str, usize); 2] = [
    ("%Y-%m-%dT%H:%M:%SZ", "2027-01-01T00:00:00Z".len()),
    (IN_EXPIRATION_TABLE, "Jan 01, 2027 00:00 UTC".len()),
];

/// A text with every instant in it moved.
pub(super) fn shift_times(text: &str, by: SignedDuration) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() || first.is_ascii_uppercase() {
            for (form, length) in FORMS {
                if let Some(instant) = rest.get(..length).and_then(|word| read(form, word)) {
                    out += &shift(instant, by).strftime(form).to_string();
                    rest = &rest[length..];
                    continue 'text;
                }
            }
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

fn read(form: &str, word: &str) -> Option<Timestamp> {
    // Cheaper than the parser, which most words would fail.
    let plausible =
        word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T') || word.ends_with("UTC");
    plausible.then(|| from_form(form, word))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_move_and_everything_else_stays() {
        let by = SignedDuration::from_hours(24 * 365);
        for (text, moved) in [
            (
                "x509: certificate has expired or is not yet valid: current time 2026-11-29T10:38:08Z is after 2026-11-24T10:36:32Z",
                "x509: certificate has expired or is not yet valid: current time 2027-11-29T10:38:08Z is after 2027-11-24T10:36:32Z",
            ),
            (
                "admin.conf                 Nov 29, 2026 13:30 UTC   364d            ca                      no      \n",
                "admin.conf                 Nov 29, 2027 13:30 UTC   364d            ca                      no      \n",
            ),
            (
                "E1129 10:38:08.123456 zwölf 2026-11-29",
                "E1129 10:38:08.123456 zwölf 2026-11-29",
            ),
            ("", ""),
        ] {
            assert_eq!(shift_times(text, by), moved);
        }
        let there = shift_times("at 2026-11-29T10:38:08Z!", by);
        assert_eq!(shift_times(&there, -by), "at 2026-11-29T10:38:08Z!");
    }
}
