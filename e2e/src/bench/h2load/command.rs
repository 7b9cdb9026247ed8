//! The program: it speaks both protocols (wrk has no HTTP/2), checks every status, and writes down when each request began,
//! how it ended and how long it took.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Load, Protocol};

/// One request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// When the answer had come, in microseconds since 1970.
    pub(super) ended_us: u64,
    /// How long it had taken, in microseconds.
    pub(super) took_us: u64,
}

/// The command line for a load of so long. `log` must not exist.
pub(super) fn arguments(load: &Load, address: SocketAddr, host: &str, lasts: Duration, log: &Path) -> Vec<String> {
    let mut all = vec![
        format!("--duration={}ms", lasts.as_millis()),
        format!("--clients={}", load.connections),
        "--max-concurrent-streams=1".to_owned(),
        format!("--log-file={}", log.display()),
        format!("--header=:authority: {host}"),
    ];
    if load.protocol == Protocol::Http1 {
        all.push("--h1".to_owned());
    }
    all.push(format!("http://{address}{}", load.path));
    all
}

/// Reads the log: lines of when a request began, its status, and how long it took.
///
/// # Errors
/// When a request was answered with anything but 200, or not at all.
pub(super) fn samples(log: &str) -> Result<Vec<Sample>> {
    let sample = |line: &str| {
        let mut fields = line.split('\t');
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (began, status, took) = (number()?, number()?, number()?);
        Some((status, u64::try_from(began).ok()?, u64::try_from(took).ok()?))
    };
    log.lines()
        .map(|line| {
            let (status, began, took_us) =
                sample(line).with_context(|| format!("a strange line of h2load: {line:?}"))?;
            ensure!(status == 200, "a request was answered with {status}");
            Ok(Sample { ended_us: began + took_us, took_us })
        })
        .collect()
}

/// Checks what it printed at the end: no request failed, and the bodies were as long as asked for.
///
/// # Errors
/// When one failed, a body was of another length, or the text is not understood.
pub(super) fn check(printed: &str, load: &Load) -> Result<()> {
    let summary = Summary::parse(printed).with_context(|| format!("cannot read what h2load printed:\n{printed}"))?;
    ensure!(summary.unhappy == 0, "{} requests failed:\n{printed}", summary.unhappy);
    // Those that were under way at the end have brought a part of theirs.
    let (least, most) = (summary.succeeded, summary.succeeded + u64::from(load.connections));
    ensure!(
        (least * load.body_bytes..=most * load.body_bytes).contains(&summary.body_bytes),
        "{} answers of {} bytes came as {} bytes:\n{printed}",
        summary.succeeded,
        load.body_bytes,
        summary.body_bytes
    );
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Summary {
    succeeded: u64,
    /// Failed, errored, timed out, or with a status that is not 2xx.
    unhappy: u64,
    body_bytes: u64,
}

impl Summary {
    fn parse(printed: &str) -> Option<Self> {
        let line = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name));
        let requests = line("requests: ")?;
        let statuses = line("status codes: ")?;
        let count = |line: &str, word: &str| {
            let mut entries = line.split(", ").filter_map(|entry| entry.split_once(' '));
            entries.find(|(_, name)| *name == word)?.0.parse::<u64>().ok()
        };
        let mut unhappy = 0;
        for (line, words) in [(requests, ["failed", "errored", "timeout"]), (statuses, ["3xx", "4xx", "5xx"])] {
            for word in words {
                unhappy += count(line, word)?;
            }
        }
        // `…, 1.00MB (1048576) data`
        let (_, data) = line("traffic: ")?.strip_suffix(") data")?.rsplit_once('(')?;
        Some(Self { succeeded: count(requests, "succeeded")?, unhappy, body_bytes: data.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(protocol: Protocol, connections: u32, body_bytes: u64) -> Load {
        Load { protocol, connections, path: format!("/bytes?n={body_bytes}"), body_bytes }
    }

    fn small() -> Load {
        load(Protocol::Http1, 64, 13)
    }

    fn printed(requests: &str, statuses: &str, data: u64) -> String {
        format!(
            "starting benchmark...\nspawning thread #0: 64 total client(s). Timing-based test with 0s of warm-up time and 1s of \
             main duration for measurements.\nStopped all clients for thread #0\n\nfinished in 1.01s, 3356.00 req/s, \
             3.28GB/s\nrequests: {requests}\nstatus codes: {statuses}\ntraffic: 3.28GB (3519427132) total, 296.54KB (303660) \
             headers (space savings 0.00%), 3.29GB ({data}) data\n                     min         max         mean         sd\n"
        )
    }

    const GOOD: &str = "100 total, 164 started, 100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout";
    const ALL_2XX: &str = "100 2xx, 0 3xx, 0 4xx, 0 5xx";

    #[test]
    fn a_load_is_asked_for() {
        let asked = |load| {
            let address = "10.244.0.7:8081".parse().unwrap();
            arguments(&load, address, "bytes.bench-1", Duration::from_millis(2_550), Path::new("/tmp/x/log")).join(" ")
        };
        let same = "--max-concurrent-streams=1 --log-file=/tmp/x/log --header=:authority: bytes.bench-1";
        assert_eq!(
            asked(small()),
            format!("--duration=2550ms --clients=64 {same} --h1 http://10.244.0.7:8081/bytes?n=13")
        );
        assert_eq!(
            asked(load(Protocol::H2c, 1, 1_048_576)),
            format!("--duration=2550ms --clients=1 {same} http://10.244.0.7:8081/bytes?n=1048576")
        );
    }

    #[test]
    fn each_line_is_a_request() {
        let log = "1795295156379697\t200\t295\n1795295156380016\t200\t50\n";
        let (first, second) = (1_795_295_156_379_992, 1_795_295_156_380_066);
        let wanted = [Sample { ended_us: first, took_us: 295 }, Sample { ended_us: second, took_us: 50 }];
        assert_eq!(samples(log).unwrap(), wanted);
        assert_eq!(samples("").unwrap(), []);
    }

    #[test]
    fn one_bad_line_is_an_error() {
        for (line, said) in [
            ("1795295156379697\t503\t295", "answered with 503"),
            ("1795295156379697\t204\t295", "answered with 204"),
            ("1795295156379697\t-1\t295", "answered with -1"),
            ("1795295156379697\t200", "strange line"),
            ("1795295156379697\t200\t-3", "strange line"),
        ] {
            let error = samples(&format!("1795295156379690\t200\t5\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn all_good_with_some_under_way() {
        for data in [1_300, 1_313, 1_300 + 64 * 13] {
            check(&printed(GOOD, ALL_2XX, data), &small()).unwrap();
        }
        // The status of a request may have come when its body had not.
        check(&printed(GOOD, "131 2xx, 0 3xx, 0 4xx, 0 5xx", 1_300), &small()).unwrap();
    }

    #[test]
    fn whatever_is_not_good_is_an_error() {
        let failed = |word: &str| GOOD.replace(&format!("0 {word}"), &format!("1 {word}"));
        let status = |word: &str| ALL_2XX.replace(&format!(" 0 {word}"), &format!(" 2 {word}"));
        for (requests, statuses, data, said) in [
            (failed("failed"), ALL_2XX.to_owned(), 1_300, "1 requests failed"),
            (failed("errored"), ALL_2XX.to_owned(), 1_300, "1 requests failed"),
            (failed("timeout"), ALL_2XX.to_owned(), 1_300, "1 requests failed"),
            (GOOD.to_owned(), status("3xx"), 1_300, "2 requests failed"),
            (GOOD.to_owned(), status("4xx"), 1_300, "2 requests failed"),
            (GOOD.to_owned(), status("5xx"), 1_300, "2 requests failed"),
            (GOOD.to_owned(), ALL_2XX.to_owned(), 1_299, "came as 1299 bytes"),
            (GOOD.to_owned(), ALL_2XX.to_owned(), 1_301 + 64 * 13, "came as 2133 bytes"),
            (GOOD.replace("succeeded", "gone"), ALL_2XX.to_owned(), 1_300, "cannot read"),
        ] {
            let error = check(&printed(&requests, &statuses, data), &small()).unwrap_err();
            assert!(error.to_string().contains(said), "{said}: {error}");
        }
    }
}
