//! Virtual time: instants, durations, and the discrete-event queue.
//!
//! An instant is a [`jiff::Timestamp`], a length of time a [`jiff::SignedDuration`]. Nothing in
//! this crate outside `real/`, `cli/` and `forecast/` reads the machine's clock.

mod queue;
pub mod span;

pub use jiff::{SignedDuration, Timestamp};
pub use queue::Queue;

/// The whole second an X.509 time field holds for an instant.
///
/// X.509 times have no fraction. Go truncates when it encodes one, and this is the one place
/// where certdrill does.
#[must_use]
pub fn x509_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000) as i64)
        .unwrap_or(Timestamp::MAX)
}

/// An instant moved by a length of time, held at the ends of what a timestamp can be.
#[must_use]
pub fn shift(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// An instant in UTC that is written in a form of `strftime`; `None` where the text has another form.
#[must_use]
pub fn from_form(form: &str, text: &str) -> Option<Timestamp> {
    jiff::fmt::strtime::parse(form, text)
        .and_then(|parsed| parsed.to_datetime())
        .and_then(|civil| jiff::tz::TimeZone::UTC.to_timestamp(civil))
        .ok()
}

/// The form of an instant in the names of files that kubeadm and the kubelet write.
pub const IN_FILE_NAMES: &str = "%Y-%m-%d-%H-%M-%S";

/// The form of an instant in the table of `kubeadm certs check-expiration`.
pub const IN_EXPIRATION_TABLE: &str = "%b %d, %Y %H:%M UTC";
