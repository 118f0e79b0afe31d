//! Objects of every kind as JSON, until they are kept as what they are.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::Client;
use kube::api::{Api, ApiResource, ListParams, Request};
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An object of any kind. One watcher serves all: a typed `Api` brings its own into the program for each kind.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    metadata: ObjectMeta,
    whole: Value,
}

impl Raw {
    /// As its type; the error names the field.
    pub(super) fn typed<K: DeserializeOwned>(self) -> Result<K, serde_json::Error> {
        serde_json::from_value(self.whole)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        let metadata = whole.get("metadata").cloned().map_or_else(|| Ok(ObjectMeta::default()), serde_json::from_value).map_err(D::Error::custom)?;
        Ok(Self { metadata, whole })
    }
}

impl kube::Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What serves kind `K`, in one namespace or in all.
pub(super) fn api<K: kube::Resource<DynamicType = ()>>(client: Client, namespace: Option<&str>) -> Api<Raw> {
    let resource = ApiResource::erase::<K>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// How many objects of a list are in memory as text at once.
const PAGE: u32 = 500;

/// A page of a list; its objects as the text they came in.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// Every object of kind `K`, page by page, without its field ownership, which nobody reads.
pub(super) async fn list<K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send>(
    client: &Client,
    namespace: Option<&str>,
) -> Result<Vec<K>, kube::Error> {
    list_of(client, namespace, ListParams::default()).await
}

/// As `list`, of the objects that are wanted.
pub(super) async fn list_of<K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send>(
    client: &Client,
    namespace: Option<&str>,
    wanted: ListParams,
) -> Result<Vec<K>, kube::Error> {
    let mut all = Vec::new();
    each::<K>(client, namespace, wanted, |text| {
        all.push(typed(text)?);
        Ok(())
    })
    .await?;
    Ok(all)
}

/// Gives every object of kind `K` as text. Only one of them is more than text at a time.
pub(super) async fn each<K: kube::Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
    wanted: ListParams,
    mut take: impl FnMut(&RawValue) -> Result<(), serde_json::Error> + Send,
) -> Result<(), kube::Error> {
    let request = Request::new(K::url_path(&(), namespace));
    let mut page = wanted.limit(PAGE);
    loop {
        let asked = request.list(&page).map_err(kube::Error::BuildRequest)?;
        let text = client.request_text(asked).await?;
        let next = {
            let found: Page<'_> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
            found.items.into_iter().flatten().try_for_each(&mut take).map_err(kube::Error::SerdeError)?;
            found.metadata.continue_
        };
        match next.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(()),
        }
    }
}

/// An object as its type, without its field ownership.
pub(super) fn typed<K: kube::Resource + DeserializeOwned>(text: &RawValue) -> Result<K, serde_json::Error> {
    let mut object: K = serde_json::from_value(serde_json::from_str(text.get())?)?;
    object.meta_mut().managed_fields = None;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
    use kube::ResourceExt as _;
    use serde_json::json;

    #[test]
    fn an_object_is_read_once_and_becomes_its_type() {
        let object: Raw =
            serde_json::from_value(json!({"metadata": {"name": "api", "resourceVersion": "7"}, "spec": {"containers": [{"name": "api"}]}})).unwrap();
        assert_eq!((object.name_any().as_str(), object.resource_version().as_deref()), ("api", Some("7")));
        let pod: Pod = object.clone().typed().unwrap();
        assert_eq!(pod.spec.unwrap().containers.len(), 1);
        let wrong: Raw = serde_json::from_value(json!({"metadata": {}, "spec": {"containers": "none"}})).unwrap();
        assert!(wrong.typed::<Pod>().unwrap_err().to_string().contains("expected a sequence"));
    }

    #[test]
    fn each_kind_has_its_own_path() {
        let path = |resource: &ApiResource, namespace| <Raw as kube::Resource>::url_path(resource, namespace);
        assert_eq!(path(&ApiResource::erase::<Pod>(&()), Some("todo")), "/api/v1/namespaces/todo/pods");
        assert_eq!(path(&ApiResource::erase::<Deployment>(&()), None), "/apis/apps/v1/deployments");
    }
}
