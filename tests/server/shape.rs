//! Whether a value has the shape that a JSON schema asks for: the keywords that our schemas use, and a panic at any other.

use serde_json::Value;

/// What does not fit, with its path.
pub(crate) fn misfits(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Some(rules) = schema.as_object() else { return Vec::new() };
    let mut found = Vec::new();
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "type" => {
                let fits = match rule.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("type {other}"),
                };
                if !fits {
                    found.push(format!("{path}: {value} is no {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(value) {
                    found.push(format!("{path}: {value} is none of {rule}"));
                }
            }
            "const" => {
                if rule != value {
                    found.push(format!("{path}: {value} is not {rule}"));
                }
            }
            "required" => {
                for name in rule.as_array().unwrap().iter().filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|fields| !fields.contains_key(name)) {
                        found.push(format!("{path}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, inner) in rule.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        found.extend(misfits(inner, field, &format!("{path}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = |name: &str| rules.get("properties").is_some_and(|known| known.get(name).is_some());
                for (name, field) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                    match rule {
                        Value::Bool(true) => {}
                        Value::Bool(false) => found.push(format!("{path}: {name} is not known")),
                        inner => found.extend(misfits(inner, field, &format!("{path}.{name}"))),
                    }
                }
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(misfits(rule, item, &format!("{path}[{n}]")));
                }
            }
            "anyOf" | "oneOf" => {
                if !rule.as_array().unwrap().iter().any(|arm| misfits(arm, value, path).is_empty()) {
                    found.push(format!("{path}: {value} fits no arm"));
                }
            }
            "minimum" | "maximum" | "description" | "default" | "title" | "format" | "pattern" => {}
            other => panic!("{path}: the keyword {other} is not known here"),
        }
    }
    found
}

#[test]
fn a_misfit_is_found() {
    let schema = serde_json::json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "array", "items": { "enum": ["x"] } } } });
    let check = |value: Value, expect: usize| assert_eq!(misfits(&schema, &value, "").len(), expect, "{value}");
    check(serde_json::json!({ "a": ["x"], "more": 1 }), 0);
    check(serde_json::json!({ "a": ["y", "z"] }), 2);
    check(serde_json::json!({}), 1);
    check(serde_json::json!([]), 1);
}
