//! placeholder
use super::{Machine, Version};
use crate::scenario::Component;
/// p
pub enum Renewal {
    /// r
    Renewed,
    /// e
    External,
}
/// p
pub fn certificates_of(_c: Component) -> &'static [&'static str] {
    &[]
}
/// p
pub fn renew_for_upgrade(
    _v: Version,
    _m: &mut Machine<'_>,
    _n: &str,
    _c: &str,
) -> Result<Renewal, String> {
    Ok(Renewal::Renewed)
}
