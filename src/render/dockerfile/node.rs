//! How a Node.js project installs: by its lockfile, with or without what only developers need, whole or for one package of a workspace.

use super::{local, plain_path, secret_mounts};
use crate::blueprint::bun;
use crate::failure::Failure;
use crate::names::EnvName;
use crate::survey::Service;

/// Versions of the tools that a build installs; what the project declares comes first.
const PNPM: &str = "10";
const YARN: &str = "1.22.22";
const YARN_BERRY: &str = "4";
pub(super) const BUN: &str = "1";

/// How a Node.js project installs.
pub(super) struct Node<'a> {
    facts: &'a Service,
    manager: &'a str,
    lockfile: Option<&'a str>,
    berry: bool,
    /// Yarn's second series, which is not published; what the project brings of it is its own program.
    second: bool,
    secrets: &'a [EnvName],
}

impl<'a> Node<'a> {
    pub(super) fn of(facts: &'a Service, secrets: &'a [EnvName]) -> Self {
        let fact = |key: &str| facts.build_facts.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let manager = facts.package_manager.as_deref().unwrap_or("npm");
        let version = fact("package_manager.version").unwrap_or_default();
        let series = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let berry = manager == "yarn" && (fact("yarn.berry") == Some("true") || series.is_some_and(|series| series >= 2));
        Self { facts, manager, lockfile: fact("lockfile"), berry, second: berry && series == Some(2), secrets }
    }

    pub(super) fn tool(&self) -> String {
        let declared = self
            .facts
            .build_facts
            .get("package_manager.version")
            .filter(|version| version.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter)));
        let version = |usual: &str| declared.map_or(usual.to_owned(), Clone::clone);
        let package = match self.manager {
            "pnpm" => format!("pnpm@{}", version(PNPM)),
            // It starts the program that the project brings, where it brings one.
            "yarn" if self.second => format!("@yarnpkg/cli-dist@{YARN_BERRY}"),
            "yarn" if self.berry => format!("@yarnpkg/cli-dist@{}", version(YARN_BERRY)),
            "yarn" => format!("yarn@{}", version(YARN)),
            "bun" if bun(self.facts) => return String::new(),
            "bun" => format!("bun@{}", version(BUN)),
            _ => return String::new(),
        };
        let own = if self.berry && self.facts.build_facts.contains_key("yarn.folder") { "\nCOPY .yarn ./.yarn/" } else { "" };
        format!("RUN npm install --global --force --no-audit --no-fund {package}{own}")
    }

    pub(super) fn cache(&self) -> &'static str {
        match self.manager {
            "pnpm" => "/root/.local/share/pnpm/store",
            "yarn" if self.berry => "/root/.yarn/berry/cache",
            "yarn" => "/usr/local/share/.cache/yarn",
            "bun" => "/root/.bun/install/cache",
            _ => "/root/.npm",
        }
    }

    pub(super) fn manifests(&self) -> Result<String, Failure> {
        // A generator that runs while installing reads its schema from the tree, and members of a workspace lie there.
        if self.facts.build_facts.contains_key("workspace.members") || self.facts.depends_on("prisma") || self.facts.depends_on("@prisma/client") {
            return Ok(".".to_owned());
        }
        let lockfile = self.lockfile.map(|lockfile| plain_path(self.facts, "lockfile", local(self.facts, lockfile))).transpose()?;
        let settings: &[&str] = match self.manager {
            "yarn" if self.berry => &[".yarnrc.yml*", ".npmrc*"],
            "pnpm" => &[".npmrc*", "pnpm-workspace.yaml*"],
            _ => &[".npmrc*"],
        };
        Ok(["package.json"].into_iter().chain(lockfile.as_deref()).chain(settings.iter().copied()).collect::<Vec<_>>().join(" "))
    }

    /// With everything that a build needs.
    pub(super) fn install(&self) -> String {
        format!("{}{}", secret_mounts(self.secrets), self.command())
    }

    /// Only what the program needs when it runs.
    pub(super) fn install_production(&self) -> String {
        let command = self.command();
        let command = match self.manager {
            "pnpm" => format!("{command} --prod"),
            // Berry prunes only with a plugin: the whole set is installed and still right.
            "yarn" if self.berry => command,
            "yarn" | "bun" => format!("{command} --production"),
            _ => format!("{command} --omit=dev"),
        };
        self.without_hooks(&command)
    }

    /// Only what one package of a workspace needs when it runs.
    pub(super) fn install_member(&self, member: &str) -> String {
        let command = self.command();
        let command = match self.manager {
            "pnpm" => format!("{command} --prod --filter \"{{./{member}}}...\""),
            "yarn" if self.berry => format!("cd {member} && YARN_NODE_LINKER=node-modules yarn workspaces focus --production"),
            "yarn" => format!("{command} --production"),
            "bun" => format!("{command} --production --filter ./{member}"),
            _ => format!("{command} --omit=dev --workspace={member} --include-workspace-root"),
        };
        self.without_hooks(&command)
    }

    /// `prepare` is run after an installation too, and starts tools of development: they are not there.
    fn without_hooks(&self, command: &str) -> String {
        let hooks = if bun(self.facts) || (self.manager == "yarn" && self.berry) { "" } else { "npm pkg delete scripts.prepare && \\\n    " };
        format!("{}{hooks}{command}", secret_mounts(self.secrets))
    }

    fn command(&self) -> String {
        match (self.manager, self.lockfile.is_some()) {
            ("pnpm", true) => "pnpm install --frozen-lockfile",
            ("pnpm", false) => "pnpm install --no-frozen-lockfile",
            // A newer program takes over what the second series locked, and writes it down in its own way.
            ("yarn", true) if self.second && !self.facts.build_facts.contains_key("yarn.folder") => "YARN_NODE_LINKER=node-modules yarn install --no-immutable",
            ("yarn", true) if self.berry => "YARN_NODE_LINKER=node-modules yarn install --immutable",
            ("yarn", false) if self.berry => "YARN_NODE_LINKER=node-modules yarn install --no-immutable",
            ("yarn", true) => "yarn install --frozen-lockfile --non-interactive",
            ("yarn", false) => "yarn install --non-interactive",
            ("bun", true) => "bun install --frozen-lockfile",
            ("bun", false) => "bun install",
            (_, true) => "npm ci --no-audit --no-fund",
            (_, false) => "npm install --no-audit --no-fund",
        }
        .to_owned()
    }
}

/// Leaves of a tree what an installation reads: manifests, lockfiles, settings and patches.
pub(super) fn keep_manifests() -> String {
    const KEPT: &[&str] = &[
        "package.json",
        "package-lock.json",
        "npm-shrinkwrap.json",
        "pnpm-lock.yaml",
        "pnpm-workspace.yaml",
        "yarn.lock",
        "bun.lock*",
        "bunfig.toml",
        ".npmrc",
        ".yarnrc*",
        ".pnpmfile.*",
        "*.patch",
        "schema.prisma",
    ];
    let kept: Vec<String> = KEPT.iter().map(|name| format!("! -name '{name}'")).collect();
    format!("find . -type f ! -path './.yarn/*' {} -delete && \\\n    find . -mindepth 1 -type d -empty -delete", kept.join(" "))
}
