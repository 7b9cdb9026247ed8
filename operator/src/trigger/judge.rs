//! What is to be said of each Trigger. Pure.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crds::{
    Reason, Trigger,
    route::{self, Claim, Domains, TriggerKey, Verdict},
};

/// What is to be said of a Trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// In one word; [`Reason::Routed`] is the good one.
    pub(super) reason: Reason,
    /// For people.
    pub(super) message: String,
}

/// Namespace and name.
pub(super) fn key(trigger: &Trigger) -> TriggerKey {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    (part(&trigger.metadata.namespace), part(&trigger.metadata.name))
}

fn claim(trigger: &Trigger) -> Claim {
    let http = &trigger.spec.http;
    Claim {
        key: key(trigger),
        created: trigger.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        function: trigger.spec.function_ref.name.clone(),
        hosts: http.hosts.clone(),
        path: http.path.clone(),
        methods: http.methods.clone(),
    }
}

/// Judges all Triggers. `functions`: namespace and name of each that there is.
pub(super) fn all(
    triggers: &[Arc<Trigger>],
    functions: &HashSet<(String, String)>,
    domains: &Domains,
) -> BTreeMap<TriggerKey, Finding> {
    let claims: Vec<Claim> = triggers.iter().map(|trigger| claim(trigger)).collect();
    let verdicts = route::judge(&claims, domains);
    let finding = |claim: &Claim| match verdicts.get(&claim.key)? {
        Verdict::HostReserved(host) => Some(Finding {
            reason: Reason::HostReserved,
            message: format!(
                "{host} is a function's own address, which no Trigger can claim: remove it from http.hosts."
            ),
        }),
        // Which Trigger is not said across namespaces: its name is not this user's to know.
        Verdict::Conflict { with, route } => {
            let same = with.0 == claim.key.0;
            let other = if same { format!("Trigger {}", with.1) } else { "a Trigger of another namespace".to_owned() };
            let message = format!("{route} belongs to {other}, which is older: change host, path or methods.");
            Some(Finding { reason: Reason::RouteConflict, message })
        }
        Verdict::Routed if !functions.contains(&(claim.key.0.clone(), claim.function.clone())) => Some(Finding {
            reason: Reason::FunctionNotFound,
            message: format!("There is no Function {} in this namespace.", claim.function),
        }),
        Verdict::Routed => {
            Some(Finding { reason: Reason::Routed, message: format!("Requests reach Function {}.", claim.function) })
        }
    };
    claims.iter().filter_map(|claim| Some((claim.key.clone(), finding(claim)?))).collect()
}
