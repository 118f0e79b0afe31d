//! The MCP tools that specs name: in requirements, and in sections about them; what merely stands beside a tool (a parameter, an error, a file) is none.

use super::walk::base_of;
use super::{Place, SpecTool};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A name as sentences have it: a code span, `snake_case` or `camelCase`.
const NAME: &str = r"(?:`[A-Za-z][A-Za-z0-9_.-]*(?:\([^`]*\))?`|(?-u:\b)[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?-u:\b)|(?-u:\b)[a-z]+(?:[A-Z][a-z0-9]+)+(?-u:\b))";

fn shape(pattern: &str) -> Option<Regex> {
    let names = r"NAME(?:(?:[ \t]*[,;/&][ \t]*(?:and[ \t]+|or[ \t]+)?|[ \t]+(?:and|or)[ \t]+)NAME)*";
    Regex::new(&pattern.replace("NAMES", names).replace("NAME", NAME)).ok()
}

/// Plain letters and blanks in all of these: with those of every script a pattern takes longer to make than a spec to read.
static ONE: LazyLock<Option<Regex>> = LazyLock::new(|| shape("NAME"));
static AFTER: LazyLock<Option<Regex>> =
    LazyLock::new(|| shape(r"(?i:(?-u:\b)tools?(?-u:\b))(?:[ \t]+(?:named|called|such as|including|are|namely))?[ \t:(*—–-]+(?P<names>NAMES)"));
static BEFORE: LazyLock<Option<Regex>> = LazyLock::new(|| shape(r"(?P<names>NAMES)\)?[ \t]+(?:MCP[ \t]+)?tools?(?-u:\b)"));
static DENIED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)(?-u:\b)(?:not|never|no longer|without|out of scope|future|deprecated|removed|non-goals?|exclud[a-z]+)(?-u:\b)").ok());

/// Headings that speak of tools and hold other names.
static ASIDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?-u:\b)(?:errors?|fail[a-z]*|test[a-z]*|examples?|scenarios?|security|logg[a-z]*|responses?|permissions?|auth[a-z]*|flows?|performance|latency|limits?|parameters?|schemas?|types?|fields?|messages?|models?|dependenc[a-z]+|tooling)(?-u:\b)").ok()
});
/// Chapters below which headings are names of something else.
static OTHERS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)(?-u:\b)(?:errors?|fail[a-z]*|parameters?|fields?|examples?|test[a-z]*|scenarios?|data types?)(?-u:\b)").ok());
static MCP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)(?:^|[^a-z])(?:mcp|model context protocol)(?:[^a-z]|$)").ok());
static TOOLS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)(?:^|[^a-z])tools?(?:[^a-z]|$)").ok());

/// `### 2. Tool: add_task(user_id, title) - adds`, a line `**add_task**` and the like, without the marks before.
static TITLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:[0-9]+(?:\.[0-9]+)*[.):]?[ \t]+)?(?P<said>(?i:tool)(?:[ \t]+[0-9]+)?[ \t]*[:.—–-][ \t]*)?(?P<mark>`|\*\*`?)?(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?:\([^)]*\))?(?:`?\*\*|`)?(?:\([^)]*\))?:?(?:[ \t]*[:—–(-].*|[ \t]+(?i:tool))?$").ok()
});
static BULLET: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(?:[-*+]|[0-9]+[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(?P<rest>.+)$").ok());
/// What comes after a line like this is no list of tools.
static LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?-u:\b)(?:parameters?|inputs?|arguments?|args|returns?|outputs?|fields?|columns?|errors?|response|example)(?-u:\b)[^|]*:\**[ \t]*$").ok()
});

fn is(shape: &LazyLock<Option<Regex>>, text: &str) -> bool {
    shape.as_ref().is_some_and(|shape| shape.is_match(text))
}

/// True for files that may name tools: specs, and contracts between parts; not lists of tasks.
pub(super) fn may_name(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let contract = lower.contains("/contracts/") && lower.split('/').any(|part| part.starts_with("spec")) && lower.ends_with(".md");
    (super::specs::is_spec(path) || contract) && !base_of(&lower).contains("task")
}

/// Adds the tools that one file names to those that are known.
pub(super) fn read(path: &str, text: &str, known: &mut Vec<SpecTool>) {
    if !is(&MCP, text) && !is(&MCP, base_of(path)) {
        return;
    }
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if super::specs::states_requirement(line) {
            found.extend(in_sentence(line).into_iter().map(|name| (number, name)));
        }
    }
    found.extend(in_sections(path, text));
    found.sort_by_key(|(number, _)| *number);
    let mut names: BTreeSet<String> = known.iter().map(|tool| tool.name.clone()).collect();
    for (number, name) in found {
        if names.insert(name.clone()) {
            let line = text.lines().nth(number).unwrap_or_default();
            known.push(SpecTool { name, evidence: Place::new(path, u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1), line) });
        }
    }
}

/// Names that a requirement about MCP puts directly beside the word tool.
fn in_sentence(line: &str) -> Vec<String> {
    if !is(&MCP, line) || is(&DENIED, line) {
        return Vec::new();
    }
    let lists = [&AFTER, &BEFORE].into_iter().filter_map(|shape| shape.as_ref()).flat_map(|shape| shape.captures_iter(line));
    let lists: Vec<&str> = lists.filter_map(|found| found.name("names")).map(|names| names.as_str()).collect();
    lists.into_iter().flat_map(|list| ONE.as_ref().into_iter().flat_map(move |one| one.find_iter(list))).filter_map(|name| plain(name.as_str())).collect()
}

/// The name without its marks and arguments; none where it can be no tool's.
fn plain(marked: &str) -> Option<String> {
    let name = marked.trim_matches(['`', '*']).split('(').next().unwrap_or_default();
    let folded = name.to_lowercase().replace(['_', '-'], "");
    let other = folded == "id"
        || ["_id", "-id", "Id"].iter().any(|end| name.ends_with(end))
        || name.contains('.')
        || ["inputschema", "outputschema", "readonlyhint", "structuredcontent", "iserror"].contains(&folded.as_str())
        || name.chars().all(|letter| !letter.is_lowercase());
    (!other).then(|| name.to_owned())
}

/// True for a name of several words in one.
fn compound(name: &str) -> bool {
    let begins_small = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    begins_small && (name.contains('_') || name.contains(|letter: char| letter.is_ascii_uppercase()))
}

/// What a section holds, by the form in which tools are named: headings beat tables, and tables beat lists.
#[derive(Default)]
struct Section {
    level: usize,
    headings: Vec<(usize, String)>,
    rows: Vec<(usize, String)>,
    items: Vec<(usize, String)>,
    /// A tool, or a label as `Parameters:`, was named last: lists and tables tell about it.
    inside: bool,
    /// The table whose rows follow names tools.
    table: bool,
}

impl Section {
    fn end(self) -> Vec<(usize, String)> {
        [self.headings, self.rows, self.items].into_iter().find(|names| !names.is_empty()).unwrap_or_default()
    }

    fn line(&mut self, number: usize, line: &str) {
        if line.starts_with('|') {
            return self.row(number, line);
        }
        self.table = false;
        if let Some(item) = BULLET.as_ref().and_then(|shape| shape.captures(line)).and_then(|found| found.name("rest")) {
            let listed = title(item.as_str()).filter(|_| !self.inside);
            self.items.extend(listed.map(|name| (number, name)));
        } else if let Some(name) = title(line).filter(|_| line.starts_with("**") || line.starts_with('`')) {
            self.headings.push((number, name));
            self.inside = true;
        } else if is(&LABEL, line) {
            self.inside = true;
        }
    }

    fn row(&mut self, number: usize, line: &str) {
        let first = line.trim_matches('|').split('|').next().unwrap_or_default().trim();
        let lower = first.to_lowercase();
        let header = lower.trim_matches(['*', '`', ' ']);
        if ["tool", "tools", "tool name", "mcp tool", "name"].contains(&header) {
            self.table = header != "name" || !self.inside;
        } else if let Some(name) = title(first).or_else(|| plain(first).filter(|name| name.chars().all(|letter| letter.is_alphanumeric())))
            && self.table
        {
            self.rows.push((number, name));
        }
    }
}

/// The tool that a heading, a cell or an item begins with or is.
fn title(text: &str) -> Option<String> {
    let found = TITLE.as_ref()?.captures(text.trim())?;
    let name = plain(found.name("name")?.as_str())?;
    let coded = found.name("mark").is_some_and(|mark| mark.as_str().contains('`'));
    (coded || found.name("said").is_some() || compound(&name)).then_some(name)
}

/// Tools of sections whose heading, or whose document, is about tools of an MCP server.
fn in_sections(path: &str, text: &str) -> Vec<(usize, String)> {
    let file = base_of(path).replace(['-', '_', '.'], " ");
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut section = (is(&MCP, &file) && is(&TOOLS, &file)).then(Section::default);
    let (mut found, mut fenced) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim_end();
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let Some(heading) = line.get(level..).and_then(|rest| rest.strip_prefix(' ')).filter(|_| (1..=6).contains(&level)) else {
            if let Some(section) = &mut section {
                section.line(number, line);
            }
            continue;
        };
        if section.as_ref().is_some_and(|open| level <= open.level) {
            found.extend(section.take().map(Section::end).unwrap_or_default());
        }
        above.retain(|(other, _)| *other < level);
        above.push((level, heading.to_owned()));
        if above.iter().any(|(_, heading)| is(&DENIED, heading)) {
            found.extend(section.take().map(Section::end).unwrap_or_default());
            continue;
        }
        match &mut section {
            Some(open) => {
                let other = above.iter().any(|(other, heading)| (2..level).contains(other) && is(&OTHERS, heading));
                let name = title(heading).filter(|_| !other);
                open.inside = name.is_some() || is(&ASIDE, heading);
                open.table = false;
                open.headings.extend(name.map(|name| (number, name)));
            }
            None if is(&TOOLS, heading) && !is(&ASIDE, heading) && above.iter().any(|(_, heading)| is(&MCP, heading)) => {
                section = Some(Section { level, ..Section::default() });
            }
            None => {}
        }
    }
    found.extend(section.map(Section::end).unwrap_or_default());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expect: &[&str]) {
        let mut known = Vec::new();
        assert!(may_name(path), "{path}");
        read(path, text, &mut known);
        let names: Vec<_> = known.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, expect, "{text}");
    }

    const SPEC: &str = "specs/001-x/spec.md";

    #[test]
    fn requirements_name_the_tools_that_stand_beside_the_word() {
        let five = "- **FR-007**: System MUST offer the tools add_task, list_tasks and update_task over MCP, each with user_id.";
        check(SPEC, five, &["add_task", "list_tasks", "update_task"]);
        check(SPEC, "- **FR-1**: The MCP server MUST expose tools (`search`, `add-note`).", &["search", "add-note"]);
        check(SPEC, "- **FR-1**: The MCP server MUST provide an `add_task` tool and a listTasks tool", &["add_task", "listTasks"]);
        check(SPEC, "### FR-1: MCP tools: add_task, list_tasks", &["add_task", "list_tasks"]);
        for other in [
            "- **FR-1**: Every MCP tool MUST take `user_id` and answer is_error",
            "- **FR-1**: MCP tools MUST NOT offer the tool drop_table",
            "- **FR-1**: System MUST offer the tools add_task and list_tasks",
            "The MCP tools add_task and list_tasks are nice.",
            "- **FR-1**: The MCP server lists its tools in mcp-server/todo_mcp/task_tools.py",
            "- **FR-1**: The tool `task_id` of MCP, and tools.add_task",
            "- **FR-1**: MCP `tools/list` answers within 2 s",
        ] {
            check(SPEC, other, &[]);
        }
    }

    #[test]
    fn sections_name_them_in_headings_tables_or_lists() {
        check(
            "specs/api/mcp-tools.md",
            "# Tools\n\n## Tool: add_task\n\n| Name | Type |\n|--|--|\n| title_text | string |\n\n## list_tasks\n- **sort_by**: x\n",
            &["add_task", "list_tasks"],
        );
        check(
            SPEC,
            "# X\n## MCP Tools\n\n| Tool | Purpose |\n|---|---|\n| `add_task` | adds |\n| search | finds |\n\n## Data\n- due_date: x\n",
            &["add_task", "search"],
        );
        check(
            SPEC,
            "## MCP Server Tools\n- **add_task**: adds\n- `search` (read-only)\n- delete_task(user_id, task_id)\n  - due_date: x\n- task_id\n",
            &["add_task", "search", "delete_task"],
        );
        check(
            "specs/001-x/contracts/mcp-tools.md",
            "# MCP Tools Contract\n### 1. `add_task`\n**Parameters:**\n- `due_date`: text\n### 2. list_tasks - shows\n",
            &["add_task", "list_tasks"],
        );
        check(SPEC, "# MCP server\n## Available Tools\n**add_task**\n- due_date: x\n\n**list_tasks**\n- sort_by: y\n", &["add_task", "list_tasks"]);
    }

    #[test]
    fn what_stands_near_is_no_tool() {
        for other in [
            "## MCP Tools\nParameters:\n- due_date: x\n",
            "## MCP Tool Errors\n- `not_found`: x\n",
            "## Out of Scope\n### MCP Tools\n- `add_task`\n",
            "## Tools\n- `add_task`\n\n## Setup\nMCP is used.\n",
            "## MCP Tools\n```python\n- add_task: x\n```\n### Overview\n- fast and small\n- TASK_NOT_FOUND: x\n",
            "## Developer tooling for MCP\n- `pre_commit`\n",
            "# MCP Tools\n## Error Codes\n### `not_found`\n## Common Parameters\n### sort_by\n",
        ] {
            check(SPEC, other, &[]);
        }
        for path in ["specs/001-x/tasks.md", "docs/mcp-tools.md", "specs/001-x/plan.md", "specs/001-x/contracts/mcp.json"] {
            assert!(!may_name(path), "{path}");
        }
    }
}
