//! Bodies pass piece by piece, both ways, and nothing of them is kept.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use e2e::{
    bench::idle,
    http::streaming::{self, Body},
    scene::{PATIENCE, Scene, scene, tell},
};
use http::{Request, Response, header::HOST};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

/// What is sent through: 200 MB.
const LARGE: usize = 200_000_000;
/// How much an activator's memory may grow meanwhile: 10 MB, in KiB.
const ROOM_KIB: f64 = 10_000_000.0 / 1024.0;

/// A request to a function; its connection is closed when the answer is dropped.
async fn over_http1(scene: &Scene, request: http::request::Builder, body: Body) -> Result<Response<Incoming>> {
    let mut sender = streaming::http1(scene.entry).await?;
    // A start, and 200 MB, on a machine that is busy with other tests.
    Ok(timeout(PATIENCE * 3, sender.send_request(request.body(body)?)).await??)
}

/// What real curl makes of an answer: its exit code (curl(1): 18 partial file, 56 cannot receive, 92 stream error), and what
/// it says.
async fn curl(scene: &Scene, arguments: &[&str]) -> Result<(i32, String)> {
    let mut command = tokio::process::Command::new("curl");
    let own = ["--silent", "--show-error", "--max-time", "50", "--output", "/dev/null"];
    command.args(own).args(["--connect-to", &format!("::{}", scene.entry)]).args(arguments).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await?.context("cannot run curl")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code().context("curl was killed")?, said))
}

fn to(scene: &Scene, function: &str, method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(HOST, scene.host(function))
}

/// There is one activator, and its memory is measured: tests that do so take a turn.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The largest growth of any activator's resident set while `work` runs, in KiB.
async fn growth<T>(scene: &Scene, work: impl Future<Output = Result<T>>) -> Result<(T, f64)> {
    let pids: Vec<u32> = idle::measure(&scene.cluster)
        .await?
        .processes
        .iter()
        .filter(|p| p.name == "activator")
        .map(|p| p.pid)
        .collect();
    ensure!(!pids.is_empty(), "no activator runs");
    let resident = || pids.iter().map(|pid| idle::rss_kib(*pid)).collect::<Result<Vec<f64>>>();
    let before = resident()?;
    let mut most: f64 = 0.0;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, most)),
            _ = tick.tick() => {
                for (now, before) in resident()?.iter().zip(&before) {
                    most = most.max(now - before);
                }
            }
        }
    }
}

async fn large_upload(scene: &Scene, function: &str) -> Result<()> {
    let (mut sender, body) = streaming::piecewise();
    let feed = async move {
        let piece = Bytes::from_static(&[b'u'; 50_000]);
        for _ in 0..LARGE / piece.len() {
            sender.send_data(piece.clone()).await?;
        }
        anyhow::Ok(())
    };
    let (fed, answer) = tokio::join!(feed, over_http1(scene, to(scene, function, "POST", "/upload"), body));
    let answer = answer?;
    fed.context("the upload was not taken")?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let counted = answer.into_body().collect().await?.to_bytes();
    ensure!(counted == format!("{LARGE}\n"), "{counted:?} of {LARGE} bytes arrived");
    Ok(())
}

/// Reads a whole download; after its first piece it waits for `pause`.
async fn large_download(scene: &Scene, function: &str, pause: Duration) -> Result<()> {
    let answer =
        over_http1(scene, to(scene, function, "GET", &format!("/bytes?n={LARGE}")), streaming::whole("")).await?;
    let mut body = answer.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        if read == 0 {
            tokio::time::sleep(pause).await;
        }
        read += frame?.into_data().map_or(0, |data| data.len());
    }
    ensure!(read == LARGE, "{read} of {LARGE} bytes arrived");
    Ok(())
}

#[test]
fn two_hundred_megabytes_pass_through_a_small_activator() {
    let _turn = turn();
    scene("large", async |scene| {
        scene.function("large", json!({"resources": {"memory": "32Mi"}, "timeouts": {"requestSeconds": 120}})).await?;
        // Warm: a start of its own is not what this measures.
        ensure!(scene.get("large", "/").await?.status == 200);
        let began = Instant::now();
        let ((), up) = growth(&scene, large_upload(&scene, "large")).await?;
        tell(format!("200 MB up in {:?}: the activator grew by {up:.0} KiB", began.elapsed()));
        let began = Instant::now();
        let ((), down) = growth(&scene, large_download(&scene, "large", Duration::ZERO)).await?;
        tell(format!("200 MB down in {:?}: the activator grew by {down:.0} KiB", began.elapsed()));
        // A reader that stops for two seconds must stop the pod, not fill the activator.
        let ((), slow) = growth(&scene, large_download(&scene, "large", Duration::from_secs(2))).await?;
        tell(format!("200 MB to a reader that paused: the activator grew by {slow:.0} KiB"));
        for (what, grown) in [("upload", up), ("download", down), ("paused download", slow)] {
            ensure!(grown < ROOM_KIB, "the activator grew by {grown:.0} KiB during the {what}");
        }
        Ok(())
    });
}

#[test]
fn a_large_upload_from_zero_stays_with_its_sender_meanwhile() {
    let _turn = turn();
    scene("held", async |scene| {
        let slow = json!([{"name": "START_DELAY_MS", "value": "2000"}]);
        scene.function("held", json!({"env": slow, "timeouts": {"requestSeconds": 120}})).await?;
        let ((), grown) = growth(&scene, large_upload(&scene, "held")).await?;
        tell(format!("200 MB up from zero: the activator grew by {grown:.0} KiB"));
        ensure!(grown < ROOM_KIB, "the activator grew by {grown:.0} KiB");
        Ok(())
    });
}

#[test]
fn server_sent_events_arrive_one_by_one() {
    scene("sse", async |scene| {
        scene.function("sse", json!({})).await?;
        let answer = over_http1(&scene, to(&scene, "sse", "GET", "/sse?n=5&ms=2000"), streaming::whole("")).await?;
        ensure!(answer.headers()["content-type"] == "text/event-stream");
        ensure!(answer.headers()["rouse-cold-start"] == "true");
        let (mut body, mut text, mut arrivals) = (answer.into_body(), String::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            text.push_str(std::str::from_utf8(frame?.data_ref().context("trailers")?)?);
            if text.matches("data:").count() > arrivals.len() {
                arrivals.push(Instant::now());
            }
        }
        ensure!(text.matches("data: event").count() == 5, "{text}");
        // All at once would be what a proxy that collects the body makes of it; one that comes late is a busy machine's doing.
        let gaps: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        ensure!(gaps.len() == 4 && gaps.iter().all(|gap| *gap > Duration::from_millis(500)), "{gaps:?}");
        Ok(())
    });
}

/// Sends a piece and gets it back before it sends the next one.
async fn converse(
    mut sender: http_body_util::channel::Sender<Bytes, std::io::Error>,
    answer: Response<Incoming>,
) -> Result<()> {
    ensure!(answer.status() == 200, "{}", answer.status());
    let mut body = answer.into_body();
    for n in 0..5 {
        let piece = format!("piece {n}");
        sender.send_data(piece.clone().into()).await?;
        let frame = timeout(PATIENCE, body.frame()).await.with_context(|| format!("{piece} did not come back"))?;
        let back = frame.context("the body ended early")??.into_data().unwrap_or_default();
        ensure!(back == piece, "{piece} came back as {back:?}");
    }
    drop(sender);
    let rest = timeout(PATIENCE, body.collect()).await.context("the end did not come")??.to_bytes();
    ensure!(rest.is_empty(), "{rest:?} came after the end");
    Ok(())
}

#[test]
fn both_directions_stream_at_once() {
    scene("duplex", async |scene| {
        scene.function("one", json!({})).await?;
        scene.function("two", json!({"protocol": "H2C"})).await?;
        for function in ["one", "two"] {
            let (sender, body) = streaming::piecewise();
            converse(sender, over_http1(&scene, to(&scene, function, "POST", "/echo"), body).await?)
                .await
                .with_context(|| format!("HTTP/1.1 to {function}"))?;
            let (sender, body) = streaming::piecewise();
            let uri = format!("http://{}/echo", scene.host(function));
            let mut client = streaming::http2(scene.entry).await?;
            let answer = timeout(PATIENCE, client.send_request(Request::post(uri).body(body)?)).await??;
            converse(sender, answer).await.with_context(|| format!("HTTP/2 to {function}"))?;
        }
        Ok(())
    });
}

#[test]
fn http2_with_prior_knowledge_multiplexes() {
    scene("h2c", async |scene| {
        scene.function("h2c", json!({"protocol": "H2C"})).await?;
        let client = streaming::http2(scene.entry).await?;
        let sleep = |mut client: hyper::client::conn::http2::SendRequest<Body>| {
            let uri = format!("http://{}/sleep?ms=1000", scene.host("h2c"));
            async move {
                let answer = client.send_request(Request::get(uri).body(streaming::whole(""))?).await?;
                ensure!(answer.status() == 200 && answer.version() == http::Version::HTTP_2, "{}", answer.status());
                anyhow::Ok(answer.headers()["rouse-cold-start"].clone())
            }
        };
        ensure!(timeout(PATIENCE, sleep(client.clone())).await?? == "true");
        let began = Instant::now();
        let all = futures::future::try_join_all((0..40).map(|_| sleep(client.clone())));
        ensure!(timeout(PATIENCE, all).await??.iter().all(|cold| cold == "false"));
        let took = began.elapsed();
        tell(format!("40 requests of a second over one connection: {took:?}"));
        ensure!(took < Duration::from_secs(25), "one after the other: {took:?}");
        Ok(())
    });
}

#[test]
fn a_caller_that_expects_100_keeps_its_body_until_a_pod_wants_it() {
    scene("expect", async |scene| {
        let slow = json!([{"name": "START_DELAY_MS", "value": "1500"}]);
        scene.function("expect", json!({"env": slow})).await?;
        let mut stream = BufReader::new(streaming::connect(scene.entry).await?);
        let head = |host: &str| {
            let fields = "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close";
            format!("POST /upload HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n")
        };
        let began = Instant::now();
        stream.write_all(head(&scene.host("expect")).as_bytes()).await?;
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.context("no 100")??;
        let waited = began.elapsed();
        ensure!(line == "HTTP/1.1 100 Continue\r\n", "{line:?}");
        ensure!(waited > Duration::from_millis(1500), "100 after {waited:?}, before any pod was there");
        stream.write_all(b"12345").await?;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.context("no answer")??;
        ensure!(answer.contains("HTTP/1.1 200 OK") && answer.contains("\r\n5\n"), "{answer}");
        // Refused without the body: no 100, and the final answer at once.
        let mut stream = BufReader::new(streaming::connect(scene.entry).await?);
        stream.write_all(head(&scene.host("nobody")).as_bytes()).await?;
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.context("no answer without the body")??;
        ensure!(line.starts_with("HTTP/1.1 404"), "{line:?}");
        Ok(())
    });
}

#[test]
fn half_an_answer_is_never_taken_for_a_whole_one() {
    scene("broken", async |scene| {
        scene.function("broken", json!({"timeouts": {"requestSeconds": 5}})).await?;
        // Warm: a start of its own is not what this times.
        ensure!(scene.get("broken", "/").await?.status == 200);
        // The pod breaks off; the deadline passes while the body flows.
        for path in ["/broken?n=1000000", "/sse?n=1000&ms=100"] {
            let began = Instant::now();
            let answer = over_http1(&scene, to(&scene, "broken", "GET", path), streaming::whole("")).await?;
            ensure!(answer.status() == 200, "{path}: {}", answer.status());
            let end = timeout(PATIENCE, answer.into_body().collect()).await?;
            ensure!(end.is_err(), "{path}: HTTP/1.1 ended as if it were whole");
            let uri = format!("http://{}{path}", scene.host("broken"));
            let mut client = streaming::http2(scene.entry).await?;
            let answer =
                timeout(PATIENCE, client.send_request(Request::get(uri).body(streaming::whole(""))?)).await??;
            let end = timeout(PATIENCE, answer.into_body().collect()).await?;
            ensure!(end.is_err(), "{path}: HTTP/2 ended as if it were whole");
            // Two deadlines of five seconds, on a machine that is busy with other tests.
            ensure!(began.elapsed() < Duration::from_secs(40), "{path}: only after {:?}", began.elapsed());
            for (protocol, wanted) in [("--http1.1", [18, 56]), ("--http2-prior-knowledge", [92, 56])] {
                let url = format!("http://{}{path}", scene.host("broken"));
                let (code, said) = curl(&scene, &[protocol, &url]).await?;
                ensure!(wanted.contains(&code), "{path}: curl {protocol} ended with {code}: {said}");
            }
        }
        Ok(())
    });
}
