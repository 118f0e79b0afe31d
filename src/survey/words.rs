//! A set of words looked for all at once: most files are told to be of no interest by one pass, before anything parses them.

use aho_corasick::{AhoCorasick, packed};

/// Words, compiled for the machine that runs.
#[derive(Debug)]
pub(crate) struct Words {
    /// With vector instructions, where there are any.
    packed: Option<packed::Searcher>,
    plain: Option<AhoCorasick>,
}

impl Words {
    pub(crate) fn new(words: &[&str]) -> Self {
        let packed = packed::Searcher::new(words);
        let plain = if packed.is_none() { AhoCorasick::new(words).ok() } else { None };
        Self { packed, plain }
    }

    /// True where the text holds one of the words.
    pub(crate) fn in_text(&self, text: &str) -> bool {
        self.hits(text).next().is_some()
    }

    /// Which words stand where: index of the word, end of the hit.
    pub(crate) fn hits<'own>(&'own self, text: &'own str) -> impl Iterator<Item = (usize, usize)> + 'own {
        let packed = self.packed.iter().flat_map(move |packed| packed.find_iter(text));
        let plain = self.plain.iter().flat_map(move |plain| plain.find_iter(text));
        packed.chain(plain).map(|hit| (hit.pattern().as_usize(), hit.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_as_they_are_written() {
        let words = Words::new(&["environ", "FastAPI", ".run("]);
        let check = |text: &str, expect: bool| assert_eq!(words.in_text(text), expect, "{text}");
        check("os.environ['A']", true);
        check("x".repeat(5000).as_str(), false);
        check(&format!("{}app.run()", "a = 1\n".repeat(900)), true);
        check("fastapi", false);
        check("", false);
        assert_eq!(words.hits("FastAPI().run(environ)").collect::<Vec<_>>(), vec![(1, 7), (2, 14), (0, 21)]);
    }
}
