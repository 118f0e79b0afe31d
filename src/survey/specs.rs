//! Specs and constitution, read leniently: any id width, BOM, CRLF, headings or bullets; placeholders are no content.

use super::spec_tools;
use super::walk::{base_of, dir_of};
use super::workspace::Workspace;
use super::{Feature, Place, Principle, Requirement, Specs};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// `- **FR-001**: text`, `**FR-001:** text`, `### FR-001 text`, `| FR-001 | text |`; a mere mention inside a sentence is none.
static REQUIREMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*+]\s+|#{2,6}\s+|\|\s*|[0-9]+\.\s+)?(?:\[[ xX]\]\s*)?(?:\*\*|__)?(?P<id>(?:FR|SC|NFR)-(?:[A-Z0-9]{1,8}-)?[0-9]{1,4}[a-z]?)(?P<rest>(?:[^A-Za-z0-9].*)?)$").ok()
});
static STORY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^#{2,4}\s*(?:[Uu]ser\s+[Ss]tory|[Ss]tory|US)[\s-]*(?P<number>[0-9]+)[\s:–—-]+(?P<rest>.*)$").ok());
static TASK: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\s*[-*+]\s+\[(?P<tick>[ xX])\]\s+(?:\*\*)?(?P<id>T[0-9]{1,5}[a-z]?)?(?:\*\*)?:?\s*(?P<rest>.+)$").ok());

/// Amounts of processor and memory: no check of ours compares them.
static AMOUNT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u:\b)[0-9]+(?:\.[0-9]+)?[ \t]?(?:m|mi|gi|mib|gib|millicores?|cpus?|vcpus?)(?-u:\b)").ok());

/// What a program does when it is ended, or when something that it needs is away: no check of ours tries it.
static UNTRIED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u:\b)sigterm(?-u:\b)|(?-u:\b)graceful|(?-u:\b)shut(?:s|ting)?[ -]?downs?(?-u:\b)|(?-u:\b)50[2-4](?-u:\b)").ok());

/// What a requirement says → the check that can prove it. Of every group one word must be there (lower case).
/// A requirement that says several of these is proven by all of them together; one that says none is left to people and landfall.toml.
const CHECKS: &[(&str, &[&[&str]])] = &[
    ("docker.scan", &[&["vulnerabilit"]]),
    ("docker.no_secrets", &[&["secret", "credential", "password", "api key"], &["in the image", "in images", "in any image", "into the image", "layer"]]),
    (
        "helm.no_secrets",
        &[
            &["secret", "credential", "password", "api key"],
            &["commit", "tracked", "repository", "hard-coded", "hardcoded", "plaintext", "plain text", "in git", "in code", "in source", "version control"],
        ],
    ),
    ("docker.non_root", &[&["non-root", "nonroot", "user id 0", "uid 0", "as root", "root user"]]),
    ("docker.size", &[&["image"], &[" mb", "0mb", " gb", "1gb", "2gb"]]),
    ("helm.policy", &[&["resource requests", "resource limits", "requests and limits", "limits and requests"]]),
    (
        "helm.policy",
        &[&[
            "read-only root",
            "readonly root",
            "privilege escalation",
            "capabilities",
            "`latest`",
            "latest tag",
            ":latest",
            "liveness probe",
            "readiness probe",
            "liveness and readiness",
            "startup probe",
            "health probe",
            "probes on",
            "pod security",
            "security context",
            "securitycontext",
        ]],
    ),
    ("helm.schema", &[&["values.schema", "values schema"]]),
    ("helm.lint", &[&["helm lint", "lint clean", "charts lint", "chart lints"]]),
    ("helm.renders", &[&["helm chart"], &["each service", "every service", "per service", "one chart", "own chart"]]),
    (
        "kubernetes.pods_ready",
        &[&["all pods", "pods are", "pod is", "pods must", "ready within", "become ready", "pods become", "pods reach"], &["ready", "running"]],
    ),
    ("kubernetes.pods_ready", &[&["minikube"], &["deployable", "deploys", "deployed"]]),
    ("kubernetes.endpoints", &[&["services that exist", "ready endpoints", "by its service name"]]),
    ("validation.http", &[&["/health", "/ready", "/livez"]]),
    (
        "validation.mcp",
        &[&[
            "tools/list",
            "tools/call",
            "over mcp",
            "mcp tool",
            "tools over",
            "mcp handshake",
            "tools in mcp",
            "lists the tools",
            "mcp server responds",
            "mcp server answers",
            "mcp server is reachable",
        ]],
    ),
    ("validation.environment", &[&["reference to a secret", "kubernetes secret", "secretkeyref", "configmap", "environment variable", "from the environment"]]),
    ("validation.smoke", &[&["smoke test"]]),
];

/// Reads everything that looks like a spec.
pub(crate) fn read(workspace: &Workspace) -> Specs {
    let mut specs = Specs::default();
    constitution(workspace, &mut specs);
    let mut features: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in &workspace.texts {
        if is_spec(path) {
            features.entry(dir_of(path)).or_default().push((path, text));
        }
    }
    specs.features = features.into_iter().filter_map(|(dir, files)| feature(dir, &files)).collect();
    for (path, text) in workspace.texts.iter().filter(|(path, _)| spec_tools::may_name(path)) {
        spec_tools::read(path, text, &mut specs.tools);
    }
    specs
}

/// True for a line that states a requirement, and does not merely mention one.
pub(super) fn states_requirement(line: &str) -> bool {
    line_requirement("", 0, line, false).is_some_and(|requirement| requirement.kind != "story")
}

/// `specs/<feature>/spec.md` and its like, not plans and research.
pub(super) fn is_spec(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    let folder = parts.iter().rev().skip(1).any(|part| part.starts_with("spec") || *part == ".specify" || *part == ".spec-kit");
    let name = base_of(&lower);
    let other = ["plan", "research", "data-model", "quickstart", "readme", "checklist", "template", "constitution"].iter().any(|word| name.contains(word));
    folder
        && name.ends_with(".md")
        && !other
        && !lower.contains("/templates/")
        && !lower.contains("/checklists/")
        && !lower.contains("/contracts/")
        && !lower.contains("/prompts/")
        && !name.ends_with(".prompt.md")
}

fn feature(dir: &str, files: &[(&str, &str)]) -> Option<Feature> {
    let mut requirements: Vec<Requirement> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut title = None;
    let mut ordered = files.to_vec();
    ordered.sort_by_key(|(path, _)| (base_of(path) != "spec.md", base_of(path) == "tasks.md", *path));
    for (path, text) in ordered {
        let tasks = base_of(path).to_ascii_lowercase().contains("task");
        if title.is_none() {
            title = text
                .lines()
                .find_map(|line| line.trim_start_matches('\u{feff}').strip_prefix("# "))
                .map(|line| line.trim().trim_start_matches("Feature Specification:").trim().to_owned());
        }
        for (number, line) in text.lines().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
            if let Some(requirement) = line_requirement(path, number, line, tasks)
                && seen.insert(format!("{}{}", requirement.kind, requirement.id))
            {
                requirements.push(requirement);
            }
        }
    }
    if requirements.is_empty() {
        return None;
    }
    Some(Feature { dir: dir.to_owned(), title: crate::secret::plain(title.as_deref().unwrap_or_else(|| base_of(dir)), 200), requirements })
}

fn line_requirement(path: &str, number: u32, line: &str, tasks: bool) -> Option<Requirement> {
    let place = || Place::new(path, number, line);
    if tasks {
        if !line.contains('[') {
            return None;
        }
        let found = TASK.as_ref()?.captures(line)?;
        let rest = found.name("rest")?.as_str();
        let id = found.name("id").map_or_else(|| format!("task-{number}"), |id| id.as_str().to_owned());
        let ticked = found.name("tick").is_some_and(|tick| tick.as_str() != " ");
        let text = clean(rest);
        // Writing tests, documents or pins is proven by no look at a cluster.
        let paper = ["tests/", "test_", "README", "docs/", "Pin ", "Lock "].iter().any(|word| text.contains(word));
        let checkable = check_of(&text).filter(|_| !paper);
        return Some(Requirement { id, checkable, text, kind: "task".to_owned(), ticked: Some(ticked), evidence: place() });
    }
    if (line.contains("FR-") || line.contains("SC-"))
        && let Some(found) = REQUIREMENT.as_ref().and_then(|shape| shape.captures(line))
    {
        let id = found.name("id")?.as_str();
        let rest = found.name("rest")?.as_str();
        let separated = rest.trim_start().starts_with(['*', ':', '-', '|', '—', '–', '(', '_']) || line.trim_start().starts_with('#');
        let text = clean(rest);
        if !separated || text.is_empty() || text.starts_with('[') {
            return None;
        }
        let kind = match id.split('-').next() {
            Some("SC") => "success",
            Some("NFR") => "non_functional",
            Some(_) | None => "functional",
        };
        return Some(Requirement { id: id.to_owned(), checkable: check_of(&text), text, kind: kind.to_owned(), ticked: None, evidence: place() });
    }
    if !line.starts_with("##") {
        return None;
    }
    let found = STORY.as_ref()?.captures(line)?;
    let text = clean(found.name("rest")?.as_str());
    if text.is_empty() || text.starts_with('[') {
        return None;
    }
    Some(Requirement { id: format!("US{}", found.name("number")?.as_str()), text, kind: "story".to_owned(), checkable: None, ticked: None, evidence: place() })
}

/// Without the marks of Markdown at both ends.
fn clean(text: &str) -> String {
    let text = text.trim().trim_start_matches(['*', ':', '_', '|', '-', '—', '–', ' ']).trim_end_matches(['|', ' ']);
    crate::secret::plain(text.trim_start_matches("**").trim(), 300)
}

/// The ids of the checks that a text asks for, `, ` between them.
fn check_of(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let mut found: Vec<&str> = Vec::new();
    for (id, groups) in CHECKS {
        let asked = groups.iter().all(|words| words.iter().any(|word| lower.contains(word)));
        if asked && !found.contains(id) {
            found.push(id);
        }
    }
    let amounts = found.contains(&"helm.policy") && AMOUNT.as_ref().is_some_and(|amount| amount.is_match(&lower));
    let untried = UNTRIED.as_ref().is_some_and(|untried| untried.is_match(&lower));
    (!found.is_empty() && !amounts && !untried).then(|| found.join(", "))
}

fn constitution(workspace: &Workspace, specs: &mut Specs) {
    let mut candidates: Vec<&String> =
        workspace.texts.keys().filter(|path| base_of(path).eq_ignore_ascii_case("constitution.md") && !path.contains("templates/")).collect();
    candidates.sort_by_key(|path| (!path.starts_with(".specify/memory/"), path.matches('/').count(), (*path).clone()));
    for path in candidates {
        let text = workspace.text(path).unwrap_or_default();
        if unfilled(text) {
            continue;
        }
        specs.constitution = Some(path.clone());
        specs.principles = principles(path, text);
        return;
    }
}

/// The template as it comes.
fn unfilled(text: &str) -> bool {
    ["[PROJECT_NAME]", "[PRINCIPLE_1_NAME]", "[PRINCIPLE_1_DESCRIPTION]", "[GOVERNANCE_RULES]"].iter().any(|mark| text.contains(mark))
}

/// One `###` each under a heading that speaks of principles; without such a heading, every `##` that is numbered or says principle.
fn principles(path: &str, text: &str) -> Vec<Principle> {
    let mut out: Vec<Principle> = Vec::new();
    let (mut inside, mut comment) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.trim_start().starts_with("<!--") {
            comment = true;
        }
        if comment {
            comment = !line.contains("-->");
            continue;
        }
        if let Some(title) = line.strip_prefix("### ").filter(|_| inside) {
            let place = Place::new(path, u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1), line);
            out.push(Principle { title: crate::secret::plain(title.trim(), 160), text: String::new(), evidence: place });
        } else if line.starts_with("## ") || line.starts_with("# ") {
            inside = line.to_ascii_lowercase().contains("principle");
        } else if let Some(last) = out.last_mut().filter(|_| inside && !line.trim().is_empty()) {
            if !last.text.is_empty() {
                last.text.push(' ');
            }
            last.text.push_str(line.trim());
        }
    }
    for principle in &mut out {
        principle.text = crate::secret::plain(&principle.text, 600);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, tasks: bool, expect: Option<(&str, &str, Option<&str>)>) {
        let found = line_requirement("specs/001-x/spec.md", 1, line, tasks);
        let found = found.as_ref().map(|requirement| (requirement.id.as_str(), requirement.kind.as_str(), requirement.checkable.as_deref()));
        assert_eq!(found, expect, "{line}");
    }

    #[test]
    fn requirements_are_read_in_every_form_people_use() {
        check("- **FR-001**: Containers MUST run as a numeric non-root user.", false, Some(("FR-001", "functional", Some("docker.non_root"))));
        check("- **FR-XX-001:** Users can sign in", false, Some(("FR-XX-001", "functional", None)));
        check("### FR-7: Images are below 500 MB", false, Some(("FR-7", "functional", Some("docker.size"))));
        check("  * **SC-001**: All pods are ready within 5 minutes", false, Some(("SC-001", "success", Some("kubernetes.pods_ready"))));
        check("| NFR-2 | No secrets are committed |", false, Some(("NFR-2", "non_functional", Some("helm.no_secrets"))));
        check("### User Story 1 - Deploy (Priority: P1)", false, Some(("US1", "story", None)));
        check("- [x] T001 [P] Image of backend/ as a non-root user", true, Some(("T001", "task", Some("docker.non_root"))));
        check("- [x] T002 Image of backend/ as a non-root user, below 500 MB", true, Some(("T002", "task", Some("docker.non_root, docker.size"))));
        check("- **FR-8**: No secret in the image or the repository", false, Some(("FR-8", "functional", Some("docker.no_secrets, helm.no_secrets"))));
        check("- [ ] T005a call an MCP tool", true, Some(("T005a", "task", Some("validation.mcp"))));
    }

    #[test]
    fn mentions_and_placeholders_are_no_requirements() {
        check("As FR-001 says, users sign in.", false, None);
        check("FR-001 and FR-002 are covered by the first story.", false, None);
        check("- **FR-006**: [NEEDS CLARIFICATION: retention]", false, None);
        check("### User Story 2 - [Brief Title]", false, None);
    }

    #[test]
    fn what_no_check_looks_at_has_none() {
        check("- **FR-1**: System MUST answer `POST /api/chat` with a text", false, Some(("FR-1", "functional", None)));
        check("- **FR-2**: The Helm chart MUST scale on load", false, Some(("FR-2", "functional", None)));
        check("- **FR-3**: Resource limits MUST be 500m and 512Mi", false, Some(("FR-3", "functional", None)));
        check("- **FR-6**: Pods are ready within 10 s and end within 2 s of SIGTERM", false, Some(("FR-6", "functional", None)));
        check("- **FR-7**: `/ready` answers 503 without the database", false, Some(("FR-7", "functional", None)));
        check("- **FR-9**: Images are below 500 MB", false, Some(("FR-9", "functional", Some("docker.size"))));
        check("- **FR-4**: Passwords are hashed", false, Some(("FR-4", "functional", None)));
        check("- **FR-5**: Resource requests and limits are declared", false, Some(("FR-5", "functional", Some("helm.policy"))));
        assert!(is_spec("specs/001-x/spec.md") && is_spec("specs/features/login.md"));
        for other in ["specs/001-x/prompts/0001-a.spec.prompt.md", "specs/001-x/plan.md", "docs/spec.md", ".specify/templates/spec-template.md"] {
            assert!(!is_spec(other), "{other}");
        }
    }

    #[test]
    fn the_unfilled_constitution_is_recognised() {
        assert!(unfilled("# [PROJECT_NAME] Constitution\n### [PRINCIPLE_1_NAME]\n"));
        assert!(!unfilled("# Todo Constitution\n### I. Small\n"));
        let found =
            principles("c.md", "<!--\nSync\n### no\n-->\n# X\n## Core Principles\n### I. Small\nThree services.\nNo more.\n## Governance\n### not this\n");
        assert_eq!(
            found.iter().map(|principle| (principle.title.as_str(), principle.text.as_str())).collect::<Vec<_>>(),
            vec![("I. Small", "Three services. No more.")]
        );
    }
}
