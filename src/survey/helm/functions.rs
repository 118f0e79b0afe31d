//! The functions of Go templates and Sprig that charts call; `None` where one is not known here or not given what it takes.

use super::eval::{UNKNOWN, unknown};
use serde_json::{Map, Value as Json};

/// What a template writes for a value.
pub(crate) fn show(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(" ")),
        Json::Object(map) => format!("map[{}]", map.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect::<Vec<_>>().join(" ")),
    }
}

/// Empty texts, lists and maps, zero, false and nothing are not true.
pub(crate) fn truth(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(list) => !list.is_empty(),
        Json::Object(map) => !map.is_empty(),
    }
}

fn text(value: impl Into<String>) -> Json {
    Json::String(value.into())
}

fn integer(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
        Json::String(text) => Some(text.trim().parse().unwrap_or(0)),
        Json::Bool(value) => Some(i64::from(*value)),
        Json::Null => Some(0),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// Calls a function.
pub(crate) fn call(name: &str, values: &[Json]) -> Option<Json> {
    // Chance, the clock and keys: a text of which nothing is known.
    if name.starts_with("rand")
        || name.starts_with("gen")
        || matches!(
            name,
            "now" | "date" | "uuidv4" | "htpasswd" | "bcrypt" | "derivePassword" | "sha256sum" | "sha1sum" | "adler32sum" | "dateInZone" | "htmlDate" | "ago"
        )
    {
        return Some(text(UNKNOWN));
    }
    let list = |at: usize| values.get(at).and_then(Json::as_array);
    let map = |at: usize| values.get(at).and_then(Json::as_object);
    match (name, values) {
        ("default", [fallback, value]) => Some(if truth(value) { value.clone() } else { fallback.clone() }),
        ("coalesce", _) => Some(values.iter().find(|value| truth(value)).cloned().unwrap_or(Json::Null)),
        ("ternary", [yes, no, test]) => Some(if truth(test) { yes.clone() } else { no.clone() }),
        ("empty", [value]) => Some(Json::Bool(!truth(value))),
        ("not", [value]) if unknown(value) => Some(value.clone()),
        ("not", [value]) => Some(Json::Bool(!truth(value))),
        ("eq", [first, others @ ..]) => decided(values, others.iter().any(|other| same(first, other))),
        ("ne", [left, right]) => decided(values, !same(left, right)),
        ("lt" | "le" | "gt" | "ge", [left, right]) => compare(name, left, right).and_then(|answer| decided(values, answer)),
        ("lookup", _) | ("dict", []) => Some(Json::Object(Map::new())),
        ("dict", _) => Some(Json::Object(values.chunks(2).filter_map(|pair| Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.clone()))).collect())),
        ("list" | "tuple", _) => Some(Json::Array(values.to_vec())),
        ("get", [Json::Object(map), Json::String(key)]) => Some(map.get(key).cloned().unwrap_or(text(""))),
        ("hasKey", [Json::Object(map), Json::String(key)]) => Some(Json::Bool(map.contains_key(key))),
        ("keys", [Json::Object(map)]) => Some(Json::Array(map.keys().cloned().map(Json::String).collect())),
        ("values", [Json::Object(map)]) => Some(Json::Array(map.values().cloned().collect())),
        ("pick" | "omit", [Json::Object(map), wanted @ ..]) => {
            let keep = |key: &String| wanted.iter().any(|word| word.as_str() == Some(key)) == (name == "pick");
            Some(Json::Object(map.iter().filter(|(key, _)| keep(key)).map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        ("merge" | "mustMerge", [_, ..]) => merged(values.iter().rev()),
        ("mergeOverwrite" | "mustMergeOverwrite", [_, ..]) => merged(values.iter()),
        ("deepCopy" | "mustDeepCopy", [value]) => Some(value.clone()),
        ("dig", [path @ .., fallback, Json::Object(map)]) => {
            let mut at = Json::Object(map.clone());
            for key in path {
                at = match at.get(key.as_str()?) {
                    Some(next) => next.clone(),
                    None => return Some(fallback.clone()),
                };
            }
            Some(at)
        }
        ("index", [first, keys @ ..]) => {
            let mut at = first.clone();
            for key in keys {
                at = match (&at, key) {
                    (Json::Object(map), Json::String(key)) => map.get(key).cloned().unwrap_or(Json::Null),
                    (Json::Array(list), Json::Number(_)) => list.get(usize::try_from(integer(key)?).ok()?)?.clone(),
                    _ => return None,
                };
            }
            Some(at)
        }
        ("len", [value]) => Some(Json::from(match value {
            Json::Array(list) => list.len(),
            Json::Object(map) => map.len(),
            Json::String(text) => text.len(),
            _ => return None,
        })),
        ("first" | "mustFirst", [Json::Array(list)]) => Some(list.first().cloned().unwrap_or(Json::Null)),
        ("last" | "mustLast", [Json::Array(list)]) => Some(list.last().cloned().unwrap_or(Json::Null)),
        ("rest", [Json::Array(list)]) => Some(Json::Array(list.iter().skip(1).cloned().collect())),
        ("initial", [Json::Array(list)]) => Some(Json::Array(list.iter().take(list.len().saturating_sub(1)).cloned().collect())),
        ("append" | "mustAppend", [Json::Array(list), item]) => Some(Json::Array(list.iter().chain([item]).cloned().collect())),
        ("prepend", [Json::Array(list), item]) => Some(Json::Array([item].into_iter().chain(list).cloned().collect())),
        ("concat", _) => Some(Json::Array((0..values.len()).map(list).collect::<Option<Vec<_>>>()?.into_iter().flatten().cloned().collect())),
        ("has", [item, Json::Array(list)]) => Some(Json::Bool(list.iter().any(|known| same(item, known)))),
        ("without", [Json::Array(list), items @ ..]) => Some(Json::Array(list.iter().filter(|known| !items.contains(known)).cloned().collect())),
        ("uniq" | "sortAlpha" | "compact" | "reverse", [Json::Array(list)]) => {
            let mut out: Vec<Json> = Vec::new();
            for item in list.iter().filter(|item| name != "compact" || truth(item)) {
                if name != "uniq" || !out.contains(item) {
                    out.push(item.clone());
                }
            }
            if name == "sortAlpha" {
                out.sort_by_key(show);
            } else if name == "reverse" {
                out.reverse();
            }
            Some(Json::Array(out))
        }
        ("until", [count]) => Some(Json::Array((0..integer(count)?.clamp(0, 1000)).map(Json::from).collect())),
        ("join", [separator, Json::Array(list)]) => Some(text(list.iter().map(show).collect::<Vec<_>>().join(separator.as_str()?))),
        ("splitList", [Json::String(separator), Json::String(whole)]) if !separator.is_empty() => {
            Some(Json::Array(whole.split(separator.as_str()).map(text).collect()))
        }
        ("toYaml" | "mustToYaml", [value]) => Some(text(yaml(value))),
        ("toJson" | "mustToJson" | "toPrettyJson" | "toRawJson", [value]) => Some(text(value.to_string())),
        ("toString", [value]) => Some(text(show(value))),
        ("toStrings", [Json::Array(list)]) => Some(Json::Array(list.iter().map(|item| text(show(item))).collect())),
        ("int" | "int64" | "atoi", [value]) if !unknown(value) => integer(value).map(Json::from),
        ("float64", [Json::Number(number)]) => Some(Json::Number(number.clone())),
        ("add1", [value]) => Some(Json::from(integer(value)?.saturating_add(1))),
        ("add" | "sub" | "mul" | "max" | "min" | "div" | "mod", [first, others @ ..]) => others
            .iter()
            .try_fold(integer(first)?, |sum, next| {
                let next = integer(next)?;
                Some(match name {
                    "add" => sum.saturating_add(next),
                    "sub" => sum.saturating_sub(next),
                    "mul" => sum.saturating_mul(next),
                    "max" => sum.max(next),
                    "min" => sum.min(next),
                    "div" => sum.checked_div(next)?,
                    _ => sum.checked_rem(next)?,
                })
            })
            .map(Json::from),
        ("printf", [Json::String(shape), given @ ..]) => Some(text(printf(shape, given))),
        ("print", _) => Some(text(values.iter().map(show).collect::<String>())),
        ("println", _) => Some(text(values.iter().map(show).collect::<Vec<_>>().join(" ") + "\n")),
        ("kindOf" | "typeOf", [value]) => Some(text(kind(value))),
        ("kindIs" | "typeIs", [Json::String(wanted), value]) => Some(Json::Bool(wanted == kind(value) || (wanted.contains("int") && value.is_i64()))),
        ("semverCompare", [Json::String(range), Json::String(version)]) => semver(range, version).map(Json::Bool),
        ("quote" | "squote", _) => {
            let mark = |value: &Json| if name == "quote" { text(show(value)).to_string() } else { format!("'{}'", show(value)) };
            Some(text(values.iter().filter(|value| !value.is_null()).map(mark).collect::<Vec<_>>().join(" ")))
        }
        ("merge" | "mergeOverwrite" | "keys", _) if map(0).is_none() => None,
        _ => on_text(name, values),
    }
}

/// An answer, unless what it is about is not known.
fn decided(values: &[Json], answer: bool) -> Option<Json> {
    Some(if values.iter().any(unknown) { text(UNKNOWN) } else { Json::Bool(answer) })
}

fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

fn compare(name: &str, left: &Json, right: &Json) -> Option<bool> {
    let order = match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?)?,
        (Json::String(left), Json::String(right)) => left.cmp(right),
        _ => return None,
    };
    Some(match name {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn merged<'all>(values: impl Iterator<Item = &'all Json>) -> Option<Json> {
    let mut out = Map::new();
    for value in values {
        super::eval::overlay(&mut out, value.as_object()?);
    }
    Some(Json::Object(out))
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "invalid",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "slice",
        Json::Object(_) => "map",
    }
}

/// The functions that take texts; a number is a text for them where Sprig says so.
fn on_text(name: &str, values: &[Json]) -> Option<Json> {
    let all: Vec<String> = values.iter().map(show).collect();
    if values.iter().any(|value| value.is_array() || value.is_object()) {
        return None;
    }
    let words: Vec<&str> = all.iter().map(String::as_str).collect();
    let padded = |width: &str, body: &str| {
        let space = " ".repeat(width.parse::<usize>().ok()?.min(200));
        Some(format!("{space}{}", body.replace('\n', &format!("\n{space}"))))
    };
    Some(match (name, words.as_slice()) {
        ("indent", [width, body]) => text(padded(width, body)?),
        ("nindent", [width, body]) => text(format!("\n{}", padded(width, body)?)),
        ("upper", [word]) => text(word.to_uppercase()),
        ("lower", [word]) => text(word.to_lowercase()),
        ("title" | "untitle" | "camelcase" | "snakecase" | "kebabcase" | "swapcase", [_]) => return None,
        ("trim", [word]) => text(word.trim()),
        ("trimAll", [set, word]) => text(word.trim_matches(|letter| set.contains(letter))),
        ("trimSuffix", [tail, word]) => text(word.strip_suffix(tail).unwrap_or(word)),
        ("trimPrefix", [head, word]) => text(word.strip_prefix(head).unwrap_or(word)),
        ("trunc", [length, word]) => {
            let length: i64 = length.parse().ok()?;
            let count = usize::try_from(length.unsigned_abs()).ok()?;
            if length < 0 {
                text(word.chars().skip(word.chars().count().saturating_sub(count)).collect::<String>())
            } else {
                text(word.chars().take(count).collect::<String>())
            }
        }
        ("substr", [from, to, word]) => {
            let (from, to) = (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?);
            text(word.chars().skip(from).take(to.saturating_sub(from)).collect::<String>())
        }
        ("replace", [old, new, word]) => text(word.replace(old, new)),
        ("contains", [part, word]) => return decided(values, word.contains(part)),
        ("hasPrefix", [part, word]) => return decided(values, word.starts_with(part)),
        ("hasSuffix", [part, word]) => return decided(values, word.ends_with(part)),
        ("repeat", [count, word]) => text(word.repeat(count.parse::<usize>().ok()?.min(100))),
        ("nospace", [word]) => text(word.split_whitespace().collect::<String>()),
        ("cat", _) => text(words.join(" ")),
        ("b64enc", [word]) => {
            use base64::Engine as _;
            if word.contains(UNKNOWN) { text(UNKNOWN) } else { text(base64::engine::general_purpose::STANDARD.encode(word)) }
        }
        ("b64dec", [_]) => text(UNKNOWN),
        _ => return None,
    })
}

fn printf(shape: &str, given: &[Json]) -> String {
    let (mut out, mut values, mut letters) = (String::new(), given.iter(), shape.chars());
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let verb = letters.by_ref().find(|letter| !matches!(letter, '0'..='9' | '.' | '-' | '+' | '#' | ' '));
        match verb {
            Some('%') | None => out.push('%'),
            Some('q') => out.push_str(&values.next().map(|value| text(show(value)).to_string()).unwrap_or_default()),
            Some(_) => out.push_str(&values.next().map(show).unwrap_or_default()),
        }
    }
    out
}

/// `>=1.19-0` and its like; ranges with more than one part are not read.
fn semver(range: &str, version: &str) -> Option<bool> {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        let core = text.trim().trim_start_matches('v').split(['-', '+']).next()?;
        core.split('.').map(|part| part.parse().ok()).collect()
    };
    let range = range.trim();
    if range.contains([' ', ',', '|', '^', '~', '*', 'x']) {
        return None;
    }
    let sign = range.trim_end_matches(|letter: char| !matches!(letter, '<' | '>' | '='));
    let (mut wanted, mut have) = (numbers(range.get(sign.len()..)?)?, numbers(version)?);
    wanted.resize(3, 0);
    have.resize(3, 0);
    Some(match sign {
        ">=" => have >= wanted,
        "<=" => have <= wanted,
        ">" => have > wanted,
        "<" => have < wanted,
        "" | "=" => have == wanted,
        _ => return None,
    })
}

/// A value as YAML in block form, keys sorted as Helm does.
pub(crate) fn yaml(value: &Json) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out.trim_end().to_owned()
}

fn block(value: &Json, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        // Deeper than any manifest: JSON is YAML as well.
        Json::Object(map) if !map.is_empty() && depth < 40 => {
            let mut keys: Vec<(&String, &Json)> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            for (key, value) in keys {
                out.push_str(&format!("{pad}{}:", Json::String(key.clone())));
                nested(value, depth, out);
            }
        }
        Json::Array(list) if !list.is_empty() && depth < 40 => {
            for item in list {
                let mut inner = String::new();
                block(item, depth + 1, &mut inner);
                out.push_str(&format!("{pad}- {}", inner.trim_start()));
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        other => out.push_str(&format!("{pad}{other}\n")),
    }
}

fn nested(value: &Json, depth: usize, out: &mut String) {
    let inline = match value {
        Json::Object(map) => map.is_empty(),
        Json::Array(list) => list.is_empty(),
        _ => true,
    };
    if inline {
        out.push_str(&format!(" {value}\n"));
    } else {
        out.push('\n');
        block(value, depth + 1, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_yaml_that_reads_back() {
        for value in [json!({"b": {"c": [1, {"d": "x: y", "e": []}], "f": {}}, "a": null}), json!([]), json!("text\nlines"), json!([[1, 2], ["a"]])] {
            let read: Json = serde_saphyr::from_str(&yaml(&value)).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn texts_are_formed() {
        let check = |name: &str, values: &[Json], expect: Json| assert_eq!(call(name, values), Some(expect), "{name}");
        check("trunc", &[json!(3), json!("abcdef")], json!("abc"));
        check("printf", &[json!("%s-%d"), json!("a"), json!(3)], json!("a-3"));
        check("nindent", &[json!(2), json!("a\nb")], json!("\n  a\n  b"));
        check("quote", &[json!("a\"b")], json!("\"a\\\"b\""));
        check("semverCompare", &[json!(">=1.19-0"), json!("v1.34.0")], json!(true));
        check("eq", &[json!(UNKNOWN), json!("a")], json!(UNKNOWN));
        check("default", &[json!("x"), json!("")], json!("x"));
        assert_eq!(call("noSuchFunction", &[]), None);
    }
}
