//! From YAML nodes to the raw types of the format, with every mistake collected.
//!
//! `record!` declares a mapping once: the struct, its strict decoder and its JSON Schema come from the
//! same lines, so the three cannot drift apart.

use super::Position;
use super::node::{Key, Node, Value};
use super::problem::{Problem, listed, nearest, suggest};

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Adds a mistake; `None` so that a decoder can return it.
    pub(super) fn push<T>(&mut self, problem: Problem) -> Option<T> {
        self.list.push(problem);
        None
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// In the order of the file, each once.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.list
            .sort_by(|a, b| (a.at.offset, &a.message).cmp(&(b.at.offset, &b.message)));
        self.list.dedup();
        self.list
    }
}

/// What can be read from a YAML node.
pub(super) trait Decode: Sized {
    /// Reads it; mistakes go to `problems`, and `None` means that there was one.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// What a mapping without this key means.
    fn missing(key: &'static str, parent: Position, problems: &mut Problems) -> Option<Self> {
        problems.push(Problem::new(parent, format!("`{key}` is missing")).label("in this mapping"))
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }

    fn missing(_: &'static str, _: Position, _: &mut Problems) -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Box::new)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::List(items) = &node.value else {
            return problems.push(expected("a list", node));
        };
        let decoded: Vec<_> = items.iter().map(|item| T::decode(item, problems)).collect();
        decoded.into_iter().collect()
    }
}

/// `expected …, found …`.
pub(super) fn expected(what: &str, node: &Node) -> Problem {
    let problem = Problem::new(node.at, format!("expected {what}, found {}", node.what()));
    match &node.value {
        // `{version}` without quotes is a YAML mapping; a frequent slip.
        Value::Map(entries) => match entries.as_slice() {
            [(key, value)] if value.value == Value::Null => problem.help(format!(
                "if `{{{0}}}` is a matrix key, put it in quotes: \"{{{0}}}\"",
                key.text
            )),
            _ => problem,
        },
        _ => problem,
    }
}

/// A mapping whose keys are looked up and accounted for.
pub(super) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    at: Position,
}

impl<'n> Fields<'n> {
    /// The mapping of a node. `what` names it in the message when it is something else. Reports duplicate keys.
    pub(super) fn of(node: &'n Node, what: &str, problems: &mut Problems) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return problems.push(expected(what, node));
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            if let Some((first, _)) = entries[..index].iter().find(|(k, _)| k.text == key.text) {
                problems.push::<()>(
                    Problem::new(key.at, format!("`{}` is given twice", key.text))
                        .label("given again here")
                        .other(first.at, "first given here"),
                );
            }
        }
        // A block mapping "is" its first key: what a person looks at.
        let at = entries.first().map_or(node.at, |(key, _)| key.at);
        Some(Self { entries, at })
    }

    /// Where the mapping begins.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// Its entries in the order of the file.
    pub(super) fn entries(&self) -> &'n [(Key, Node)] {
        self.entries
    }

    /// The first entry of that name.
    pub(super) fn find(&self, name: &str) -> Option<&'n (Key, Node)> {
        self.entries.iter().find(|(key, _)| key.text == name)
    }

    /// The value of a key.
    pub(super) fn read<T: Decode>(&self, name: &'static str, problems: &mut Problems) -> Option<T> {
        match self.find(name) {
            // An empty value is as good as a missing key, and more often a slip.
            Some((_, node)) => T::decode(node, problems),
            // A misspelt key was reported already; that it is "missing" too would be noise.
            None if self
                .entries
                .iter()
                .any(|(key, _)| nearest(&key.text, [name]).is_some()) =>
            {
                T::missing(name, self.at, &mut Problems::default())
            }
            None => T::missing(name, self.at, problems),
        }
    }

    /// Reports every key that is none of `known` or `extra`.
    pub(super) fn reject_unknown(
        &self,
        what: &str,
        known: &[&'static str],
        extra: &[&'static str],
        problems: &mut Problems,
    ) {
        for (key, _) in self.entries {
            let name = key.text.as_str();
            if !known.contains(&name) && !extra.contains(&name) {
                let all: Vec<&str> = known.iter().chain(extra).copied().collect();
                problems.push::<()>(
                    Problem::new(key.at, format!("unknown key `{name}` in {what}"))
                        .help(suggest(name, all)),
                );
            }
        }
    }

    /// The one entry whose key says what the mapping is; reports none and several.
    pub(super) fn discriminant(
        &self,
        what: &str,
        known: &[&'static str],
        extra: &[&'static str],
        is_open: impl Fn(&str) -> bool,
        problems: &mut Problems,
    ) -> Option<&'n (Key, Node)> {
        let mut found = self
            .entries
            .iter()
            .filter(|(key, _)| known.contains(&key.text.as_str()) || is_open(&key.text));
        match (found.next(), found.next()) {
            (Some(entry), None) => Some(entry),
            (Some((first, _)), Some((second, _))) => problems.push(
                Problem::new(
                    second.at,
                    format!(
                        "`{}` and `{}` in one {what}: write two",
                        first.text, second.text
                    ),
                )
                .other(first.at, format!("the {what} is already this")),
            ),
            (None, _) => {
                let strange = self
                    .entries
                    .iter()
                    .filter(|(key, _)| !extra.contains(&key.text.as_str()));
                // The key that is nearly right, else the first: options may stand before it.
                let strange = strange.clone().min_by_key(|(key, _)| {
                    key.text == "nodes" || nearest(&key.text, known.iter().copied()).is_none()
                });
                match strange {
                    Some((key, _)) => problems.push(
                        Problem::new(key.at, format!("unknown {what} `{}`", key.text))
                            .help(suggest(&key.text, known.iter().copied())),
                    ),
                    None => problems.push(
                        Problem::new(self.at, format!("this {what} says nothing"))
                            .help(format!("give one of {}", listed(known.iter().copied()))),
                    ),
                }
            }
        }
    }
}

/// Declares a mapping of the format: struct, strict decoder and JSON Schema.
macro_rules! record {
    ($(#[$meta:meta])* $what:literal $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $key:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $vis struct $name {
            $($(#[$field_meta])* #[schemars(rename = $key)] pub(crate) $field: $type,)*
        }

        impl $name {
            /// Every key, for suggestions.
            pub(crate) const KEYS: &'static [&'static str] = &[$($key),*];

            /// Reads it from a mapping that may also have the keys `extra`.
            pub(crate) fn read(
                fields: &$crate::scenario::decode::Fields<'_>,
                extra: &[&'static str],
                problems: &mut $crate::scenario::decode::Problems,
            ) -> Option<Self> {
                let before = problems.len();
                fields.reject_unknown($what, Self::KEYS, extra, problems);
                $(let $field = fields.read::<$type>($key, problems);)*
                if problems.len() > before {
                    return None;
                }
                Some(Self { $($field: $field?),* })
            }
        }

        impl $crate::scenario::decode::Decode for $name {
            fn decode(
                node: &$crate::scenario::node::Node,
                problems: &mut $crate::scenario::decode::Problems,
            ) -> Option<Self> {
                let fields = $crate::scenario::decode::Fields::of(node, $what, problems)?;
                Self::read(&fields, &[], problems)
            }
        }
    };
}
pub(super) use record;
