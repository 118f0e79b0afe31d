//! Java, Kotlin and Scala: Maven and Gradle projects, their modules and what Spring, Quarkus and Micronaut are configured to do.

use super::draft::Draft;
use super::facts::find_line;
use super::more::Project;
use super::walk::{below, dir_of, join};
use super::{Health, Kind, Place};
use serde_json::Value as Json;

/// Build files by tool; Maven reads its model in other notations as well.
pub(crate) const MAVEN: &[&str] = &["pom.xml", "pom.yml", "pom.yaml", "pom.kts", "pom.groovy", "pom.scala", "pom.rb"];
pub(crate) const GRADLE: &[&str] = &["build.gradle", "build.gradle.kts"];

pub(crate) fn manifest(name: &str) -> bool {
    MAVEN.contains(&name) || GRADLE.contains(&name)
}

/// Words of a build file, the framework they stand for, its own port.
const FRAMEWORKS: &[(&[&str], &str, Option<u16>)] = &[
    (&["spring-boot-starter", "org.springframework.boot", "spring-boot-maven-plugin", "springframework-boot", "spring.boot"], "spring-boot", Some(8080)),
    (&["quarkus"], "quarkus", Some(8080)),
    (&["micronaut"], "micronaut", Some(8080)),
    (&["ktor-server", "io.ktor.plugin", "ktor.server"], "ktor", None),
    (&["com.sparkjava"], "sparkjava", Some(4567)),
    (&["io.javalin"], "javalin", None),
    (&["io.helidon"], "helidon", Some(8080)),
    (&["io.dropwizard"], "dropwizard", Some(8080)),
    (&["org.http4k"], "http4k", None),
    (&["com.typesafe.play", "org.playframework"], "play", Some(9000)),
    (&["grpc-netty", "io.grpc"], "grpc", None),
    (&["vertx-web", "vertx-core"], "vertx", None),
];

/// Dependencies that later rooms ask for by name.
const PACKAGES: &[&str] = &[
    "postgresql",
    "mysql-connector",
    "mariadb-java-client",
    "spring-boot-starter-data-redis",
    "spring-boot-starter-data-mongodb",
    "spring-boot-starter-amqp",
    "spring-kafka",
    "spring-boot-starter-actuator",
    "quarkus-mcp-server-http",
    "quarkus-mcp-server-sse",
    "spring-ai-starter-mcp-server-webmvc",
    "spring-ai-starter-mcp-server-webflux",
];

/// Words of Gradle's plugins that lay out a program with its libraries and a start script.
const INSTALLED: &[&str] = &[
    "id 'application'",
    "id \"application\"",
    "id(\"application\")",
    "id 'org.gradle.application'",
    "apply plugin: 'application'",
    "apply(plugin = \"application\")",
    "io.ktor.plugin",
    "libs.plugins.ktor",
    "io.micronaut.application",
    "libs.plugins.micronaut.application",
];

/// Words of Maven's plugins and parents that make an archive which runs by itself.
const SELF_CONTAINED: &[&str] = &[
    "spring-boot",
    "maven-shade-plugin",
    "maven-assembly-plugin",
    "micronaut-parent",
    "micronaut-maven-plugin",
    "helidon",
    "maven-war-plugin",
    "<packaging>war",
];

impl Project<'_> {
    pub(super) fn java(&self) -> Option<Draft> {
        let of = |names: &'static [&'static str]| names.iter().copied().find(|name| self.workspace.tree.has(&join(self.dir, name)));
        let (manifest, manager) = of(MAVEN).map(|name| (name, "maven")).or_else(|| of(GRADLE).map(|name| (name, "gradle")))?;
        let text = self.text(manifest);
        let sources = self.sources(&[".java", ".kt"], self::manifest);
        let program = self.facts(&sources).find(|(_, facts)| facts.program).map(|(path, _)| path.to_owned());
        let word = FRAMEWORKS.iter().find_map(|(words, name, port)| words.iter().find(|word| text.contains(**word)).map(|word| (*word, *name, *port)));
        let aggregator = text.contains("<packaging>pom</packaging>");
        let carried = matches!(word, Some((_, "quarkus" | "micronaut" | "play", _)));
        if aggregator || sources.is_empty() || (program.is_none() && !carried) {
            return None;
        }
        let certain = word.is_some() || self.listens(&sources) || self.has_dockerfile();
        if !certain && !self.lenient {
            return None;
        }
        let mut draft = Draft::new(self.dir, "java", Kind::Api);
        draft.certain = certain;
        draft.service.package_manager = Some(manager.to_owned());
        draft.shows("package_manager", Place::file(join(self.dir, manifest)));
        draft.sources = sources;
        if let Some((word, name, _)) = word {
            draft.service.framework = Some(name.to_owned());
            draft.shows("framework", self.place(manifest, word));
        }
        self.java_build(&mut draft, manager, manifest, text);
        self.java_version(&mut draft, manifest, text);
        draft.manifest_name = artifact(text).or_else(|| self.gradle_name());
        for package in PACKAGES.iter().filter(|package| text.contains(**package)) {
            draft.service.dependencies.insert((*package).to_owned(), String::new());
        }
        if let Some(entry) = program {
            draft.shows("language", Place::file(entry.clone()));
            draft.entry = Some(entry);
        } else {
            draft.shows("language", Place::file(join(self.dir, manifest)));
        }
        self.java_packing(&mut draft, manager, text);
        self.java_settings(&mut draft, word.and_then(|(_, _, port)| port), text);
        Some(draft)
    }

    /// How the build leaves the program, where that is no archive which runs by itself.
    fn java_packing(&self, draft: &mut Draft, manager: &str, text: &str) {
        let framework = draft.service.framework.as_deref().unwrap_or_default();
        let root = draft.service.build_facts.get("jvm.root").cloned();
        if framework == "quarkus" {
            draft.fact("java.pack", "quarkus");
        } else if manager == "gradle" && framework != "spring-boot" && installed(text) {
            draft.fact("java.pack", "install");
        } else if manager == "maven" {
            let above = root.as_deref().and_then(|root| self.workspace.text(&join(root, "pom.xml"))).unwrap_or_default();
            let contained = SELF_CONTAINED.iter().any(|word| text.contains(word) || above.contains(word));
            let named =
                ["<mainClass>", "<exec.mainClass>"].iter().find_map(|tag| text.split_once(tag)?.1.split('<').next()).map(str::trim).filter(|name| class(name));
            let main = named.map(str::to_owned).or_else(|| draft.entry.as_deref().and_then(class_of));
            if let (false, Some(main)) = (contained, main) {
                draft.fact("java.pack", "classes");
                draft.fact("java.main", main);
            }
        }
        // What a build file refers to before any source is read.
        let home = root.as_deref().unwrap_or(self.dir);
        let tree = &self.workspace.tree;
        let there = |name: &&str| tree.has(&join(home, name)) || tree.has_folder(&join(home, name));
        let files: Vec<&str> = ["gradle/libs.versions.toml", "buildSrc"].into_iter().filter(there).collect();
        if manager == "gradle" && !files.is_empty() {
            draft.fact("gradle.files", files.join(" "));
        }
    }

    fn java_build(&self, draft: &mut Draft, manager: &str, manifest: &str, text: &str) {
        let root = self.build_root(manager);
        let home = root.as_deref().unwrap_or(self.dir);
        let module = below(self.dir, home);
        let up = "../".repeat(if root.is_some() { module.matches('/').count() + 1 } else { 0 });
        let wrapper = |name: &str| self.workspace.tree.has(&join(home, name));
        let wrapped = if up.is_empty() { "./".to_owned() } else { up.clone() };
        let tool = match manager {
            "maven" if wrapper("mvnw") => format!("{wrapped}mvnw"),
            "maven" => "mvn".to_owned(),
            _ if wrapper("gradlew") => format!("{wrapped}gradlew"),
            _ => "gradle".to_owned(),
        };
        draft.service.build_command = Some(match (manager, root.is_some()) {
            ("maven", true) => format!("{tool} -B -f {up}pom.xml -pl {module} -am package -DskipTests"),
            ("maven", false) => format!("{tool} -B package -DskipTests"),
            _ => format!("{tool} --no-daemon build -x test"),
        });
        if let Some(root) = root {
            draft.fact("jvm.root", root);
        }
        let jar = match (manager, draft.service.framework.as_deref(), text.contains("<packaging>war</packaging>")) {
            ("maven", Some("quarkus"), _) => "target/quarkus-app/quarkus-run.jar",
            (_, Some("quarkus"), _) => "build/quarkus-app/quarkus-run.jar",
            ("maven", _, true) => "target/*.war",
            ("maven", _, false) => "target/*.jar",
            _ => "build/libs/*.jar",
        };
        draft.start(format!("java -jar {jar}"), Place::file(join(self.dir, manifest)));
        draft.fact("java.jar", jar);
    }

    fn java_version(&self, draft: &mut Draft, manifest: &str, text: &str) {
        let keys = [
            "<java.version>",
            "<maven.compiler.release>",
            "<maven.compiler.source>",
            "<release>",
            "maven.compiler.source",
            "sourceCompatibility",
            "JavaLanguageVersion",
            "languageVersion",
            "jvmToolchain",
        ];
        // A module is built with what its parent asks for, where it says nothing itself.
        let above = draft.service.build_facts.get("jvm.root").cloned();
        let parents = above.iter().flat_map(|root| MAVEN.iter().chain(GRADLE).map(move |name| join(root, name)));
        let texts = std::iter::once((join(self.dir, manifest), text)).chain(parents.filter_map(|path| Some((path.clone(), self.workspace.text(&path)?))));
        for (path, text, key) in texts.flat_map(|(path, text)| keys.map(|key| (path.clone(), text, key))) {
            let (line, shown) = find_line(text, key);
            let shown_from = shown.split_once(key).map_or(shown, |(_, rest)| rest).replace("1.8", "8").replace("VERSION_1_", "");
            let digits: String = shown_from.trim_start_matches(|letter: char| !letter.is_ascii_digit()).chars().take_while(char::is_ascii_digit).collect();
            if line > 0 && !digits.is_empty() {
                draft.service.language_version = Some(digits);
                return draft.shows("language_version", Place::new(path, line, shown));
            }
        }
    }

    /// The folder further up whose build this project is a module of.
    fn build_root(&self, manager: &str) -> Option<String> {
        let settings =
            |dir: &str| ["settings.gradle", "settings.gradle.kts"].into_iter().map(|name| join(dir, name)).find(|path| self.workspace.tree.has(path));
        if manager == "gradle" && settings(self.dir).is_some() {
            return None;
        }
        let mut dir = self.dir;
        while dir != "." {
            dir = dir_of(dir);
            let module = match manager {
                "maven" => self.workspace.text(&join(dir, "pom.xml")).is_some_and(|text| text.contains(&format!("<module>{}</module>", below(self.dir, dir)))),
                _ => settings(dir).is_some(),
            };
            if module {
                return Some(dir.to_owned());
            }
        }
        None
    }

    fn gradle_name(&self) -> Option<String> {
        let settings = ["settings.gradle", "settings.gradle.kts"].into_iter().map(|name| self.text(name)).find(|text| !text.is_empty())?;
        find_line(settings, "rootProject.name").1.split(['\'', '"']).nth(1).map(str::to_owned)
    }

    /// What the configuration beside the code says: port, health.
    fn java_settings(&self, draft: &mut Draft, own: Option<u16>, text: &str) {
        let keys: &[&[&str]] = match draft.service.framework.as_deref() {
            Some("micronaut") => &[&["micronaut", "server", "port"]],
            Some("quarkus") => &[&["quarkus", "http", "port"]],
            Some("spring-boot") => &[&["server", "port"]],
            Some("ktor") => &[&["ktor", "deployment", "port"]],
            Some("helidon") => &[&["server", "port"]],
            _ => &[],
        };
        let found = keys.iter().find_map(|key| self.setting(key));
        let named = found.as_ref().and_then(|(value, place)| default_port(value).map(|port| (port, place.clone())));
        match named {
            Some((port, place)) => draft.port(port, "http", place),
            None => {
                super::assemble::code_ports(self.workspace, draft);
                if let (Some(port), true) = (own, draft.service.ports.is_empty()) {
                    let place = draft.service.evidence.get("framework").and_then(|places| places.first().cloned()).unwrap_or_default();
                    draft.port(port, "http", place);
                    draft.assumed_port = true;
                }
            }
        }
        let health: &[(&str, &str, Option<&str>, &str)] = &[
            ("spring-boot", "actuator", None, "/actuator/health"),
            // Its server carries the actuator.
            ("spring-boot", "spring-boot-admin-starter-server", None, "/actuator/health"),
            ("quarkus", "smallrye-health", Some("/q/health/live"), "/q/health/ready"),
            ("micronaut", "micronaut-management", None, "/health"),
        ];
        let framework = draft.service.framework.clone().unwrap_or_default();
        let Some((_, word, live, ready)) = health.iter().find(|(name, word, ..)| *name == framework && text.contains(word)) else { return };
        let base = self.setting(&["management", "endpoints", "web", "base-path"]).map(|(value, _)| value).unwrap_or_default();
        let ready = if base.is_empty() { (*ready).to_owned() } else { ready.replace("/actuator", base.trim_end_matches('/')) };
        let manifest = MAVEN.iter().chain(GRADLE).copied().find(|name| self.text(name).contains(word)).unwrap_or("pom.xml");
        // The whole health includes the database: that is readiness.
        draft.service.health = Some(Health { live: live.map(str::to_owned), ready: Some(ready), evidence: vec![self.place(manifest, word)] });
    }

    /// A setting of the default profile, from `application.yml` and its kin, with its place.
    fn setting(&self, key: &[&str]) -> Option<(String, Place)> {
        for name in ["application.yml", "application.yaml", "application.properties", "bootstrap.yml", "application.conf"] {
            let path = join(self.dir, &format!("src/main/resources/{name}"));
            let Some(text) = self.workspace.text(&path) else { continue };
            let last = key.last().copied().unwrap_or_default();
            if name.ends_with(".properties") {
                let dotted = key.join(".");
                let hit = text.lines().enumerate().find_map(|(number, line)| {
                    let (name, value) = line.split_once(['=', ':'])?;
                    (name.trim() == dotted).then(|| (value.trim().to_owned(), Place::new(path.clone(), u32::try_from(number).unwrap_or(0) + 1, line)))
                });
                if hit.is_some() {
                    return hit;
                }
                continue;
            }
            if name.ends_with(".conf") {
                let (line, shown) = find_line(text, &format!("{last} ="));
                if line > 0 {
                    return Some((shown.rsplit('=').next().unwrap_or_default().trim().to_owned(), Place::new(path, line, shown)));
                }
                continue;
            }
            // The first document holds for every profile.
            let first = text.split("\n---").find(|part| !part.trim().is_empty()).unwrap_or_default();
            let Ok(document) = super::yaml::read(first) else { continue };
            let dotted = document.get(key.join(".").as_str()).cloned();
            let value = dotted.or_else(|| key.iter().try_fold(&document, |at, part| at.get(*part)).cloned());
            let value = match value {
                Some(Json::String(value)) => value,
                Some(Json::Number(value)) => value.to_string(),
                _ => continue,
            };
            let shown = text.lines().enumerate().find(|(_, line)| line.trim_start().starts_with(&format!("{last}:")) && line.contains(&value));
            let (line, shown) = shown.map_or((0, ""), |(number, line)| (u32::try_from(number).unwrap_or(0) + 1, line));
            return Some((value, Place::new(path, line, shown)));
        }
        None
    }
}

/// `8081`, `${PORT:8081}`.
fn default_port(value: &str) -> Option<u16> {
    let value = value.trim().trim_matches(['"', '\'']);
    let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).and_then(|rest| rest.rsplit_once(':')).map_or(value, |(_, default)| default);
    inner.trim().parse().ok().filter(|port| *port > 0)
}

/// True where a build file of Gradle applies a plugin that installs a program.
fn installed(text: &str) -> bool {
    let block = |line: &str| line == "application" || line.split_once('{').is_some_and(|(name, _)| name.trim() == "application");
    text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).any(|line| block(line) || INSTALLED.iter().any(|word| line.contains(word)))
}

/// A class as Java names it: `org.example.App`.
fn class(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') && part.chars().all(|letter| letter.is_alphanumeric() || "_$".contains(letter))
    };
    !name.is_empty() && name.split('.').all(part)
}

/// The class of a file of Java: below its source folder, folders are packages.
fn class_of(path: &str) -> Option<String> {
    let root = package_root(path)?;
    let name = path.get(root.len()..)?.trim_start_matches('/').strip_suffix(".java")?.replace('/', ".");
    class(&name).then_some(name)
}

/// The project's own artifactId, its parent's apart.
pub(crate) fn artifact(text: &str) -> Option<String> {
    let own = text.split_once("</parent>").map_or(text, |(_, rest)| rest);
    own.split_once("<artifactId>").and_then(|(_, rest)| rest.split_once('<')).map(|(name, _)| name.trim().to_owned())
}

/// Folders below which a package's own name is spelled in folders: `org/example` there is no example.
pub(crate) fn package_root(path: &str) -> Option<&str> {
    if !path.contains("src/main/") {
        return None;
    }
    ["src/main/java", "src/main/kotlin", "src/main/scala"].iter().find_map(|root| {
        let at = path.find(root)?;
        (at == 0 || path.as_bytes().get(at - 1) == Some(&b'/')).then(|| path.get(..at + root.len())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_defaults_in_settings() {
        let check = |value: &str, expect: Option<u16>| assert_eq!(default_port(value), expect, "{value}");
        check("8081", Some(8081));
        check("${PORT:9090}", Some(9090));
        check("${SERVER_PORT}", None);
        check("0", None);
    }

    #[test]
    fn a_plugin_that_installs_a_program_is_told_from_its_namesakes() {
        for text in
            ["plugins {\n    application\n}", "plugins { id 'application' }", "  application {\n", "plugins {\n    id(\"io.ktor.plugin\") version \"3.0.3\"\n}"]
        {
            assert!(installed(text), "{text}");
        }
        for text in ["plugins { id 'java' }", "// application", "description = 'an application'", "implementation 'org.example:application:1'"] {
            assert!(!installed(text), "{text}");
        }
    }

    #[test]
    fn a_class_is_named_by_its_folders() {
        assert_eq!(class_of("api/src/main/java/org/example/App.java").as_deref(), Some("org.example.App"));
        assert_eq!(class_of("src/main/java/App.java").as_deref(), Some("App"));
        assert_eq!(class_of("src/main/java/org/my-example/App.java"), None);
        assert_eq!(class_of("src/main/kotlin/App.kt"), None);
        assert_eq!(class_of("App.java"), None);
    }

    #[test]
    fn packages_are_told_from_folders() {
        assert_eq!(package_root("app/src/main/java/org/example/App.java"), Some("app/src/main/java"));
        assert_eq!(package_root("examples/App.java"), None);
    }
}
