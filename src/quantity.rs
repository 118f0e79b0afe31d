//! Kubernetes quantities such as `250m` or `512Mi`, read into whole units; nothing else.

/// Thousandths of the unit: `1` → 1000, `250m` → 250, `1500000n` → 2 (rounded up). None where the text is no quantity.
pub fn milli(text: &str) -> Option<u64> {
    parse(text, 1000.0)
}

/// Whole units: `512Mi` → 536870912, `1.5k` → 1500, `100m` → 1 (rounded up). None where the text is no quantity.
pub fn whole(text: &str) -> Option<u64> {
    parse(text, 1.0)
}

fn parse(text: &str, scale: f64) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = split(text);
    let number: f64 = number.parse().ok()?;
    let value = (number * factor * scale).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie inside the range")]
    (0.0..9.0e18).contains(&value).then_some(value as u64)
}

/// The number and the factor of its suffix; an exponent (`12e6`) stays with the number.
fn split(text: &str) -> (&str, f64) {
    const SUFFIXES: [(&str, f64); 16] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("K", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    SUFFIXES.iter().find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor))).unwrap_or((text, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(whole(text), expect, "{text}");
        check("512Mi", Some(536_870_912));
        check("12345Ki", Some(12_641_280));
        check("1.5k", Some(1500));
        check("128974848", Some(128_974_848));
        check("129e6", Some(129_000_000));
        check("", None);
        check("many", None);
        check("-1", None);
    }

    #[test]
    fn processor_time_is_read_in_thousandths() {
        let check = |text: &str, expect: u64| assert_eq!(milli(text), Some(expect), "{text}");
        check("250m", 250);
        check("2", 2000);
        check("12345678n", 13);
        check("1500u", 2);
        check("0", 0);
    }
}
