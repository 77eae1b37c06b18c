//! JSON documents with a published schema.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

/// A document, as text.
pub(super) fn text(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema of documents as it is published. `word` is what `certdrill schema` calls it.
pub(crate) fn schema<T: JsonSchema>(title: &str, word: &str) -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.insert(
        "$comment".to_owned(),
        format!("Written by `certdrill schema {word}`; do not edit.").into(),
    );
    text(&schema)
}
