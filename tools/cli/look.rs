//! Commands that only look: analyze, plan, status, open, logs, doctor.

use super::show::{Screen, exit_code};
use super::vigil::Vigil;
use crate::story::{Block, Mark};
use crate::tools::{self, Offer as _};
use landfall::ask;
use landfall::evidence::Severity;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use std::time::Duration;

pub(super) async fn analyze(landfall: &Landfall, screen: &Screen, ask: ask::AnalyzeProject, check: bool) -> Result<u8, Failure> {
    let reply = landfall.for_one_look().analyze(&ask).await?;
    let blocked =
        reply.more.findings.iter().any(|finding| finding.severity == Severity::Blocker) || reply.more.ready.iter().any(|ready| !ready.containerizable);
    let code = screen.reply::<tools::AnalyzeProject>(&reply);
    Ok(if check && blocked { 10 } else { code })
}

pub(super) async fn plan(landfall: &Landfall, screen: &Screen, ask: ask::PlanDeployment, diff: bool) -> Result<u8, Failure> {
    let reply = landfall.plan(&ask).await?;
    if diff
        && !screen.json
        && let Some(plan) = &reply.more.plan
    {
        let workspace = reply.reply.target.as_ref().map(|target| target.workspace.as_str()).unwrap_or_default();
        let text = crate::resources::whole(landfall, &format!("landfall://plan/{}/diff", plan.digest), workspace).await?;
        screen.print(&format!("{text}\n"));
        return Ok(exit_code(&reply.reply));
    }
    Ok(screen.reply::<tools::PlanDeployment>(&reply))
}

pub(super) async fn status(landfall: &Landfall, screen: &Screen, ask: ask::ClusterHealth, watch: bool) -> Result<u8, Failure> {
    if !watch {
        return landfall.health(&ask).await.map(|reply| screen.reply::<tools::ClusterHealth>(&reply));
    }
    // Heard at any moment, also while the cluster is being asked.
    let mut interrupts = super::interrupts()?;
    let mut vigil = Vigil::default();
    let (mut first, mut code) = (true, 0);
    loop {
        let looked = tokio::select! {
            looked = landfall.health(&ask) => looked,
            _ = interrupts.recv() => return Ok(code),
        };
        let told = vigil.sees(looked.as_ref());
        let time = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M:%S").to_string();
        let changes = vigil.keeps(&told, &time);
        // A screen is drawn anew with what changed below; a file or a pipe gets the first look, and then the changes alone.
        let drawn = screen.live || first;
        if screen.live && !screen.json {
            screen.print("\x1b[2J\x1b[H");
        }
        // A cluster that is away for a moment is a thing to watch as well.
        code = match &looked {
            Ok(reply) if screen.json => {
                screen.print(&format!("{}\n", serde_json::to_string(reply).unwrap_or_default()));
                exit_code(&reply.reply)
            }
            Ok(reply) if drawn => screen.reply::<tools::ClusterHealth>(reply),
            Err(failure) if drawn || screen.json => screen.failure(failure),
            Ok(reply) => exit_code(&reply.reply),
            Err(failure) => failure.code.exit_code(),
        };
        if screen.live && !screen.json && !changes.is_empty() {
            screen.print(&screen.blocks(&changed(changes)));
        } else if !screen.live && !screen.json {
            screen.print(&told.iter().map(|line| format!("{time} {line}\n")).collect::<String>());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            _ = interrupts.recv() => return Ok(code),
        }
        first = false;
    }
}

fn changed(changes: &[String]) -> Vec<Block> {
    let lines = changes.iter().map(|line| Block::Detail(line.clone()));
    [Block::title("Changed since you watch")].into_iter().chain(lines).collect()
}

pub(super) async fn open(landfall: &Landfall, screen: &Screen, ask: ask::ClusterHealth) -> Result<u8, Failure> {
    let (forward, url) = landfall.open(&ask).await?;
    let mut interrupts = super::interrupts()?;
    if screen.json {
        screen.print(&format!("{}\n", serde_json::to_string_pretty(&url).unwrap_or_default()));
    } else {
        screen.print(&format!("{}\n", url.url));
    }
    screen.say(&format!("{} → {}; Ctrl-C ends it", url.service, forward.pod));
    interrupts.recv().await;
    drop(forward);
    Ok(0)
}

pub(super) async fn logs(landfall: &Landfall, screen: &Screen, ask: ask::ClusterHealth, previous: bool) -> Result<u8, Failure> {
    let logs = landfall.logs(&ask, previous).await?;
    if screen.json {
        screen.print(&format!("{}\n", serde_json::to_string_pretty(&logs).unwrap_or_default()));
    } else {
        screen.print(&screen.blocks(&tools::cluster_health::logs(&logs)));
    }
    Ok(0)
}

pub(super) async fn doctor(landfall: &Landfall, screen: &Screen) -> Result<u8, Failure> {
    let programs = landfall.doctor().await;
    let missing = programs.iter().filter(|program| !program.problem.is_empty()).count();
    if screen.json {
        screen.print(&format!("{}\n", serde_json::to_string_pretty(&programs).unwrap_or_default()));
    } else {
        let mut blocks = tools::validate_env::programs(&programs);
        blocks.push(match missing {
            0 => Block::Line(Mark::Good, "nothing is missing".to_owned()),
            1 => Block::Line(Mark::Bad, "one thing to mend".to_owned()),
            several => Block::Line(Mark::Bad, format!("{several} things to mend")),
        });
        screen.print(&screen.blocks(&blocks));
    }
    Ok(if missing == 0 { 0 } else { 7 })
}

/// What a survey shows in one line, for `landfall` alone.
pub(super) fn facts(more: &landfall::reply::Analysis) -> Vec<Block> {
    tools::AnalyzeProject::facts(more)
}
