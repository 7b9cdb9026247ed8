//! What Rouse's own accounts may do: what the frozen lists beside this file say. What the admission policies take away from
//! that is tested in `admission`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::{
    install, kube as access,
    scene::{Scene, scene},
};
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use kube::{Api, Client, api::PostParams};
use serde_json::json;

const ACTIVATOR: &str = "rouse-activator";
const OPERATOR: &str = "rouse-operator";

/// The rules in force for whoever `client` is, in one namespace: one line for each group, resource and name.
async fn rules(client: &Client, namespace: &str) -> Result<BTreeSet<String>> {
    let review: SelfSubjectRulesReview = serde_json::from_value(json!({"spec": {"namespace": namespace}}))?;
    let answer = Api::<SelfSubjectRulesReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    let status = answer.status.context("no rules")?;
    let mut lines = BTreeSet::new();
    for rule in status.resource_rules {
        let mut verbs = rule.verbs;
        verbs.sort();
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                let group = if group.is_empty() { "core" } else { &group };
                let names = rule.resource_names.iter().flatten().map(|name| format!("/{name}")).collect::<String>();
                lines.insert(format!("{group} {resource}{names}: {}", verbs.join(" ")));
            }
        }
    }
    for rule in status.non_resource_rules {
        let urls = rule.non_resource_urls.unwrap_or_default().join(" ");
        lines.insert(format!("{urls}: {}", rule.verbs.join(" ")));
    }
    Ok(lines)
}

/// Compares with the frozen list: `everywhere` lines hold in all namespaces, `own` ones in Rouse's alone.
async fn frozen(scene: &Scene, account: &str, list: &str) -> Result<()> {
    // What any account at all may do is Kubernetes' affair.
    scene.create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}})).await?;
    let nobody = access::client_as(&scene.cluster, &scene.namespace, "nobody").await?;
    let client = access::client_as(&scene.cluster, install::NAMESPACE, account).await?;
    let beyond = async |namespace: &str| {
        let anybody = rules(&nobody, namespace).await?;
        let all = rules(&client, namespace).await?;
        anyhow::Ok(all.difference(&anybody).cloned().collect::<BTreeSet<_>>())
    };
    let everywhere = beyond(&scene.namespace).await?;
    let own: BTreeSet<_> = beyond(install::NAMESPACE).await?.difference(&everywhere).cloned().collect();
    let found: Vec<String> = (everywhere.iter().map(|line| format!("everywhere {line}")))
        .chain(own.iter().map(|line| format!("own {line}")))
        .collect();
    let wanted: Vec<&str> = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    ensure!(found == wanted, "the rules of {account} are not those of the frozen list but:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn the_rules_of_the_activator_are_the_frozen_ones() {
    scene("rules-a", |scene| async move { frozen(&scene, ACTIVATOR, include_str!("rights/activator.txt")).await });
}

#[test]
fn the_rules_of_the_operator_are_the_frozen_ones() {
    scene("rules-o", |scene| async move { frozen(&scene, OPERATOR, include_str!("rights/operator.txt")).await });
}
