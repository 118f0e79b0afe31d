//! How a program of the JVM leaves its build: an archive, an archive taken apart, or classes beside their libraries; what changes seldom is a layer of its own.

use super::plain_path;
use crate::failure::Failure;
use crate::survey::Service;

/// Libraries in `/out/dependencies`, what the project itself is made of in `/out/application`; `{at}` is the project's folder in the build.
const QUARKUS: &str = r#"mkdir -p /out/dependencies /out/application && \
    if [ -d {at}quarkus-app ]; then \
        cp -R {at}quarkus-app/. /out/application/ && mv /out/application/lib /out/dependencies/; \
    else \
        find {at} -maxdepth 1 -name '*-runner.jar' -exec cp {} /out/application/quarkus-run.jar \; && \
        if [ -d {at}lib ]; then cp -R {at}lib /out/dependencies/; fi; \
    fi"#;

/// A program that Gradle installed: its libraries, its own archives, and its script under a name that is always the same.
const INSTALL: &str = r#"mkdir -p /out/dependencies /out/application && \
    cp -R {at}install/*/. /out/application/ && \
    find /out/application/bin -type f ! -name '*.bat' ! -name app -exec mv {} /out/application/bin/app \; && \
    mv /out/application/lib /out/dependencies/ && mkdir /out/application/lib && \
    for jar in {at}libs/*.jar; do \
        find /out/dependencies/lib -name "${jar##*/}" -exec mv {} /out/application/lib/ \;; \
    done"#;

/// Of several archives, the largest carries the libraries.
const ARCHIVE: &str = r#"mkdir -p /out/dependencies /out/application && \
    find {at} -maxdepth 1 \( -name '*.jar' -o -name '*.war' \) ! -name '*-plain.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' ! -name 'original-*.jar' -exec ls -S {} + > /tmp/archives && \
    cp "$(head -n 1 /tmp/archives)" /out/application/app.jar"#;

/// Beside an archive of Maven whose manifest names them there.
const LIBRARIES: &str = r#" && \
    if [ -d {at}libs ]; then cp -R {at}libs /out/dependencies/; fi"#;

/// The archive of the project alone; Maven brings its libraries.
const CLASSES: &str = r#"mkdir -p /out/dependencies/lib /out/application && \
    find {at} -maxdepth 1 -name '*.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' -exec cp {} /out/application/app.jar \;"#;

/// A Spring Boot archive is taken apart by itself, where it can.
const LAYERS: &str = r"RUN jar tf /out/application/app.jar > /tmp/list && \
    if grep -q spring-boot-jarmode-tools /tmp/list; then \
        java -Djarmode=tools -jar /out/application/app.jar extract --layers --destination /layers && \
        mkdir -p /layers/dependencies /layers/snapshot-dependencies && \
        rm -r /out/application && mv /layers/application /out/application && \
        cp -R /layers/dependencies/. /out/dependencies/ && \
        cp -R /layers/snapshot-dependencies/. /out/application/; \
    fi";

/// The series that the project's wrapper names, else the newest that builds most.
pub(super) fn gradle_series(facts: &Service) -> u32 {
    facts.build_facts.get("gradle.series").and_then(|series| series.parse().ok()).unwrap_or(8)
}

/// What the templates for Java ask for; `member` is the project's folder in the context.
pub(super) fn values(facts: &Service, member: &str) -> Result<Vec<(&'static str, String)>, Failure> {
    let fact = |key: &str| facts.build_facts.get(key).map(String::as_str);
    let gradle = facts.package_manager.as_deref() == Some("gradle");
    let pack = fact("java.pack").unwrap_or_default();
    let (shape, task, goals) = match pack {
        "quarkus" => (QUARKUS, "quarkusBuild", "package"),
        "install" => (INSTALL, "installDist", "package"),
        "classes" => (CLASSES, "assemble", "package dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=/out/dependencies/lib"),
        _ => (ARCHIVE, "assemble", "package"),
    };
    let folder = match (gradle, pack) {
        (false, _) => "target/",
        (true, "quarkus" | "install") => "build/",
        (true, _) => "build/libs/",
    };
    let at = if member == "." { folder.to_owned() } else { format!("{member}/{folder}") };
    let files: Result<Vec<String>, Failure> = fact("gradle.files")
        .unwrap_or_default()
        .split_whitespace()
        .map(|file| plain_path(facts, "gradle.files", file).map(|file| format!("COPY {file} ./{file}")))
        .collect();
    Ok(vec![
        ("MEMBER", member.to_owned()),
        ("TASK", task.to_owned()),
        ("GOALS", goals.to_owned()),
        ("FILES", files?.join("\n")),
        ("PACK", format!("{shape}{}", if shape == ARCHIVE && !gradle { LIBRARIES } else { "" }).replace("{at}", &at)),
        ("LAYERS", if facts.framework.as_deref() == Some("spring-boot") { LAYERS.to_owned() } else { String::new() }),
        ("SETTINGS", if pack == "install" { " \\\n    JAVA_OPTS=-XX:MaxRAMPercentage=75".to_owned() } else { String::new() }),
        ("GRADLE", gradle_series(facts).to_string()),
    ])
}
