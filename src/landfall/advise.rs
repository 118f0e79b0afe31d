//! ask_advisor: a question to somebody else, asked by a worker, and an answer that is judged before anybody sees it.

use super::changes::{ANSWER, running};
use super::worker::{End, ask_of};
use super::{Landfall, app_name};
use crate::advisor::{self, Matter, Proposal};
use crate::ask::{self, AdviceKind};
use crate::blueprint::{ImagePlan, Workload};
use crate::config::{Advisors, Config, Folders};
use crate::draft::{chart_of, namespace_of};
use crate::engine::Run;
use crate::evidence::{Diagnosis, Gate, Outcome, Verdict};
use crate::failure::{Code, Failure};
use crate::journal::{Event, StageName, State};
use crate::names::{AdvisorName, AppName, Digest, OperationId};
use crate::operation::{self, Request};
use crate::ports::{AdvisorRefusal, AdvisorRefusalCode, AdvisorSetting, Proof};
use crate::reply::{self, OperationState, ProposalView, Reply, Status, Target, With};
use crate::stages;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long an advisor may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an operation showed that failed, or did not pass.
#[derive(Default)]
struct Trouble {
    gates: Vec<Gate>,
    diagnoses: Vec<Diagnosis>,
    /// The service that it is about.
    subject: Option<String>,
}

impl Trouble {
    fn of(app: &AppName, state: &State) -> Option<Self> {
        if state.tool == "ask_advisor" {
            return None;
        }
        let mut diagnoses = state.diagnoses.clone();
        if let Some(failure) = state.failure.as_ref().filter(|_| diagnoses.is_empty()) {
            diagnoses.push(stages::told(app, failure));
        }
        let gates: Vec<_> = state.standing_gates().into_iter().map(|(_, gate)| gate).filter(|gate| gate.verdict != Verdict::Pass).collect();
        let subject = gates.first().map(|gate| gate.subject.clone()).or_else(|| diagnoses.first().map(|diagnosis| diagnosis.subject.clone()));
        (!gates.is_empty() || !diagnoses.is_empty()).then(|| Self { gates, diagnoses, subject })
    }

    /// What Landfall itself says of it.
    fn told(&self) -> Vec<String> {
        let failed = self.gates.iter().flat_map(|gate| gate.checks.iter().map(move |check| (gate, check))).filter(|(_, check)| check.outcome == Outcome::Fail);
        let causes = self.diagnoses.iter().map(|diagnosis| format!("{}: {}", diagnosis.code, diagnosis.cause));
        causes.chain(failed.map(|(gate, check)| format!("{} of {}: {}", check.id, gate.subject, check.reason))).take(8).collect()
    }
}

impl Landfall {
    /// ask_advisor.
    pub async fn ask_advisor(&self, ask: &ask::AskAdvisor) -> Result<With<reply::Advised>, Failure> {
        let began = Instant::now();
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let folders = self.folders(&workspace);
        let app = app_name(&config, &workspace);
        if ask.question.as_ref().is_some_and(|question| question.chars().count() > 500) {
            return Err(Failure::new(Code::BadArgument, "the question has more than 500 characters").help("ask for less at once"));
        }
        let advisors = Advisors::load(&self.setup.state)?;
        let chosen = ask.advisor.or_else(|| advisors.first());
        let Some(name) = chosen.filter(|name| advisors.of(*name).is_some()) else {
            return Ok(self.nobody(ask, &folders, &app, chosen));
        };
        let bare = operation::bare(ask);
        if let Some(now) = operation::running(&folders) {
            if now.same("ask_advisor", &bare) {
                return operation::look(&folders, &now).map(|(view, _)| With::new(running(view, "ask_advisor", &workspace), reply::Advised::default()));
            }
            return Err(super::looks::busy(&now));
        }
        let now = self.world.clock.now();
        // Without a cluster there is still something to ask; kagent alone lives in one.
        let profile = match self.profile(ask.profile.as_ref(), &config).await {
            Ok(profile) => Some(profile),
            Err(failure) if name == AdvisorName::Kagent => return Err(failure),
            Err(_) => None,
        };
        let request = Request {
            format: 1,
            id: OperationId::new(now),
            tool: "ask_advisor".to_owned(),
            ask: bare,
            namespace: Some(namespace_of(ask.namespace.as_ref(), &config, &app)?),
            app,
            workspace: workspace.clone(),
            profile,
            plan: None,
            approved_by: None,
            deadline_s: 600,
            created_at: now,
        };
        operation::create(&folders, &request, None)?;
        operation::launch(&self.setup.program, &folders, &request.id).await?;
        let (view, _) = operation::look(&folders, &request)?;
        let (view, settled) = self.short_wait(&folders, &request, view, began + ANSWER).await;
        Ok(match settled {
            Some((reply, more)) => With::new(reply, serde_json::from_value(Value::Object(more)).unwrap_or_default()),
            None => With::new(running(view, "ask_advisor", &workspace), reply::Advised::default()),
        })
    }

    /// Nobody is switched on: said, with what Landfall knows by itself.
    fn nobody(&self, ask: &ask::AskAdvisor, folders: &Folders, app: &AppName, wanted: Option<AdvisorName>) -> With<reply::Advised> {
        let file = self.setup.state.join(Advisors::FILE);
        let name = wanted.map_or("no advisor", AdvisorName::as_str);
        let section = wanted.unwrap_or(AdvisorName::KubectlAi).as_str();
        let why = format!("{name} is switched on by its user alone: write schema = 1, [{section}], enabled = true into {}", file.display());
        let trouble = self.trouble(folders, app, ask.about.as_deref()).unwrap_or_default();
        let mut reply = Reply::new(Status::Done, format!("no advisor was asked: {why}"));
        reply.verdict = Some(Verdict::Incomplete);
        let place = json!({ "workspace": folders.workspace.display().to_string() });
        reply.target = Some(Target { app: app.to_string(), workspace: folders.workspace.display().to_string(), ..Target::default() });
        reply.then("cluster_health", place, "what Landfall itself knows of the cause");
        let refusal = AdvisorRefusal::new(AdvisorRefusalCode::NotEnabled, &why);
        With::new(reply, reply::Advised { refusal: Some(refusal), own: trouble.told(), ..reply::Advised::default() })
    }

    /// The trouble of the operation that is named, else of the newest one that had any.
    fn trouble(&self, folders: &Folders, app: &AppName, about: Option<&str>) -> Option<Trouble> {
        let named = about.and_then(|about| OperationId::parse(about).ok());
        let ids = match named {
            Some(id) => vec![id],
            None => operation::list(folders),
        };
        ids.into_iter().find_map(|id| Trouble::of(app, &State::of(&crate::journal::read(&folders.operation(&id)).ok()?)?))
    }

    /// The worker's part: the question, the answer, the judgement.
    pub(super) async fn work_advise(&self, run: &Run, request: &Request) -> Result<End, Failure> {
        let ask: ask::AskAdvisor = ask_of(request)?;
        let (name, setting) = self.setting(run, &ask)?;
        let advisor = self.world.advisors.iter().find(|advisor| advisor.name() == name);
        let advisor = advisor.ok_or_else(|| Failure::internal(format!("nobody speaks for {}", name.as_str())))?;
        let survey = self.surveyed(&run.folders.workspace).await?;
        let blueprint = crate::blueprint::draw(&survey, &run.config, &request.app, &super::changes::no_wishes(request.namespace.as_ref()))?;
        let trouble = self.trouble(&run.folders, &request.app, ask.about.as_deref()).unwrap_or_default();
        let subject = subject(&ask, &blueprint.workloads, &trouble)?;
        let (stage, path) = match (ask.want, subject) {
            (AdviceKind::Dockerfile, Some(subject)) => (StageName::Containerize, dockerfile_of(subject)),
            (AdviceKind::Values, Some(subject)) => (StageName::Chart, chart_of(subject, &blueprint.environment).values.last().cloned()),
            (_, _) => (StageName::Validate, None),
        };
        let current = path.as_ref().and_then(|path| stages::advise::ours(&run.folders.workspace, &run.folders.generated(), path));
        let prompt = advisor::prompt(&Matter {
            want: ask.want,
            question: ask.question.as_deref(),
            workloads: &blueprint.workloads,
            subject,
            gates: &trouble.gates,
            diagnoses: &trouble.diagnoses,
            current: current.as_deref(),
        });
        let at = match &request.profile {
            Some(profile) => run.prove(profile, None).await,
            None => Err(Failure::new(Code::ClusterStopped, "no cluster was named").help("name a profile")),
        };
        let mut advised = reply::Advised { own: trouble.told(), ..reply::Advised::default() };
        let mut version = String::new();
        let answer = match &ask.answer {
            Some(file) => brought(&run.folders, file).map(Ok)?,
            None => {
                run.doing(stage, name.as_str(), "looks whether it can be asked");
                match advisor.detect(at.as_ref().ok(), &setting).await {
                    Err(refusal) => Err(refusal),
                    Ok(facts) => {
                        version.clone_from(&facts.version);
                        advised.sent_to = Some(facts.sends_to);
                        run.doing(stage, name.as_str(), "waits for its answer");
                        let asked = async { Ok(advisor.consult(at.as_ref().ok(), &setting, &prompt, PATIENCE.min(run.left())).await) };
                        run.unless_cancelled(asked).await?
                    }
                }
            }
        };
        let judged = match &answer {
            Ok(text) => match advisor::read(text, ask.want) {
                Ok(proposal) => Ok(self.judge_proposal(run, &blueprint, subject, &proposal, path, at.as_ref()).await?),
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal.clone()),
        };
        let gates = judged.as_ref().map(|view| view.gate_verdicts.clone()).unwrap_or_default();
        let outcome = match &judged {
            Ok(_) => "proposal".to_owned(),
            Err(refusal) => serde_json::to_value(refusal.code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default(),
        };
        let hash = |text: &str| Digest::of(text).to_string();
        let event = Event::Advised {
            advisor: name,
            version,
            prompt: hash(&prompt),
            answer: answer.as_ref().ok().map(|text| hash(text)),
            outcome,
            gates: gates.clone(),
        };
        run.journal.append(Some(stage), subject.map(|subject| subject.name.as_str()), event)?;
        let (state, summary) = match judged {
            Err(refusal) => {
                if refusal.code == AdvisorRefusalCode::Attended {
                    advised.prompt = Some(prompt);
                    advised.sent_to = None;
                }
                let summary = format!("{} gave no proposal: {}; what Landfall itself found stands", name.as_str(), refusal.why);
                advised.refusal = Some(refusal);
                (OperationState::Refused, summary)
            }
            Ok(view) => {
                advised.proposals.push(view);
                let who = name.as_str();
                match gates.first().map(|gate| (gate.verdict, gate.first_obstacle())) {
                    None => (OperationState::Succeeded, format!("{who} names what may be the cause; it is a guess, and nothing was judged by it")),
                    Some((Verdict::Pass, _)) => {
                        (OperationState::Succeeded, format!("{who} proposes a change that passed the gate; it is applied by nobody but you"))
                    }
                    Some((_, Some(check))) => (OperationState::Refused, format!("the proposal of {who} does not pass {}: {}", check.id, check.reason)),
                    Some((_, None)) => (OperationState::Refused, format!("the proposal of {who} does not pass its gate")),
                }
            }
        };
        Ok(End::new(state, summary, &advised))
    }

    /// Who is asked, and what the user lets it use.
    fn setting(&self, run: &Run, ask: &ask::AskAdvisor) -> Result<(AdvisorName, AdvisorSetting), Failure> {
        let advisors = Advisors::load(&self.setup.state)?;
        let name = ask.advisor.or_else(|| advisors.first());
        let (name, section) = name.and_then(|name| Some((name, advisors.of(name)?))).ok_or_else(|| {
            Failure::new(Code::ConfigInvalid, "the advisor was switched off after the question").help("switch it on in advisors.toml, then call again")
        })?;
        let key = section.key.as_ref().map(|source| stages::deploy::local_value(&run.folders.workspace, &run.folders.state, source)).transpose()?;
        let setting = AdvisorSetting {
            provider: section.provider.clone(),
            model: section.model.clone(),
            endpoint: section.endpoint.clone(),
            key,
            agent: section.agent.clone(),
        };
        Ok((name, setting))
    }

    async fn judge_proposal(
        &self,
        run: &Run,
        blueprint: &crate::blueprint::Blueprint,
        subject: Option<&Workload>,
        proposal: &Proposal,
        path: Option<String>,
        at: Result<&Proof, &Failure>,
    ) -> Result<ProposalView, Failure> {
        let lost = || Failure::internal("a proposal for no service");
        let service = subject.map(|subject| subject.name.to_string());
        let (kind, text, gate) = match proposal {
            Proposal::Hypotheses(hypotheses) => {
                let hypotheses = hypotheses.clone();
                return Ok(ProposalView { kind: AdviceKind::Diagnosis, service, path: None, diff_uri: None, hypotheses, gate_verdicts: Vec::new() });
            }
            Proposal::Dockerfile(text) => {
                (AdviceKind::Dockerfile, text, stages::advise::dockerfile(run, blueprint, subject.ok_or_else(lost)?, text, at).await?)
            }
            Proposal::Values(text) => (AdviceKind::Values, text, stages::advise::values(run, blueprint, subject.ok_or_else(lost)?, text, at).await?),
        };
        // What breaks the rules for proposals is not shown to anybody: it may be written for its reader.
        let hostile = gate.checks.iter().any(|check| check.id.ends_with(".proposal") && check.outcome == Outcome::Fail);
        let diff_uri = match &path {
            Some(path) if !hostile => {
                let before =
                    if kind == AdviceKind::Values { String::new() } else { std::fs::read_to_string(run.folders.workspace.join(path)).unwrap_or_default() };
                let shown = if kind == AdviceKind::Values { format!("{path} (laid over it)") } else { path.clone() };
                let diff = crate::secret::redact(&crate::render::diff(&shown, &before, text));
                let page = format!("# Proposal for {path}\n\nFrom an advisor: judged, and applied by nobody.\n\n````diff\n{diff}\n````\n");
                crate::files::write_private(&run.folders.operation(&run.id).join("report-proposal.md"), page.as_bytes())?;
                Some(format!("landfall://report/{}/proposal.md", run.id))
            }
            Some(_) | None => None,
        };
        Ok(ProposalView { kind, service, path, diff_uri, hypotheses: Vec::new(), gate_verdicts: vec![gate] })
    }
}

/// The service that a proposal is for: the one that is named, else the one in trouble, else the only one.
fn subject<'a>(ask: &ask::AskAdvisor, workloads: &'a [Workload], trouble: &Trouble) -> Result<Option<&'a Workload>, Failure> {
    let of = |name: &str| workloads.iter().find(|workload| workload.name.as_str() == name);
    let named = ask.about.as_deref().filter(|about| OperationId::parse(*about).is_err());
    if let Some(name) = named {
        let unknown = || Failure::new(Code::ServiceUnknown, format!("there is no service {name}")).help("analyze_project lists the services");
        return of(name).map(Some).ok_or_else(unknown);
    }
    let services: Vec<_> = workloads.iter().filter(|workload| workload.service().is_some()).collect();
    let only = if let [only] = services.as_slice() { Some(*only) } else { None };
    match (trouble.subject.as_deref().and_then(of).or(only), ask.want) {
        (Some(workload), _) => Ok(Some(workload)),
        (None, AdviceKind::Diagnosis) => Ok(None),
        (None, AdviceKind::Dockerfile | AdviceKind::Values) => {
            Err(Failure::new(Code::BadArgument, "which service is the proposal for?").help("name it with \"about\""))
        }
    }
}

fn dockerfile_of(workload: &Workload) -> Option<String> {
    match &workload.image {
        ImagePlan::Built { dockerfile, .. } => Some(dockerfile.clone()),
        ImagePlan::Public { .. } => None,
    }
}

/// An answer that a person brought: a file of the workspace, at most 64 KiB.
fn brought(folders: &Folders, file: &str) -> Result<String, Failure> {
    let bad = |why: String| {
        Failure::new(Code::BadArgument, format!("the answer {} cannot be read", crate::secret::plain(file, 120)))
            .cause(why)
            .help("name a text file in the workspace")
    };
    let real = folders.workspace.join(file).canonicalize().map_err(|error| bad(error.to_string()))?;
    if !folders.workspace.canonicalize().is_ok_and(|root| real.starts_with(root)) {
        return Err(bad("it lies outside the workspace".to_owned()));
    }
    let facts = std::fs::metadata(&real).map_err(|error| bad(error.to_string()))?;
    if !facts.is_file() || facts.len() > 64 * 1024 {
        return Err(bad("it is no file of at most 64 KiB".to_owned()));
    }
    std::fs::read_to_string(&real).map_err(|error| bad(error.to_string()))
}
