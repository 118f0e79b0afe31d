//! Names that cross the house: each is parsed once at the door and never checked again; nothing here touches the world.

use crate::failure::{Code, Failure};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares a text newtype with a `parse` that every constructor, serde included, goes through.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the text, or answers `NAME_INVALID` with the rule that was broken.
            pub fn parse(text: impl Into<String>) -> Result<Self, Failure> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    return Ok(Self(text));
                }
                Err(Failure::new(Code::NameInvalid, format!("{} {:?} is not valid", $what, crate::secret::plain(&text, 80)))
                    .help(concat!("use ", $rule)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Failure;
            fn try_from(text: String) -> Result<Self, Failure> {
                Self::parse(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Failure;
            fn from_str(text: &str) -> Result<Self, Failure> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The application: one namespace, several releases. DNS-1123 label, at most 40 characters.
    AppName, "app name", "1 to 40 lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
    |text| text.len() <= 40 && label(text)
);
name!(
    /// A service of the survey; also its release, Service and Deployment. DNS-1035 label, at most 40 characters.
    ServiceName, "service name", "1 to 40 lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
    |text| text.len() <= 40 && label(text)
);
name!(
    /// A Kubernetes namespace. Names that Kubernetes keeps for itself are refused.
    Namespace, "namespace", "1 to 63 lower-case letters, digits and '-', beginning with a letter, and not one of kube-*, default",
    |text| text.len() <= 63 && label(text) && !text.starts_with("kube-") && text != "default"
);
name!(
    /// A Minikube profile, as `minikube profile list` prints it.
    ProfileName, "profile", "letters, digits, '-', '_' and '.', as 'minikube profile list' prints it",
    |text| (1..=63).contains(&text.len()) && !text.starts_with('-')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
);
name!(
    /// The name of an environment variable.
    EnvName, "environment variable", "letters, digits and '_', not beginning with a digit",
    |text| !text.is_empty() && text.len() <= 200 && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
);
name!(
    /// The values environment: chooses `values-<environment>.yaml`, never the cluster.
    EnvironmentName, "environment", "1 to 30 lower-case letters, digits and '-'",
    |text| text.len() <= 30 && label(text)
);
name!(
    /// A container image reference, `repository:tag`, without a digest.
    ImageRef, "image reference", "repository:tag in lower case",
    |text| text.len() <= 255 && text.rsplit_once(':').is_some_and(|(repository, tag)| !repository.is_empty()
        && !tag.is_empty() && !tag.contains('/')
        && repository.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_./:".contains(letter))
        && tag.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter)))
);
impl ImageRef {
    /// What stands before the tag; the colon of a port is none.
    pub fn repository(&self) -> &str {
        self.parts().0
    }

    pub fn tag(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once(':').unwrap_or((&self.0, "latest"))
    }
}

name!(
    /// A SHA-256 in lower-case hexadecimal, 64 digits.
    Digest, "digest", "64 hexadecimal digits",
    |text| text.len() == 64 && text.chars().all(|letter| letter.is_ascii_digit() || ('a'..='f').contains(&letter))
);
name!(
    /// An operation: `op-YYYYMMDD-hhmmss-xxxx`.
    OperationId, "operation id", "the id of an earlier reply, such as op-20260102-030405-a1b2",
    |text| { let mut parts = text.split('-'); parts.next() == Some("op")
        && parts.next().is_some_and(|part| part.len() == 8 && digits(part))
        && parts.next().is_some_and(|part| part.len() == 6 && digits(part))
        && parts.next().is_some_and(|part| part.len() == 4 && part.chars().all(|letter| letter.is_ascii_alphanumeric()))
        && parts.next().is_none() }
);

/// A release is named after its service: release = Service = Deployment = service name.
pub type ReleaseName = ServiceName;

/// A Helm revision number of one release, counted from 1 by Helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Revision(pub u32);

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl Digest {
    /// The SHA-256 of these bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(sha2::Sha256::digest(bytes.as_ref())))
    }

    /// The first twelve digits: what tags, versions and file names carry.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl OperationId {
    /// A new id from the time (UTC) and four random letters.
    pub fn new(now: jiff::Timestamp) -> Self {
        let mut noise = [0u8; 2];
        // Without randomness the id is still unique per second; the operation's folder is created exclusively.
        let _ = getrandom::fill(&mut noise);
        let at = now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
        Self(format!("op-{at}-{}", hex::encode(noise)))
    }
}

impl AppName {
    /// The slug of a folder's name: lower case, everything else `-`, cut to 40; `app` where nothing is left.
    pub fn from_folder(path: &std::path::Path) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self(slug(&name).unwrap_or_else(|| "app".to_owned()))
    }
}

impl ServiceName {
    /// The slug of any text, or `fallback`'s where nothing is left.
    pub fn slug(text: &str, fallback: &str) -> Self {
        Self(slug(text).or_else(|| slug(fallback)).unwrap_or_else(|| "service".to_owned()))
    }
}

/// Lower-case letters, digits and single dashes, beginning with a letter, at most 40 characters.
fn slug(text: &str) -> Option<String> {
    let mut out = String::new();
    for letter in text.chars() {
        match letter.to_ascii_lowercase() {
            plain if plain.is_ascii_lowercase() || plain.is_ascii_digit() => out.push(plain),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    let out = out.trim_start_matches(|first: char| !first.is_ascii_lowercase());
    let cut: String = out.chars().take(40).collect();
    let cut = cut.trim_end_matches('-').to_owned();
    (!cut.is_empty()).then_some(cut)
}

fn label(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

fn digits(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_digit())
}

/// Who can be asked for a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdvisorName {
    Gordon,
    KubectlAi,
    Kagent,
}

impl AdvisorName {
    /// Every advisor, in the order in which one is chosen where several are switched on.
    pub const ALL: [Self; 3] = [Self::KubectlAi, Self::Kagent, Self::Gordon];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gordon => "gordon",
            Self::KubectlAi => "kubectl_ai",
            Self::Kagent => "kagent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, good: bool) {
        assert_eq!(ServiceName::parse(text).is_ok(), good, "{text:?}");
    }

    #[test]
    fn a_service_name_is_what_kubernetes_takes() {
        for good in ["a", "todo-backend", "x1", &"a".repeat(40)] {
            check(good, true);
        }
        for bad in ["", "-a", "a-", "1a", "Backend", "a_b", "a.b", "ä", &"a".repeat(41), "a b", "a\n"] {
            check(bad, false);
        }
    }

    #[test]
    fn namespaces_of_the_system_are_refused() {
        assert!(Namespace::parse("kube-system").is_err());
        assert!(Namespace::parse("default").is_err());
        assert!(Namespace::parse("todo").is_ok());
    }

    #[test]
    fn a_folder_becomes_a_name() {
        let name = |folder: &str| AppName::from_folder(std::path::Path::new(folder)).to_string();
        assert_eq!(name("/x/My Todo_App (2)"), "my-todo-app-2");
        assert_eq!(name("/x/2048"), "app");
        assert_eq!(name("/"), "app");
    }

    #[test]
    fn an_image_reference_needs_a_tag() {
        for good in ["localhost/todo/backend:0a1b2c", "postgres:17", "localhost:5000/a:1"] {
            assert!(ImageRef::parse(good).is_ok(), "{good}");
        }
        for bad in ["postgres", "a:", ":1", "App:1", "localhost:5000/a", "a:b/c"] {
            assert!(ImageRef::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_operation_id_is_parsed_back() {
        let id = OperationId::new(jiff::Timestamp::UNIX_EPOCH);
        assert!(id.as_str().starts_with("op-19700101-000000-"));
        assert_eq!(OperationId::parse(id.as_str()).map(String::from), Ok(id.to_string()));
        assert!(OperationId::parse("op-../../etc").is_err());
    }
}
