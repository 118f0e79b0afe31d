//! Version declarations become the series to run.

/// Where a range is open upwards, the newest is not taken but the oldest series that is still maintained.
const FLOORS: &[(&str, &str)] = &[("node", "22"), ("python", "3.11")];

/// The series that a declaration asks for: `v22.12.0` → `22`, `>=3.11,<4` → `3.11`, `^20` → `20`. `None` where it says nothing.
pub(crate) fn series(language: &str, spec: &str) -> Option<String> {
    let spec = spec.trim().trim_start_matches("python-").trim_start_matches("python");
    let named = spec.trim_start_matches("lts/").to_ascii_lowercase();
    let by_name = [("iron", "20"), ("jod", "22"), ("hydrogen", "18"), ("krypton", "24"), ("*", "22"), ("node", "22"), ("lts", "22")];
    if language == "node"
        && let Some((_, series)) = by_name.iter().find(|(name, _)| *name == named)
    {
        return Some((*series).to_owned());
    }
    let first = spec.split(["||", ","].iter().find(|mark| spec.contains(**mark)).copied().unwrap_or(",")).next().unwrap_or(spec).trim();
    let open = first.starts_with('>');
    let digits = first.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let mut parts = digits.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    let major: u32 = parts.next()?.parse().ok()?;
    let minor: Option<u32> = parts.next().and_then(|part| part.parse().ok());
    let two = matches!(language, "python" | "ruby" | "php" | "go" | "rust" | "elixir");
    let asked = (major, minor.unwrap_or(0));
    if open {
        let floor = FLOORS.iter().find(|(name, _)| *name == language).map(|(_, floor)| *floor);
        if let Some(floor) = floor {
            let mut numbers = floor.split('.').filter_map(|part| part.parse::<u32>().ok());
            let least = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            let ceiling_below = spec.split(['<']).nth(1).is_some_and(|rest| {
                let mut parts = rest.trim_start_matches('=').trim().split('.').filter_map(|part| part.trim().parse::<u32>().ok());
                (parts.next().unwrap_or(u32::MAX), parts.next().unwrap_or(0)) <= least
            });
            if asked < least && !ceiling_below {
                return Some(floor.to_owned());
            }
        }
    }
    match (two, minor) {
        (true, Some(minor)) => Some(format!("{major}.{minor}")),
        _ => Some(major.to_string()),
    }
}

/// The version in the tag of a base image: `python:3.13-slim` → (`python`, `3.13`).
pub(crate) fn of_image(image: &str) -> Option<(&'static str, String)> {
    let image = image.split('@').next().unwrap_or(image);
    let name = image.rsplit('/').next()?;
    let (name, tag) = name.split_once(':').unwrap_or((name, ""));
    let language = match name {
        "python" => "python",
        "node" => "node",
        "golang" => "go",
        "rust" => "rust",
        "ruby" => "ruby",
        "php" => "php",
        "openjdk" | "eclipse-temurin" | "amazoncorretto" => "java",
        "maven" | "gradle" => return Some(("java", String::new())),
        "elixir" => "elixir",
        "sdk" | "aspnet" => "csharp",
        "bun" => "bun",
        "deno" => "deno",
        _ if image.contains("astral-sh/uv") => {
            return Some(("python", tag.strip_prefix("python").unwrap_or_default().split('-').next().unwrap_or_default().to_owned()));
        }
        _ => return None,
    };
    let version: String = tag.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    let version = if version.is_empty() { String::new() } else { series(language, &version).unwrap_or_default() };
    Some((language, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_become_series() {
        let check = |language: &str, spec: &str, expect: Option<&str>| assert_eq!(series(language, spec).as_deref(), expect, "{language} {spec}");
        check("python", "3.13", Some("3.13"));
        check("python", "3.11.11", Some("3.11"));
        check("python", "python-3.12.1", Some("3.12"));
        check("python", ">=3.13", Some("3.13"));
        check("python", ">=3.8,<4", Some("3.11"));
        check("python", ">=3.8,<3.10", Some("3.8"));
        check("python", "^3.10", Some("3.10"));
        check("node", "v22.12.0", Some("22"));
        check("node", ">=18.0.0", Some("22"));
        check("node", "20.x", Some("20"));
        check("node", "lts/jod", Some("22"));
        check("node", "some_invalid_version", None);
        check("node", ">=24", Some("24"));
    }

    #[test]
    fn base_images_name_their_series() {
        assert_eq!(of_image("python:3.13-slim"), Some(("python", "3.13".to_owned())));
        assert_eq!(of_image("docker.io/library/node:20-alpine"), Some(("node", "20".to_owned())));
        assert_eq!(of_image("nginx:alpine"), None);
    }
}
