//! Functions from source: ten lines of code, no image, no registry.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crds::{ConditionType, Function, Reason, condition};
use e2e::{
    http::Answer,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use serde_json::{Value, json};

/// A Function with this code in place of an image; `more` goes beside it.
async fn function(scene: &Scene, name: &str, runtime: &str, code: &str, more: Value) -> Result<Function> {
    let mut spec = json!({
        "image": null, "source": {"runtime": runtime, "inline": code},
        "resources": {"memory": "128Mi", "cpu": "20m"},
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    scene.function(name, spec).await
}

fn says(answer: &Answer, text: &str) -> Result<()> {
    ensure!(answer.status == 200 && answer.text() == text, "{} {}", answer.status, answer.text());
    Ok(())
}

#[test]
fn ten_lines_answer() {
    scene("source", async |scene| {
        let python = "def handler(request):\n    return f'{request.method} {request.path} {request.args.get(\"a\")}'\n";
        let node = "exports.handler = (req) => `${req.method} ${req.path} ${req.query.a}`;\n";
        let web = "export default { async fetch(request) { return new Response(await request.text() || 'empty') } }\n";
        for (name, runtime, code, said) in
            [("py", "python", python, "GET /x 1"), ("js", "node", node, "GET /x 1"), ("web", "node", web, "empty")]
        {
            function(&scene, name, runtime, code, json!({})).await?;
            let begin = Instant::now();
            let answer = scene.get(name, "/x?a=1").await?;
            says(&answer, said)?;
            tell(format_args!("{name} from zero: {:.0?} {:?}", begin.elapsed(), answer.header("server-timing")));
        }
        Ok(())
    });
}

/// What the code is made of arrives byte for byte.
#[test]
fn every_text_arrives_as_it_is() {
    scene("bytes", async |scene| {
        let text = "../../etc/passwd \u{feff} \u{1F600} é $(PORT) ${x} %s \\u0041 \u{2028}";
        let python =
            format!("# \u{1F600}\r\nTEXT = {text:?}\r\ndef handler(request):\r\n    return TEXT.encode().hex()\r\n");
        // Python's literals have other escapes than Rust's: the text stands in raw quotes.
        let python = python.replace(&format!("{text:?}"), &format!("r'''{text}'''"));
        let node = format!("\u{feff}// \u{1F600}\r\nconst text = String.raw`{}\0`;\r\n", text.replace("${x}", "$x"))
            + "exports.handler = () => Buffer.from(text).toString('hex');\r\n";
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        function(&scene, "py", "python", &python, json!({})).await?;
        says(&scene.get("py", "/").await?, &hex(text))?;
        function(&scene, "js", "node", &node, json!({})).await?;
        says(&scene.get("js", "/").await?, &hex(&format!("{}\0", text.replace("${x}", "$x"))))
    });
}

/// A function that cannot be loaded, what its callers are told, and a line of the code that they are not.
struct Broken {
    name: &'static str,
    runtime: &'static str,
    code: &'static str,
    sentence: &'static str,
    line: &'static str,
}

const BROKEN: &[Broken] = &[
    Broken {
        name: "syntax",
        runtime: "python",
        code: "import os\n\ndef handler(request)\n    return 'a secret'\n",
        sentence: "syntax error in line 3",
        line: "def handler(request)",
    },
    Broken {
        name: "missing",
        runtime: "python",
        code: "def hello(request): return 'a'\n",
        sentence: "no function named handler",
        line: "",
    },
    Broken {
        name: "raises",
        runtime: "python",
        code: "secret = 'a secret'\nraise ValueError(secret)\n",
        sentence: "ValueError",
        line: "raise ValueError(secret)",
    },
    Broken { name: "exits", runtime: "python", code: "import sys\nsys.exit(3)\n", sentence: "sys.exit(3)", line: "" },
    Broken {
        name: "js-syntax",
        runtime: "node",
        code: "exports.handler = () => {\n  retrun 'a secret'\n}\n",
        sentence: "syntax error",
        line: "retrun 'a secret'",
    },
    Broken {
        name: "js-missing",
        runtime: "node",
        code: "exports.hello = () => 'a'\n",
        sentence: "no function named handler",
        line: "",
    },
    Broken {
        name: "js-raises",
        runtime: "node",
        code: "const secret = 'a secret'\nthrow new RangeError(secret)\n",
        sentence: "RangeError",
        line: "function.js:2:7",
    },
];

#[test]
fn code_that_cannot_be_loaded_is_told_with_its_reason() {
    scene("broken", async |scene| {
        join_all(BROKEN.iter().map(|broken| told(&scene, broken))).await.into_iter().collect()
    });
}

async fn told(scene: &Scene, broken: &Broken) -> Result<()> {
    let Broken { name, runtime, code, sentence, line } = broken;
    function(scene, name, runtime, code, json!({})).await?;
    let problem = scene.get(name, "/").await?.problem(503)?;
    let detail = problem["detail"].to_string();
    ensure!(problem["reason"] == Reason::SourceError.as_str() && detail.contains(sentence), "{name}: {problem}");
    ensure!(!detail.contains("secret") && !detail.contains("function."), "{name} tells callers its code: {detail}");
    let wrong = |f: &Function| {
        let conditions = f.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
        let ready = condition::find(conditions, ConditionType::Ready);
        ready.is_some_and(|c| {
            c.reason == Reason::SourceError.as_str() && c.message.contains(sentence) && c.message.contains(line)
        })
    };
    scene.function_when(name, "told to be broken", wrong).await?;
    until("an Event about it", PATIENCE, async || {
        let events = scene.api::<Event>().list(&Default::default()).await?;
        let found = events.items.into_iter().any(|event| {
            let message = event.message.unwrap_or_default();
            event.involved_object.name.as_deref() == Some(name) && message.contains(sentence) && message.contains(line)
        });
        Ok(found.then_some(()))
    })
    .await?;
    scene.change_function(name, json!({"debug": true})).await?;
    scene.function_when(name, "seen", |f| f.status.as_ref().is_some_and(|s| s.observed_generation == 2)).await?;
    let told = until("the trace in the answer", PATIENCE, async || {
        let problem = scene.get(name, "/").await?.problem(503)?;
        let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
        Ok((detail.contains(line) && detail.contains(sentence)).then_some(detail))
    })
    .await?;
    tell(format_args!("{name}: {told}"));
    Ok(())
}

#[test]
fn code_that_never_ends_loading_meets_the_deadline() {
    scene("endless", async |scene| {
        let code = "import time\nwhile True: time.sleep(1)\n";
        function(&scene, "endless", "python", code, json!({"timeouts": {"coldStartSeconds": 3}})).await?;
        let problem = scene.get("endless", "/").await?.problem(504)?;
        ensure!(problem["limitMs"] == 3000, "{problem}");
        Ok(())
    });
}

#[test]
fn more_than_64_kib_are_refused_with_the_way_beyond() {
    scene("long", async |scene| {
        let code = format!("# {}\n", "é".repeat(32_768));
        let refused = function(&scene, "long", "python", &code, json!({})).await;
        let said = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(said.contains("at most 64 KiB") && said.contains("spec.image"), "{said}");
        // The largest that there may be.
        let code = |text: &str| format!("def handler(request): return str(len(TEXT))\nTEXT = '{text}'\n");
        let most = 65_536 - code("").len();
        function(&scene, "most", "python", &code(&"x".repeat(most)), json!({})).await?;
        says(&scene.get("most", "/").await?, &most.to_string())
    });
}

#[test]
fn an_unknown_runtime_is_told_with_those_that_there_are() {
    scene("ruby", async |scene| {
        let spec = json!({"image": null, "source": {"runtime": "ruby", "inline": "puts 1"}});
        scene.apply_function("ruby", spec).await?;
        let told = |f: &Function| {
            let conditions = f.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
            condition::find(conditions, ConditionType::Ready).is_some_and(|c| c.message.contains("node, python"))
        };
        scene.function_when("ruby", "refused", told).await.map(drop)
    });
}

#[test]
fn other_code_takes_over_and_no_request_notices() {
    scene("recode", async |scene| {
        let code = |version: u32| {
            format!("import time\ndef handler(request):\n    time.sleep(0.05)\n    return '{version}'\n")
        };
        function(&scene, "app", "python", &code(1), json!({"scaling": {"minReplicas": 1}})).await?;
        says(&scene.get("app", "/").await?, "1")?;
        let first = revision(&scene).await?;
        // Until the new code has answered for a while: how long it takes to start is the node's affair.
        let flow = async {
            let (mut seen, begin, mut turned) = (Vec::new(), Instant::now(), None::<Instant>);
            while turned.is_none_or(|turned| turned.elapsed() < Duration::from_secs(5)) {
                ensure!(begin.elapsed() < PATIENCE * 2, "the old code answers after {:?}", begin.elapsed());
                for answer in join_all((0..4).map(|_| scene.get("app", "/"))).await {
                    let answer = answer?;
                    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
                    seen.push(answer.text());
                }
                if turned.is_none() && seen.last().is_some_and(|text| text == "2") {
                    turned = Some(Instant::now());
                }
            }
            Ok(seen)
        };
        let change = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let source = json!({"source": {"runtime": "python", "inline": code(2)}});
            scene.change_function("app", source).await.map(drop)
        };
        let (seen, ()) = tokio::try_join!(flow, change)?;
        ensure!(seen[0] == "1", "the new code answered before it was there");
        tell(format_args!("{} requests while the code changed, none failed", seen.len()));
        ensure!(revision(&scene).await? != first);
        until("the old code is gone", PATIENCE * 2, async || {
            Ok(scene.api::<ConfigMap>().get_opt(&first).await?.is_none().then_some(()))
        })
        .await
    });
}

/// Node's heap ends before the pod's memory does, and options of one's own take the place of that.
#[test]
fn a_heap_fits_the_memory() {
    scene("heap", async |scene| {
        let code = "exports.handler = () => String(require('v8').getHeapStatistics().heap_size_limit / 1048576)\n";
        let more = |memory: Value, options: &str| {
            let env = (!options.is_empty()).then(|| json!({"name": "NODE_OPTIONS", "value": options}));
            // A CPU request that comes with so much memory might find no room beside the other tests.
            json!({"resources": {"memory": memory, "cpu": "20m"}, "env": env.into_iter().collect::<Vec<_>>()})
        };
        for (name, more, from, to) in [
            ("given", more(json!(null), ""), 128, 256),
            ("large", more(json!("1Gi"), ""), 768, 1024),
            // There is no snapshot for this one.
            ("odd", more(json!("300Mi"), ""), 150, 300),
            ("own", more(json!("1Gi"), "--max-old-space-size=100 --no-warnings"), 100, 200),
        ] {
            function(&scene, name, "node", code, more).await?;
            let answer = scene.get(name, "/").await?;
            ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
            let limit: f64 = answer.text().parse()?;
            tell(format_args!("{name}: a heap of {limit:.0} MiB, {:?}", answer.header("server-timing")));
            ensure!(limit >= f64::from(from) && limit < f64::from(to), "{name}: {limit} MiB");
        }
        Ok(())
    });
}

async fn revision(scene: &Scene) -> Result<String> {
    Ok(scene.api::<Function>().get("app").await?.status.unwrap_or_default().revision)
}

#[test]
fn a_thousand_requests_at_fifty_at_once() {
    scene("many", async |scene| {
        for (name, runtime, code) in [
            ("py", "python", "def handler(request): return request.args['n']\n"),
            ("js", "node", "exports.handler = (req) => req.query.n\n"),
        ] {
            function(&scene, name, runtime, code, json!({"scaling": {"maxReplicas": 1}})).await?;
            let caller = async |first: usize| {
                for n in (first..1000).step_by(50) {
                    says(&scene.get(name, &format!("/?n={n}")).await?, &n.to_string())?;
                }
                anyhow::Ok(())
            };
            let begin = Instant::now();
            join_all((0..50).map(caller)).await.into_iter().collect::<Result<Vec<_>>>()?;
            tell(format_args!("{runtime}: 1000 requests, 0 failed, {:.1?}", begin.elapsed()));
        }
        Ok(())
    });
}
