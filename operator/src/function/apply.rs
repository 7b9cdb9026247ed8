//! Brings the children to the plan. Writes only what differs: a calm pass writes nothing.
//!
//! Children are *created* by POST, under a field manager of its own; every later write names the UID that was seen, so
//! that a stale view cannot make the object anew, and never names `replicas`, which would be reset to 1 one day.

mod child;
mod deployment;
mod drift;
mod owner;
mod source;

use std::{fmt, time::Duration};

use crds::labels;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use runtime::{client::CallError, failure::Failure};

use super::{plan::Plan, resolve::References, rollout::Rollout, validate::Valid};
use crate::context::Context;

use child::ensure;

/// For one write.
const DEADLINE: Duration = Duration::from_secs(5);

/// Which child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Kind.
    pub kind: &'static str,
    /// Name.
    pub name: String,
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Why the children are not as planned.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The name belongs to somebody else's object. It is left untouched.
    #[error("{0} is there already and does not belong to this Function: delete or rename it, or rename the Function")]
    Taken(Child),
    /// An object of an earlier Function of this name, or one that is being deleted.
    #[error("{0} of before is still being deleted")]
    Terminating(Child),
    /// The API server says no.
    #[error("the API server refuses {0}: {1}")]
    Refused(Child, String),
    /// It did not answer, or its state had moved on. Nothing is known to be wrong.
    #[error("{0} could not be written: {1}")]
    Call(Child, #[source] CallError),
    /// The Function is gone, or another one has its name by now: the watch lags.
    #[error("the Function is not there any more")]
    Gone,
    /// This process is about to stop leading, or has stopped.
    #[error("this process does not lead any more")]
    NotLeading,
}

impl Stop {
    /// Sorts a failed call: a 4xx that says no to the object itself is a refusal; all else may pass.
    fn of(child: Child, error: CallError) -> Self {
        match error.status() {
            Some(400..=403 | 405..=408 | 410..=428 | 430..=499) => {
                let words = error.refusal().unwrap_or("it gives no reason").to_owned();
                Self::Refused(child, words)
            }
            _ => Self::Call(child, error),
        }
    }

    /// The child that it is about.
    pub fn child(&self) -> Option<&Child> {
        match self {
            Self::Taken(child) | Self::Terminating(child) | Self::Refused(child, _) | Self::Call(child, _) => {
                Some(child)
            }
            Self::Gone | Self::NotLeading => None,
        }
    }
}

/// What there is after the pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The revision that serves from now on.
    pub revision: String,
    /// Replicas wanted of it.
    pub replicas: i32,
}

/// Brings Service, ServiceAccount, and the wanted revision's code and Deployment to the plan, in this order, and deletes
/// Deployments that are neither wanted nor serving once nothing of them runs. Also whether that is all: `false`, where
/// one had changed and is still there.
///
/// # Errors
/// [`Stop`] at the first child that cannot be brought to the plan; the later ones are not touched.
pub async fn plan(
    cx: &Context,
    valid: &Valid,
    refs: &References,
    plan: Plan,
    rollout: &Rollout,
    serving: &str,
    failure: Option<&Failure>,
) -> Result<(Applied, bool), Stop> {
    ensure(cx, valid, refs.service.clone(), plan.service, &cx.recent.services).await?;
    if let Some(account) = plan.service_account {
        ensure(cx, valid, refs.service_account.clone(), account, &cx.recent.service_accounts).await?;
    }
    let seen = refs.deployment(&valid.revision).cloned();
    source::ensure(cx, valid, seen.as_ref(), rollout, failure).await?;
    let is_new = seen.is_none();
    let wanted = Box::pin(deployment::ensure(cx, valid, seen, plan.deployment, rollout.replicas())).await;
    if is_new && valid.function.spec.source.is_some() && matches!(wanted, Err(Stop::Refused(..))) {
        // Once the spec asks for another revision, nothing tells of this one any more.
        source::delete(cx, valid, &valid.revision).await?;
    }
    let wanted = wanted?;
    let applied = match rollout {
        Rollout::Steady | Rollout::Switch => Applied { revision: valid.revision.clone(), replicas: replicas(&wanted) },
        Rollout::Grow { .. } | Rollout::Failed(_) => {
            let replicas = refs.deployment(serving).map_or(0, |deployment| replicas(deployment));
            Applied { revision: serving.to_owned(), replicas }
        }
    };
    let mut all = true;
    for retired in refs.deployments.iter().filter(|d| is_retired(d, valid, &[serving, &applied.revision], refs)) {
        // In this order, as only the Deployment tells that there is code: where the second fails, it is seen again.
        if retired.labels().contains_key(labels::RUNTIME) {
            source::delete(cx, valid, &retired.name_any()).await?;
        }
        all &= deployment::delete(cx, retired).await?;
    }
    Ok((applied, all))
}

/// Replicas wanted of a Deployment; Kubernetes' own default is 1.
pub fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().map_or(0, |spec| spec.replicas.unwrap_or(1))
}

/// Ours, neither wanted nor serving (before or after this pass), at 0, and its last pod is gone.
fn is_retired(deployment: &Deployment, valid: &Valid, kept: &[&str], refs: &References) -> bool {
    let name = deployment.name_any();
    name != valid.revision
        && !kept.contains(&name.as_str())
        && deployment.metadata.deletion_timestamp.is_none()
        && owner::of(deployment, valid) == owner::Owner::Ours
        && replicas(deployment) == 0
        && refs.pods_of(&name, true).next().is_none()
}
