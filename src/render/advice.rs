//! A Dockerfile that a person wrote, read against the rules that our own keep: what could be better, each with its line; nothing is changed.

/// One instruction with its line, continued lines joined.
#[derive(Debug)]
struct Instruction {
    line: usize,
    name: String,
    text: String,
}

impl Instruction {
    /// Shell form: not a JSON array.
    fn shell(&self) -> bool {
        !self.text.trim_start().starts_with('[')
    }
}

type Rule = (&'static str, fn(&[Instruction]) -> Option<(usize, String)>);

/// A rule answers the line and what is wrong there, or nothing.
const RULES: &[Rule] = &[
    ("root", |all| {
        let last = last_stage(all);
        let user = last.iter().rev().find(|one| one.name == "USER").map(|one| (one.line, one.text.split(':').next().unwrap_or_default().trim().to_owned()));
        match user {
            None => Some((last.first()?.line, "it runs as root unless the base says otherwise: end with USER 10001:10001".to_owned())),
            Some((line, name)) if name == "root" || name == "0" => Some((line, "it runs as root".to_owned())),
            Some((line, name)) if !name.starts_with('$') && name.parse::<u32>().is_err() => {
                Some((line, format!("the user {name} is a name; Kubernetes can only check a number")))
            }
            Some(_) => None,
        }
    }),
    ("mutable_base", |all| {
        let stages: Vec<&str> = all.iter().filter(|one| one.name == "FROM").filter_map(|one| one.text.split_whitespace().nth(2)).collect();
        let from = all.iter().filter(|one| one.name == "FROM").find(|one| {
            let image = one.text.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
            let tag = image.rsplit('/').next().unwrap_or_default().split_once(':').map(|(_, tag)| tag);
            image != "scratch" && !image.contains(['$', '@']) && !stages.contains(&image) && tag.is_none_or(|tag| tag == "latest")
        })?;
        Some((from.line, "the base image has no tag that stays the same".to_owned()))
    }),
    ("shell_form", |all| {
        let one = last_stage(all).iter().find(|one| matches!(one.name.as_str(), "CMD" | "ENTRYPOINT") && one.shell())?;
        Some((one.line, format!("{} starts a shell, which keeps signals from the program: write it as a list", one.name)))
    }),
    ("package_manager_first", |all| {
        let one = last_stage(all).iter().rev().find(|one| matches!(one.name.as_str(), "CMD" | "ENTRYPOINT"))?;
        let first = one.text.trim_start_matches(['[', ' ', '"']).split(['"', ' ', ',']).next()?;
        ["npm", "yarn", "pnpm"]
            .contains(&first)
            .then(|| (one.line, format!("{first} stands before the program and keeps signals from it: start the program itself")))
    }),
    ("development_server", |all| {
        let one = last_stage(all).iter().rev().find(|one| matches!(one.name.as_str(), "CMD" | "ENTRYPOINT"))?;
        let text = one.text.replace(['"', ',', '[', ']'], " ");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = ["--reload", "run dev", "next dev", "runserver", "flask run", "nodemon"].into_iter().find(|word| words.contains(word))?;
        Some((one.line, format!("{found} is a server for development")))
    }),
    ("secret_in_layer", |all| {
        let one = all.iter().filter(|one| matches!(one.name.as_str(), "ENV" | "ARG")).find(|one| {
            one.text
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .any(|(name, value)| !value.trim_matches('"').is_empty() && crate::secret::secret_name(name))
        })?;
        Some((one.line, "a value of a secret's name stays in the image: mount it with RUN --mount=type=secret, or read it when the program runs".to_owned()))
    }),
    ("unlocked_install", |all| {
        let one = all.iter().filter(|one| one.name == "RUN").find(|one| {
            let words = one.text.split_whitespace().collect::<Vec<_>>().join(" ");
            (words.contains("npm install") || words.ends_with("npm i")) && !words.contains(" -g") && !words.contains("--global")
        })?;
        Some((one.line, "npm install may choose other versions than the lockfile: npm ci".to_owned()))
    }),
    ("sources_before_dependencies", |all| {
        let installs = |text: &str| {
            [
                "npm ci",
                "npm install",
                "pip install -r",
                "pip install --requirement",
                "yarn install",
                "pnpm install",
                "poetry install",
                "go mod download",
                "bundle install",
            ]
            .iter()
            .any(|word| text.contains(word))
        };
        let at = all.iter().position(|one| one.name == "RUN" && installs(&one.text))?;
        let stage = all.get(..at)?.iter().rposition(|one| one.name == "FROM")?;
        let copy = all.get(stage..at)?.iter().find(|one| one.name == "COPY" && one.text.split_whitespace().next() == Some("."))?;
        Some((copy.line, "every change of a source file installs all dependencies again: copy the manifests first".to_owned()))
    }),
    ("add_for_files", |all| {
        let one =
            all.iter().find(|one| one.name == "ADD" && !one.text.contains("://") && ![".tar", ".tgz", ".zip"].iter().any(|tail| one.text.contains(tail)))?;
        Some((one.line, "ADD does more than is asked for: COPY".to_owned()))
    }),
];

fn last_stage(all: &[Instruction]) -> &[Instruction] {
    all.iter().rposition(|one| one.name == "FROM").and_then(|at| all.get(at..)).unwrap_or(all)
}

/// What could be better about a Dockerfile: rule, line from 1, and what is there; in the order of the rules.
pub fn advice(dockerfile: &str) -> Vec<(&'static str, usize, String)> {
    let all = instructions(dockerfile);
    RULES.iter().filter_map(|(rule, wrong)| wrong(&all).map(|(line, text)| (*rule, line, text))).collect()
}

fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let mut all: Vec<Instruction> = Vec::new();
    let mut continued = false;
    for (number, line) in dockerfile.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && !continued) {
            continue;
        }
        let (text, more) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        if let (true, Some(last)) = (continued, all.last_mut()) {
            last.text.push(' ');
            last.text.push_str(text.trim());
        } else {
            let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            all.push(Instruction { line: number + 1, name: name.to_ascii_uppercase(), text: rest.trim().to_owned() });
        }
        continued = more;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "FROM node:22-slim AS base\nWORKDIR /app\nFROM base AS deps\nCOPY package.json package-lock.json ./\nRUN npm ci\nFROM base\nCOPY --from=deps /app/node_modules ./node_modules\nCOPY . .\nENV PORT=3000\nUSER 10001:10001\nCMD [\"node\", \"server.js\"]\n";

    fn check(from: &str, to: &str, rule: &str, line: usize) {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        assert_eq!(advice(&text).iter().map(|(rule, line, _)| (*rule, *line)).collect::<Vec<_>>(), [(rule, line)], "{text}");
    }

    #[test]
    fn every_rule_fires_on_its_own_change_alone() {
        assert_eq!(advice(GOOD), []);
        check("USER 10001:10001\n", "", "root", 6);
        check("10001:10001", "root", "root", 10);
        check("10001:10001", "node", "root", 10);
        check("node:22-slim", "node", "mutable_base", 1);
        check("node:22-slim", "node:latest", "mutable_base", 1);
        check("[\"node\", \"server.js\"]", "node server.js", "shell_form", 11);
        check("[\"node\", \"server.js\"]", "[\"npm\", \"start\"]", "package_manager_first", 11);
        check("[\"node\", \"server.js\"]", "[\"uvicorn\", \"a:b\", \"--reload\"]", "development_server", 11);
        check("PORT=3000", "API_KEY=abc", "secret_in_layer", 9);
        check("npm ci", "npm install", "unlocked_install", 5);
        check("COPY package.json package-lock.json ./", "COPY . .", "sources_before_dependencies", 4);
        check("COPY . .", "ADD . .", "add_for_files", 8);
    }

    #[test]
    fn our_own_dockerfiles_need_no_advice() {
        let continued = "FROM python:3.13-slim\nRUN apt-get update && \\\n    # why\n    apt-get install -y x\nUSER 1\nCMD [\"a\"]\n";
        assert_eq!(advice(continued), []);
        assert_eq!(advice("FROM scratch\nUSER $ID\n"), []);
    }
}
