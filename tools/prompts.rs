//! The conversations people have with Landfall, as prompts that name the tools; short texts, no facts of any workspace.

use rmcp::model::{ErrorData, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};

/// A prompt: name, title, description, and its text with `{workspace}` for the argument.
struct Text {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    text: &'static str,
}

const TEXTS: &[Text] = &[
    Text {
        name: "deploy_app",
        title: "Deploy my app",
        description: "From a codebase on disk to verified pods on the local Minikube",
        text: "Deploy the application in {workspace} to my local Minikube with Landfall.\n\
1. analyze_project: tell me in a few lines what it is made of, and every blocker or warning.\n\
2. plan_deployment: show me the stages, the install order, what changes in the cluster and the way back. If values are needed, ask me which of the offered sources to use; I will never type a secret here.\n\
3. deploy: show me the approval's summary before you go on, and only go on when I agree.\n\
4. operation_status with after=<last event> until it is settled; report news, not every call.\n\
5. deployment_report with kind=verdict: show me ✅ or ❌ per stage and what was not run.\n\
If a gate refuses, show me the diagnosis with its evidence and what was rolled back before you propose anything.",
    },
    Text {
        name: "why_failing",
        title: "Why is it failing?",
        description: "The cause with its evidence, and the way on",
        text: "Find out why the application in {workspace} does not work on my local Minikube.\n\
1. cluster_health with logs=40: state, unhealthy objects, diagnoses.\n\
2. If something was being done: operation_status for the newest operation.\n\
3. If everything looks healthy: validate_env with when=after, then verify_mcp if there is an MCP server.\n\
Tell me the cause, the evidence that shows it (quote it), how sure that is, who has to act, and the one call that mends it. Say what you could not see. Change nothing before I agree.",
    },
    Text {
        name: "roll_back",
        title: "Roll back",
        description: "Back to the last verified revision, data kept",
        text: "Bring the application in {workspace} back to its last verified revision.\n\
1. cluster_health: what runs now.\n\
2. rollback: show me the impact (restarts, configuration, what cannot be undone) from the approval and go on only when I agree.\n\
3. operation_status until it is settled, then validate_env with when=after.\n\
Tell me which revision runs now, that it was validated again, and where the previous configuration is backed up.",
    },
    Text {
        name: "cluster_health",
        title: "Is my cluster healthy?",
        description: "Counts, warnings and causes, of the app and of the cluster",
        text: "Is my local Minikube healthy, and the application in {workspace} on it?\n\
Use cluster_health with scope=cluster. Give me deployments, pods and services as ready/total, the recent warnings, and for everything unhealthy the cause with its evidence. Say when it was seen, and that a local cluster says nothing about production.",
    },
    Text {
        name: "phase4_gap",
        title: "What is missing for Phase IV?",
        description: "Stages, gates and requirements that are not proven yet",
        text: "What is missing until the application in {workspace} has \"Phase IV Complete\"?\n\
1. analyze_project: blockers, specs and constitution.\n\
2. deployment_report with kind=verdict, then kind=traceability.\n\
Give me a table: stage (containerize, chart, deploy, validate, rollback), status ✅ ❌ ⏳ ⚠️, the evidence, and the next call. List every requirement without evidence and every check that was not run, with its reason. Do not call anything done that was not seen.",
    },
];

/// All prompts, in a fixed order.
pub(crate) fn list() -> Vec<Prompt> {
    TEXTS
        .iter()
        .map(|text| {
            let workspace = PromptArgument::new("workspace").with_title("Workspace").with_description("Absolute path of the codebase").with_required(false);
            Prompt::new(text.name, Some(text.description), Some(vec![workspace])).with_title(text.title)
        })
        .collect()
}

/// One prompt with its argument filled in.
pub(crate) fn get(name: &str, arguments: JsonObject) -> Result<GetPromptResult, ErrorData> {
    let Some(text) = TEXTS.iter().find(|text| text.name == name) else {
        let known: Vec<&str> = TEXTS.iter().map(|text| text.name).collect();
        return Err(ErrorData::invalid_params(format!("unknown prompt {:?}; known prompts: {}", landfall::secret::plain(name, 80), known.join(", ")), None));
    };
    let workspace = match arguments.get("workspace").and_then(|value| value.as_str()).map(str::trim) {
        Some(path) if !path.is_empty() => landfall::secret::plain(path, 400),
        Some(_) | None => "my workspace".to_owned(),
    };
    let said = text.text.replace("{workspace}", &workspace);
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, said)]).with_description(text.description))
}
