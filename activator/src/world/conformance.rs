//! h2spec, which tries what servers of HTTP/2 must and should do, against the whole data path.

use tokio::process::Command;

use super::{TestPod, eventually, world};

/// Of every test that it has, the strict ones included.
const RESULT: &str = "146 tests, 146 passed, 0 skipped, 0 failed";

#[tokio::test]
#[ignore = "needs the program whose path is in ROUSE_H2SPEC: `cargo e2e test` builds it"]
async fn http2_is_spoken_as_h2spec_wants_it() {
    let h2spec = std::env::var("ROUSE_H2SPEC").expect("ROUSE_H2SPEC is the path of h2spec");
    let world = world().await;
    // Its name is its answer, and a short one would be too little for some of the tests.
    let pod = TestPod::start("a-pod-with-a-name").await;
    world.appear(&pod, "r1");
    // The host that it asks for.
    world.trigger(&world.address.ip().to_string(), "/");
    eventually(|| world.index.pods().iter().all(|pod| pod.is_ready())).await;
    let port = world.address.port().to_string();
    // Each of its tests has so many seconds, and on a busy machine needs more than the two that it gives them otherwise.
    let arguments = ["--strict", "--timeout", "10", "--host", "127.0.0.1", "--port", &port];
    let ran = Command::new(h2spec).args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    // What failed is told once more behind this word.
    let failures = said.split_once("Failures:").map_or("", |(_, failures)| failures);
    let failed: Vec<&str> = failures.lines().filter_map(|line| line.trim().strip_prefix("× ")).collect();
    assert_eq!(failed, Vec::<&str>::new(), "{failures}");
    assert_eq!(said.lines().last(), Some(RESULT));
}
