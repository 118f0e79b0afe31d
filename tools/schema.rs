//! JSON schemas of arguments and replies as clients want them: inlined, without nulls, closed for arguments and open for replies; nothing else.

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The closed, flat schema of a tool's arguments.
pub(crate) fn accepts<T: JsonSchema + 'static>() -> Arc<JsonObject> {
    once::<T>(true, || {
        let mut root = render::<T>(SchemaSettings::draft2020_12(), true);
        root.entry("type").or_insert_with(|| json!("object"));
        root.entry("properties").or_insert_with(|| json!({}));
        root
    })
}

/// A type's schema for arguments or for replies, made once: making it takes longer than most calls.
fn once<T: 'static>(arguments: bool, make: impl FnOnce() -> JsonObject) -> Arc<JsonObject> {
    type Made = Mutex<HashMap<(TypeId, bool), Arc<JsonObject>>>;
    static MADE: LazyLock<Made> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(made.entry((TypeId::of::<T>(), arguments)).or_insert_with(|| Arc::new(make())))
}

/// The schema of a reply as `tools/list` shows it: the fields, their objects' fields, and plain objects below that.
pub(crate) fn returns<T: JsonSchema + 'static>() -> Arc<JsonObject> {
    once::<T>(false, || {
        let mut root = full::<T>();
        root.entry("type").or_insert_with(|| json!("object"));
        shallow(&mut root);
        root
    })
}

/// The whole schema of a reply, which `landfall://schema/<tool>` gives.
pub(crate) fn full<T: JsonSchema>() -> JsonObject {
    render::<T>(SchemaSettings::draft2020_12().for_serialize(), false)
}

fn render<T: JsonSchema>(mut settings: SchemaSettings, close: bool) -> JsonObject {
    settings.meta_schema = None;
    settings.inline_subschemas = true;
    let root = settings.into_generator().into_root_schema_for::<T>().to_value();
    let Value::Object(mut root) = root else { return JsonObject::new() };
    tidy(&mut root, close);
    root.remove("description");
    root
}

/// Takes out what confuses clients: titles, number formats, nulls, one-armed unions, described constants.
fn tidy(schema: &mut Map<String, Value>, close: bool) {
    schema.remove("title");
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint") || format.starts_with("int") || format == "double" || format == "float")
    {
        schema.remove("format");
    }
    if schema.get("default").is_some_and(|default| default.is_null() || default == &json!([]) || default == &json!("")) {
        schema.remove("default");
    }
    // What an unsigned type cannot be anyway.
    if schema.get("minimum") == Some(&json!(0)) {
        schema.remove("minimum");
    }
    without_null(schema);
    constants(schema);
    for keyword in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(keyword) {
            tidy(inner, close);
            if close {
                // What the argument's own description says already.
                inner.remove("description");
            }
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for inner in properties.values_mut().filter_map(Value::as_object_mut) {
            tidy(inner, close);
        }
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(arms)) = schema.get_mut(keyword) {
            for inner in arms.iter_mut().filter_map(Value::as_object_mut) {
                tidy(inner, close);
            }
        }
    }
    let object = schema.get("type") == Some(&json!("object"));
    if close && object && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if !close && schema.get("additionalProperties").is_some_and(Value::is_boolean) {
        schema.remove("additionalProperties");
    }
}

/// Absent instead of null: the null type, the null constant and the null arm go; a lone arm is lifted.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(arms)) = schema.get_mut("anyOf") else { return };
    arms.retain(|arm| arm.get("type") != Some(&json!("null")));
    let [Value::Object(only)] = arms.as_slice() else { return };
    let only = only.clone();
    schema.remove("anyOf");
    for (key, value) in only {
        schema.entry(key).or_insert(value);
    }
}

/// `oneOf` of described constants becomes an `enum`; what was said of each constant moves into the description.
fn constants(schema: &mut Map<String, Value>) {
    let Some(Value::Array(arms)) = schema.get("oneOf") else { return };
    let (mut values, mut notes) = (Vec::new(), Vec::new());
    for arm in arms {
        match (arm.get("const"), arm.get("enum")) {
            (Some(value), _) => {
                if let (Some(name), Some(note)) = (value.as_str(), arm.get("description").and_then(Value::as_str)) {
                    notes.push(format!("{name}: {}", note.trim_end_matches('.')));
                }
                values.push(value.clone());
            }
            (None, Some(Value::Array(several))) => values.extend(several.iter().cloned()),
            (None, _) => return,
        }
    }
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), Value::Array(values));
    if !notes.is_empty() {
        let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let said = format!("{said} {}.", notes.join("; "));
        schema.insert("description".to_owned(), Value::String(said.trim().to_owned()));
    }
}

/// Fields that many replies have, or that few callers look into: their types are told in the full schema, and kept short in the list.
const SHORT: &[&str] = &[
    "operation",
    "approval",
    "next",
    "passed_over",
    "skipped",
    "unknown",
    "proof",
    "programs",
    "findings",
    "warnings",
    "backing",
    "ready",
    "logs",
    "objects",
    "proposals",
    "refusal",
];
/// Fields that every reply may have and no caller chooses by: the full schema alone has them.
const LEFT_OUT: &[&str] = &["schema_version", "target", "gates", "diagnoses", "files", "values_needed", "resources", "seen_at"];

fn shallow(root: &mut Map<String, Value>) {
    if let Some(Value::Array(required)) = root.get_mut("required") {
        required.retain(|name| name.as_str().is_none_or(|name| !LEFT_OUT.contains(&name)));
    }
    let Some(Value::Object(properties)) = root.get_mut("properties") else { return };
    properties.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
    for (name, property) in properties.iter_mut() {
        if name == "status" {
            // The same five in every reply, which says them itself.
            brief(property);
        }
        cut(property, if SHORT.contains(&name.as_str()) { 0 } else { 1 });
    }
}

/// Keeps the fields of `levels` levels of objects below this schema and makes plain objects of the rest.
fn cut(schema: &mut Value, levels: usize) {
    let Value::Object(map) = schema else { return };
    map.remove("description");
    map.remove("default");
    if map.get("type") == Some(&json!("object")) {
        if levels == 0 {
            map.retain(|key, _| key == "type");
            return;
        }
        map.remove("required");
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(keyword) {
            cut(inner, levels);
        }
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        for inner in properties.values_mut() {
            cut(inner, levels - 1);
            brief(inner);
        }
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(arms)) = map.get_mut(keyword) {
            for arm in arms {
                cut(arm, levels);
            }
        }
    }
}

/// Of a field two levels down, its type alone.
fn brief(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    map.remove("enum");
    map.remove("items");
}

/// What is wrong with the arguments' numbers, by the ranges of the schema.
pub(crate) fn out_of_range(schema: &JsonObject, arguments: &JsonObject) -> Option<String> {
    let properties = schema.get("properties")?.as_object()?;
    arguments.iter().find_map(|(name, value)| {
        let rule = properties.get(name)?;
        let number = value.as_f64()?;
        let (least, most) = (rule.get("minimum").and_then(Value::as_f64), rule.get("maximum").and_then(Value::as_f64));
        let outside = least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most);
        let bound = |bound: Option<f64>| bound.map_or_else(|| "any".to_owned(), |bound| bound.to_string());
        outside.then(|| format!("`{name}` is {value}, allowed is {} to {}", bound(least), bound(most)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::ALL;

    /// Every schema within a schema, with the path that leads to it.
    fn each(schema: &Value, path: &str, see: &mut dyn FnMut(&str, &Map<String, Value>)) {
        let Value::Object(map) = schema else { return };
        see(path, map);
        if let Some(Value::Object(properties)) = map.get("properties") {
            for (name, inner) in properties {
                each(inner, &format!("{path}.{name}"), see);
            }
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(inner) = map.get(keyword) {
                each(inner, &format!("{path}[]"), see);
            }
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            for inner in map.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                each(inner, &format!("{path}|"), see);
            }
        }
    }

    #[test]
    fn the_list_of_tools_is_small_enough() {
        let list: Vec<_> = ALL.iter().map(|tool| serde_json::to_value(tool.listing()).unwrap()).collect();
        let size = json!({ "tools": list }).to_string().len();
        assert!(size <= 24 * 1024, "{size} bytes");
    }

    #[test]
    fn arguments_are_flat_closed_and_described() {
        for tool in ALL {
            let listing = tool.listing();
            let schema = Value::Object((*listing.input_schema).clone());
            assert_eq!(schema["type"], "object");
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name());
            each(&schema, tool.name(), &mut |path, map| {
                for never in ["$ref", "$defs", "$schema", "anyOf", "oneOf", "allOf"] {
                    assert!(!map.contains_key(never), "{never} in {path}");
                }
                assert!(map.get("type").is_some_and(Value::is_string), "{path} has no single type");
                assert!(path == tool.name() || map["type"] != "object", "{path} is not flat");
                let argument = path.matches('.').count() == 1 && !path.ends_with("[]");
                assert!(!argument || map.contains_key("description"), "{path} is not described");
            });
        }
    }

    #[test]
    fn replies_are_open_and_without_nulls() {
        for tool in ALL {
            let full = tool.full_schema();
            let listed = tool.listing().output_schema.unwrap();
            for schema in [Value::Object(full), Value::Object((*listed).clone())] {
                assert_eq!(schema["type"], "object");
                each(&schema, tool.name(), &mut |path, map| {
                    assert_ne!(map.get("additionalProperties"), Some(&Value::Bool(false)), "{path}");
                    for never in ["$ref", "$defs", "$schema"] {
                        assert!(!map.contains_key(never), "{never} in {path}");
                    }
                    assert!(map.get("type").is_none_or(Value::is_string), "{path}: {:?}", map.get("type"));
                });
            }
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let schema = accepts::<landfall::ask::Deploy>();
        let wrong = |value: Value| out_of_range(&schema, value.as_object().unwrap());
        assert!(wrong(json!({ "deadline_s": 5 })).unwrap().contains("10 to 3600"));
        assert_eq!(wrong(json!({ "deadline_s": 10 })), None);
    }
}
