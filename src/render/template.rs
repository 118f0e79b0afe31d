//! Templates are files beside the code; filling one never reads what was filled in, and an unknown name is our own fault.

use crate::failure::Failure;

/// Replaces each `{{NAME}}` once, from left to right. A line that holds nothing but names that turned out empty is dropped.
pub(super) fn fill(template: &str, values: &[(&str, String)]) -> Result<String, Failure> {
    let mut out = String::with_capacity(template.len());
    for line in template.lines() {
        let filled = fill_line(line, values)?;
        let dropped = line.contains("{{") && filled.trim().is_empty();
        if !dropped {
            out.push_str(&filled);
            out.push('\n');
        }
    }
    Ok(out)
}

fn fill_line(line: &str, values: &[(&str, String)]) -> Result<String, Failure> {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { return Err(Failure::internal(format!("template line is not closed: {line}"))) };
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            return Err(Failure::internal(format!("template asks for {name}, which nobody gives")));
        };
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let values = [("A", "{{B}}".to_owned()), ("B", String::new())];
        assert_eq!(fill("x {{A}}{{B}} y\n{{B}}\n\nz\n", &values).unwrap(), "x {{B}} y\n\nz\n");
        assert!(fill("{{C}}", &values).is_err());
        assert!(fill("{{A", &values).is_err());
    }
}
