//! Which etcd a kubeadm brings: its image tag decides whether an upgrade changes etcd's manifest, and with
//! that whether etcd's certificates are renewed.

use crate::kubeadm::Version;

/// `DefaultEtcdVersion` of `K/constants/constants.go`, read in each of these versions (minor, patch).
const KNOWN: &[(u16, u16, &str)] = &[
    (10, 5, "3.1.12"),
    (11, 10, "3.2.18"),
    (12, 5, "3.2.24"),
    (13, 12, "3.2.24"),
    (14, 10, "3.3.10"),
    (15, 12, "3.3.10"),
    (16, 15, "3.3.15-0"),
    (17, 17, "3.4.3-0"),
    (18, 20, "3.4.3-0"),
    (19, 16, "3.4.13-0"),
    (20, 15, "3.4.13-0"),
    (21, 14, "3.4.13-0"),
    (22, 17, "3.5.6-0"),
    (23, 17, "3.5.6-0"),
    (24, 17, "3.5.6-0"),
    (25, 16, "3.5.9-0"),
    (26, 3, "3.5.6-0"),
    (26, 4, "3.5.6-0"),
    (26, 15, "3.5.10-0"),
    (27, 16, "3.5.12-0"),
    (28, 0, "3.5.9-0"),
    (28, 15, "3.5.15-0"),
    (29, 0, "3.5.10-0"),
    (29, 6, "3.5.12-0"),
    (29, 15, "3.5.16-0"),
    (30, 0, "3.5.12-0"),
    (30, 4, "3.5.12-0"),
    (30, 14, "3.5.15-0"),
    (31, 0, "3.5.15-0"),
    (31, 14, "3.5.24-0"),
    (32, 0, "3.5.16-0"),
    (32, 2, "3.5.16-0"),
    (32, 13, "3.5.24-0"),
    (33, 0, "3.5.21-0"),
    (33, 4, "3.5.21-0"),
    (33, 6, "3.5.24-0"),
    (33, 13, "3.5.24-0"),
    (34, 4, "3.6.5-0"),
    (35, 4, "3.6.6-0"),
    (36, 3, "3.6.8-0"),
    (37, 2, "3.7.0-0"),
];

/// The tag of etcd's image.
///
/// A version that was not looked at has the tag of the last one before it in the same minor version, else of
/// the first one after it; see [`etcd_tag_uncertainty`].
#[must_use]
pub fn etcd_tag(version: Version) -> &'static str {
    let (below, above) = neighbours(version);
    let same_minor = |known: &&(u16, u16, &'static str)| known.0 == version.minor;
    below
        .filter(same_minor)
        .or(above)
        .or(below)
        .map_or("", |known| known.2)
}

/// A sentence where the tag of a version was not looked up and its neighbours differ.
#[must_use]
pub fn etcd_tag_uncertainty(version: Version) -> Option<String> {
    let (below, above) = neighbours(version);
    let exact = below.is_some_and(|known| (known.0, known.1) == (version.minor, version.patch));
    if exact || below.map(|known| known.2) == above.map(|known| known.2) {
        return None;
    }
    Some(format!(
        "etcd's image of kubeadm {version} was not looked up (taken: {}); it decides whether an upgrade renews \
         etcd's certificates",
        etcd_tag(version)
    ))
}

/// How an etcd logs that it refuses a client's certificate (`server/embed/config_logging.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalLog {
    /// A line of text; the logger is capnslog.
    Text,
    /// A JSON object whose message does not say which of the two ports it was.
    Json,
    /// A JSON object that says so.
    JsonOfEndpoint,
}

/// See [`RefusalLog`]. Sources of etcd 3.4.3, 3.4.13, 3.5.6, 3.5.12 to 3.5.16, 3.5.24, 3.6.5, 3.6.8 and 3.7.0.
#[must_use]
pub fn etcd_refusal_log(version: Version) -> RefusalLog {
    match etcd_numbers(version) {
        numbers if numbers < [3, 5, 0] => RefusalLog::Text,
        numbers if numbers < [3, 5, 15] => RefusalLog::Json,
        _ => RefusalLog::JsonOfEndpoint,
    }
}

/// What the TLS library of an etcd calls a certificate that does not verify: in a client, and in a server that speaks of
/// its client's (`crypto/tls`). etcd 3.5.10 is the first that is built with Go 1.20, which has one text for both.
#[must_use]
pub fn etcd_verification_words(version: Version) -> [&'static str; 2] {
    match etcd_numbers(version) {
        numbers if numbers < [3, 5, 0] => ["", "tls: failed to verify client's certificate: "],
        numbers if numbers < [3, 5, 10] => ["", "tls: failed to verify client certificate: "],
        _ => ["tls: failed to verify certificate: "; 2],
    }
}

/// Whether an etcd that finds a certificate outside its validity says what time it is. etcd up to 3.4 is built with Go 1.12 and
/// before (etcd#12882), 3.5.0 with Go 1.16.
#[must_use]
pub fn etcd_names_current_time(version: Version) -> bool {
    etcd_numbers(version) >= [3, 5, 0]
}

/// The numbers in etcd's tag.
fn etcd_numbers(version: Version) -> [u16; 3] {
    let tag = etcd_tag(version).split('-').next().unwrap_or_default();
    let mut numbers = tag.split('.').map(|number| number.parse().unwrap_or(0));
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

type Known = Option<&'static (u16, u16, &'static str)>;

/// The last known version up to this one, and the first after it.
fn neighbours(version: Version) -> (Known, Known) {
    let wanted = (version.minor, version.patch);
    let after = KNOWN.partition_point(|known| (known.0, known.1) <= wanted);
    (
        after.checked_sub(1).and_then(|index| KNOWN.get(index)),
        KNOWN.get(after),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_known_versions_are_certain() {
        assert!(KNOWN.is_sorted_by_key(|known| (known.0, known.1)));
        for known in KNOWN {
            let version = Version::new(known.0, known.1);
            assert_eq!(etcd_tag(version), known.2);
            assert_eq!(etcd_tag_uncertainty(version), None);
        }
    }

    #[test]
    fn the_words_of_a_log_follow_the_version_of_etcd() {
        let log = |minor, patch| etcd_refusal_log(Version::new(minor, patch));
        assert_eq!(log(17, 17), RefusalLog::Text);
        assert_eq!(log(27, 16), RefusalLog::Json);
        assert_eq!(log(28, 15), RefusalLog::JsonOfEndpoint);
        let words = |minor, patch| etcd_verification_words(Version::new(minor, patch))[0];
        // 3.5.6 and 3.5.12: it is etcd's version that decides, not that of Kubernetes.
        assert_eq!(words(26, 3), "");
        assert_eq!(words(26, 15), "tls: failed to verify certificate: ");
        assert_eq!(words(27, 16), "tls: failed to verify certificate: ");
        assert_eq!(words(28, 0), "");
        // 3.4.13 and 3.5.6.
        assert!(!etcd_names_current_time(Version::new(21, 14)));
        assert!(etcd_names_current_time(Version::new(22, 17)));
    }

    #[test]
    fn a_version_in_between_says_when_it_is_a_guess() {
        assert_eq!(etcd_tag(Version::new(34, 1)), "3.6.5-0");
        assert!(etcd_tag_uncertainty(Version::new(34, 1)).is_some());
        assert_eq!(etcd_tag(Version::new(30, 2)), "3.5.12-0");
        assert_eq!(etcd_tag_uncertainty(Version::new(30, 2)), None);
        assert!(etcd_tag_uncertainty(Version::new(28, 9)).is_some());
    }
}
