//! The access log, as it is written.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tracing::subscriber::DefaultGuard;

use super::warm::warm;
use super::{TestPod, eventually, world};
use crate::args::Args;

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Starts it as the program does with these arguments. Everything in a test runs in its thread.
    pub(super) fn start(args: &[&str]) -> (Self, DefaultGuard) {
        let args = Args::try_parse_from([&["activator"], args].concat()).unwrap();
        let log = Self::default();
        let out = log.clone();
        let subscriber = runtime::telemetry::subscriber(&args.log_filter(), args.log_format, move || out.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of the access log.
    pub(super) fn lines(&self) -> Vec<Value> {
        self.all().into_iter().filter(|line| line["target"] == "activator::access").collect()
    }

    /// The lines that say this.
    pub(super) fn said(&self, message: &str) -> Vec<Value> {
        self.all().into_iter().filter(|line| line["message"] == message).collect()
    }

    fn all(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn each_request_is_a_line_without_its_secrets() {
    let (log, _guard) = Log::start(&["--access-log=true", "--log=error"]);
    let mut world = world().await;
    let request = Request::post("/echo?token=hidden")
        .header("host", "hello.shop")
        .header("x-request-id", "mine")
        .header("authorization", "Bearer hidden")
        .header("cookie", "hidden")
        .body(Full::new("hidden-body".into()))
        .unwrap();
    let reply = world.send(request);
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().body, "hidden-body");
    eventually(|| log.lines().len() == 1).await;
    let line = &log.lines()[0];
    for (field, value) in [
        ("level", json!("INFO")),
        ("request_id", json!("mine")),
        ("method", json!("POST")),
        ("host", json!("hello.shop")),
        ("path", json!("/echo")),
        ("status", json!(200)),
        ("function", json!("shop/hello")),
        ("revision", json!("r1")),
        ("pod", json!("a")),
        ("cold", json!(true)),
        ("received_bytes", json!(11)),
        ("sent_bytes", json!(11)),
        ("whole", json!(true)),
        ("fault", Value::Null),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(line["phases"].as_str().unwrap().starts_with("total;dur="), "{line}");
    assert!(line["seconds"].as_f64().unwrap() > 0.0);
    assert!(!log.text().contains("hidden"), "{}", log.text());
}

#[tokio::test]
async fn who_is_refused_or_leaves_or_is_cut_off_has_a_line_too() {
    let (log, _guard) = Log::start(&["--access-log=true", "--log=error"]);
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    let ask = async |bytes: &[u8]| {
        let mut caller = TcpStream::connect(world.address).await.unwrap();
        caller.write_all(bytes).await.unwrap();
        caller
    };
    let caller = ask(b"GET /never HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await;
    eventually(|| pod.seen().len() == 1).await;
    drop(caller);
    eventually(|| log.lines().len() == 1).await;
    let _malformed = ask(b"GET /secret HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    eventually(|| log.lines().len() == 2).await;
    let caller = ask(b"GET /endless HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await;
    eventually(|| pod.seen().len() == 2).await;
    drop(caller);
    eventually(|| log.lines().len() == 3).await;
    let lines = log.lines();
    let of =
        |line: &Value| (line["status"].clone(), line["fault"].clone(), line["path"].clone(), line["whole"].clone());
    assert_eq!(of(&lines[0]), (json!(499), json!("client-gone"), json!("/never"), json!(false)));
    assert_eq!(of(&lines[1]), (json!(400), json!("malformed-request"), Value::Null, json!(true)));
    assert_eq!(of(&lines[2]), (json!(200), Value::Null, json!("/endless"), json!(false)));
}

#[tokio::test]
async fn there_is_none_unless_asked_for() {
    for args in [&[][..], &["--log=trace"], &["--log=activator=trace"]] {
        let (log, _guard) = Log::start(args);
        let pod = TestPod::start("a").await;
        let world = warm(&pod).await;
        assert_eq!(world.get("/").await.unwrap().status, 200);
        eventually(|| world.says("rouse_activator_connections 0")).await;
        assert_eq!(log.lines(), Vec::<Value>::new(), "{args:?}");
    }
}
