//! Start commands: a line as a person writes it becomes the exec form that a container runs; it starts no shell where none is needed.

/// A start command's words, and whether the program itself would be given to a shell.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Words(Vec<String>),
    /// Operators, expansions or redirections: only a shell can run it.
    Shell,
}

/// The exec form of a start command, listening on `port` of every address where the program is one we know.
pub(super) fn exec_form(command: &str, port: Option<u16>) -> Vec<String> {
    let command = with_port(command.trim(), port);
    let words = match split(&command) {
        Line::Words(words) => words,
        Line::Shell => return shell(&command),
    };
    let words = known_program(without_runner(words), port);
    match words.first() {
        Some(first) if assignment(first) => std::iter::once("env".to_owned()).chain(words).collect(),
        Some(_) | None => words,
    }
}

/// Commands that bring a database to the newest schema: two pods that start at once must not both run them.
const MIGRATIONS: &[&str] = &[
    "alembic upgrade",
    "flask db upgrade",
    "manage.py migrate",
    "aerich upgrade",
    "prisma migrate deploy",
    "knex migrate:latest",
    "sequelize-cli db:migrate",
    "sequelize db:migrate",
    "typeorm migration:run",
    "drizzle-kit migrate",
    "mikro-orm migration:up",
    "rails db:migrate",
    "rake db:migrate",
    "rails db:prepare",
    "artisan migrate",
    "doctrine:migrations:migrate",
    "goose up",
    "sqlx migrate run",
    "diesel migration run",
];

/// The migration and the program, where a start line is `migration && program`.
pub(super) fn migration_first(line: &str) -> Option<(&str, &str)> {
    let (first, rest) = line.split_once("&&")?;
    let known = MIGRATIONS.iter().any(|command| first.contains(command)) && !first.contains(['|', ';', '&', '\n', '`']);
    (known && !rest.trim().is_empty()).then(|| (first.trim(), rest.trim()))
}

/// Cron's five fields, or a word such as `@daily`.
pub(super) fn schedule(service: &crate::names::ServiceName, text: String) -> Result<String, crate::failure::Failure> {
    use crate::failure::{Code, Failure};
    let field = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "*/,-".contains(letter));
    let word = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"].contains(&text.as_str());
    if word || (text.split(' ').count() == 5 && text.split(' ').all(field)) {
        return Ok(text);
    }
    Err(Failure::new(Code::ConfigInvalid, format!("read [service.{service}] schedule: it has no five fields of cron"))
        .help("five fields: minute, hour, day, month, weekday, such as \"0 3 * * *\"; or @hourly, @daily, @weekly, @monthly"))
}

/// `sh -c`, with `exec` before the last program so that it receives the signals.
fn shell(command: &str) -> Vec<String> {
    let last = command.rsplit_once("&&").map_or(command, |(_, last)| last);
    let simple = !last.contains(['|', ';', '&', '\n', '(', '{']) && !last.trim_start().starts_with("exec ") && !last.trim().is_empty();
    let first_word_plain = last.split_whitespace().next().is_some_and(|word| !assignment(word));
    let command = match command.rsplit_once("&&") {
        Some((before, last)) if simple && first_word_plain => format!("{}&& exec {}", before, last.trim_start()),
        None if simple && first_word_plain => format!("exec {command}"),
        Some(_) | None => command.to_owned(),
    };
    vec!["sh".to_owned(), "-c".to_owned(), command]
}

/// `$PORT` and its forms become the number: it is one fact, known when the image is built.
fn with_port(command: &str, port: Option<u16>) -> String {
    let Some(port) = port else { return command.to_owned() };
    let Ok(shape) = regex::Regex::new(r"\$\{PORT(?::?-[0-9]*)?\}|\$PORT\b") else { return command.to_owned() };
    shape.replace_all(command, port.to_string().as_str()).into_owned()
}

fn assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| crate::names::EnvName::parse(name).is_ok())
}

/// Splits as a POSIX shell does, or says that it takes a shell.
fn split(command: &str) -> Line {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(inside) => word.push(inside),
                        None => return Line::Shell,
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('$' | '`') | None => return Line::Shell,
                        Some('\\') => match letters.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Line::Shell,
                        },
                        Some(inside) => word.push(inside),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Line::Shell,
            },
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '#' | '~' | '{' | '}' | '\n' | '\r' => return Line::Shell,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Line::Words(words)
}

/// `uv run x` and its like: the environment's own folder is on the path already.
fn without_runner(words: Vec<String>) -> Vec<String> {
    let text: Vec<&str> = words.iter().map(String::as_str).collect();
    let skip = match text.as_slice() {
        ["uv" | "poetry" | "pipenv" | "pdm" | "rye", "run", ..] => 2,
        ["npx" | "bunx", next, ..] if !next.starts_with('-') => 1,
        ["pnpm" | "yarn", "exec", ..] => 2,
        _ => return words,
    };
    // Options of the runner itself cannot be told from the program's: leave such a line alone.
    if text.get(skip).is_none_or(|word| word.starts_with('-')) {
        return words;
    }
    words.into_iter().skip(skip).collect()
}

/// How a known program is told where to listen.
struct Server {
    program: &'static str,
    host: &'static [&'static str],
    port: &'static [&'static str],
    /// One option holds both, as `address:port`.
    bind: bool,
    /// Options of development that must not reach a cluster.
    drop: &'static [&'static str],
}

const SERVERS: &[Server] = &[
    Server { program: "uvicorn", host: &["--host"], port: &["--port"], bind: false, drop: &["--reload"] },
    Server { program: "fastapi", host: &["--host"], port: &["--port"], bind: false, drop: &["--reload"] },
    Server { program: "gunicorn", host: &["--bind", "-b"], port: &[], bind: true, drop: &["--reload"] },
    Server { program: "hypercorn", host: &["--bind", "-b"], port: &[], bind: true, drop: &["--reload"] },
    Server { program: "flask", host: &["--host", "-h"], port: &["--port", "-p"], bind: false, drop: &["--reload", "--debug"] },
    Server { program: "next", host: &["--hostname", "-H"], port: &["--port", "-p"], bind: false, drop: &["--turbo", "--turbopack"] },
];

fn known_program(mut words: Vec<String>, port: Option<u16>) -> Vec<String> {
    let program = words.iter().position(|word| !assignment(word)).unwrap_or(0);
    // `python -m uvicorn` is uvicorn.
    let name = |at: usize| words.get(at).map(|word| word.rsplit('/').next().unwrap_or(word).to_owned()).unwrap_or_default();
    let module = name(program).starts_with("python") && words.get(program + 1).is_some_and(|word| word == "-m");
    let at = if module { program + 2 } else { program };
    let Some(server) = SERVERS.iter().find(|server| server.program == name(at)) else { return words };
    // These have other commands too, such as `flask db upgrade`.
    let serves = words.iter().skip(at + 1).any(|word| ["run", "dev", "start"].contains(&word.as_str()));
    if matches!(server.program, "fastapi" | "flask" | "next") && !serves {
        return words;
    }
    if matches!(server.program, "fastapi" | "next") && words.get(at + 1).is_some_and(|word| word == "dev") {
        let start = if server.program == "next" { "start" } else { "run" };
        if let Some(word) = words.get_mut(at + 1) {
            start.clone_into(word);
        }
    }
    words.retain(|word| !server.drop.contains(&word.as_str()));
    let Some(port) = port else { return words };
    if server.bind {
        set(&mut words, server.host, &format!("0.0.0.0:{port}"), |value| !loopback(value));
    } else {
        set(&mut words, server.host, "0.0.0.0", |value| !loopback(value));
        set(&mut words, server.port, &port.to_string(), |_| true);
    }
    words
}

/// Adds the option where it is missing; changes its value where `keep` says no.
fn set(words: &mut Vec<String>, names: &[&str], value: &str, keep: impl Fn(&str) -> bool) {
    let found = words.iter().position(|word| names.iter().any(|name| word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))));
    let Some(at) = found else {
        words.extend([names.first().copied().unwrap_or_default().to_owned(), value.to_owned()]);
        return;
    };
    let Some(word) = words.get_mut(at) else { return };
    if let Some((name, old)) = word.clone().split_once('=') {
        if !keep(old) {
            *word = format!("{name}={value}");
        }
    } else if let Some(next) = words.get_mut(at + 1)
        && !keep(next)
    {
        value.clone_into(next);
    }
}

fn loopback(address: &str) -> bool {
    ["127.0.0.1", "localhost", "[::1]", "::1"].iter().any(|local| address == *local || address.strip_prefix(local).is_some_and(|rest| rest.starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, expect: &[&str]) {
        assert_eq!(exec_form(command, Some(8000)), expect, "{command}");
    }

    #[test]
    fn a_plain_command_needs_no_shell() {
        check("node server.js", &["node", "server.js"]);
        check("python -m todo_mcp", &["python", "-m", "todo_mcp"]);
        check("node 'my server.js' \"a \\\"b\\\"\"", &["node", "my server.js", "a \"b\""]);
        check("NODE_ENV=production node server.js", &["env", "NODE_ENV=production", "node", "server.js"]);
    }

    #[test]
    fn servers_listen_on_every_address() {
        check("uvicorn app.main:app --host 0.0.0.0 --port 8000", &["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]);
        check("uvicorn main:app --reload", &["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]);
        check("uvicorn main:app --host=127.0.0.1 --port $PORT", &["uvicorn", "main:app", "--host=0.0.0.0", "--port", "8000"]);
        check("python -m uvicorn main:app --host localhost", &["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]);
        check("gunicorn wsgi:app", &["gunicorn", "wsgi:app", "--bind", "0.0.0.0:8000"]);
        check("gunicorn -b 127.0.0.1:5000 wsgi:app", &["gunicorn", "-b", "0.0.0.0:8000", "wsgi:app"]);
        check("uv run fastapi dev app/main.py", &["fastapi", "run", "app/main.py", "--host", "0.0.0.0", "--port", "8000"]);
        check("flask db upgrade", &["flask", "db", "upgrade"]);
        check("next start", &["next", "start", "--hostname", "0.0.0.0", "--port", "8000"]);
    }

    #[test]
    fn a_migration_before_the_program_stands_alone() {
        assert_eq!(migration_first("alembic upgrade head && uvicorn main:app"), Some(("alembic upgrade head", "uvicorn main:app")));
        assert_eq!(migration_first("python manage.py migrate --noinput && gunicorn a.wsgi"), Some(("python manage.py migrate --noinput", "gunicorn a.wsgi")));
        for line in ["uvicorn main:app", "cd app && uvicorn main:app", "alembic upgrade head; true && uvicorn main:app", "alembic upgrade head &&"] {
            assert_eq!(migration_first(line), None, "{line}");
        }
    }

    #[test]
    fn a_schedule_has_five_fields_or_is_a_known_word() {
        let name = crate::names::ServiceName::parse("a").unwrap();
        for good in ["0 3 * * *", "*/5 0-6 1,15 JAN MON", "@daily"] {
            assert_eq!(schedule(&name, good.to_owned()).unwrap(), good);
        }
        for bad in ["", "0 3 * *", "0 3 * * * *", "{{ x }} * * * *", "@reboot", "0  3 * *"] {
            assert_eq!(schedule(&name, bad.to_owned()).unwrap_err().code, crate::failure::Code::ConfigInvalid, "{bad}");
        }
    }

    #[test]
    fn what_takes_a_shell_gets_one_and_hands_over_to_the_program() {
        check("alembic upgrade head && uvicorn main:app", &["sh", "-c", "alembic upgrade head && exec uvicorn main:app"]);
        check("python app.py $EXTRA", &["sh", "-c", "exec python app.py $EXTRA"]);
        check("a | b", &["sh", "-c", "a | b"]);
        check("serve -l ${PORT:-3000}", &["serve", "-l", "8000"]);
        check("echo 'open", &["sh", "-c", "exec echo 'open"]);
    }
}
