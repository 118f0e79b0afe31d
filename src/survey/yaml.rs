//! YAML of the workspace as a tree, within limits that no file of a person meets; positions come from the text.

use serde_json::Value as Json;

/// One document. The last of two equal keys holds, as for Helm and Kubernetes.
///
/// The error is the line of what the grammar refuses; none where only a limit stopped.
pub(crate) fn read(text: &str) -> Result<Json, Option<u32>> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        budget: serde_saphyr::budget! { max_events: 150_000, max_nodes: 60_000, max_recorded_anchor_events: 60_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 60_000 },
    };
    serde_saphyr::from_str_with_options::<Json>(text, options).map_err(|_| {
        let fault = serde_saphyr::granit_parser::Parser::new_from_str(text).take(100_000).find_map(Result::err)?;
        Some(u32::try_from(fault.marker().line()).unwrap_or(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_grammar_refuses_has_a_line() {
        assert!(read("a: 1\nb: [\n").unwrap_err().is_some());
        let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
            text + &format!("a{level}: &a{level} [{}]\n", [format!("*a{}", level - 1).as_str(); 8].join(", "))
        });
        assert_eq!(read(&bomb), Err(None));
        assert_eq!(read("a: 1\na: 2\n"), Ok(serde_json::json!({"a": 2})));
    }
}
