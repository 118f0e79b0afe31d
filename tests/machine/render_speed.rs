//! How long the files of a ten-service application take to render, in memory: the median of many rounds, in milliseconds; ends with 1 above the limit.

use anyhow::{Context as _, ensure};
use landfall::blueprint::{Wishes, draw};
use landfall::config::Config;
use landfall::names::{AppName, EnvironmentName, ServiceName};
use landfall::render::{ChartOptions, charts, dockerfiles};
use landfall::survey::Survey;
use std::collections::BTreeMap;
use std::time::Instant;

const LIMIT_MS: f64 = 20.0;
const ROUNDS: usize = 40;

fn main() -> anyhow::Result<()> {
    let mut survey: Survey = serde_json::from_str(include_str!("../render/survey.json")).context("read the survey")?;
    let pattern = survey.services.clone();
    for (number, mut service) in pattern.iter().cycle().take(10 - pattern.len()).cloned().enumerate() {
        service.name = ServiceName::parse(format!("{}-{number}", service.name))?;
        service.dir = format!("more/{}", service.name);
        survey.services.push(service);
    }
    ensure!(survey.services.len() == 10, "ten services are meant, there are {}", survey.services.len());
    let wishes = Wishes { backing: BTreeMap::from([("postgres".to_owned(), "in_cluster".to_owned())]), ..Wishes::default() };
    let options = ChartOptions { environments: vec![EnvironmentName::parse("minikube")?, EnvironmentName::parse("prod")?] };
    let (mut times, mut files) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let blueprint = draw(&survey, &Config::parse("schema = 1\n")?, &AppName::parse("notes")?, &wishes)?;
        let tags = blueprint.workloads.iter().map(|workload| (workload.name.clone(), "0123456789ab".to_owned())).collect();
        files = dockerfiles(&blueprint, &survey)?.len() + charts(&blueprint, &options, &tags).len();
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(ROUNDS / 2).copied().context("no round was measured")?;
    let missed = if median > LIMIT_MS { "   MISSED" } else { "" };
    std::io::Write::write_all(
        &mut std::io::stdout(),
        format!("{:<40}{median:>10.2} ms   {files} files, limit {LIMIT_MS} ms{missed}\n", "render of ten services, median").as_bytes(),
    )?;
    ensure!(median <= LIMIT_MS, "rendering takes longer than {LIMIT_MS} ms");
    Ok(())
}
