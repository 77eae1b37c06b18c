//! The table of behaviours. `run` means a recorded run of the corpus, `source` a reading of that
//! release's code (paths below `cmd/kubeadm/app` unless said otherwise).

mod certificates;
mod command_line;
mod configuration;
mod kubeconfigs;

pub(super) use certificates::*;
pub(super) use command_line::*;
pub(super) use configuration::*;
pub(super) use kubeconfigs::*;

use crate::kubeadm::Version;

const fn v(minor: u16, patch: u16) -> Version {
    Version::new(minor, patch)
}

/// First version of the table.
const FIRST: Version = v(0, 0);

/// A behaviour with one boundary: what versions below do, the boundary, what versions from it do.
macro_rules! boundary {
    ($(#[$doc:meta])* $id:ident: $type:ty = $name:literal, $old:expr, ($minor:literal, $patch:literal) $(, after ($known_minor:literal, $known_patch:literal))? => $new:expr, $evidence:literal) => {
        $(#[$doc])*
        pub static $id: Behaviour<$type> = Behaviour {
            name: $name,
            rules: &[
                Rule {
                    from: v($minor, $patch),
                    until: None,
                    value: $new,
                    evidence: $evidence,
                    not_checked_after: boundary!(@known $(($known_minor, $known_patch))?),
                },
                Rule {
                    from: FIRST,
                    until: Some(v($minor, $patch)),
                    value: $old,
                    evidence: $evidence,
                    not_checked_after: None,
                },
            ],
        };
    };
    (@known) => { None };
    (@known ($minor:literal, $patch:literal)) => { Some(v($minor, $patch)) };
}

use boundary;
