//! News of running operations for clients that subscribed: looks at the journal again and again, and says that it grew; what is new the client reads itself.

use landfall::failure::Failure;
use landfall::landfall::{Landfall, Mark};
use rmcp::model::{ErrorData, ResourceUpdatedNotificationParam};
use rmcp::service::{SubscriptionContext, SubscriptionSink};
use rmcp::{Peer, RoleServer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often an operation is looked at.
const PACE: Duration = Duration::from_millis(300);
/// Resources that one connection may subscribe to.
const LIMIT: usize = 64;

/// The subscriptions of one connection of the older revisions; they end with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions(Arc<Mutex<HashMap<String, DropGuard>>>);

impl Subscriptions {
    /// Watches a resource for a client until it is settled, unsubscribed or the connection ends.
    pub(crate) fn add(&self, landfall: Landfall, uri: String, peer: Peer<RoleServer>) -> Result<(), ErrorData> {
        let first = landfall.stands(&uri).map_err(|failure| refused(&failure))?;
        let ends = CancellationToken::new();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= LIMIT && !all.contains_key(&uri) {
            return Err(ErrorData::invalid_params(format!("at most {LIMIT} subscriptions; unsubscribe from one first"), None));
        }
        all.insert(uri.clone(), ends.clone().drop_guard());
        drop(all);
        tokio::spawn(async move {
            let listener = Listener::Peer(peer);
            tokio::select! {
                () = ends.cancelled() => {}
                () = watch(&landfall, vec![(uri, first)], &listener) => {}
            }
        });
        Ok(())
    }

    /// Ends a subscription; one that is not there is no fault.
    pub(crate) fn remove(&self, uri: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uri);
    }
}

/// Serves one subscription of the revision without a handshake.
pub(crate) async fn listen(landfall: &Landfall, context: &SubscriptionContext) {
    let accepted = context.accepted().resource_subscriptions.clone().unwrap_or_default();
    let marks = accepted.into_iter().filter_map(|uri| landfall.stands(&uri).ok().map(|mark| (uri, mark))).collect();
    let listener = Listener::Sink(context.sink().clone());
    tokio::select! {
        () = context.cancelled() => {}
        () = async {
            watch(landfall, marks, &listener).await;
            // The client ends the stream, also where nothing new can come.
            context.cancelled().await;
        } => {}
    }
}

/// Who hears of changes, in the form of its revision.
enum Listener {
    Peer(Peer<RoleServer>),
    Sink(SubscriptionSink),
}

impl Listener {
    /// False where nobody is there any more.
    async fn hears(&self, uri: &str) -> bool {
        match self {
            Self::Peer(peer) => peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_ok(),
            Self::Sink(sink) => sink.notify_resource_updated(uri).await.is_ok(),
        }
    }
}

/// Tells of every change until all are settled or nobody listens.
async fn watch(landfall: &Landfall, mut known: Vec<(String, Mark)>, listener: &Listener) {
    known.truncate(LIMIT);
    while known.iter().any(|(_, mark)| !mark.settled) {
        tokio::time::sleep(PACE).await;
        for (uri, mark) in &mut known {
            if mark.settled {
                continue;
            }
            match landfall.stands(uri) {
                Ok(now) if now != *mark => {
                    *mark = now;
                    if !listener.hears(uri).await {
                        return;
                    }
                }
                Ok(_) => {}
                // Its records are gone: there is nothing to tell any more.
                Err(_) => mark.settled = true,
            }
        }
    }
}

fn refused(failure: &Failure) -> ErrorData {
    ErrorData::resource_not_found(format!("{failure}; {}", failure.help), None)
}
