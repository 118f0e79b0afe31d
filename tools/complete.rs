//! Completes the arguments of prompts and of resource addresses by what is known; it surveys nothing that takes long.

use crate::{prompts, resources, tools};
use landfall::landfall::Landfall;
use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, ErrorData, Reference};
use std::time::Duration;

/// How long a look into the workspace may take; then nothing is suggested.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Values of arguments that are the same everywhere.
const FIXED: &[(&str, &[&str])] = &[
    ("kind", &["verdict", "readiness", "health", "traceability", "audit"]),
    ("format", &["md", "json", "html"]),
    ("to", &["last_verified", "uninstalled"]),
    ("previous", &["true", "false"]),
    ("lines", &["50", "100", "200"]),
    ("page", &["1"]),
];

/// The values that begin with what was typed so far.
pub(crate) async fn complete(landfall: &Landfall, request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let argument = request.argument.name.as_str();
    let known = match &request.r#ref {
        Reference::Prompt(prompt) => prompts::arguments(&prompt.name).ok_or_else(|| unknown("prompt", &prompt.name))?,
        Reference::Resource(template) => resources::arguments(&template.uri).ok_or_else(|| unknown("resource template", &template.uri))?,
        _ => return Err(ErrorData::invalid_params("only prompts and resource templates have arguments to complete", None)),
    };
    if !known.contains(&argument) {
        return Ok(CompleteResult::default());
    }
    let earlier = |name: &str| request.context.as_ref().and_then(|context| context.get_argument(name)).map(String::as_str);
    let all = match FIXED.iter().find(|(name, _)| *name == argument) {
        Some((_, values)) => values.iter().map(|value| (*value).to_owned()).collect(),
        None if argument == "tool" => tools::ALL.iter().map(|tool| tool.name().to_owned()).collect(),
        None => {
            let looked = tokio::time::timeout(PATIENCE, landfall.suggest(argument, earlier("workspace"), earlier("id"))).await;
            // Without a workspace nothing is known: that is an empty answer and no fault.
            looked.ok().and_then(Result::ok).unwrap_or_default()
        }
    };
    let typed = request.argument.value.to_lowercase();
    let fitting: Vec<String> = all.into_iter().filter(|value| value.to_lowercase().starts_with(&typed)).collect();
    let total = u32::try_from(fitting.len()).ok();
    let more = fitting.len() > CompletionInfo::MAX_VALUES;
    let values = fitting.into_iter().take(CompletionInfo::MAX_VALUES).collect();
    let completion = CompletionInfo::with_pagination(values, total, more).map_err(|error| ErrorData::internal_error(error, None))?;
    Ok(CompleteResult::new(completion))
}

fn unknown(what: &str, name: &str) -> ErrorData {
    ErrorData::invalid_params(format!("unknown {what} {:?}", landfall::secret::plain(name, 120)), None)
}
