//! Reports as pages that need nothing from outside: Markdown as HTML, the drawing of the app, the timeline of an operation, gates with evidence that unfolds.

use super::{GATES, LOOK, Material, Part, Story, Told, newest_gates, verdict_mark};
use crate::blueprint::{Blueprint, Role, Workload};
use crate::evidence::{Check, Gate, GateName, Outcome, Verdict};
use crate::journal::{Event, StageName, verdict_word};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The report as a page of its own.
pub fn page(told: &Told) -> String {
    let html = |part: &Part| part.html.clone().unwrap_or_else(|| markdown(&part.markdown));
    // What to do next stands below the answer, not below its evidence.
    let (first, rest) = told.parts.split_at(told.parts.len().min(1));
    let mut body: String = first.iter().map(html).collect();
    if !told.next.is_empty() {
        body.push_str("<h2>Next</h2>\n<ul>\n");
        for call in &told.next {
            let arguments = serde_json::Value::Object(call.arguments.clone()).to_string();
            let _ = writeln!(body, "<li>{}<pre><code>{} {}</code></pre></li>", escape(&call.why), escape(call.tool), escape(&arguments));
        }
        body.push_str("</ul>\n");
    }
    body.extend(rest.iter().map(html));
    include_str!("page.html").replace("{look}", LOOK).replace("{title}", &escape(&told.title)).replace("{body}", &body)
}

/// Headings, lists and paragraphs of what reports write; everything is escaped first.
fn markdown(text: &str) -> String {
    let mut body = String::new();
    let mut list = false;
    for line in text.lines() {
        let item = line.trim_start().strip_prefix("- ");
        if list && item.is_none() {
            body.push_str("</ul>\n");
            list = false;
        }
        let (tag, text) = match (item, line) {
            (Some(item), _) => {
                if !list {
                    body.push_str("<ul>\n");
                    list = true;
                }
                ("li", item)
            }
            (None, line) if line.starts_with("## ") => ("h2", line.trim_start_matches('#').trim()),
            (None, line) if line.starts_with("# ") => ("h1", line.trim_start_matches('#').trim()),
            (None, line) if line.trim().is_empty() => continue,
            (None, line) => ("p", line),
        };
        let _ = writeln!(body, "<{tag}>{}</{tag}>", inline(text));
    }
    if list {
        body.push_str("</ul>\n");
    }
    body
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Marks as signs that every font has, with a colour: a page must be read where emoji are not.
fn signs(escaped: &str) -> String {
    let mut text = escaped.replace("⚠️", SIGN_OPEN);
    for (mark, sign) in [("✅", SIGN_GOOD), ("❌", SIGN_BAD), ("⚠", SIGN_OPEN), ("⏳", SIGN_OPEN)] {
        text = text.replace(mark, sign);
    }
    text
}

const SIGN_GOOD: &str = "<b class=\"good\">✓</b>";
const SIGN_BAD: &str = "<b class=\"bad\">✗</b>";
const SIGN_OPEN: &str = "<b class=\"open\">!</b>";

/// `code` and **bold**, after everything else was escaped.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for (index, part) in signs(&escape(text)).split('`').enumerate() {
        if index > 0 {
            out.push_str(if code { "</code>" } else { "<code>" });
            code = !code;
        }
        let mut bold = false;
        for (index, part) in part.split("**").enumerate() {
            if index > 0 {
                out.push_str(if bold { "</b>" } else { "<b>" });
                bold = !bold;
            }
            out.push_str(part);
        }
        if bold {
            out.push_str("</b>");
        }
    }
    if code {
        out.push_str("</code>");
    }
    out
}

/// A table below a few lines of Markdown.
pub(super) fn table<const N: usize>(head: &str, columns: [&str; N], rows: &[[String; N]]) -> String {
    let mut body = markdown(head);
    if rows.is_empty() {
        body.push_str("<p>nothing</p>\n");
        return body;
    }
    let cells = |tag: &str, texts: &[String]| texts.iter().map(|text| format!("<{tag}>{}</{tag}>", inline(text))).collect::<String>();
    let _ = writeln!(body, "<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>", cells("th", &columns.map(str::to_owned)));
    for row in rows {
        let _ = writeln!(body, "<tr>{}</tr>", cells("td", row));
    }
    body.push_str("</tbody>\n</table></div>\n");
    body
}

/// One gate over its subjects, as (operation, gate): a table, then every check, what did not pass unfolded.
pub(super) fn gate(name: GateName, verdict: Verdict, gates: &[(&str, &Gate)]) -> String {
    let rows: Vec<[String; 6]> = gates
        .iter()
        .map(|(operation, gate)| {
            let told = format!("{} {}", verdict_mark(gate.verdict), verdict_word(gate.verdict));
            [gate.subject.clone(), told, gate.passed.to_string(), gate.failed.to_string(), gate.not_run.to_string(), (*operation).to_owned()]
        })
        .collect();
    if rows.is_empty() {
        return format!("<h2>{SIGN_OPEN} {}</h2>\n<p>never run</p>\n", name.as_str());
    }
    let head = format!("## {} {}", verdict_mark(verdict), name.as_str());
    let mut body = table(&head, ["subject", "verdict", "passed", "failed", "not run", "operation"], &rows);
    for (_, gate) in gates {
        for check in &gate.checks {
            body.push_str(&unfolding(&gate.subject, check));
        }
    }
    body
}

fn unfolding(subject: &str, check: &Check) -> String {
    let (mark, open) = match (check.outcome, check.required) {
        (Outcome::Pass, _) => (SIGN_GOOD, ""),
        (Outcome::Fail, _) => (SIGN_BAD, " open"),
        (Outcome::NotRun, true) => (SIGN_OPEN, " open"),
        (Outcome::NotRun, false) => (SIGN_OPEN, ""),
    };
    let word = match check.outcome {
        Outcome::Pass => "passed",
        Outcome::Fail => "failed",
        Outcome::NotRun => "not run",
    };
    let optional = if check.required { "" } else { " · not required" };
    let mut body = format!(
        "<details{open}><summary>{mark} {} <code>{}</code> {word}{optional}</summary>\n<p>{}</p>\n",
        escape(subject),
        escape(&check.id),
        escape(&check.probed)
    );
    if !check.reason.is_empty() {
        let _ = writeln!(body, "<p>{}</p>", escape(&check.reason));
    }
    for evidence in &check.evidence {
        let at = evidence.seen_at.map(|at| format!(" · {at}")).unwrap_or_default();
        let _ = writeln!(body, "<p><code>{}</code>{}</p><pre>{}</pre>", escape(&evidence.at), escape(&at), escape(&evidence.text));
    }
    body.push_str("</details>\n");
    body
}

/// The drawing of the newest plan, on pages only.
pub(super) fn topology_part(material: &Material<'_>) -> Part {
    let Some((_, plan)) = material.plan() else { return Part::default() };
    let mut standing: BTreeMap<String, Verdict> = BTreeMap::new();
    for name in GATES {
        for (_, gate) in newest_gates(material, name) {
            let worst = standing.entry(gate.subject.clone()).or_insert(Verdict::Pass);
            *worst = match (*worst, gate.verdict) {
                (Verdict::Refused, _) | (_, Verdict::Refused) => Verdict::Refused,
                (Verdict::Incomplete, _) | (_, Verdict::Incomplete) => Verdict::Incomplete,
                (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
            };
        }
    }
    Part { markdown: String::new(), html: Some(format!("<h2>Topology</h2>\n{}", topology(&plan.blueprint, &standing))) }
}

const BOX: (usize, usize) = (190, 62);
const GAP: (usize, usize) = (80, 26);

/// Who calls whom: callers left of what they call, in the order of the waves, each box marked by the worst of its gates.
fn topology(blueprint: &Blueprint, standing: &BTreeMap<String, Verdict>) -> String {
    let columns: Vec<Vec<&Workload>> =
        blueprint.waves.iter().rev().map(|wave| wave.iter().filter_map(|name| blueprint.workload(name.as_str())).collect()).collect();
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (columns.len() * (BOX.0 + GAP.0), tallest * (BOX.1 + GAP.1) + GAP.1);
    let mut place: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (column, workloads) in columns.iter().enumerate() {
        let top = (height - workloads.len() * (BOX.1 + GAP.1) + GAP.1) / 2;
        for (row, workload) in workloads.iter().enumerate() {
            place.insert(workload.name.as_str(), (column * (BOX.0 + GAP.0) + GAP.0 / 2, top + row * (BOX.1 + GAP.1)));
        }
    }
    let mut edges = String::new();
    let mut told = Vec::new();
    for workload in &blueprint.workloads {
        for caller in &workload.callers {
            let (Some(from), Some(to)) = (place.get(caller.as_str()), place.get(workload.name.as_str())) else { continue };
            told.push(format!("{caller} calls {}", workload.name));
            let (x1, y1, x2, y2) = (from.0 + BOX.0, from.1 + BOX.1 / 2, to.0, to.1 + BOX.1 / 2);
            let path = if x1 <= x2 && x2 - x1 <= GAP.0 {
                let middle = x1.midpoint(x2);
                format!("M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}")
            } else if x1 <= x2 {
                // Past the boxes between them, along the lower edge.
                let (out, back, lane) = (x1 + GAP.0 / 2, x2 - GAP.0 / 2, height - GAP.1 / 3);
                format!("M{x1} {y1} C{out} {y1} {x1} {lane} {} {lane} L{} {lane} C{x2} {lane} {back} {y2} {x2} {y2}", out + GAP.0 / 2, back - GAP.0 / 2)
            } else {
                // A call within a column, or back: round the right side.
                let out = x1.max(to.0 + BOX.0) + GAP.0 / 3;
                format!("M{x1} {y1} C{out} {y1} {out} {y2} {} {y2}", to.0 + BOX.0)
            };
            let _ = writeln!(edges, "<path d=\"{path}\" marker-end=\"url(#arrow)\"/>");
        }
    }
    let mut boxes = String::new();
    for workload in &blueprint.workloads {
        let Some((x, y)) = place.get(workload.name.as_str()) else { continue };
        let (class, mark) = match standing.get(workload.name.as_str()) {
            Some(Verdict::Pass) => ("good", "✓"),
            Some(Verdict::Refused) => ("bad", "✗"),
            Some(Verdict::Incomplete) | None => ("open", "!"),
        };
        let _ = writeln!(
            boxes,
            "<g class=\"{class}\" transform=\"translate({x} {y})\"><title>{}</title><rect width=\"{}\" height=\"{}\" rx=\"8\"/><text x=\"12\" y=\"26\"><tspan class=\"sign\">{mark}</tspan> {}</text><text class=\"small\" x=\"12\" y=\"47\">{}</text></g>",
            escape(workload.name.as_str()),
            BOX.0,
            BOX.1,
            escape(&cut(workload.name.as_str(), 19)),
            escape(&cut(&kind_of(workload), 28))
        );
    }
    format!(
        "<div class=\"wide\"><svg viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\" aria-label=\"{}\">\n<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\"/></marker></defs>\n<g class=\"edges\">\n{edges}</g>\n{boxes}</svg></div>\n<p>namespace {}, deployed in waves from right to left; {}</p>\n",
        escape(&told.join(", ")),
        escape(blueprint.namespace.as_str()),
        if told.is_empty() { "nobody calls anybody".to_owned() } else { escape(&told.join(", ")) }
    )
}

fn kind_of(workload: &Workload) -> String {
    let kind = match &workload.role {
        Role::Service { facts } => facts.framework.clone().unwrap_or_else(|| facts.language.clone()),
        Role::Backing { kind } => kind.clone(),
    };
    match (workload.port, &workload.schedule) {
        (_, Some(schedule)) => format!("{kind} · at {schedule}"),
        (Some(port), None) => format!("{kind} · port {port}"),
        (None, None) => kind,
    }
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit { text.to_owned() } else { text.chars().take(limit - 1).chain(['…']).collect() }
}

/// The newest operation with stages: each with its start, its length and how it ended; then every event. On pages only.
pub(super) fn timeline_part(material: &Material<'_>) -> Part {
    let Some(story) = material.stories.iter().find(|story| story.records.iter().any(|record| matches!(record.event, Event::StageStarted { .. }))) else {
        return Part::default();
    };
    Part { markdown: String::new(), html: Some(timeline(story)) }
}

/// A stage of an operation: when it began, when and how it ended.
struct Lap {
    stage: StageName,
    began: f64,
    ended: Option<(f64, Verdict)>,
    readiness: Vec<String>,
}

fn timeline(story: &Story) -> String {
    let Some(first) = story.records.first() else { return String::new() };
    let since = |at: crate::evidence::Time| at.duration_since(first.at).as_secs_f64();
    let whole = story.records.last().map_or(0.0, |last| since(last.at)).max(0.001);
    let mut laps: Vec<Lap> = Vec::new();
    for record in &story.records {
        match (&record.event, record.stage) {
            (Event::StageStarted { readiness }, Some(stage)) => {
                laps.push(Lap { stage, began: since(record.at), ended: None, readiness: readiness.clone() });
            }
            (Event::StageEnded { verdict }, Some(stage)) => {
                if let Some(lap) = laps.iter_mut().rev().find(|lap| lap.stage == stage && lap.ended.is_none()) {
                    lap.ended = Some((since(record.at), *verdict));
                }
            }
            (_, _) => {}
        }
    }
    let mut body = format!("<h2>Timeline of {} {}</h2>\n<div class=\"timeline\">\n", escape(&story.request.tool), story.request.id);
    for lap in &laps {
        let (end, class, told) = match lap.ended {
            Some((end, Verdict::Pass)) => (end, "good", format!("{SIGN_GOOD} pass")),
            Some((end, Verdict::Refused)) => (end, "bad", format!("{SIGN_BAD} refused")),
            Some((end, Verdict::Incomplete)) => (end, "open", format!("{SIGN_OPEN} incomplete")),
            None => (whole, "open", format!("{SIGN_OPEN} no end recorded")),
        };
        let (left, width) = (lap.began / whole * 100.0, ((end - lap.began) / whole * 100.0).max(0.5));
        let _ = writeln!(
            body,
            "<div class=\"lap\" title=\"{}\"><b>{}</b><span class=\"track\"><i class=\"{class}\" style=\"margin-left:{left:.1}%;width:{width:.1}%\"></i></span><span>{told} · {:.1} s</span></div>",
            escape(&lap.readiness.join("\n")),
            lap.stage.as_str(),
            end - lap.began
        );
    }
    let _ = writeln!(body, "</div>\n<p>began {:.0}, {whole:.1} s</p>", first.at);
    let _ = writeln!(body, "<details><summary>every event ({})</summary>\n<ol>", story.records.len());
    for record in &story.records {
        let _ = writeln!(body, "<li value=\"{}\"><time>{}</time> {}</li>", record.n, record.at, escape(&crate::secret::plain(&record.sentence(), 240)));
    }
    body.push_str("</ol></details>\n");
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Source};

    #[test]
    fn a_page_escapes_what_it_shows() {
        let told = Told {
            title: "<x>".into(),
            summary: String::new(),
            verdict: None,
            parts: vec!["# a <script>\n\n- `b<c>` **d**\n".to_owned().into()],
            data: serde_json::Value::Null,
            artifacts: vec![],
            not_run: vec![],
            next: vec![],
        };
        let page = page(&told);
        assert!(page.contains("<h1>a &lt;script&gt;</h1>") && page.contains("<li><code>b&lt;c&gt;</code> <b>d</b></li>"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "a page asks for nothing from outside");
    }

    #[test]
    fn evidence_unfolds_and_what_failed_is_unfolded() {
        let seen = Evidence::new(Source::Probe, "http://a:1/<b>", "200 & more");
        let pass = unfolding("a", &Check::pass("validation.http", "GET /", seen.clone()));
        assert!(pass.starts_with("<details><summary><b class=\"good\">✓</b> a <code>validation.http</code> passed</summary>"), "{pass}");
        assert!(pass.contains("http://a:1/&lt;b&gt;") && pass.contains("200 &amp; more"), "{pass}");
        assert!(unfolding("a", &Check::fail("x.y", "?", "no", vec![seen])).starts_with("<details open>"));
        assert!(unfolding("a", &Check::not_run("x.y", "?", "why")).contains("!</b> a <code>x.y</code> not run"));
        assert!(unfolding("a", &Check::not_run("x.y", "?", "why").optional()).starts_with("<details><summary><b class=\"open\">"));
    }
}
