//! Shapes that several keys share: a short form beside a mapping, one item or a list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::scenario::decode::{Decode, Problems};
use crate::scenario::node::{Node, Value};

/// A scalar for the common case, or a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Short<S, L> {
    Short(S),
    Long(L),
}

impl<S: Decode, L: Decode> Decode for Short<S, L> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Map(_) => L::decode(node, problems).map(Self::Long),
            _ => S::decode(node, problems).map(Self::Short),
        }
    }
}

impl<S: JsonSchema, L: JsonSchema> JsonSchema for Short<S, L> {
    fn schema_name() -> Cow<'static, str> {
        format!("{} or {}", S::schema_name(), L::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let short = generator.subschema_for::<S>();
        let long = generator.subschema_for::<L>();
        json_schema!({ "anyOf": [short, long] })
    }
}

/// One item, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::decode(node, problems).map(Self),
            _ => T::decode(node, problems).map(|item| Self(vec![item])),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{} or a list", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [item, { "type": "array", "items": item }] })
    }
}
