//! Why a build failed, as one table: what package managers, compilers and BuildKit print, whose move it is, and what to do.

use crate::failure::{Code, Owner};

/// Why a build failed, in one sentence, whose move it is, and what to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) code: Code,
    pub(super) owner: Owner,
    pub(super) what: &'static str,
    pub(super) help: &'static str,
    /// The words that told it, in lower case; none where the step or the engine did.
    pub(super) words: &'static [&'static str],
}

/// Any of these words, whose move, what it is, what to do.
type Row = (&'static [&'static str], Owner, &'static str, &'static str);

/// Builds have no structured errors beyond the step that failed: these are their words, in lower case, the most telling first.
const CAUSES: &[Row] = &[
    (
        &["toomanyrequests", "too many requests", "rate limit exceeded"],
        Owner::Environment,
        "a registry answers no more requests for now",
        "wait, or log the engine in to the registry, then call again",
    ),
    (
        &["no match for platform in manifest", "does not match the specified platform", "exec format error"],
        Owner::Environment,
        "the image is made for another kind of processor",
        "use a base image that is built for this machine's processor",
    ),
    (
        &["failed to resolve source metadata", "pull access denied", "manifest unknown", "load metadata for"],
        Owner::Environment,
        "the base image is not available",
        "check the FROM line; without network, use a base image that the engine already has ('docker image ls')",
    ),
    (
        &["secret token not found", "no build secret has the id", "secret not found"],
        Owner::ValueNeeded,
        "a build secret that the Dockerfile mounts was not given",
        "name the value source for the secret, or remove the mount from the Dockerfile",
    ),
    (
        &[
            "javascript heap out of memory",
            "java.lang.outofmemoryerror",
            "exit code: 137",
            "out of memory",
            "cannot allocate memory",
            "killed signal terminated program",
            "signal: 9, sigkill",
            "signal: killed",
            "gradle build daemon disappeared",
        ],
        Owner::Environment,
        "the build ran out of memory",
        "give the cluster more memory, or build with fewer workers",
    ),
    (
        &[
            "can only install packages when your package.json and package-lock.json",
            "can only install with an existing package-lock.json",
            "err_pnpm_outdated_lockfile",
            "err_pnpm_no_lockfile",
            "your lockfile needs to be updated",
            "the lockfile would have been modified by this install",
            "lockfile had changes, but lockfile is frozen",
            "poetry.lock was last generated",
            "pyproject.toml changed significantly since poetry.lock",
            "the lockfile at `uv.lock` needs to be updated",
            "unable to find lockfile",
            "cargo.lock needs to be updated",
            "cannot update the lock file",
            "cannot create the lock file",
            "missing go.sum entry",
            "updates to go.mod needed",
            "do not match what's specified in gemfile",
            "your bundle is locked to",
            "error nu1004",
            "lock file is not up to date with the latest changes in composer.json",
        ],
        Owner::App,
        "the lock file is missing or does not match the manifest",
        "bring the lock file up to date with your package manager and commit it, then call again",
    ),
    (
        &["eintegrity", "integrity check failed", "checksum mismatch", "these packages do not match the hashes", "err_pnpm_tarball_integrity", "hash mismatch"],
        Owner::App,
        "a package is not the one that the lock file names",
        "write the lock file anew from the registry that builds use, look at what changed, then call again",
    ),
    (
        &["econnrefused 127.0.0.1", "econnrefused ::1", "connection refused (os error", "connection to server at \"localhost\""],
        Owner::App,
        "the build connects to a service that does not run during a build",
        "do not query a database or an API while building (Next.js: make the page dynamic), then call again",
    ),
    (
        &[
            "npm error code e401",
            "npm error code e403",
            "npm err! code e401",
            "401 client error",
            "403 client error",
            "err_pnpm_fetch_401",
            "err_pnpm_fetch_403",
            "status code 401",
            "status code: 401",
            "received status code 403",
            "401 unauthorized",
            "could not read username for",
            "terminal prompts disabled",
            "error nu1301",
        ],
        Owner::ValueNeeded,
        "a package registry asks for a login",
        "let the manager's settings read a token from a variable and give its source: build_secrets: NAME=env:NAME",
    ),
    (
        &[
            "temporary failure in name resolution",
            "could not resolve host",
            "temporary failure resolving",
            "eai_again",
            "getaddrinfo enotfound",
            "code enotfound",
            "errno: enotfound",
            "network is unreachable",
            "failed to establish a new connection",
            "connection timed out",
            "etimedout",
            "econnreset",
            "econnrefused",
            "i/o timeout",
            "no such host",
            "tls handshake timeout",
            "certificate verify failed",
            "self-signed certificate in certificate chain",
            "unable to get local issuer certificate",
            "unable to fetch some archives",
            "unknownhostexception",
        ],
        Owner::Environment,
        "the network or a package registry could not be reached from the build",
        "check the network, a proxy or a registry mirror for builds, then call again",
    ),
    (
        &[
            "requires a different python",
            "is not supported by this python",
            "requires-python",
            "the engine \"node\" is incompatible",
            "err_pnpm_unsupported_engine",
            "ebadengine",
            "go.mod requires go >=",
            "requires rustc",
            "is not supported by the following package",
            "invalid target release",
            "error: release version",
            "invalid source release",
            "netsdk1045",
            "your ruby version is",
            "your php version",
        ],
        Owner::App,
        "the project or a dependency asks for another version of the language",
        "declare the version where the project says it (engines, requires-python, go.mod, java.version, .ruby-version), then call again",
    ),
    (
        &[
            "no matching distribution found",
            "could not find a version that satisfies",
            "npm error 404",
            "npm err! 404",
            "npm err! code e404",
            "npm error code e404",
            "etarget",
            "err_pnpm_fetch_404",
            "couldn't find any versions for",
            "couldn't find package",
            "unable to locate package",
            "has no installation candidate",
            "no matching package named",
            "failed to select a version for the requirement",
            "no required module provides package",
            "cannot find module providing package",
            "unknown revision",
            "could not find gem",
            "could not find artifact",
            "could not resolve dependencies for project",
            "could not resolve all files for configuration",
            "your requirements could not be resolved to an installable set",
            "because there are no versions of",
            "no solution found when resolving dependencies",
            "resolutionimpossible",
            "eresolve",
            "error nu1101",
            "error nu1102",
        ],
        Owner::App,
        "a dependency was not found",
        "check the dependency's name and version in the manifest, then call again",
    ),
    (
        &[
            "gcc: command not found",
            "command 'gcc' failed",
            "unable to execute 'gcc'",
            "pg_config executable not found",
            "gyp err!",
            "linker `cc` not found",
            "failed building wheel for",
            "mysql_config: not found",
            "failed to run custom build command",
            "failed to build gem native extension",
            "c compiler \"gcc\" not found",
            "cannot find -l",
        ],
        Owner::App,
        "a dependency is compiled here, and a compiler or system library is missing",
        "install the build tools in the build stage, or choose a dependency that comes ready-made",
    ),
    (
        &[
            "missing required environment variable",
            "environment variable not found",
            "environment variables are missing",
            "invalid environment variables",
            "keyerror:",
        ],
        Owner::ValueNeeded,
        "the build needs an environment variable that it was not given",
        "give it a build-time default in the code, or pass it as a build argument if it is public",
    ),
    (
        &[
            "failed to compile",
            "compilation failed",
            "error ts",
            ": error ts",
            "error[e0",
            "could not compile",
            "syntaxerror",
            "module not found: can't resolve",
            "type error:",
            "build failed because of webpack errors",
            "error cs",
            "compilation error",
            "build failure",
            "undefined: ",
            "rollup failed to resolve import",
            "execution failed for task ':",
        ],
        Owner::App,
        "the application does not compile",
        "mend the code where the lines below point, then call again",
    ),
    (
        &["modulenotfounderror", "improperlyconfigured", "importerror:", "cannot find module"],
        Owner::App,
        "the application's own code stops while it is built",
        "mend what the lines below name; what is imported must be among the dependencies that are installed",
    ),
    (&["exit code: 127", "command not found"], Owner::App, "a program is missing in the image", "install it in the Dockerfile before it is used"),
    (
        &["eacces", "permission denied", "exit code: 126"],
        Owner::App,
        "a file may not be read, written or run by the build's user",
        "check owners and modes in the Dockerfile (COPY --chown, chmod)",
    ),
];

const FULL: &[&str] = &["no space left on device", "enospc", "disk quota exceeded"];

/// The cause of a failed step, by its name, the engine's error and the last lines of its log.
pub(super) fn cause(step: &str, error: &str, lines: &[String]) -> Cause {
    let known = |owner, what, help| Cause { code: Code::BuildFailed, owner, what, help, words: &[] };
    let error = error.to_lowercase();
    let text = format!("{step}\n{error}\n{}", lines.join("\n")).to_lowercase();
    if FULL.iter().any(|word| text.contains(word)) {
        let help = "free space: docker system prune, or give the cluster a larger disk";
        return Cause { code: Code::DiskFull, owner: Code::DiskFull.owner(), what: "there is no space left", help, words: FULL };
    }
    if step.contains("type=secret") && (error.contains("not found") || error.contains("no such")) && error.contains("secret") {
        return known(
            Owner::ValueNeeded,
            "a build secret that the Dockerfile mounts was not given",
            "name the value source for the secret, or remove the mount from the Dockerfile",
        );
    }
    let is_base = step.contains("load metadata for");
    if !is_base && (error.contains("dockerfile parse error") || error.contains("failed to create llb definition")) {
        return known(Owner::App, "the Dockerfile has an error", "mend the line that the message names; old engines know neither COPY --link nor heredocs");
    }
    if error.contains("failed to solve with frontend") && step.is_empty() {
        return known(Owner::Environment, "the Dockerfile's frontend cannot be had", "remove the '# syntax=' line, or pull the image that it names");
    }
    let instruction = step.split_once(']').map_or(step, |(_, rest)| rest).trim_start();
    if (instruction.starts_with("COPY")
        || instruction.starts_with("ADD")
        || error.contains("failed to compute cache key")
        || error.contains("failed to calculate checksum"))
        && error.contains("not found")
    {
        return known(Owner::App, "a file that COPY or ADD names is not in the build context", "check the path, and that .dockerignore does not leave it out");
    }
    let row = CAUSES.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)));
    row.map_or_else(
        || known(Owner::App, "the command did not end well", "read the lines below; run the same command in the project to see all of its output"),
        |(words, owner, what, help)| Cause { words, ..known(*owner, what, help) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT: &str = "process \"/bin/sh -c x\" did not complete successfully: exit code: 1";

    fn check(step: &str, error: &str, line: &str, expect: &str, owner: Owner) {
        let seen = cause(step, error, &[line.to_owned()]);
        assert!(seen.what.contains(expect), "{error} {line}: {}", seen.what);
        assert_eq!(seen.owner, owner, "{error} {line}");
        assert!(!seen.help.is_empty());
    }

    #[test]
    fn what_package_managers_say_is_told_apart() {
        let app = |step: &str, line: &str, expect: &str| check(step, EXIT, line, expect, Owner::App);
        app("[2/3] RUN pip install x", "ERROR: No matching distribution found for x", "dependency was not found");
        app("[2/3] RUN mvn package", "[ERROR] Could not resolve dependencies for project org.example:web:jar:1", "dependency was not found");
        app("[2/3] RUN npm ci", "npm error code ERESOLVE", "dependency was not found");
        app("[2/3] RUN npm ci", "npm error The `npm ci` command can only install with an existing package-lock.json", "lock file is missing");
        app("[2/3] RUN uv sync --frozen", "error: Unable to find lockfile at `uv.lock`", "lock file is missing");
        app("[2/3] RUN yarn install", "YN0028: The lockfile would have been modified by this install, which is explicitly forbidden.", "lock file is missing");
        app("[2/3] RUN go build", "go: updates to go.mod needed", "lock file is missing");
        app("[2/3] RUN npm ci", "npm error code EINTEGRITY", "not the one that the lock file names");
        app("[2/3] RUN go mod download", "verifying example.org/x@v1.0.0: checksum mismatch", "not the one that the lock file names");
        app("[2/3] RUN pip install x", "ERROR: Package 'x' requires a different Python: 3.11.2 not in '>=3.12'", "another version of the language");
        app("[2/3] RUN mvn package", "Fatal error compiling: error: release version 21 not supported", "another version of the language");
        app("[2/3] RUN go build", "go: go.mod requires go >= 1.25 (running go 1.24)", "another version of the language");
        app("[2/3] RUN pip install x", "error: command 'gcc' failed: No such file or directory", "compiler or system library");
        app("[2/3] RUN bundle install", "ERROR: Failed to build gem native extension.", "compiler or system library");
        check("[2/3] RUN npm ci", EXIT, "npm error code E401", "asks for a login", Owner::ValueNeeded);
        check("[2/3] RUN go mod download", EXIT, "fatal: could not read Username for 'https://git.example'", "asks for a login", Owner::ValueNeeded);
    }

    #[test]
    fn what_code_and_compilers_say_is_told_apart() {
        let app = |step: &str, line: &str, expect: &str| check(step, EXIT, line, expect, Owner::App);
        app("[2/3] RUN npm run build", "./app/page.tsx:3:1 Type error: Cannot find name 'x'", "does not compile");
        app("[2/3] RUN cargo build", "error[E0425]: cannot find value `x` in this scope", "does not compile");
        app("[2/3] RUN gradle assemble", "Execution failed for task ':compileJava'.", "does not compile");
        app("[2/3] RUN python manage.py collectstatic", "ModuleNotFoundError: No module named 'whitenoise'", "own code stops");
        app("[2/3] RUN npm run build", "Error: connect ECONNREFUSED 127.0.0.1:5432", "does not run during a build");
        check("[2/3] RUN npm run build", EXIT, "KeyError: 'API_URL'", "environment variable", Owner::ValueNeeded);
    }

    #[test]
    fn what_the_machine_lacks_is_the_environments_move() {
        let environment = |step: &str, error: &str, line: &str, expect: &str| check(step, error, line, expect, Owner::Environment);
        let retrying = "WARNING: Retrying ... Failed to establish a new connection\nERROR: No matching distribution found for x";
        environment("[2/3] RUN pip install x", EXIT, retrying, "network");
        environment("[2/3] RUN mvn package", EXIT, "java.net.UnknownHostException: repo.example", "network");
        environment("[internal] load metadata for docker.io/library/nope:1", "nope:1: failed to resolve source metadata: no such host", "", "base image");
        environment("[internal] load metadata for docker.io/library/node:22", "toomanyrequests: You have reached your pull rate limit", "", "no more requests");
        environment("[1/3] FROM x", "no match for platform in manifest: not found", "", "another kind of processor");
        environment("[2/3] RUN x", "exit code: 1", "write /x: no space left on device", "no space left");
        environment("[2/3] RUN npm ci", EXIT, "npm error code ENOSPC", "no space left");
        let killed = "c++: fatal error: Killed signal terminated program cc1plus\nERROR: Failed building wheel for x";
        environment("[2/3] RUN pip install x", EXIT, killed, "out of memory");
        environment("[2/3] RUN npm run build", "process \"/bin/sh -c x\" did not complete successfully: exit code: 137", "", "out of memory");
        environment(
            "",
            "failed to solve with frontend dockerfile.v0: failed to solve with frontend gateway.v0: failed to do request",
            "",
            "frontend cannot be had",
        );
    }

    #[test]
    fn what_a_dockerfile_gets_wrong_is_told_apart() {
        let app = |step: &str, error: &str, line: &str, expect: &str| check(step, error, line, expect, Owner::App);
        app("[2/3] COPY nope.txt .", "failed to compute cache key: \"/nope.txt\" not found: not found", "", "not in the build context");
        app("[2/3] COPY nope.txt .", "failed to calculate checksum of ref x: \"/nope.txt\": not found", "", "not in the build context");
        app(
            "",
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUNN",
            "",
            "Dockerfile has an error",
        );
        app("[2/3] RUN make", "executor failed running [/bin/sh -c make]: exit code: 127", "/bin/sh: 1: make: not found", "program is missing");
        app("[2/3] RUN ./x", "executor failed running [/bin/sh -c ./x]: exit code: 126", "./x: Permission denied", "may not be read");
        check("[2/3] RUN --mount=type=secret,id=token cat", "secret token: not found", "", "build secret", Owner::ValueNeeded);
    }

    /// A failed step as it was recorded, and the cause that a person reads from it.
    #[derive(serde::Deserialize)]
    struct Recorded {
        name: String,
        step: String,
        error: String,
        lines: Vec<String>,
        cause: String,
    }

    /// What package managers and compilers really said (tests/failures/record.py runs them).
    #[test]
    fn recorded_failures_have_their_causes() {
        let recorded: Vec<Recorded> = serde_json::from_str(include_str!("../../../tests/failures/commands.json")).unwrap();
        let wrong: Vec<String> = recorded
            .iter()
            .filter_map(|row| {
                let seen = cause(&row.step, &row.error, &row.lines).what;
                (seen != row.cause).then(|| format!("{}: {seen}, but it is that {}", row.name, row.cause))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(recorded.len() >= 25, "{} are recorded", recorded.len());
    }

    #[test]
    fn what_no_row_knows_is_left_to_its_lines() {
        check("[2/3] RUN x", EXIT, "what", "did not end well", Owner::App);
        // Words of a row inside other words.
        check("[2/3] RUN x", EXIT, "compiled 3 modules, 0 errors; memory: 12 MB", "did not end well", Owner::App);
    }

    #[test]
    fn every_word_is_written_as_it_is_looked_for() {
        for (words, _, what, help) in CAUSES {
            assert!(words.iter().all(|word| *word == word.to_lowercase() && word.len() > 4), "{words:?}");
            assert!(!what.ends_with('.') && !help.ends_with('.'), "{what}");
        }
    }
}
