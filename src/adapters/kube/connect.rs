//! A client that trusts one CA and speaks to one address, and what its errors mean.

use crate::failure::{Code, Failure};
use crate::names::Digest;
use crate::ports::Proof;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(2);

/// The client of this proof's private kubeconfig; kept for as long as the file's content stays the same.
pub(super) async fn client(at: &Proof, kept: &Mutex<BTreeMap<String, Client>>) -> Result<Client, Failure> {
    let text = tokio::fs::read_to_string(&at.kubeconfig).await.map_err(|error| Failure::file("read the private kubeconfig", &at.kubeconfig, &error))?;
    let key = format!("{} {} {}", at.server, at.fingerprint, Digest::of(&text));
    if let Some(client) = kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(client.clone());
    }
    let client = make(at, &text).await?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|other, _| !other.starts_with(&at.server));
    Ok(kept.entry(key).or_insert(client).clone())
}

async fn make(at: &Proof, text: &str) -> Result<Client, Failure> {
    // One provider is in the tree; installing it again answers an error that means "already there".
    let _ = rustls::crypto::ring::default_provider().install_default();
    let unreadable = |error: &dyn std::error::Error| {
        Failure::new(Code::WrongCluster, format!("read the private kubeconfig {}", at.kubeconfig.display()))
            .chain(error)
            .help("call validate_env again: it proves the cluster anew and rewrites this file")
    };
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| unreadable(&error))?;
    if let Some(oddity) = oddity(&kubeconfig) {
        return Err(Failure::new(Code::WrongCluster, format!("the private kubeconfig {} holds {oddity}", at.kubeconfig.display()))
            .help("remove that file and call again: it is rewritten from the profile"));
    }
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|error| unreadable(&error))?;
    pinned(at, &config)?;
    // kube fills this from HTTPS_PROXY; a local cluster is never behind a proxy.
    config.proxy_url = None;
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(Duration::from_secs(10));
    // Whoever asks decides how often: a client that waits by itself makes an overloaded server look like a silent one.
    config.default_retry = false;
    // Watches, forwards and execs live long: each request carries its own deadline instead.
    config.read_timeout = None;
    Client::try_from(config).map_err(|error| failure("make a client", at, &error, "nothing was asked yet"))
}

/// Anything in a kubeconfig that could lead elsewhere, run a program, or weaken the pin.
fn oddity(kubeconfig: &Kubeconfig) -> Option<&'static str> {
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    for cluster in clusters {
        if cluster.proxy_url.is_some() {
            return Some("a proxy-url");
        }
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Some("insecure-skip-tls-verify");
        }
        if cluster.tls_server_name.is_some() {
            return Some("a tls-server-name");
        }
    }
    for user in users {
        if user.exec.is_some() {
            return Some("an exec credential plugin");
        }
        if user.auth_provider.is_some() {
            return Some("an auth-provider");
        }
        if user.token.is_some() || user.token_file.is_some() || user.username.is_some() {
            return Some("a token or a user name");
        }
        if user.impersonate.is_some() || user.impersonate_groups.is_some() {
            return Some("an impersonation");
        }
    }
    None
}

/// The configuration's address and CA are those of the proof. An empty CA would silently mean the system's trust store.
fn pinned(at: &Proof, config: &Config) -> Result<(), Failure> {
    let server = config.cluster_url.to_string();
    let seen: Vec<String> = config.root_cert.iter().flatten().map(|der| Digest::of(der).to_string()).collect();
    let same_server = server.trim_end_matches('/') == at.server.trim_end_matches('/');
    let same_ca = seen.as_slice() == [at.fingerprint.to_ascii_lowercase()];
    if same_server && same_ca && !config.accept_invalid_certs {
        return Ok(());
    }
    let seen = if seen.is_empty() { "no CA".to_owned() } else { seen.join(", ") };
    Err(Failure::new(Code::WrongCluster, "the private kubeconfig is not the one that was proven")
        .cause(format!("proven: {} with CA {}", at.server, at.fingerprint))
        .cause(format!("in {}: {} with CA {seen}", at.kubeconfig.display(), server.trim_end_matches('/')))
        .help("call validate_env again: it proves the cluster anew and rewrites this file"))
}

/// Two proofs of one profile that name different targets.
pub(super) fn not_the_same(at: &Proof, now: &Proof) -> Failure {
    Failure::new(Code::WrongCluster, format!("profile {} is not the cluster that was proven before; nothing was changed", at.profile.name))
        .cause(format!("before: {} with CA {}", at.server, at.fingerprint))
        .cause(format!("now: {} with CA {}", now.server, now.fingerprint))
        .help("the profile was restarted or made anew: call plan_deployment again and approve the new plan")
}

/// No answer, or none that can be trusted to be the cluster's.
pub(super) fn unreachable(doing: &str, at: &Proof, seen: &str, heard: &str) -> Failure {
    Failure::new(Code::ClusterUnreachable, format!("{doing} at {}: {seen}; {heard}", at.server))
        .help(format!("run `minikube status -p {0}`; if it is stopped, `minikube start -p {0}`, then call again", at.profile.name))
}

/// What an error of kube means to us.
pub(super) fn failure(doing: &str, at: &Proof, error: &Error, heard: &str) -> Failure {
    if let Error::Api(status) = error {
        return match status.code {
            _ if overloaded(error) => unreachable(doing, at, &format!("the API server is overloaded ({}: {})", status.code, status.message), heard),
            500.. => unreachable(doing, at, &format!("the API server is at fault ({}: {})", status.code, status.message), heard),
            _ => super::refused(doing, words(status)).help(format!("run `kubectl --context {} auth whoami` and read the message above", at.profile.name)),
        };
    }
    if foreign_certificate(error) {
        return Failure::new(Code::WrongCluster, format!("{doing}: the server at {} does not hold a certificate of the proven CA", at.server))
            .cause(format!("expected a certificate signed by the CA with SHA-256 {}", at.fingerprint))
            .chain(error)
            .help("another cluster answers at this address: call validate_env to see every comparison");
    }
    let seen = if matches!(error, Error::SerdeError(_)) { "the answer is no whole JSON" } else { "the connection failed" };
    unreachable(doing, at, seen, heard).chain(error)
}

/// True where the server says that it cannot do it now; the same request may succeed in a moment.
pub(super) fn overloaded(error: &Error) -> bool {
    let Error::Api(status) = error else { return false };
    matches!(status.code, 429 | 503 | 504) || (status.code == 500 && status.message.contains("etcdserver: "))
}

/// The server's own words: its message, and each named field.
pub(super) fn words(status: &kube::core::Status) -> String {
    let mut text = format!("{} {}: {}", status.code, status.reason, status.message);
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        if !cause.field.is_empty() && !text.contains(&cause.field) {
            text.push_str(&format!("; {}: {}", cause.field, cause.message));
        }
    }
    text
}

/// True where TLS refused the server's certificate.
fn foreign_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let tls = error.downcast_ref::<rustls::Error>().or_else(|| {
            let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
            wrapped.downcast_ref::<rustls::Error>()
        });
        if let Some(tls) = tls {
            return matches!(tls, rustls::Error::InvalidCertificate(_));
        }
        // An io::Error answers its inner error's source, so the inner one must be looked at itself.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ports::{Profile, ProfileStatus, Runtime};

    pub(crate) fn proof(kubeconfig: &std::path::Path, server: &str, fingerprint: &str) -> Proof {
        Proof {
            profile: Profile {
                name: crate::names::ProfileName::parse("dev").unwrap(),
                driver: "none".into(),
                runtime: Runtime::Docker,
                kubernetes_version: "v1.34.4".into(),
                nodes: vec![],
                status: ProfileStatus::Running,
            },
            fingerprint: fingerprint.into(),
            server: server.into(),
            kubeconfig: kubeconfig.into(),
            checks: vec![],
        }
    }

    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}]\nusers: [{{name: a, user: {{{user}}}}}]\n"
        )
    }

    async fn check(cluster: &str, user: &str, expect: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = kubeconfig(cluster, user);
        std::fs::write(&path, &text).unwrap();
        let failure = make(&proof(&path, "https://127.0.0.1:1", "00"), &text).await.err().expect("is refused");
        assert_eq!(failure.code, Code::WrongCluster, "{failure}");
        assert!(failure.to_string().contains(expect), "{failure}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_could_lead_elsewhere_is_refused() {
        check("proxy-url: 'http://127.0.0.1:3128'", "", "proxy-url").await;
        check("insecure-skip-tls-verify: true", "", "insecure-skip-tls-verify").await;
        check("tls-server-name: other", "", "tls-server-name").await;
        check("", "token: abc", "token").await;
        check("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true}", "exec").await;
        check("", "as: somebody", "impersonation").await;
    }

    #[tokio::test]
    async fn a_kubeconfig_without_a_ca_is_refused_and_says_both_sides() {
        check("", "", "no CA").await;
        check("", "", "proven: https://127.0.0.1:1 with CA 00").await;
    }

    #[test]
    fn a_wrong_certificate_means_a_wrong_cluster() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = Error::Service(Box::new(std::io::Error::other(std::io::Error::other(tls))));
        assert!(foreign_certificate(&error));
        let error = Error::Service(Box::new(std::io::Error::other("connection refused")));
        assert!(!foreign_certificate(&error));
    }
}
