//! The chart: what its schema refuses, what it renders, and that what it tells its user is true.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use e2e::{
    install, kube,
    scene::{Scene, scene},
};
use serde_json::Value;

/// `helm`, with what it said on either stream.
fn helm(scene: &Scene, arguments: &[&str]) -> Result<(bool, String)> {
    let output = kube::helm(&scene.cluster, arguments)?;
    Ok((output.status.success(), String::from_utf8([output.stdout, output.stderr].concat())?))
}

fn render(scene: &Scene, further: &[&str]) -> Result<(bool, String)> {
    let chart = install::chart().display().to_string();
    let fixed = ["template", install::RELEASE, &chart, "--namespace", install::NAMESPACE];
    helm(scene, &[&fixed, further].concat())
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let read = |name: &str| -> Value {
        serde_yaml::from_str(&fs::read_to_string(install::chart().join(name)).unwrap()).unwrap()
    };
    let chart = read("Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// Every value has a comment above it, or is part of a group that has one.
#[test]
fn every_value_is_explained() {
    let text = fs::read_to_string(install::chart().join("values.yaml")).unwrap();
    let mut commented = false;
    let mut group: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            commented = !line.trim().is_empty();
            continue;
        }
        if group.is_none_or(|outer| indent <= outer) {
            assert!(commented || line.ends_with(':'), "values.yaml:{}: no comment: {line}", number + 1);
            group = (commented && line.ends_with(':')).then_some(indent);
        }
        commented = false;
    }
}

#[test]
fn wrong_values_are_refused_by_name() {
    scene("values", async |scene| {
        let mut wrong = Vec::new();
        for (setting, said) in [
            ("operator.replicas=0", "/operator/replicas"),
            ("operator.replicas=many", "/operator/replicas"),
            ("operator.replica=2", "replica"),
            ("operator.leaseSeconds=1", "/operator/leaseSeconds"),
            ("operator.resources.cpu=1", "cpu"),
            ("operator.startupBoost.factor=0", "/operator/startupBoost/factor"),
            ("operator.startupBoost.leastMilliCpu=1.5", "/operator/startupBoost/leastMilliCpu"),
            ("operator.startupBoost.enabled=sometimes", "/operator/startupBoost/enabled"),
            ("operator.image.digest=sha256:12", "/operator/image/digest"),
            ("image.pullpolicy=Always", "pullpolicy"),
            ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
            ("activator.limits.maxHeld=-1", "/activator/limits/maxHeld"),
            ("activator.limits.maxheld=1", "maxheld"),
            ("activator.limits.namespaceSharePercent=101", "/activator/limits/namespaceSharePercent"),
            ("activator.service.type=External", "/activator/service/type"),
            ("activator.podLabels.a= b ", "/activator/podLabels/a"),
            ("domain=a_b", "/domain"),
            ("domain=", "/domain"),
            ("url.scheme=ftp", "/url/scheme"),
            ("scaling.ceiling=0", "/scaling/ceiling"),
            ("log.format=xml", "/log/format"),
            ("runAsUser=0", "/runAsUser"),
            ("fullnameOverride=Rouse", "/fullnameOverride"),
            ("crds.keep=perhaps", "/crds/keep"),
            ("anything=1", "anything"),
        ] {
            let (taken, words) = render(&scene, &["--set", setting])?;
            if taken || !words.contains(said) {
                wrong.push(format!("{setting}: {}", words.lines().last().unwrap_or_default()));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn whatever_is_rendered_the_api_server_takes() {
    scene("render", async |scene| {
        let kind = install::chart().join("values-kind.yaml").display().to_string();
        let all = [
            "operator.replicas=2",
            "activator.replicas=2",
            "metrics.service=true",
            "runAsUser=null",
            "url.port=0",
            "activator.service.type=LoadBalancer",
            "activator.service.loadBalancerClass=example.com/lb",
            "activator.service.loadBalancerSourceRanges={10.0.0.0/8}",
            "activator.service.annotations.a/b=c",
            "activator.service.ipFamilyPolicy=PreferDualStack",
            "activator.service.externalTrafficPolicy=Local",
            "activator.nodeSelector.disk=ssd",
            "activator.podLabels.team=x",
            "activator.podAnnotations.note=y",
            "activator.tolerations[0].key=k",
            "activator.tolerations[0].operator=Exists",
            "activator.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=a",
            "activator.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
            "operator.priorityClassName=system-cluster-critical",
            "operator.startupBoost.enabled=false",
            "image.pullSecrets[0].name=registry",
            "image.registry=registry.example:5000/rouse",
            "image.tag=v9",
            "operator.image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "activator.limits.maxHeldBytes=2147483648",
            "scaling.unschedulableSeconds=0",
            "fullnameOverride=other",
        ];
        let mut all: Vec<&str> = all.iter().flat_map(|setting| ["--set", *setting]).collect();
        all.extend(["--set-json", "operator.topologySpreadConstraints=[]"]);
        for further in [Vec::new(), vec!["--values", &kind], all] {
            // The hooks' pods may be there at the moment, and a pod cannot be changed.
            let (rendered, manifests) = render(&scene, &[further.as_slice(), &["--no-hooks"]].concat())?;
            ensure!(rendered, "{further:?}: {manifests}");
            ensure!(!manifests.contains("e+0"), "{further:?}: a number in a form that programs do not read");
            let arguments = [
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "--validate=strict",
                "--field-manager=helm",
                "--filename=-",
            ];
            let output = kube::kubectl(&scene.cluster, &arguments, &manifests)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success() && !said.contains("Warning"), "{further:?}: {said}");
        }
        let (_, rendered) = render(&scene, &["--set", "crds.install=false"])?;
        ensure!(!rendered.contains("kind: CustomResourceDefinition"));
        let (_, rendered) = render(&scene, &["--set", "metrics.serviceMonitor=true"])?;
        ensure!(rendered.contains("kind: ServiceMonitor") && rendered.contains("name: rouse-metrics"));
        let (linted, said) = helm(&scene, &["lint", "--strict", &install::chart().display().to_string()])?;
        ensure!(linted, "{said}");
        Ok(())
    });
}

#[test]
fn helm_test_wakes_a_function() {
    scene("helm-test", async |scene| {
        let (passed, said) = helm(&scene, &["test", install::RELEASE, "--namespace", install::NAMESPACE, "--logs"])?;
        ensure!(passed, "{said}");
        Ok(())
    });
}

/// Runs the commands of the notes as they are pasted: all of them, in their order, in a shell.
#[test]
fn the_notes_are_true() {
    let _turn = e2e::pages::turn();
    scene("notes", async |scene| {
        let (found, notes) = helm(&scene, &["get", "notes", install::RELEASE, "--namespace", install::NAMESPACE])?;
        ensure!(found, "{notes}");
        let lines: Vec<&str> = notes.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        // `helm test` has a test of its own, and two at once would take each other's pods.
        let commands: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with("helm test")).collect();
        ensure!(commands.len() >= 8, "{notes}");
        let folder = tempfile::tempdir()?;
        kube::kubectl_program(&scene.cluster, folder.path(), &[])?;
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
        let mut shell = Command::new("bash");
        // A command that fails must not leave the one in the background behind.
        let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", commands.join("\n"));
        shell.args(["-e", "-c", &script]).env("PATH", path);
        let output = scene.cluster.inside(|| shell.output())??;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.success(), "{said}");
        let answers: Vec<String> =
            said.lines().map(str::to_lowercase).filter(|l| l.starts_with("rouse-cold-start:")).collect();
        ensure!(answers == ["rouse-cold-start: true", "rouse-cold-start: false"], "{said}");
        Ok(())
    });
}
