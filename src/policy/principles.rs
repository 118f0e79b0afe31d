//! Which principles of a constitution a machine can keep, as one table: the words that say it, and what breaks it; the rest is for people.

/// A rule that keeps what a principle says.
#[derive(Debug)]
pub struct Kept {
    /// The last part of the check's id, `helm.constitution.<rule>`.
    pub rule: &'static str,
    /// Of every group one word must be in the same sentence (lower case).
    words: &'static [&'static [&'static str]],
    /// Rules of the policy table that break it.
    pub policy: &'static [&'static str],
    /// Codes of the survey's findings that break it.
    pub findings: &'static [&'static str],
}

const TABLE: &[Kept] = &[
    Kept {
        rule: "no_secrets_in_code",
        words: &[
            &["secret", "credential", "password", "api key", "token"],
            &[
                "commit",
                "hardcod",
                "hard-cod",
                "in code",
                "in the code",
                "source code",
                "in the repository",
                "version control",
                "no default",
                "plaintext",
                "plain text",
                "in git",
            ],
        ],
        policy: &["secret_values", "secret_in_config_map", "literal_secret"],
        findings: &[
            "secret_in_tracked_file",
            "secret_default_in_code",
            "secret_value_in_values_yaml",
            "secret_in_image",
            "secret_as_plain_env",
            "db_password_in_plain_env",
        ],
    },
    Kept {
        rule: "non_root",
        words: &[&["non-root", "nonroot", "not run as root", "never run as root", "never as root", "unprivileged", "least privilege"]],
        policy: &["run_as_non_root", "run_as_root", "privileged", "privilege_escalation"],
        findings: &[],
    },
    Kept {
        rule: "read_only_root",
        words: &[&[
            "read-only root",
            "readonly root",
            "read-only file",
            "writes to its own filesystem",
            "write to its own filesystem",
            "write to their own filesystem",
            "immutable filesystem",
        ]],
        policy: &["read_only_root"],
        findings: &[],
    },
    Kept {
        rule: "resources",
        words: &[&["requests and limits", "resource limit", "resource request", "limits and requests", "cpu and memory limit"]],
        policy: &["resources"],
        findings: &[],
    },
    Kept {
        rule: "probes",
        words: &[&["liveness", "readiness", "health probe", "health check", "health endpoint"]],
        policy: &["probes", "same_probe", "probe_port"],
        findings: &["probe_path_not_served"],
    },
    Kept {
        rule: "pinned_images",
        words: &[&["image", " tag", "tags "], &["latest", "pinned", "pin ", "immutable tag", "mutable tag"]],
        policy: &["mutable_tag"],
        findings: &["latest_base", "latest_tag"],
    },
    Kept {
        rule: "local_only",
        words: &[&[
            "local only",
            "local-only",
            "only locally",
            "minikube only",
            "only on minikube",
            "no cloud",
            "never leaves the machine",
            "local minikube",
            "local kubernetes",
        ]],
        policy: &["load_balancer"],
        findings: &["loadbalancer_needs_tunnel"],
    },
];

/// The rules that keep a principle, each with the sentence that asks for it.
pub fn kept(title: &str, text: &str) -> Vec<(&'static Kept, String)> {
    let sentences: Vec<String> = sentences(text).into_iter().chain([title.trim().to_owned()]).filter(|sentence| !sentence.is_empty()).collect();
    let asked = |kept: &Kept| {
        sentences.iter().find(|sentence| {
            let lower = sentence.to_lowercase();
            kept.words.iter().all(|group| group.iter().any(|word| lower.contains(word)))
        })
    };
    TABLE.iter().filter_map(|kept| Some((kept, asked(kept)?.clone()))).collect()
}

/// True where the table has a rule of this name.
pub fn is_rule(name: &str) -> bool {
    TABLE.iter().any(|kept| kept.rule == name)
}

/// Sentences and list items of a Markdown text, their marks taken off.
fn sentences(text: &str) -> Vec<String> {
    let plain = text.replace("**", "").replace('`', "");
    let parts = plain.split_inclusive(['.', ';', '!', '\n']).flat_map(|part| part.split(" - "));
    let mut sentences: Vec<String> = Vec::new();
    for part in parts {
        // A dot inside a name or a number ends nothing.
        match sentences.last_mut() {
            Some(last) if last.ends_with('.') && part.starts_with(|letter: char| letter.is_ascii_alphanumeric()) => last.push_str(part),
            Some(_) | None => sentences.push(part.to_owned()),
        }
    }
    sentences.into_iter().map(|sentence| sentence.trim().trim_start_matches(['-', '*', ' ']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(title: &str, text: &str, expect: &[&str]) {
        let found: Vec<_> = kept(title, text).into_iter().map(|(kept, _)| kept.rule).collect();
        assert_eq!(found, expect, "{title}: {text}");
    }

    #[test]
    fn a_principle_is_kept_by_what_its_words_ask_for() {
        check("IV. Secrets", "Secrets have no default, are not committed.", &["no_secrets_in_code"]);
        check("Security", "- Credentials are never hardcoded\n- Containers run as non-root", &["no_secrets_in_code", "non_root"]);
        check("III", "Any replica can answer. No service writes to its own\nfilesystem.", &[]);
        check("III", "Any replica can answer. No service writes to its own filesystem.", &["read_only_root"]);
        check("Local Only", "", &["local_only"]);
        check("Health", "Every service has liveness and readiness probes.", &["probes"]);
        check("Limits", "Each container declares requests and limits.", &["resources"]);
        check("Images", "Image tags are pinned; latest is not used.", &["pinned_images"]);
    }

    #[test]
    fn what_only_sounds_alike_is_for_people() {
        check("I. Specification first", "A feature starts as a spec. Tasks are ticked when their check has been run.", &[]);
        check("Stages", "The latest stage decides.", &[]);
        check("Passwords", "Passwords are stored as Argon2id hashes. Commit small steps.", &[]);
        check("Latest", "Use the latest stable versions of the libraries.", &[]);
        check("Locality", "Keep related code local to its module.", &[]);
    }

    #[test]
    fn the_sentence_is_quoted_and_not_the_whole_principle() {
        let found = kept("IV. Configuration", "Each service reads v1.2 settings once. Secrets are **not committed**, and stay out of logs. More.");
        assert_eq!(found.first().map(|(_, sentence)| sentence.as_str()), Some("Secrets are not committed, and stay out of logs."));
    }

    #[test]
    fn every_rule_and_finding_of_the_table_exists() {
        let findings = include_str!("../../docs/findings.md");
        let rules = concat!(include_str!("../policy.rs"), include_str!("objects.rs"));
        for kept in TABLE {
            assert!(!kept.policy.is_empty() || !kept.findings.is_empty(), "{} can never be broken", kept.rule);
            for code in kept.findings {
                assert!(findings.contains(&format!("| `{code}` |")), "{}: no finding {code}", kept.rule);
            }
            for rule in kept.policy {
                assert!(rules.contains(&format!("\"{rule}\"")), "{}: no policy {rule}", kept.rule);
            }
        }
    }
}
