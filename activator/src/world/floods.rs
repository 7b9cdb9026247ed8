//! Callers that make an HTTP/2 connection work for nothing.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::frames::{Raw, field, fields, frame, request};
use super::{TestPod, World, eventually, world, world_with};
use crate::args::Limits;

/// ENHANCE_YOUR_CALM.
const CALM: Option<u32> = Some(11);

/// Sends up to so many of what `make` makes, one write each, and gives how many went out.
async fn flood(raw: &mut Raw, most: u32, make: impl Fn(u32) -> Vec<u8>) -> u32 {
    for number in 0..most {
        if !raw.send(&make(number)).await {
            return number;
        }
    }
    most
}

/// The stream of the request with this number.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

async fn ready() -> (World, TestPod) {
    let world = world().await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(world.get("/").await.unwrap().body, "a");
    (world, pod)
}

#[tokio::test]
async fn frames_for_nothing_end_the_connection() {
    let (world, _pod) = ready().await;
    let open = request(1, 4, "hello.shop", "/never");
    let half = request(1, 1, "hello.shop", "/");
    for (name, before, noise, most) in [
        ("PING", Vec::new(), frame(6, 0, 0, &[0; 8]), 5000),
        ("SETTINGS", Vec::new(), frame(4, 0, 0, &[]), 5000),
        ("SETTINGS of a window", open.clone(), frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]), 5000),
        ("PRIORITY", Vec::new(), frame(2, 0, 1, &[0, 0, 0, 3, 9]), 5000),
        ("WINDOW_UPDATE", open.clone(), frame(8, 0, 1, &[0, 0, 0, 1]), 5000),
        ("one that nobody knows", Vec::new(), frame(99, 0, 0, b"hello"), 5000),
        ("an empty DATA", open, frame(0, 0, 1, &[]), 5000),
        ("an empty CONTINUATION", half.clone(), frame(9, 0, 1, &[]), 100),
        ("CONTINUATION", half, frame(9, 0, 1, &field("a", &"b".repeat(100))), 1000),
    ] {
        let mut raw = Raw::open(world.address).await;
        assert!(raw.send(&before).await);
        let all = noise.repeat(most as usize);
        // Written or not: what counts is what comes back.
        raw.send(&all).await;
        assert_eq!(raw.goaway().await, CALM, "{name}");
        // Who behaves notices nothing.
        assert_eq!(world.get("/").await.unwrap().body, "a", "{name}");
    }
    eventually(|| world.says(r#"rouse_activator_connections_closed_total{cause="control-frames"} 6"#)).await;
}

#[tokio::test]
async fn requests_that_are_given_up_at_once_end_the_connection() {
    let (world, _pod) = ready().await;
    let reset = |stream| frame(3, 0, stream, &[0, 0, 0, 8]);
    // However they come: together, before anybody can have seen the request, or one after the other.
    let mut raw = Raw::open(world.address).await;
    let at_once: Vec<u8> = (0..400)
        .flat_map(|number| [request(stream(number), 5, "hello.shop", "/never"), reset(stream(number))].concat())
        .collect();
    raw.send(&at_once).await;
    assert_eq!(raw.goaway().await, CALM);

    // Ten each time: a second pays for fifty, so that one by one they might be too slow on a busy machine.
    let mut raw = Raw::open(world.address).await;
    for ten in 0..40 {
        let streams = || (10 * ten..10 * ten + 10).map(stream);
        let requests: Vec<u8> = streams().flat_map(|stream| request(stream, 5, "hello.shop", "/never")).collect();
        let resets: Vec<u8> = streams().flat_map(reset).collect();
        let sent = raw.send(&requests).await;
        sleep(Duration::from_millis(1)).await;
        if !sent || !raw.send(&resets).await {
            break;
        }
    }
    assert_eq!(raw.goaway().await, CALM);
    eventually(|| world.says(r#"rouse_activator_connections_closed_total{cause="resets"} 2"#)).await;

    // Nor does it help to have the streams reset from here: their windows get too large.
    let mut raw = Raw::open(world.address).await;
    let provoke = |number| {
        [request(stream(number), 4, "hello.shop", "/never"), frame(8, 0, stream(number), &[0x7f, 0xff, 0xff, 0xff])]
            .concat()
    };
    flood(&mut raw, 400, provoke).await;
    assert_eq!(raw.goaway().await, CALM);
    assert_eq!(world.get("/").await.unwrap().body, "a");
}

#[tokio::test]
async fn who_floods_a_connection_waits_with_the_next() {
    let (world, _pod) = ready().await;
    let mut raw = Raw::open(world.address).await;
    let half = request(1, 1, "hello.shop", "/");
    // The first is noticed here, the second by the HTTP/2 library.
    for (begin, noise) in [(Vec::new(), frame(6, 0, 0, &[0; 8])), (half, frame(9, 0, 1, &[]))] {
        // It waits for a second from the flood on, which is noticed later than here.
        let began = Instant::now();
        raw.send(&[begin, noise.repeat(5000)].concat()).await;
        assert_eq!(raw.goaway().await, CALM);
        raw = Raw::open(world.address).await;
        eventually(|| !raw.seen().is_empty()).await;
        assert!(began.elapsed() >= Duration::from_secs(1), "it was served at once");
    }
    assert!(world.says(r#"rouse_activator_connections_closed_total{cause="abuse"} 1"#));
}

#[tokio::test]
async fn fields_that_unpack_to_much_more_end_the_connection() {
    let (world, _pod) = ready().await;
    let mut raw = Raw::open(world.address).await;
    // One long field is put into the table of the connection, and then named by one byte, thousands of times.
    let value = "v".repeat(100);
    let remembered = [vec![0x40], field("a", &value)[1..].to_vec()].concat();
    let first = [fields("GET", "hello.shop", "/"), remembered].concat();
    raw.send(&frame(1, 5, 1, &first)).await;
    raw.send(&frame(1, 5, 3, &[fields("GET", "hello.shop", "/"), vec![0xbe; 16_000]].concat())).await;
    assert_eq!(raw.goaway().await, CALM);
    assert_eq!(world.get("/").await.unwrap().body, "a");
}

#[tokio::test]
async fn what_honest_callers_do_is_no_flood() {
    let (world, _pod) = ready().await;
    let mut raw = Raw::open(world.address).await;
    // A page's worth of requests is given up, some clients weigh each of theirs, and some ask now and then how far away we are.
    let page: Vec<u8> = (0..100)
        .flat_map(|number| {
            let weigh = frame(2, 0, stream(number), &[0, 0, 0, 0, 9]);
            [request(stream(number), 5, "hello.shop", "/never"), weigh].concat()
        })
        .chain((0..100).flat_map(|number| frame(3, 0, stream(number), &[0, 0, 0, 8])))
        .collect();
    assert!(raw.send(&page).await);
    assert!(raw.send(&frame(6, 0, 0, &[0; 8]).repeat(100)).await);
    // A download with the window opened a little at a time.
    assert!(raw.send(&request(stream(100), 5, "hello.shop", "/endless")).await);
    for _ in 0..200 {
        let open = [frame(8, 0, 0, &[0, 0, 16, 0]), frame(8, 0, stream(100), &[0, 0, 16, 0])].concat();
        assert!(raw.send(&open.repeat(10)).await);
        sleep(Duration::from_millis(2)).await;
    }
    eventually(|| raw.seen().iter().filter(|frame| frame[3] == 0).map(Vec::len).sum::<usize>() > 4 << 20).await;
    raw.write.shutdown().await.unwrap();
    let answers = raw.answers().await;
    assert!(!answers.iter().any(|frame| frame[3] == 7 && frame[16] == 11), "it was told to calm down");
}

#[tokio::test]
async fn floods_have_limits_that_can_be_set() {
    let limits = Limits { max_control_frames: 10, max_resets: 0, ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let mut raw = Raw::open(world.address).await;
    for number in 0..300 {
        let number = stream(number);
        assert!(raw.send(&[request(number, 5, "nobody.shop", "/"), frame(3, 0, number, &[0; 4])].concat()).await);
        sleep(Duration::from_millis(1)).await;
    }
    raw.send(&frame(6, 0, 0, &[0; 8]).repeat(2000)).await;
    assert_eq!(raw.goaway().await, CALM);
    eventually(|| world.says(r#"rouse_activator_connections_closed_total{cause="control-frames"} 1"#)).await;
}

/// What the metrics say that waits for callers over HTTP/2.
fn untaken(world: &World) -> usize {
    let text = world.metrics();
    let line = text.lines().find_map(|line| line.strip_prefix("rouse_activator_untaken_bytes ")).unwrap();
    line.parse().unwrap()
}

/// Bytes of bodies that came, of this stream or of all.
fn data(raw: &Raw, stream: Option<u32>) -> usize {
    let of = |frame: &Vec<u8>| stream.is_none_or(|stream| frame[5..9] == stream.to_be_bytes());
    raw.seen().iter().filter(|frame| frame[3] == 0 && of(frame)).map(|frame| frame.len() - 9).sum()
}

/// A pod that gives `/endless` as fast as it is read, in pieces as large as the reader likes.
async fn hasty() -> TestPod {
    TestPod::raw("a", |mut stream, _| async move {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            if !head.starts_with(b"GET /endless ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na").await;
                continue;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            while stream.write_all(&[b'x'; 1 << 17]).await.is_ok() {}
        }
    })
    .await
}

#[tokio::test]
async fn what_a_caller_does_not_take_waits_at_the_pod() {
    const STREAMS: u32 = 100;
    const WINDOW: u32 = 100_000;
    const MORE: u32 = 1 << 20;
    for protocol in ["http1", "h2c"] {
        let world = world().await;
        let pod = if protocol == "h2c" { TestPod::h2c("a").await } else { hasty().await };
        world.appear(&pod, "r1");
        assert_eq!(world.get("/").await.unwrap().body, "a");
        let mut raw = Raw::open(world.address).await;
        // All may send as much as makes a quick caller of this one, and then nothing more.
        let settings = frame(4, 0, 0, &[&[0, 4], WINDOW.to_be_bytes().as_slice()].concat());
        let open = frame(8, 0, 0, &0x4000_0000_u32.to_be_bytes());
        assert!(raw.send(&[settings, open].concat()).await);
        for number in 0..STREAMS {
            assert!(raw.send(&request(stream(number), 5, "hello.shop", "/endless")).await);
        }
        eventually(|| data(&raw, None) == (STREAMS * WINDOW) as usize).await;
        // Until nothing moves any more.
        eventually(|| untaken(&world) > 0).await;
        let (mut most, mut same) = (0, 0);
        while same < 20 {
            sleep(Duration::from_millis(10)).await;
            let now = untaken(&world);
            (most, same) = if now > most { (now, 0) } else { (most, same + 1) };
        }
        let measure = crate::path::untaken::MEASURE;
        // The measure, and a piece of each: a small one, but for a few that were read before they had to wait.
        assert!(most > 0 && most <= measure + STREAMS as usize * 32 * 1024, "{protocol}: {most} bytes wait");
        // One that is taken goes on, whatever the others do; so does another caller.
        assert!(raw.send(&frame(8, 0, stream(7), &MORE.to_be_bytes())).await);
        eventually(|| data(&raw, Some(stream(7))) == (WINDOW + MORE) as usize).await;
        assert_eq!(world.get("/").await.unwrap().body, "a", "{protocol}");
        drop(raw);
        eventually(|| untaken(&world) == 0).await;
    }
}

#[tokio::test]
async fn a_connection_to_a_pod_is_used_again_after_a_pause() {
    let (world, pod) = ready().await;
    let connections = || pod.connections.load(std::sync::atomic::Ordering::SeqCst);
    let mut raw = Raw::open(world.address).await;
    let open = frame(8, 0, 0, &0x4000_0000_u32.to_be_bytes());
    assert!(raw.send(&[frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), open].concat()).await);
    // Enough waits for the next one to be paused; that one ends in the piece that it has.
    for number in 0..40 {
        assert!(raw.send(&request(stream(number), 5, "hello.shop", "/endless")).await);
    }
    eventually(|| untaken(&world) > crate::path::untaken::MEASURE).await;
    // Each of them has its connection by then.
    eventually(|| pod.seen().iter().filter(|seen| seen.ends_with("/endless")).count() == 40).await;
    let before = connections();
    for number in 40..45 {
        assert!(raw.send(&request(stream(number), 5, "hello.shop", "/")).await);
        assert!(raw.send(&frame(8, 0, stream(number), &[0, 0, 1, 0])).await);
        eventually(|| data(&raw, Some(stream(number))) == 1).await;
    }
    assert!(connections() <= before + 1, "{} connections after {before}", connections());
}
