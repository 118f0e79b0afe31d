//! What a browser is given: the scripts that a page loads, and the addresses in them that no browser outside the cluster can reach.

use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The scripts of its own origin that a page names, in their order, as paths.
pub fn scripts(page: &str) -> Vec<String> {
    static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"(?:src|href)\s*=\s*["']([^"'\s]+\.m?js(?:\?[^"'\s]*)?)["']"#).ok());
    let mut paths: Vec<String> = Vec::new();
    for found in NAMED.as_ref().into_iter().flat_map(|named| named.captures_iter(page)) {
        let Some(named) = found.get(1).map(|named| named.as_str().replace("&amp;", "&")) else { continue };
        let path = match named.strip_prefix("./") {
            Some(rest) => format!("/{rest}"),
            None if named.starts_with('/') => named,
            None if named.contains("://") => continue,
            None => format!("/{named}"),
        };
        if !path.starts_with("//") && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// The origins that a script names: `https://api.example.org:8443`.
pub fn origins(script: &str) -> BTreeSet<String> {
    static ORIGIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b(?:https?|wss?)://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::\d{1,5})?").ok());
    ORIGIN.as_ref().into_iter().flat_map(|origin| origin.find_iter(script)).map(|found| found.as_str().to_owned()).collect()
}

/// Why a browser outside the cluster does not reach this origin; none where it may.
/// A bare `http://localhost` is what libraries write where an address has no host; with a port somebody means a server.
pub fn out_of_reach(origin: &str, services: &[&str], namespace: &str) -> Option<&'static str> {
    let (_, rest) = origin.split_once("://")?;
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    if matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0") {
        return port.is_some().then_some("the visitor's own machine");
    }
    let name = host.strip_suffix(".cluster.local").unwrap_or(host);
    let name = name.strip_suffix(".svc").unwrap_or(name);
    let inside = name != host
        || services.contains(&name)
        || name.strip_suffix(namespace).and_then(|name| name.strip_suffix('.')).is_some_and(|name| services.contains(&name));
    inside.then_some("a name that only pods know")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_of_a_page_are_those_of_its_own_origin() {
        let page = r#"<link rel="modulepreload" href="/assets/a-1.js"><script type="module" src="./main.mjs?v=1&amp;w=2"></script>
            <script src='/assets/a-1.js'></script><script src="https://cdn.example.org/x.js"></script><script src="//cdn.example.org/y.js"></script>
            <script src="_next/static/b.js" async=""></script><a href="/about.html">js</a>"#;
        assert_eq!(scripts(page), ["/assets/a-1.js", "/main.mjs?v=1&w=2", "/_next/static/b.js"]);
        assert_eq!(scripts("ok"), Vec::<String>::new());
    }

    #[test]
    fn an_address_is_out_of_reach_where_only_pods_or_the_visitor_have_it() {
        let script = r#"fetch("http://backend:8000/api"),c="http://localhost:3000",d="http://localhost",e=`https://api.example.org/v1`,f="ws://tasks.todo.svc.cluster.local:80/x",g="http://backend.todo/"#;
        let seen: Vec<_> = origins(script).into_iter().map(|origin| (out_of_reach(&origin, &["backend", "frontend"], "todo").is_some(), origin)).collect();
        let expect = [
            (true, "http://backend.todo"),
            (true, "http://backend:8000"),
            (false, "http://localhost"),
            (true, "http://localhost:3000"),
            (false, "https://api.example.org"),
            (true, "ws://tasks.todo.svc.cluster.local:80"),
        ];
        assert_eq!(seen, expect.map(|(bad, origin)| (bad, origin.to_owned())));
        assert_eq!(out_of_reach("http://backend.example.org", &["backend"], "todo"), None);
    }
}
