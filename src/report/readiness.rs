//! Before any step: what must be there, and is or is not, each with where that was seen.

use super::{Material, Story, Told, artifacts};
use crate::evidence::{Gate, GateName, Severity, Verdict};
use crate::journal::{StageName, verdict_word};
use crate::policy::principles;
use crate::survey::McpShape;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One point: the row of the checklist it answers, whether it holds, and what was seen where.
struct Point {
    row: &'static str,
    ready: bool,
    what: String,
    seen: String,
}

pub(super) fn tell(material: &Material<'_>) -> Told {
    let points: Vec<Point> = sources(material).into_iter().chain(stages(material)).chain(consent(material)).collect();
    let mut markdown = format!("# Deployment readiness: {}\n\n", material.app);
    for point in &points {
        let seen = if point.seen.is_empty() { String::new() } else { format!(" ({})", point.seen) };
        let _ = writeln!(markdown, "- {} {}{seen}", if point.ready { "✅" } else { "⚠️" }, point.what);
    }
    markdown.push_str(
        "\nLocal readiness says that the app runs on this Minikube. It says nothing about load, backups, real certificates or a production cluster.\n",
    );
    let ready = points.iter().filter(|point| point.ready).count();
    Told {
        title: format!("Deployment readiness of {}", material.app),
        summary: format!("{ready} of {} points are ready", points.len()),
        verdict: None,
        data: json!({
            "app": material.app,
            "rows": points.iter().map(|point| json!({ "row": point.row, "ready": point.ready, "what": point.what, "seen": point.seen })).collect::<Vec<_>>(),
        }),
        parts: vec![markdown.into(), super::page::topology_part(material)],
        artifacts: artifacts(material),
        not_run: Vec::new(),
        next: vec![
            material.call("validate_env", json!({ "when": "before" }), "look at the machine and the cluster"),
            material.call("plan_deployment", Value::Null, "see what a deployment would do"),
        ],
    }
}

/// What the survey says.
fn sources(material: &Material<'_>) -> Vec<Point> {
    let survey = material.survey;
    let point = |row, ready, what: String, seen: String| Point { row, ready, what, seen };
    let specs: Vec<_> = survey.specs.features.iter().map(|feature| feature.dir.clone()).collect();
    let requirements: usize = survey.specs.features.iter().map(|feature| feature.requirements.len()).sum();
    let names: Vec<_> = survey.services.iter().map(|service| service.name.as_str()).collect();
    let blockers: Vec<_> = survey.findings.iter().filter(|finding| finding.severity == Severity::Blocker).collect();
    let place = |finding: &crate::evidence::Finding| finding.evidence.first().map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default();
    let backing: Vec<_> = survey.services.iter().flat_map(|service| &service.backing).map(|need| need.kind.as_str()).collect();
    let backing: std::collections::BTreeSet<_> = backing.into_iter().collect();
    let told: Vec<_> = backing
        .iter()
        .map(|kind| match material.config.backing.get(*kind) {
            Some(how) => format!("{kind} {}", how.split(':').next().unwrap_or(how)),
            None => format!("{kind}, in the cluster unless landfall.toml says otherwise"),
        })
        .collect();
    let health = survey.services.iter().filter(|service| service.health.is_some()).count();
    let kept = survey.specs.principles.iter().filter(|principle| !principles::kept(&principle.title, &principle.text).is_empty()).count();
    let mcp = survey.mcp.evidence.first().map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default();
    let mcp_told = match survey.mcp.shape {
        McpShape::HttpDeployment => "an MCP server over HTTP",
        McpShape::StdioSubprocess => "an MCP server over stdio, inside its caller",
        McpShape::SdkNotConnected => "an MCP SDK that nothing serves",
        McpShape::NameOnly => "something only called MCP",
        McpShape::None => "none",
    };
    vec![
        point("P1", requirements > 0, format!("specs: {} features, {requirements} requirements", specs.len()), specs.join(", ")),
        point(
            "P6",
            survey.specs.constitution.is_some(),
            format!("constitution: {}", survey.specs.constitution.as_deref().unwrap_or("none found")),
            String::new(),
        ),
        point(
            "P4",
            true,
            format!("security: restricted pods by the policy table; {kept} of {} principles are checked at the helm gate", survey.specs.principles.len()),
            survey.specs.constitution.clone().unwrap_or_default(),
        ),
        point(
            "P2",
            !names.is_empty(),
            format!("services found: {}", names.join(", ")),
            format!("survey {}", survey.digest.chars().take(12).collect::<String>()),
        ),
        point(
            "P2",
            blockers.is_empty(),
            match blockers.as_slice() {
                [] => "no blocker in the survey".into(),
                some => format!("blockers: {}", some.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>().join(", ")),
            },
            blockers.iter().map(|finding| place(finding)).filter(|place| !place.is_empty()).collect::<Vec<_>>().join(", "),
        ),
        point("P2", true, format!("dependencies: {}", if told.is_empty() { "none".to_owned() } else { told.join("; ") }), String::new()),
        point("P5", survey.mcp.shape != McpShape::NameOnly && survey.mcp.shape != McpShape::SdkNotConnected, format!("MCP: {mcp_told}"), mcp),
        point("A6", health == survey.services.len(), format!("health routes known for {health} of {} services", survey.services.len()), String::new()),
    ]
}

/// What earlier operations left: judged stages, artifacts, a way back.
fn stages(material: &Material<'_>) -> Vec<Point> {
    let sound = || material.stories.iter().filter(|story| story.damage.is_none());
    let mut points = Vec::new();
    for (row, stage) in [("S1", StageName::Containerize), ("S2", StageName::Chart), ("S3", StageName::Deploy), ("S4", StageName::Validate)] {
        let last = sound().find_map(|story| Some((story, ended(story, stage)?)));
        points.push(match last {
            Some((story, verdict)) => Point {
                row,
                ready: verdict == Verdict::Pass,
                what: format!("previous {}: {} in {}", stage.as_str(), verdict_word(verdict), story.request.id),
                seen: format!("landfall://operation/{}/journal", story.request.id),
            },
            None => Point { row, ready: false, what: format!("previous {}: never run", stage.as_str()), seen: String::new() },
        });
    }
    let made = artifacts(material);
    points.push(Point { row: "C1", ready: !made.is_empty(), what: format!("artifacts made by operations: {}", made.len()), seen: String::new() });
    points.push(match sound().find_map(|story| story.state.verified.as_ref().map(|verified| (story, verified.0))) {
        Some((story, n)) => Point {
            row: "S5",
            ready: true,
            what: format!("way back: app revision r{n}, verified in {}", story.request.id),
            seen: format!("landfall://operation/{}/journal", story.request.id),
        },
        None => Point { row: "S5", ready: false, what: "way back: none verified yet; a first install is uninstalled again".into(), seen: String::new() },
    });
    points.extend(material.damaged().map(|(story, failure)| Point {
        row: "S5",
        ready: false,
        what: format!("the journal of {} shows nothing", story.request.id),
        seen: super::one_line(&failure.to_string()),
    }));
    points
}

/// How a stage of an operation ended: by its gates as they stand, since a check that had to wait for the cluster is run by a later stage.
fn ended(story: &Story, stage: StageName) -> Option<Verdict> {
    let said = story.state.verdicts.iter().rev().find(|(name, _)| *name == stage).map(|(_, verdict)| *verdict)?;
    let carried = match stage {
        StageName::Containerize => GateName::Docker,
        StageName::Chart => GateName::Helm,
        StageName::Deploy | StageName::Validate | StageName::Rollback => return Some(said),
    };
    let gates: Vec<Gate> = story.state.standing_gates().into_iter().map(|(_, gate)| gate).filter(|gate| gate.gate == carried).collect();
    Some(if said == Verdict::Incomplete && !gates.is_empty() { crate::evidence::overall(&gates) } else { said })
}

/// What a person was shown and said.
fn consent(material: &Material<'_>) -> Vec<Point> {
    let Some((story, plan)) = material.plan() else {
        return vec![Point { row: "P8", ready: false, what: "plan: none was carried out yet".into(), seen: String::new() }];
    };
    let waves: Vec<_> = plan.blueprint.waves.iter().map(|wave| wave.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")).collect();
    let approved = story.state.approved_by.as_deref();
    vec![
        Point {
            row: "P8",
            ready: true,
            what: format!("newest plan: {}", waves.join(" ▸ ")),
            seen: story.request.plan.as_deref().map(|digest| format!("plan {}", digest.chars().take(12).collect::<String>())).unwrap_or_default(),
        },
        Point {
            row: "P9",
            ready: approved.is_some() || plan.unnoticed(),
            what: format!(
                "approved by: {}",
                approved.unwrap_or(if plan.unnoticed() { "nobody, and nothing that a person would notice changed" } else { "nobody" })
            ),
            seen: story.request.id.to_string(),
        },
    ]
}
