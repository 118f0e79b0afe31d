//! Builds every image where the cluster's pods can see it, and judges what was built: the docker gate.

use crate::blueprint::Workload;
use crate::config::ScanRule;
use crate::draft::{BuildSource, build_source};
use crate::engine::{Effect, Run};
use crate::evidence::{Check, Evidence, Gate, GateName, Outcome, Source, Verdict};
use crate::failure::{Code, Failure};
use crate::journal::{StageName, Undo};
use crate::names::{EnvName, ServiceName};
use crate::plan::{ImageStep, Plan};
use crate::ports::{BuildRequest, ImageFacts, Proof, Started, TryStart};
use crate::render::RenderedFile;
use crate::reply::ImageView;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

const STAGE: StageName = StageName::Containerize;

/// What the stage left behind.
#[derive(Clone, Debug, Default)]
pub struct Built {
    pub gates: Vec<Gate>,
    pub images: Vec<ImageView>,
}

/// Builds, delivers and judges every image of the plan; stops at the first gate that refuses.
pub async fn run(run: &Run, plan: &Plan, files: &[RenderedFile], at: &Proof, secrets: &BTreeMap<EnvName, Secret>) -> Result<Built, Failure> {
    let mut built = Built::default();
    for workload in &plan.blueprint.workloads {
        let Some(step) = plan.images.get(&workload.name) else { continue };
        let source = build_source(&run.folders.workspace, &workload.image, files)?;
        let facts = build(run, plan, workload, step, &source, at, secrets).await?;
        let (gate, on_nodes) = judge(run, workload, step, &facts, at).await?;
        run.judged(STAGE, &gate)?;
        let sbom_uri = bill(run, workload, step, &facts)?;
        built.images.push(ImageView { sbom_uri, ..view(workload, step, &facts, on_nodes) });
        let refused = gate.verdict == Verdict::Refused;
        built.gates.push(gate);
        if refused {
            break;
        }
    }
    Ok(built)
}

async fn build(
    run: &Run,
    plan: &Plan,
    workload: &Workload,
    step: &ImageStep,
    source: &BuildSource,
    at: &Proof,
    secrets: &BTreeMap<EnvName, Secret>,
) -> Result<ImageFacts, Failure> {
    let images = &run.world.images;
    let name = workload.name.as_str();
    let there = if step.present { images.inspect(at, &step.reference).await? } else { None };
    let facts = match there {
        Some(facts) => facts,
        None => {
            fresh(step, source, &workload.name)?;
            let request = BuildRequest {
                reference: step.reference.clone(),
                context: source.context.clone(),
                files: source.files.clone(),
                dockerfile: source.dockerfile.clone(),
                build_args: source.build_args.clone(),
                secrets: secrets.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
                labels: BTreeMap::from([
                    ("dev.landfall.input".to_owned(), step.input.to_string()),
                    ("dev.landfall.app".to_owned(), plan.blueprint.app.to_string()),
                ]),
                deadline: run.left(),
            };
            let effect = Effect {
                key: format!("image/{name}"),
                text: format!("build image {}", step.reference),
                undo: Undo::Untag { reference: step.reference.clone() },
                before: serde_json::Value::Null,
            };
            let id: String =
                run.effect_again(STAGE, name, effect, super::class_of, || async { Ok(images.build(at, &request, run.heart.as_ref()).await?.id) }).await?;
            images.inspect(at, &step.reference).await?.filter(|facts| facts.id == id).ok_or_else(|| {
                Failure::new(Code::BuildFailed, format!("{} is not the image that was just built", step.reference))
                    .help("call again; another build of the same tag ran at the same time")
            })?
        }
    };
    let nodes = images.on_nodes(at, &step.reference).await?;
    if nodes.iter().any(|node| node.id.as_deref() != Some(facts.id.as_str())) {
        let effect = Effect {
            key: format!("delivery/{name}"),
            text: format!("bring image {} onto the nodes", step.reference),
            undo: Undo::Keep { why: "the image is removed with its tag".to_owned() },
            before: serde_json::Value::Null,
        };
        let _: String = run.effect_again(STAGE, name, effect, super::class_of, || images.deliver(at, &step.reference, &facts.id, run.heart.as_ref())).await?;
    }
    Ok(facts)
}

/// The context must be what the plan was made from; base images may only be missing from the comparison, never differ silently.
fn fresh(step: &ImageStep, source: &BuildSource, service: &ServiceName) -> Result<(), Failure> {
    let again = source.input(&step.bases)?;
    if again == step.input {
        return Ok(());
    }
    Err(Failure::new(Code::PlanStale, format!("the sources of {service} changed after the plan was made"))
        .help("call again: the new plan is made from the sources as they are now"))
}

/// Every check of the docker gate. What was proven of this very image id before is not asked again, except where it is.
async fn judge(run: &Run, workload: &Workload, step: &ImageStep, facts: &ImageFacts, at: &Proof) -> Result<(Gate, Vec<String>), Failure> {
    let name = workload.name.as_str();
    let (on_node, nodes) = on_node(run, step, facts, at).await;
    let kept = run.folders.records.join("images").join(format!("{}.json", facts.id.trim_start_matches("sha256:")));
    let known: Option<Gate> = std::fs::read(&kept).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let mut checks = match known {
        Some(gate) if gate.verdict == Verdict::Pass && gate.subject == name => {
            gate.checks.into_iter().filter(|check| check.id != "docker.on_node" && check.id != "docker.size").collect()
        }
        Some(_) | None => of_image(run, workload, step, facts, at).await,
    };
    checks.push(size(run.config.gates.image_budget_mb, facts));
    checks.push(on_node);
    let gate = Gate::judge(GateName::Docker, name, checks);
    if gate.verdict == Verdict::Pass
        && let Ok(text) = serde_json::to_vec(&gate)
    {
        // A lost record costs a second look, nothing else.
        let _ = crate::files::write_private(&kept, &text);
    }
    Ok((gate, nodes))
}

/// What an image alone answers, wherever it is and whatever its budget.
pub(super) async fn of_image(run: &Run, workload: &Workload, step: &ImageStep, facts: &ImageFacts, at: &Proof) -> Vec<Check> {
    let name = workload.name.as_str();
    run.doing(STAGE, name, "looks for secrets in the layers");
    let mut checks = vec![builds(step, facts), non_root(facts), no_secrets(run, step, facts, at).await];
    run.doing(STAGE, name, "starts the image without network or write access");
    checks.push(starts(run, workload, step, at).await);
    run.doing(STAGE, name, "scans for vulnerabilities");
    checks.push(scan(run, step, at).await);
    checks
}

fn builds(step: &ImageStep, facts: &ImageFacts) -> Check {
    Check::pass(
        "docker.builds",
        format!("build of {}", step.reference),
        Evidence::new(Source::Program, step.reference.to_string(), &format!("image id {}", facts.id)),
    )
}

fn non_root(facts: &ImageFacts) -> Check {
    let probed = "user of the image's configuration";
    let user = facts.user.split(':').next().unwrap_or_default();
    let seen = Evidence::new(Source::Program, "image .Config.User", if facts.user.is_empty() { "(empty: root)" } else { &facts.user });
    match user.parse::<u32>() {
        Ok(0) => Check::fail("docker.non_root", probed, "the image runs as root", vec![seen]),
        Ok(_) => Check::pass("docker.non_root", probed, seen),
        Err(_) if user.is_empty() => Check::fail("docker.non_root", probed, "the image runs as root", vec![seen]),
        Err(_) => Check::fail("docker.non_root", probed, "the user is a name; Kubernetes can only check a number", vec![seen]),
    }
}

pub(super) fn size(budget_mb: u64, facts: &ImageFacts) -> Check {
    let probed = format!("size within {budget_mb} MB");
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    let mut layers = facts.layers.clone();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.size_bytes));
    let largest: Vec<_> = layers
        .iter()
        .take(8)
        .filter(|layer| layer.size_bytes > 1_000_000)
        .map(|layer| format!("{} MB: {}", mb(layer.size_bytes), crate::secret::plain(&layer.created_by, 80)))
        .collect();
    let seen = Evidence::new(Source::Program, "image size", &format!("{} MB; largest layers: {}", mb(facts.size_bytes), largest.join(" · ")));
    if mb(facts.size_bytes) <= budget_mb {
        Check::pass("docker.size", probed, seen)
    } else {
        Check::fail("docker.size", probed, format!("{} MB is over the budget", mb(facts.size_bytes)), vec![seen])
    }
}

async fn no_secrets(run: &Run, step: &ImageStep, facts: &ImageFacts, at: &Proof) -> Check {
    let probed = "layers, environment and history of the image";
    let mut found = Vec::new();
    for setting in &facts.env {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        if !value.is_empty() && (crate::secret::secret_name(name) || crate::secret::looks_secret(setting)) {
            found.push(Evidence::new(Source::Program, format!("image .Config.Env {name}"), "has a value of a secret's name or shape"));
        }
    }
    // The history is read with the layers: there a value is told from what stands for one, as in `TOKEN="$(cat /run/secrets/TOKEN)"`.
    match run.world.images.secrets_in_layers(at, &step.reference).await {
        Ok(hits) => found.extend(hits.iter().map(|hit| Evidence::new(Source::File, "image layer", hit))),
        Err(failure) => return Check::not_run("docker.no_secrets", probed, failure.to_string()),
    }
    if found.is_empty() {
        Check::pass(
            "docker.no_secrets",
            probed,
            Evidence::new(Source::Program, step.reference.to_string(), "no file, variable or history line of a credential's shape"),
        )
    } else {
        Check::fail("docker.no_secrets", probed, format!("{} places hold something of a credential's shape", found.len()), found)
    }
}

async fn starts(run: &Run, workload: &Workload, step: &ImageStep, at: &Proof) -> Check {
    let probed = "start as its user, without network, capabilities or a writable root, with placeholder values";
    let request = TryStart {
        reference: step.reference.clone(),
        user: format!("{0}:{0}", workload.user),
        env: workload.env.iter().map(|setting| (setting.name.to_string(), super::placeholder(setting))).collect(),
        writable: workload.writable.iter().cloned().chain(workload.storage.as_ref().map(|storage| storage.mount.clone())).collect(),
        command: None,
        watch: Duration::from_secs(8),
    };
    match run.world.images.try_start(at, &request).await {
        Ok(started) => judge_start(workload, probed, &started),
        Err(failure) => Check::not_run("docker.starts", probed, failure.to_string()),
    }
}

/// An import, exec or permission error fails; an end for want of another service says nothing about the image.
pub fn judge_start(workload: &Workload, probed: &str, started: &Started) -> Check {
    let tail: Vec<_> = started.log.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
    let seen = |text: &str| Evidence::new(Source::Log, format!("{} first start", workload.name), if text.is_empty() { "(no output)" } else { text });
    let text = format!("{}\n{}", started.error, started.log);
    if let Some(broken) = BROKEN.iter().find_map(|word| text.lines().find(|line| line.contains(word))) {
        return Check::fail("docker.starts", probed, "the image cannot start as it is", vec![seen(broken)]);
    }
    match started.exit_code {
        None => Check::pass("docker.starts", probed, seen(&format!("still running after the watch\n{tail}"))),
        Some(0) => Check::pass("docker.starts", probed, seen(&format!("ended with 0\n{tail}"))),
        Some(code) => match NEEDS.iter().find_map(|word| text.lines().rev().find(|line| line.to_lowercase().contains(word))) {
            // The kubernetes gate proves it with the real thing.
            Some(line) => {
                Check::not_run("docker.starts", probed, format!("ended with {code} for want of another service: {}", crate::secret::plain(line, 160)))
                    .optional()
            }
            None => Check::fail("docker.starts", probed, format!("ended with {code}"), vec![seen(&tail)]),
        },
    }
}

const BROKEN: &[&str] = &[
    "ModuleNotFoundError",
    "ImportError",
    "Cannot find module",
    "ERR_MODULE_NOT_FOUND",
    "ClassNotFoundException",
    "NoClassDefFoundError",
    "error while loading shared libraries",
    "exec format error",
    "executable file not found",
    "permission denied",
    "Permission denied",
    "EACCES",
    "EROFS",
    "Read-only file system",
    "SyntaxError",
];

const NEEDS: &[&str] = &[
    "connection refused",
    "econnrefused",
    "could not connect",
    "could not translate host name",
    "name or service not known",
    "temporary failure in name resolution",
    "enotfound",
    "eai_again",
    "network is unreachable",
    "enetunreach",
    "no route to host",
    "cannot connect",
    "connection error",
    "failed to resolve",
    "no such host",
    "timed out",
];

async fn scan(run: &Run, step: &ImageStep, at: &Proof) -> Check {
    let probed = "known vulnerabilities";
    let check = match run.world.scanner.scan(at, &step.reference).await {
        Ok(report) => {
            let counts: Vec<_> = report.counts.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
            let seen = Evidence::new(Source::Program, report.scanner.clone(), &if counts.is_empty() { "none".to_owned() } else { counts.join(", ") });
            match report.counts.get("CRITICAL") {
                Some(count) if *count > 0 => Check::fail("docker.scan", probed, format!("{count} critical vulnerabilities"), vec![seen]),
                Some(_) | None => Check::pass("docker.scan", probed, seen),
            }
        }
        Err(reason) => Check::not_run("docker.scan", probed, reason),
    };
    match run.config.gates.scan {
        ScanRule::Required => check,
        ScanRule::Optional => check.optional(),
    }
}

async fn on_node(run: &Run, step: &ImageStep, facts: &ImageFacts, at: &Proof) -> (Check, Vec<String>) {
    let probed = format!("id of {} on every node", step.reference);
    match run.world.images.on_nodes(at, &step.reference).await {
        Ok(nodes) => {
            let told: Vec<_> = nodes.iter().map(|node| format!("{}: {}", node.node, node.id.as_deref().unwrap_or("absent"))).collect();
            let seen = Evidence::new(Source::Program, "the nodes' own engines", &told.join(", "));
            let good: Vec<_> = nodes.iter().filter(|node| node.id.as_deref() == Some(facts.id.as_str())).map(|node| node.node.clone()).collect();
            if !nodes.is_empty() && good.len() == nodes.len() {
                (Check::pass("docker.on_node", probed, seen), good)
            } else {
                (Check::fail("docker.on_node", probed, format!("{} of {} nodes have image {}", good.len(), nodes.len(), facts.id), vec![seen]), good)
            }
        }
        Err(failure) => (Check::not_run("docker.on_node", probed, failure.to_string()), Vec::new()),
    }
}

fn view(workload: &Workload, step: &ImageStep, facts: &ImageFacts, on_nodes: Vec<String>) -> ImageView {
    ImageView {
        service: workload.name.to_string(),
        reference: step.reference.to_string(),
        id: facts.id.clone(),
        input_hash: step.input.to_string(),
        size_bytes: facts.size_bytes,
        layers: u32::try_from(facts.layers.len()).unwrap_or(u32::MAX),
        on_nodes,
        sbom_uri: None,
    }
}

/// Writes the image's bill of materials beside the reports and answers its address; nothing where no lockfile pins anything.
fn bill(run: &Run, workload: &Workload, step: &ImageStep, facts: &ImageFacts) -> Result<Option<String>, Failure> {
    let Some(service) = workload.service() else { return Ok(None) };
    let own = |path: &str| if service.dir == "." { path.to_owned() } else { format!("{}/{path}", service.dir) };
    let named = ["lockfile", "requirements"].iter().filter_map(|key| service.build_facts.get(*key)).flat_map(|path| [path.clone(), own(path)]);
    for path in named {
        let Ok(text) = std::fs::read_to_string(run.folders.workspace.join(&path)) else { continue };
        if let Some(bill) = crate::render::sbom(workload, step.reference.as_str(), &facts.id, &path, &text) {
            let name = format!("sbom-{}.json", workload.name);
            crate::files::write_private(&run.folders.operation(&run.id).join(format!("report-{name}")), bill.as_bytes())?;
            return Ok(Some(format!("landfall://report/{}/{name}", run.id)));
        }
    }
    Ok(None)
}

/// True where the gate passes but for what only a cluster can show.
pub fn good_enough(gate: &Gate) -> bool {
    gate.passes_except(&["docker.on_node"]) && gate.checks.iter().any(|check| check.outcome == Outcome::Pass)
}
