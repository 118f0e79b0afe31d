//! Start commands, read like a shell would: the program, its module or script, port and host.

use super::docker::default_of;

/// What a start command says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// `uvicorn`, `gunicorn`, `python`, `node`, …
    pub(crate) program: String,
    /// `app.main` of `uvicorn app.main:app` or of `python -m app.main`.
    pub(crate) module: Option<String>,
    /// `app` of `uvicorn app.main:app`.
    pub(crate) object: Option<String>,
    /// `server.py`, `dist/index.js`.
    pub(crate) script: Option<String>,
    pub(crate) port: Option<u16>,
    /// The variable that alone says the port: `PORT` of `--bind 0.0.0.0:$PORT`.
    pub(crate) port_variable: Option<String>,
    pub(crate) host: Option<String>,
    /// `--app-dir`, `--chdir`.
    pub(crate) folder: Option<String>,
    pub(crate) reload: bool,
}

/// Parses the last command of a line; runners such as `uv run`, `poetry run`, `npx` and `exec` are looked through.
pub(crate) fn parse(command: &str) -> Start {
    let last = command.rsplit("&&").next().unwrap_or(command);
    let words: Vec<&str> = last.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let mut rest = words.as_slice();
    loop {
        rest = match rest {
            ["exec" | "npx" | "bunx" | "dumb-init" | "tini" | "--" | "opentelemetry-instrument" | "ddtrace-run" | "cross-env", tail @ ..] => tail,
            ["uv" | "poetry" | "pdm" | "pipenv" | "rye", "run", tail @ ..] => skip_options(tail),
            ["bundle", "exec", tail @ ..] => tail,
            ["pnpm" | "yarn" | "npm", "exec", tail @ ..] => tail,
            [assignment, tail @ ..]
                if assignment.contains('=') && !assignment.starts_with('-') && assignment.chars().next().is_some_and(|letter| letter.is_ascii_uppercase()) =>
            {
                tail
            }
            _ => break,
        };
    }
    let Some((first, mut rest)) = rest.split_first() else { return Start::default() };
    let mut start = Start { program: first.rsplit('/').next().unwrap_or(first).to_owned(), ..Start::default() };
    if matches!(start.program.as_str(), "python3" | "python" | "python3.11" | "python3.12" | "python3.13") {
        start.program = "python".to_owned();
        while let ["-u" | "-O" | "-B", tail @ ..] = rest {
            rest = tail;
        }
        if let ["-m", module, tail @ ..] = rest {
            if matches!(*module, "uvicorn" | "gunicorn" | "flask" | "hypercorn" | "streamlit" | "celery" | "fastapi") {
                start.program = (*module).to_owned();
            } else {
                start.module = Some((*module).to_owned());
            }
            rest = tail;
        }
    }
    options(&mut start, rest);
    start
}

impl Start {
    /// A number, a variable's default, or the variable.
    fn listens_on(&mut self, port: &str) {
        self.port = default_of(port).parse().ok();
        let name = port.trim_start_matches('$').trim_matches(['{', '}']);
        self.port_variable = (self.port.is_none() && port.starts_with('$') && super::facts::env_like(name)).then(|| name.to_owned());
    }
}

fn skip_options<'words, 'text>(mut words: &'words [&'text str]) -> &'words [&'text str] {
    while let [first, tail @ ..] = words {
        if !first.starts_with('-') {
            break;
        }
        words = tail;
    }
    words
}

/// Options of Python's servers that take a value of their own: the word behind one is no module.
const VALUED: &[&str] = &[
    "-c",
    "-e",
    "-g",
    "-k",
    "-l",
    "-n",
    "-t",
    "-u",
    "-w",
    "--access-logfile",
    "--access-logformat",
    "--backlog",
    "--certfile",
    "--concurrency",
    "--config",
    "--env",
    "--env-file",
    "--error-logfile",
    "--forwarded-allow-ips",
    "--graceful-timeout",
    "--group",
    "--http",
    "--interface",
    "--keep-alive",
    "--keyfile",
    "--lifespan",
    "--limit-concurrency",
    "--limit-max-requests",
    "--log-config",
    "--log-config-json",
    "--log-file",
    "--log-level",
    "--logger-class",
    "--loop",
    "--max-requests",
    "--max-requests-jitter",
    "--name",
    "--pid",
    "--pythonpath",
    "--reload-dir",
    "--root-path",
    "--ssl-certfile",
    "--ssl-keyfile",
    "--statsd-host",
    "--threads",
    "--timeout",
    "--timeout-keep-alive",
    "--uds",
    "--umask",
    "--user",
    "--worker-class",
    "--worker-connections",
    "--worker-tmp-dir",
    "--workers",
    "--ws",
];

fn options(start: &mut Start, words: &[&str]) {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        let (name, inline) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
        let mut value = || {
            inline.or_else(|| {
                let next = words.get(at).copied();
                at += 1;
                next
            })
        };
        match name {
            "--port" | "-p" | "--server.port" => start.listens_on(value().unwrap_or_default()),
            "--host" | "-H" | "--hostname" | "--server.address" => start.host = value().map(str::to_owned),
            "--bind" | "-b" => {
                let address = value().unwrap_or_default();
                let (host, port) = address.rsplit_once(':').map_or((None, None), |(host, port)| (Some(host), Some(port)));
                // `0.0.0.0:${PORT:-8000}` has a colon inside.
                let port = match address.find("${") {
                    Some(from) => address.get(from..).map(default_of),
                    None => port,
                };
                start.listens_on(port.unwrap_or_default());
                start.host = host.map(|host| host.split(":$").next().unwrap_or(host).to_owned());
            }
            "--app-dir" | "--chdir" => start.folder = value().map(str::to_owned),
            "--reload" | "--debug" => start.reload = true,
            "-A" | "--app" => start.module = start.module.take().or_else(|| value().map(str::to_owned)),
            _ if VALUED.contains(&name) => {
                let _ = value();
            }
            _ if name.starts_with('-') => {}
            _ => positional(start, word),
        }
    }
}

fn positional(start: &mut Start, word: &str) {
    let servers = ["uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve"];
    if servers.contains(&start.program.as_str()) && start.module.is_none() {
        let (module, object) = word.split_once(':').map_or((word, None), |(module, object)| (module, Some(object)));
        start.module = Some(module.to_owned());
        start.object = object.map(|object| object.trim_end_matches("()").to_owned());
        return;
    }
    let script =
        [".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php"].iter().any(|tail| word.ends_with(tail)) || (start.program == "node" && start.script.is_none());
    if script && start.script.is_none() && start.module.is_none() {
        start.script = Some(word.trim_start_matches("./").to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, expect: (&str, Option<&str>, Option<&str>, Option<u16>)) {
        let start = parse(command);
        assert_eq!((start.program.as_str(), start.module.as_deref(), start.script.as_deref(), start.port), expect, "{command}");
    }

    #[test]
    fn a_port_may_be_left_to_a_variable() {
        let check = |command: &str, expect: Option<&str>| assert_eq!(parse(command).port_variable.as_deref(), expect, "{command}");
        check("gunicorn --bind 0.0.0.0:$PORT app:app", Some("PORT"));
        check("gunicorn -b :${APP_PORT} app:app", Some("APP_PORT"));
        check("uvicorn app:app --port $PORT", Some("PORT"));
        check("next start -p ${PORT}", Some("PORT"));
        check("gunicorn --bind 0.0.0.0:${PORT:-8000} app:app", None);
        check("gunicorn --bind 0.0.0.0:8000 app:app", None);
        check("gunicorn --bind unix:/run/app.sock app:app", None);
        check("gunicorn app:app", None);
    }

    #[test]
    fn start_commands_are_understood() {
        check("uvicorn app.main:app --host 0.0.0.0 --port 8000", ("uvicorn", Some("app.main"), None, Some(8000)));
        check("uv run --no-sync uvicorn src.main:app --port=${PORT:-7860}", ("uvicorn", Some("src.main"), None, Some(7860)));
        check("python manage.py migrate && gunicorn --bind 0.0.0.0:${PORT:-8000} mysite.wsgi:application", ("gunicorn", Some("mysite.wsgi"), None, Some(8000)));
        check("gunicorn -w 4 -b 0.0.0.0:5000 app:app", ("gunicorn", Some("app"), None, Some(5000)));
        check("gunicorn --threads 4 --log-config logging.conf --log-level=$LEVEL \"shop:create_app()\"", ("gunicorn", Some("shop"), None, None));
        check("uvicorn --proxy-headers --root-path /api app.main:app", ("uvicorn", Some("app.main"), None, None));
        check("gunicorn --preload app:app --keep-alive 0", ("gunicorn", Some("app"), None, None));
        check("python -m todo_mcp", ("python", Some("todo_mcp"), None, None));
        check("python3 -u server.py", ("python", None, Some("server.py"), None));
        check("NODE_ENV=production node dist/index.js", ("node", None, Some("dist/index.js"), None));
        check("next start -p 3001", ("next", None, None, Some(3001)));
        check("", ("", None, None, None));
    }
}
