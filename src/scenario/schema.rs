//! The JSON Schema of the format, for editors.

use schemars::generate::SchemaSettings;

use super::raw::Document;

/// The schema as it is published in `scenarios/schema.json`.
#[must_use]
pub fn schema() -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), "certdrill scenario".into());
    schema.insert(
        "$comment".to_owned(),
        "Written by `certdrill schema`; do not edit.".into(),
    );
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
