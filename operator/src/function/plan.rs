//! What the children of a Function look like. Pure, and cannot fail.

mod pod;
mod source;

pub use source::config_map;

use std::collections::BTreeMap;

use crds::{Amount, Function, labels, names};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        core::v1::{Service, ServiceAccount, ServiceSpec},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
    },
};
use kube::Resource;

use super::validate::Valid;
use crate::{boost::Boost, settings::Settings};

/// The shape of the generated pod template. Raise it with every change of what [`pod::template`] makes of the same
/// Function: running functions keep the old shape, and take the new one at their next start from zero.
pub const TEMPLATE_EPOCH: u32 = 1;

/// The children.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// An ExternalName to the activator: `http://NAME.NAMESPACE` works at zero and above.
    pub service: Service,
    /// Unless the Function names one.
    pub service_account: Option<ServiceAccount>,
    /// The wanted revision, without `replicas`.
    pub deployment: Deployment,
}

/// Plans the children of a Function. `boost`: of its start, if it has a CPU limit.
pub fn function(valid: &Valid, settings: &Settings, boost: Option<Boost>) -> Plan {
    let boosted = boost.and_then(|boost| boosted(valid, boost));
    Plan {
        service: service(valid, settings),
        service_account: valid.own_service_account.then(|| service_account(valid)),
        deployment: deployment(valid, boosted.as_ref()),
    }
}

/// The CPU limit with which its pods start, if that is not their own.
fn boosted(valid: &Valid, boost: Boost) -> Option<Quantity> {
    let own = Amount(valid.cpu_limit.as_ref()?.0.clone()).milli().ok()?;
    Some(Quantity(format!("{}m", boost.limit(own)?)))
}

fn service(valid: &Valid, settings: &Settings) -> Service {
    Service {
        metadata: metadata(valid, &valid.name, BTreeMap::new()),
        spec: Some(ServiceSpec {
            type_: Some("ExternalName".to_owned()),
            external_name: Some(settings.activator_host.clone()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn service_account(valid: &Valid) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(valid, &names::service_account(&valid.name), BTreeMap::new()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn deployment(valid: &Valid, boosted: Option<&Quantity>) -> Deployment {
    let mut metadata = metadata(valid, &valid.revision, revision_labels(valid));
    let mut epoch = TEMPLATE_EPOCH.to_string();
    if let (Some(source), Some(runtime)) = (&valid.function.spec.source, &valid.runtime) {
        epoch = format!("{epoch}{}{}", labels::RUN_BY, runtime.fingerprint());
        metadata.labels.get_or_insert_default().insert(labels::RUNTIME.to_owned(), source.runtime.clone());
    }
    if let Some(limit) = boosted {
        epoch = format!("{epoch}{}{}", labels::BOOSTED, limit.0);
    }
    metadata.annotations = Some(BTreeMap::from([
        (labels::TEMPLATE_EPOCH.to_owned(), epoch),
        (labels::READINESS_PATH.to_owned(), valid.function.spec.readiness.path.clone()),
    ]));
    metadata.labels.get_or_insert_default().insert(labels::FUNCTION_UID.to_owned(), valid.uid.clone());
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            // Another spec is another Deployment: there is nothing to roll back to.
            revision_history_limit: Some(0),
            // Only what `kubectl rollout status` says; the operator keeps its own clock.
            progress_deadline_seconds: Some(valid.function.spec.timeouts.cold_start_seconds.max(1)),
            selector: LabelSelector { match_labels: Some(revision_labels(valid)), match_expressions: None },
            template: pod::template(valid, boosted),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// The labels by which a revision's pods are selected. A selector cannot be changed: neither can this.
fn revision_labels(valid: &Valid) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::FUNCTION.to_owned(), valid.name.clone()),
        (labels::REVISION.to_owned(), valid.revision.clone()),
    ])
}

fn metadata(valid: &Valid, name: &str, mut extra: BTreeMap<String, String>) -> ObjectMeta {
    extra.insert(labels::FUNCTION.to_owned(), valid.name.clone());
    extra.insert(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_ROUSE.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(valid.namespace.clone()),
        labels: Some(extra),
        owner_references: Some(vec![owner(valid)]),
        ..ObjectMeta::default()
    }
}

/// The Function as controller. It does not block its own deletion, for which a right of its own would be needed.
fn owner(valid: &Valid) -> OwnerReference {
    OwnerReference {
        api_version: Function::api_version(&()).into_owned(),
        kind: Function::kind(&()).into_owned(),
        name: valid.name.clone(),
        uid: valid.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

#[cfg(test)]
mod tests;
