//! The proxies: what each is, what it runs with, and where it listens.
//!
//! Each is set up as a plain reverse proxy to one pod: connections kept on both sides, no access log, `X-Forwarded-For` set,
//! and as many threads or processes as it takes by default, which is one for each CPU. The configurations, and the program of
//! Go, are in `e2e/proxies`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::bench::h2load::Protocol;
use crate::cache::Cache;
use crate::parts;
use crate::preflight;
use crate::steps::Steps;

/// What stands between the load generator and the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proxy {
    /// Nothing.
    None,
    /// Debian's nginx.
    Nginx,
    /// Debian's HAProxy.
    Haproxy,
    /// `httputil.ReverseProxy` of Go's standard library.
    Go,
    /// Rouse's own.
    Activator,
}

impl Proxy {
    /// In the order of the report.
    pub const ALL: [Self; 5] = [Self::None, Self::Nginx, Self::Haproxy, Self::Go, Self::Activator];

    /// As the JSON has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Go => "go",
            Self::Activator => "activator",
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where this machine has the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    nginx: PathBuf,
    haproxy: PathBuf,
    /// The folder of the Go proxy.
    pub(super) go: PathBuf,
    /// The load generator.
    pub(super) h2load: PathBuf,
}

impl Programs {
    /// Installs or builds what is not there yet.
    ///
    /// # Errors
    /// When a package cannot be installed or the Go proxy cannot be built.
    pub fn prepare(steps: &Steps) -> Result<Self> {
        preflight::proxies(steps)?;
        let find = |program| preflight::find(program).with_context(|| format!("there is no {program}"));
        let cache = Cache::open()?;
        let _lock = cache.lock()?;
        let go = parts::go_proxy(&cache, steps)?;
        Ok(Self { nginx: find("nginx")?, haproxy: find("haproxy")?, go, h2load: find("h2load")? })
    }

    /// What each says of its version: figures depend on it.
    ///
    /// # Errors
    /// When one cannot be run.
    pub fn versions(&self) -> Result<Vec<String>> {
        // What is built anew with each version of Go says nothing of its own.
        let go = Path::new("go");
        let asked: [(&Path, &[&str]); 4] =
            [(&self.nginx, &["-v"]), (&self.haproxy, &["-v"]), (go, &["version"]), (&self.h2load, &["--version"])];
        let first_line = |(program, arguments): (&Path, &[&str])| -> Result<String> {
            let output = Command::new(program).args(arguments).output();
            let output = output.with_context(|| format!("cannot run {}", program.display()))?;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            Ok(said.lines().next().unwrap_or_default().to_owned())
        };
        asked.into_iter().map(first_line).collect()
    }
}

/// A proxy that the bench itself starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    pub(super) proxy: Proxy,
    /// Program and arguments.
    pub(super) command: Vec<String>,
    /// The file that they name: name in [`CONFIGURATION`], and content.
    pub(super) file: Option<(&'static str, String)>,
}

/// Folder of a rival's configuration in its pod.
pub(super) const CONFIGURATION: &str = "/etc/rival";
/// Where its pod has the folder of the Go proxy.
pub(super) const BUILT: &str = "/opt/rival";

const NGINX: &str = include_str!("../../../proxies/nginx.conf");
const HAPROXY: &str = include_str!("../../../proxies/haproxy.cfg");
/// What stands for the pod's address in both.
const BACKEND: &str = "BACKEND";
/// Where all of them speak HTTP/1.1, as the activator does.
const HTTP1_PORT: u16 = 8080;
/// Where nginx and HAProxy speak h2c; Go's server, like the activator, finds out on one port.
const H2C_PORT: u16 = 8081;

impl Rival {
    /// The three, in front of a pod.
    pub(super) fn all(programs: &Programs, backend: SocketAddr) -> [Self; 3] {
        let nginx = ["-e", "stderr", "-p", "/tmp", "-c", &format!("{CONFIGURATION}/nginx.conf")];
        let haproxy = ["-db", "-f", &format!("{CONFIGURATION}/haproxy.cfg")];
        let go = [&format!(":{HTTP1_PORT}"), &backend.to_string()];
        [
            Self {
                proxy: Proxy::Nginx,
                command: words(&programs.nginx, &nginx),
                file: Some(("nginx.conf", configuration(NGINX, backend))),
            },
            Self {
                proxy: Proxy::Haproxy,
                command: words(&programs.haproxy, &haproxy),
                file: Some(("haproxy.cfg", configuration(HAPROXY, backend))),
            },
            Self {
                proxy: Proxy::Go,
                command: words(&Path::new(BUILT).join("goproxy"), &go.map(String::as_str)),
                file: None,
            },
        ]
    }

    /// Where it speaks a protocol.
    pub(super) fn port(&self, protocol: Protocol) -> u16 {
        match (self.proxy, protocol) {
            (Proxy::Nginx | Proxy::Haproxy, Protocol::H2c) => H2C_PORT,
            _ => HTTP1_PORT,
        }
    }
}

fn words(program: &Path, arguments: &[&str]) -> Vec<String> {
    [&[program.to_string_lossy().as_ref()], arguments].concat().into_iter().map(str::to_owned).collect()
}

/// The template without its comments, which speak of the placeholder.
fn configuration(template: &str, backend: SocketAddr) -> String {
    let lines = template.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| line.replace(BACKEND, &backend.to_string()) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rivals() -> [Rival; 3] {
        let programs = Programs {
            nginx: "/usr/sbin/nginx".into(),
            haproxy: "/usr/sbin/haproxy".into(),
            go: "/cache/goproxy-0".into(),
            h2load: "/usr/bin/h2load".into(),
        };
        Rival::all(&programs, "10.244.0.9:8080".parse().unwrap())
    }

    #[test]
    fn each_knows_the_pod_once() {
        for rival in rivals() {
            let text = rival.file.map_or_else(|| rival.command.join(" "), |(_, text)| text);
            assert_eq!(text.matches("10.244.0.9:8080").count(), 1, "{}: {text}", rival.proxy);
            assert!(!text.contains(BACKEND), "{}: {text}", rival.proxy);
        }
    }

    #[test]
    fn each_listens_where_it_is_asked() {
        for rival in rivals() {
            let text = rival.file.as_ref().map_or_else(|| rival.command.join(" "), |(_, text)| text.clone());
            let (http1, h2c) = (rival.port(Protocol::Http1), rival.port(Protocol::H2c));
            let listens = |port: u16, behind: &str| {
                text.lines().any(|line| {
                    let words: Vec<&str> = line.split([' ', ';']).collect();
                    let port = port.to_string();
                    words.iter().any(|word| word.trim_start_matches(':') == port) && line.contains(behind)
                })
            };
            assert!(listens(http1, ""), "{}: {text}", rival.proxy);
            let wanted = if rival.proxy == Proxy::Nginx { "http2" } else { "" };
            assert!(listens(h2c, wanted), "{}: {text}", rival.proxy);
        }
    }

    #[test]
    fn a_command_names_its_file() {
        for Rival { command, file, .. } in rivals() {
            let named = file.map(|(name, _)| format!("{CONFIGURATION}/{name}"));
            assert_eq!(command.iter().find(|word| word.starts_with(CONFIGURATION)), named.as_ref());
        }
    }
}
