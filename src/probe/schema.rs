//! Whether a JSON value is what a schema says: the part of JSON Schema that descriptions of tools use. What a schema says beyond that is passed over, never held against the value.

use serde_json::Value;

/// How deep a value is followed.
const DEEP: usize = 16;

/// Every place where the value is not what the schema says, as `/tasks/0/id: not an integer`; at most five.
pub fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    judge(schema, schema, value, "", 0, &mut found);
    found.truncate(5);
    found
}

fn judge(whole: &Value, schema: &Value, value: &Value, at: &str, depth: usize, found: &mut Vec<String>) {
    if depth > DEEP {
        return;
    }
    let mut wrong = |what: String| found.push(format!("{}: {what}", if at.is_empty() { "/" } else { at }));
    if let Some(behind) = schema.get("$ref").and_then(Value::as_str).and_then(|to| whole.pointer(to.strip_prefix('#')?)) {
        judge(whole, behind, value, at, depth + 1, found);
        return;
    }
    if let Some(kinds) = schema.get("type")
        && !names(kinds).iter().any(|kind| is(kind, value))
    {
        return wrong(format!("not of type {}", names(kinds).join(" or ")));
    }
    if let Some(wanted) = schema.get("const").filter(|wanted| *wanted != value) {
        return wrong(format!("not {wanted}"));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|all| !all.contains(value)) {
        return wrong("none of the listed values".to_owned());
    }
    for word in ["anyOf", "oneOf"] {
        let Some(all) = schema.get(word).and_then(Value::as_array) else { continue };
        let fits = |one: &Value| {
            let mut inner = Vec::new();
            judge(whole, one, value, at, depth + 1, &mut inner);
            inner.is_empty()
        };
        if !all.iter().any(fits) {
            return wrong(format!("fits nothing of {word}"));
        }
    }
    if let Some(object) = value.as_object() {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|name| !object.contains_key(*name)) {
            wrong(format!("has no {name}"));
        }
        for (name, about) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(inner) = object.get(name) {
                judge(whole, about, inner, &format!("{at}/{name}"), depth + 1, found);
            }
        }
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (place, inner) in list.iter().enumerate() {
            judge(whole, items, inner, &format!("{at}/{place}"), depth + 1, found);
        }
    }
    for all in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        judge(whole, all, value, at, depth + 1, found);
    }
}

fn names(kinds: &Value) -> Vec<&str> {
    match kinds {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        // 1.0 is an integer to JSON Schema.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_held_against_what_the_schema_says_and_nothing_more() {
        let schema = json!({
            "type": "object", "required": ["tasks", "count"],
            "properties": { "tasks": { "type": "array", "items": { "$ref": "#/$defs/Task" } }, "count": { "type": "integer" }, "state": { "enum": ["open", "done"] } },
            "$defs": { "Task": { "type": "object", "required": ["id"], "properties": {
                "id": { "type": "integer" }, "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] }, "deleted": { "const": true } } } },
        });
        let check = |value: Value, expect: &[&str]| assert_eq!(violations(&schema, &value), expect, "{value}");
        check(json!({ "tasks": [], "count": 0 }), &[]);
        check(json!({ "tasks": [{ "id": 1, "note": null, "deleted": true, "more": {} }], "count": 1.0, "state": "open" }), &[]);
        check(json!([]), &["/: not of type object"]);
        check(json!({ "tasks": [] }), &["/: has no count"]);
        check(json!({ "tasks": [{ "id": "1" }], "count": 1 }), &["/tasks/0/id: not of type integer"]);
        check(json!({ "tasks": [{}], "count": 1.5 }), &["/tasks/0: has no id", "/count: not of type integer"]);
        check(
            json!({ "tasks": [{ "id": 1, "note": 2, "deleted": false }], "count": 1 }),
            &["/tasks/0/note: fits nothing of anyOf", "/tasks/0/deleted: not true"],
        );
        check(json!({ "tasks": [], "count": 0, "state": "lost" }), &["/state: none of the listed values"]);
        let circle = json!({ "$ref": "#" });
        assert_eq!(violations(&circle, &json!(1)), Vec::<String>::new(), "a schema that is only itself says nothing");
        assert_eq!(violations(&json!({ "type": "array", "items": { "type": "null" } }), &json!([1, 2, 3, 4, 5, 6])).len(), 5);
    }
}
