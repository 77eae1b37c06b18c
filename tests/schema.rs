//! The published JSON Schema is the one that this certdrill writes.

#[test]
fn the_published_schema_is_current() {
    let published = include_str!("../scenarios/schema.json");
    assert!(
        published == certdrill::scenario::schema(),
        "scenarios/schema.json is not current: run `cargo run -- schema > scenarios/schema.json`"
    );
}

#[test]
fn the_schema_knows_every_step_and_form() {
    let schema: serde_json::Value = serde_json::from_str(&certdrill::scenario::schema()).unwrap();
    let steps = &schema["definitions"]["Step"]["properties"];
    for step in ["walk", "renew", "moveManifests", "expectFailure", "when"] {
        assert!(steps[step].is_object(), "{step}");
    }
    let forms = schema["definitions"]["Expectation"]["anyOf"]
        .as_array()
        .unwrap();
    assert_eq!(forms.len(), 12);
    for form in forms {
        assert_eq!(form["additionalProperties"], false, "{form}");
    }
}
