//! stub
#![allow(missing_docs, unused, clippy::all)]
use crate::blueprint::*; use crate::evidence::*; use crate::failure::Failure; use crate::names::*; use crate::ports::*; use crate::secret::Secret; use std::collections::BTreeMap; use std::time::Duration;
pub struct HttpSeen { pub status: u16, pub elapsed: Duration, pub body: String }
pub struct Inside { pub method: String, pub url: String, pub headers: BTreeMap<String,String>, pub body: Option<String> }
pub async fn http_through_forward(c: &dyn Cluster, at: &Proof, ns: &Namespace, pod: &str, port: u16, path: &str, host: &str) -> Result<HttpSeen, Failure> { unimplemented!() }
pub async fn request_through_forward(c: &dyn Cluster, at: &Proof, ns: &Namespace, pod: &str, port: u16, r: &Inside, host: &str) -> Result<HttpSeen, Failure> { unimplemented!() }
pub async fn http_from_inside(c: &dyn Cluster, at: &Proof, ns: &Namespace, pod: &str, container: &str, language: &str, r: &Inside) -> Result<HttpSeen, Failure> { unimplemented!() }
pub async fn environment(c: &dyn Cluster, at: &Proof, ns: &Namespace, pod: &str, container: &str, language: &str) -> Result<BTreeMap<String, Secret>, Failure> { unimplemented!() }
pub fn judge_environment(service: &str, e: &[(EnvSetting, Option<Secret>)], seen: &BTreeMap<String, Secret>, key: &[u8;32]) -> Vec<crate::reply::VariableView> { vec![] }
pub fn errors_in(log: &str) -> Vec<Evidence> { vec![] }
pub fn arguments_for(schema: &serde_json::Map<String, serde_json::Value>) -> serde_json::Map<String, serde_json::Value> { Default::default() }
