//! YAML as we write it: typed values, comments for people, and no text that a reader could take for something else.

/// A value with its place in a file. Text is always text: `on`, `1e3` and `0755` come out quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// One key with the comment that stands above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    comment: Vec<String>,
    key: String,
    value: Yaml,
}

impl Yaml {
    pub(super) fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Self {
        Self::List(list.into_iter().map(|text| Self::Text(text.as_ref().to_owned())).collect())
    }

    /// A file: the comment, then the keys.
    pub(super) fn file(&self, header: &str) -> String {
        let mut out = String::new();
        comment(&mut out, header, 0);
        if !out.is_empty() {
            out.push('\n');
        }
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) => {
                for entry in entries {
                    for line in &entry.comment {
                        comment(out, line, indent);
                    }
                    out.push_str(&" ".repeat(indent));
                    out.push_str(&scalar(&entry.key));
                    out.push(':');
                    entry.value.write_after_key(out, indent);
                }
            }
            Self::List(items) => {
                for item in items {
                    out.push_str(&" ".repeat(indent));
                    out.push('-');
                    item.write_after_dash(out, indent);
                }
            }
            Self::Bool(_) | Self::Int(_) | Self::Text(_) => {
                out.push_str(&self.inline());
                out.push('\n');
            }
        }
    }

    fn write_after_key(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                self.write(out, indent + 2);
            }
            Self::List(items) if !items.is_empty() => {
                out.push('\n');
                self.write(out, indent + 2);
            }
            Self::Map(_) | Self::List(_) | Self::Bool(_) | Self::Int(_) | Self::Text(_) => {
                out.push(' ');
                out.push_str(&self.inline());
                out.push('\n');
            }
        }
    }

    fn write_after_dash(&self, out: &mut String, indent: usize) {
        match self {
            // The first key stands behind the dash, the others below it.
            Self::Map(entries) if !entries.is_empty() => {
                let mut block = String::new();
                self.write(&mut block, indent + 2);
                out.push(' ');
                out.push_str(block.trim_start_matches(' '));
            }
            Self::Map(_) | Self::List(_) | Self::Bool(_) | Self::Int(_) | Self::Text(_) => {
                out.push(' ');
                out.push_str(&self.inline());
                out.push('\n');
            }
        }
    }

    fn inline(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Text(text) => scalar(text),
            Self::List(items) => format!("[{}]", items.iter().map(Self::inline).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let pairs: Vec<String> = entries.iter().map(|entry| format!("{}: {}", scalar(&entry.key), entry.value.inline())).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }
}

/// A map under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Map(Vec<Entry>);

impl Map {
    pub(super) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(super) fn with(mut self, key: impl Into<String>, value: impl Into<Yaml>) -> Self {
        self.0.push(Entry { comment: Vec::new(), key: key.into(), value: value.into() });
        self
    }

    /// A key below a comment; each line of the comment becomes one.
    #[must_use]
    pub(super) fn noted(mut self, comment: &str, key: impl Into<String>, value: impl Into<Yaml>) -> Self {
        self.0.push(Entry { comment: vec![comment.to_owned()], key: key.into(), value: value.into() });
        self
    }
}

impl From<Map> for Yaml {
    fn from(map: Map) -> Self {
        Self::Map(map.0)
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Yaml {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Yaml {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<u16> for Yaml {
    fn from(value: u16) -> Self {
        Self::Int(i64::from(value))
    }
}

/// Comment lines; other people's text keeps no control characters and no line of its own.
fn comment(out: &mut String, text: &str, indent: usize) {
    for line in text.split('\n') {
        let line: String = line.chars().map(|letter| if breaks(letter) { ' ' } else { letter }).collect();
        out.push_str(&" ".repeat(indent));
        out.push_str(format!("# {}", line.trim()).trim_end());
        out.push('\n');
    }
}

/// Plain where every reader agrees that it is text, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    const TAKEN: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '/')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/_.-".contains(letter))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if breaks(other) => {
                let code = u32::from(other);
                out.push_str(&if code > 0xffff { format!("\\U{code:08x}") } else { format!("\\u{code:04x}") });
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Control, line-breaking, directional and other invisible characters.
fn breaks(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{85}' | '\u{a0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let check = |text: &str, expect: &str| {
            assert_eq!(scalar(text), expect);
            assert_eq!(serde_saphyr::from_str::<String>(&format!("{expect}\n")).unwrap(), text, "read back");
        };
        check("info", "info");
        check("/healthz", "/healthz");
        for quoted in [
            "on",
            "No",
            "1e3",
            "0755",
            "0x1f",
            "",
            " a",
            "a ",
            "null",
            "~",
            "a: b",
            "a #b",
            "{{ .Values.x }}",
            "- a",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "$(id)",
            "2026-01-01",
            "1:30",
            "don't",
        ] {
            check(quoted, &format!("\"{quoted}\""));
        }
        check("a\nb\t\"c\" \\d", "\"a\\nb\\t\\\"c\\\" \\\\d\"");
        check("\u{2028}\u{feff}\u{7}é", "\"\\u2028\\ufeff\\u0007é\"");
    }

    #[test]
    fn a_file_is_read_back_as_it_was_meant() {
        let inner = Map::new().with("on", "on").with("list", Yaml::texts(["a", "0755"])).with("empty", Map::new());
        let items = Yaml::List(vec![Map::new().with("a", true).with("b", Map::new().with("c", 1u32)).into(), "x: y".into()]);
        let yaml: Yaml = Map::new().noted("why\nnot: {{ \r evil: true }}", "inner", inner).with("items", items).into();
        let text = yaml.file("head");
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"inner": {"on": "on", "list": ["a", "0755"], "empty": {}}, "items": [{"a": true, "b": {"c": 1}}, "x: y"]}),
            "{text}"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_back(text in "\\PC*|[\\x00-\\x7f]*|.*") {
            let yaml: Yaml = Map::new().noted(&text, "k", text.as_str()).with(text.as_str(), 1u32).into();
            let out = yaml.file(&text);
            let read: serde_json::Value = serde_saphyr::from_str(&out).map_err(|error| proptest::test_runner::TestCaseError::fail(format!("{error}: {out}")))?;
            if text != "k" {
                proptest::prop_assert_eq!(read, serde_json::json!({"k": text.as_str(), text.as_str(): 1}));
            }
        }
    }
}
