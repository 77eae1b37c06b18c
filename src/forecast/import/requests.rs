//! Rows of `kubectl get csr`.
//!
//! The columns are NAME, AGE, SIGNERNAME (kubectl 1.18 and later), REQUESTOR, REQUESTEDDURATION (1.22 and later) and
//! CONDITION; `-o wide` has the same, `--show-labels` one more.

use super::{Paste, UNKNOWN_MAX};
use crate::cluster::RequestState;
use crate::time::{SignedDuration, span};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::forecast) struct Request {
    /// The row as it was pasted, with single blanks.
    pub line: String,
    /// AGE, the least that is printed like that; `None` for `<unknown>`.
    pub age: Option<SignedDuration>,
    /// SIGNERNAME, where there is such a column.
    pub signer: Option<String>,
    /// REQUESTOR.
    pub requestor: String,
    /// REQUESTEDDURATION, unless it is `<none>`.
    pub duration: Option<SignedDuration>,
    /// What CONDITION says of its state.
    pub state: RequestState,
}

impl Request {
    /// The node whose kubelet asks.
    pub(super) fn node(&self) -> Option<&str> {
        self.requestor.strip_prefix("system:node:")
    }

    /// A node that joins asks.
    pub(super) fn bootstrap(&self) -> bool {
        self.requestor.starts_with("system:bootstrap:")
    }
}

/// The heading of the table says which kubectl printed it.
pub(super) fn header(line: &str, paste: &mut Paste) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    if !has("REQUESTOR") || !has("CONDITION") {
        return false;
    }
    paste.request_columns = Some(Columns {
        signer: has("SIGNERNAME"),
        duration: has("REQUESTEDDURATION"),
    });
    true
}

/// Columns that came with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forecast) struct Columns {
    /// SIGNERNAME.
    pub signer: bool,
    /// REQUESTEDDURATION.
    pub duration: bool,
}

/// `csr-8vx2k   3m   kubernetes.io/kubelet-serving   system:node:w1   <none>   Pending`, with anything before it.
pub(super) fn row(words: &[&str], paste: &mut Paste) -> bool {
    let Some(request) = read(words) else {
        return false;
    };
    if let Some(node) = request.node()
        && !paste.nodes.iter().any(|known| known == node)
    {
        paste.nodes.push(node.to_owned());
    }
    if paste.requests.len() < UNKNOWN_MAX {
        paste.requests.push(request);
    } else {
        paste.requests_left_out += 1;
    }
    true
}

fn read(words: &[&str]) -> Option<Request> {
    let (end, state) = words
        .iter()
        .enumerate()
        .rev()
        .take(2)
        .find_map(|(index, word)| Some((index, condition(word)?)))?;
    // NAME and AGE stand together; before them may be a prompt or a sign of quotation.
    let at = (1..end).find(|&at| is_name(words[at - 1]) && is_age(words[at]))?;
    let mut rest = &words[at + 1..end];
    let mut signer = None;
    // A user's name may hold a slash; a signer always does, and something follows it.
    if let [first, more @ ..] = rest
        && !more.is_empty()
        && is_signer(first)
    {
        signer = Some((*first).to_owned());
        rest = more;
    }
    let mut duration = None;
    if let [before @ .., last] = rest
        && !before.is_empty()
        && (*last == "<none>" || is_age(last))
    {
        duration = span::parse(last).ok();
        rest = before;
    }
    let requestor = rest.join(" ");
    if requestor.is_empty() || requestor.starts_with('<') {
        return None;
    }
    Some(Request {
        line: words[at - 1..].join("  "),
        age: span::parse(words[at]).ok(),
        signer,
        requestor,
        duration,
        state,
    })
}

/// As `kubectl` writes it: a decision, then what became of it.
fn condition(word: &str) -> Option<RequestState> {
    let mut parts = word.split(',');
    let decision = match parts.next()? {
        "Pending" => RequestState::Pending,
        "Approved" => RequestState::Approved,
        "Denied" => RequestState::Denied,
        _ => return None,
    };
    parts.try_fold(decision, |state, part| match part {
        "Issued" if state != RequestState::Issued => Some(RequestState::Issued),
        "Failed" if state != RequestState::Failed => Some(RequestState::Failed),
        _ => None,
    })
}

/// A name of an object.
fn is_name(word: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    word.len() <= 253 && word.bytes().all(plain) && word.starts_with(|c: char| c.is_alphanumeric())
}

fn is_age(word: &str) -> bool {
    matches!(word, "<unknown>" | "<invalid>")
        || word.starts_with(|c: char| c.is_ascii_digit()) && span::parse(word).is_ok()
}

fn is_signer(word: &str) -> bool {
    word.split_once('/')
        .is_some_and(|(domain, path)| is_name(domain) && domain.contains('.') && !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Request> {
        let words: Vec<&str> = line.split_whitespace().collect();
        read(&words)
    }

    #[test]
    fn the_columns_of_every_kubectl() {
        let old = of("csr-x 4m30s system:bootstrap:ab12cd Approved,Issued").unwrap();
        assert_eq!((old.signer, old.duration), (None, None));
        assert!(matches!(old.state, RequestState::Issued));
        assert_eq!(old.age, Some(SignedDuration::from_secs(270)));
        let middle =
            of("csr-x 47h kubernetes.io/kubelet-serving system:node:w-1.lan Pending").unwrap();
        assert_eq!(
            middle.signer.as_deref(),
            Some("kubernetes.io/kubelet-serving")
        );
        assert_eq!(middle.requestor, "system:node:w-1.lan");
        let new =
            of("jane 2d3h kubernetes.io/kube-apiserver-client oidc:Jane Doe 24h Approved,Failed")
                .unwrap();
        assert_eq!(new.requestor, "oidc:Jane Doe");
        assert_eq!(new.duration, Some(SignedDuration::from_hours(24)));
        assert!(matches!(new.state, RequestState::Failed));
        let labels = of("> csr-x <unknown> example.com/mine team/jane <none> Denied a=b").unwrap();
        assert_eq!((labels.age, labels.duration), (None, None));
        assert_eq!(labels.requestor, "team/jane");
        assert!(matches!(labels.state, RequestState::Denied));
    }

    #[test]
    fn other_lines_are_no_requests() {
        for line in [
            "",
            "Pending",
            "web-0 1/1 Running 0 4m",
            "csr-x 4m Pending",
            "csr-x system:node:w1 Pending",
            "csr-x 4m system:node:w1 Issued",
            "data-0 Pending 4m standard",
        ] {
            assert!(of(line).is_none(), "{line}");
        }
    }
}
