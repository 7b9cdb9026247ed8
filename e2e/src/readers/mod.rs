//! Servers that say what they have read of a request: nginx, HAProxy, Node, gunicorn and Go.
//!
//! Each listens on a Unix socket in a folder of its own making, needs no privilege, and ends with this process at the latest.
//! nginx and HAProxy pass on to Go's server, which answers for them. The programs are in `e2e/readers`.

mod answers;
mod reading;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

pub use answers::Answers;
pub use reading::Reading;

use crate::cache::{Cache, repository};
use crate::parts;
use crate::preflight;
use crate::steps::Steps;
use answers::Parser;

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// Debian's nginx, in front of Go's server.
    Nginx,
    /// Debian's HAProxy, in front of Go's server.
    Haproxy,
    /// Debian's Node, its own server.
    Node,
    /// Debian's gunicorn: what its workers read requests with.
    Gunicorn,
    /// The server of Go's standard library.
    Go,
}

impl Reader {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Haproxy, Self::Node, Self::Gunicorn, Self::Go];

    /// Whether another reader says what it has passed on.
    pub fn is_proxy(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Node => "node",
            Self::Gunicorn => "gunicorn",
            Self::Go => "go",
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where this machine has the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    nginx: PathBuf,
    haproxy: PathBuf,
    node: PathBuf,
    /// The interpreter that has gunicorn.
    python: PathBuf,
    go: PathBuf,
}

impl Programs {
    /// Installs or builds what is not there yet.
    ///
    /// # Errors
    /// When a package is missing and cannot be installed, or the Go server cannot be built.
    pub fn prepare(steps: &Steps) -> Result<Self> {
        preflight::readers(steps)?;
        let find = |program| preflight::find(program).with_context(|| format!("there is no {program}"));
        let cache = Cache::open()?;
        let _lock = cache.lock()?;
        let go = parts::go_reader(&cache, steps)?.join("goreader");
        let python = interpreter(&find("gunicorn")?)?;
        Ok(Self { nginx: find("nginx")?, haproxy: find("haproxy")?, node: find("node")?, python, go })
    }
}

/// What a script says that runs it.
fn interpreter(script: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    let first = text.lines().next().and_then(|line| line.strip_prefix("#!"));
    let program = first.and_then(|line| line.split_whitespace().next());
    program.map(PathBuf::from).with_context(|| format!("{} does not say what runs it", script.display()))
}

/// The five, running. They end when this is dropped.
#[derive(Debug)]
pub struct Readers {
    _children: Vec<Child>,
    folder: TempDir,
}

/// How long a server may take to listen, and to answer when it has all it needs.
const PATIENCE: Duration = Duration::from_secs(30);

impl Readers {
    /// Starts them, and sees each answer.
    ///
    /// # Errors
    /// When one does not.
    pub async fn start(programs: &Programs) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let configured = |name: &str| -> Result<PathBuf> {
            let text = fs::read_to_string(source(name))?.replace("FOLDER", &folder.path().to_string_lossy());
            let path = folder.path().join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let socket = |reader: Reader| folder.path().join(reader.name());
        let (nginx, haproxy) = (configured("nginx.conf")?, configured("haproxy.cfg")?);
        let commands: [(&Path, Vec<PathBuf>); 5] = [
            (&programs.go, vec![socket(Reader::Go)]),
            (&programs.node, vec![source("reader.js"), socket(Reader::Node)]),
            (&programs.python, vec![source("reader.py"), socket(Reader::Gunicorn)]),
            (&programs.haproxy, vec!["-q".into(), "-db".into(), "-f".into(), haproxy]),
            (
                &programs.nginx,
                vec!["-e".into(), "stderr".into(), "-p".into(), folder.path().into(), "-c".into(), nginx],
            ),
        ];
        let children: Result<Vec<Child>> = commands.into_iter().map(|(program, args)| spawn(program, &args)).collect();
        let readers = Self { _children: children?, folder };
        // Go's first: the proxies answer with what it says.
        for reader in Reader::ALL.into_iter().rev() {
            let hello = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let said = timeout(PATIENCE, readers.until_listening(reader, hello)).await;
            let said = said.with_context(|| format!("{reader} does not listen"))??;
            ensure!(said.readings.len() == 1, "{reader} does not read a plain request: {said:?}");
        }
        Ok(readers)
    }

    async fn until_listening(&self, reader: Reader, hello: &[u8]) -> Result<Answers> {
        loop {
            match UnixStream::connect(self.socket(reader)).await {
                Ok(_) => return self.read(reader, hello, 1, PATIENCE).await,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error).with_context(|| format!("{reader}")),
            }
        }
    }

    /// What a server reads in `bytes`, which come on one connection. Once it has read `expected` requests it is told that
    /// nothing more comes; until then it is waited for, but not longer than `patience` for anything new.
    ///
    /// # Errors
    /// When it cannot be reached, or its answer is none.
    pub async fn read(&self, reader: Reader, bytes: &[u8], expected: usize, patience: Duration) -> Result<Answers> {
        let stream =
            UnixStream::connect(self.socket(reader)).await.with_context(|| format!("cannot reach {reader}"))?;
        let (mut from, mut to) = stream.into_split();
        // It is less than a socket holds. A server that has refused the first part may take no more.
        let _ = to.write_all(bytes).await;
        let mut parser = Parser::default();
        let mut buffer = vec![0; 16 << 10];
        let mut open = true;
        loop {
            if open && parser.answers.readings.len() >= expected {
                open = false;
                let _ = to.shutdown().await;
            }
            match timeout(patience, from.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return Ok(parser.answers),
                Ok(Ok(read)) => parser.came(&buffer[..read]).with_context(|| format!("{reader}"))?,
                Err(_) => {
                    parser.answers.waits = true;
                    return Ok(parser.answers);
                }
            }
        }
    }

    fn socket(&self, reader: Reader) -> PathBuf {
        self.folder.path().join(reader.name())
    }
}

fn source(name: &str) -> PathBuf {
    repository().join("e2e/readers").join(name)
}

/// Ended with the handle, and by the kernel with the thread that calls this, should that be killed.
fn spawn(program: &Path, arguments: &[PathBuf]) -> Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot run {}", program.display()))
}
