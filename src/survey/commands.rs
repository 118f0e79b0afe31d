//! What documents and scripts of the workspace run: the charts that they install, the images that they build.

use super::words::Words;
use std::sync::LazyLock;

/// How every line begins that is read here.
static PROGRAMS: LazyLock<Words> = LazyLock::new(|| Words::new(&["helm ", "docker build "]));

/// A line that installs a chart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Install {
    pub(crate) release: String,
    pub(crate) chart: String,
}

/// A line that builds an image from a Dockerfile that is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Build {
    pub(crate) file: String,
    /// The context as written.
    pub(crate) context: String,
}

/// All of them, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    pub(crate) installs: Vec<Install>,
    pub(crate) builds: Vec<Build>,
}

impl Commands {
    /// Adds those of another text.
    pub(crate) fn extend(&mut self, other: Self) {
        self.installs.extend(other.installs);
        self.builds.extend(other.builds);
    }

    pub(crate) fn sort(&mut self) {
        self.installs.sort();
        self.builds.sort();
    }
}

/// Options that take a value of their own.
const VALUED: &[&str] = &[
    "-n",
    "--namespace",
    "-f",
    "--values",
    "--set",
    "--set-string",
    "--timeout",
    "--version",
    "--kube-context",
    "--set-file",
    "-t",
    "--tag",
    "--build-arg",
    "--platform",
    "--target",
    "--file",
    "--cache-from",
    "--cache-to",
    "--secret",
    "--label",
    "--progress",
    "--network",
    "-o",
    "--output",
];

/// `helm install NAME CHART`, `helm upgrade --install NAME CHART` and `docker build -f FILE CONTEXT` in a text.
pub(crate) fn read(text: &str) -> Commands {
    let mut out = Commands::default();
    if !PROGRAMS.in_text(text) {
        return out;
    }
    for line in text.lines().filter(|line| line.len() < 400) {
        for (at, _) in line.match_indices("helm ") {
            let (_, plain) = words(line.get(at + 5..).unwrap_or_default());
            if let ["install" | "upgrade", release, chart, ..] = plain.as_slice()
                && release.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
                && (chart.contains('/') || *chart == ".")
            {
                out.installs.push(Install { release: (*release).to_owned(), chart: (*chart).to_owned() });
            }
        }
        for (at, _) in line.match_indices("docker build ") {
            let (options, plain) = words(line.get(at + 13..).unwrap_or_default());
            let file = options.iter().find(|(name, _)| matches!(*name, "-f" | "--file")).map(|(_, value)| *value);
            if let (Some(file), [context, ..]) = (file, plain.as_slice())
                && !context.contains(['$', '<', '{', '%'])
            {
                out.builds.push(Build { file: file.to_owned(), context: (*context).to_owned() });
            }
        }
    }
    out.sort();
    out.installs.dedup();
    out.builds.dedup();
    out
}

/// The options with their values, and the other words, up to the end of the command.
fn words(text: &str) -> (Vec<(&str, &str)>, Vec<&str>) {
    let (mut options, mut plain) = (Vec::new(), Vec::new());
    let mut words = text.split_whitespace().map(|word| word.trim_matches(['`', '"', '\'', '\\', ',']));
    while let Some(word) = words.next() {
        if matches!(word, "&&" | "|" | ";" | "||") {
            break;
        } else if let Some((name, value)) = word.split_once('=').filter(|(name, _)| name.starts_with("--")) {
            options.push((name, value));
        } else if VALUED.contains(&word) {
            options.push((word, words.next().unwrap_or_default()));
        } else if !word.starts_with('-') && !word.is_empty() {
            plain.push(word);
        }
    }
    (options, plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installs_are_read_as_people_write_them() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let found = read(text).installs;
            assert_eq!(found.first().map(|install| (install.release.as_str(), install.chart.as_str())), expect, "{text}");
        };
        check("helm install todo ./charts/todo -n demo", Some(("todo", "./charts/todo")));
        check("   `helm upgrade --install --namespace x web charts/web/ --set a=b`", Some(("web", "charts/web/")));
        check("helm install todo bitnami/postgresql", Some(("todo", "bitnami/postgresql")));
        check("helm install <name> ./chart", None);
        check("helm lint ./chart", None);
    }

    #[test]
    fn builds_are_read_with_their_context() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let found = read(text).builds;
            assert_eq!(found.first().map(|build| (build.file.as_str(), build.context.as_str())), expect, "{text}");
        };
        check("docker build -t api:1 -f docker/api/Dockerfile api/", Some(("docker/api/Dockerfile", "api/")));
        check("$ docker build --file=web.Dockerfile . && echo done", Some(("web.Dockerfile", ".")));
        check("docker build -t api .", None);
        check("docker build -f Dockerfile $DIR", None);
    }
}
