//! The images: which binary, under which names, with which settings.

/// The sandbox image of the node's container runtime.
pub const PAUSE: &str = "rouse.local/pause:1";

/// The test application.
pub const TESTAPP: &str = "rouse.local/testapp:1";

/// The same as [`TESTAPP`], but that `GET /version` says 2: something to roll out.
pub const TESTAPP_2: &str = "rouse.local/testapp:2";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An image to build.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name on the command line and that of its archive.
    pub name: &'static str,
    /// What is in it.
    pub content: Content,
    /// The name that a pod asks for.
    pub reference: String,
    /// What it is, for people who inspect it.
    pub description: &'static str,
    /// Environment variables beyond none.
    pub environment: Vec<String>,
}

/// What is in an image.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// The static binary of this package, and nothing else.
    Binary(&'static str),
    /// An interpreter of Debian's and our server for it.
    Interpreter(&'static Interpreter),
}

/// What runs source.
#[derive(Debug)]
pub struct Interpreter {
    /// The name of the runtime.
    pub name: &'static str,
    /// Debian's packages that it is made of, with all that they need.
    pub(super) packages: &'static [&'static str],
    /// The folder of our server in this repository.
    pub(super) source: &'static str,
    /// What starts our server.
    pub(super) command: &'static [&'static str],
    /// Files of the packages that are not packed.
    pub(super) leaves_out: fn(&str) -> bool,
    /// What is made ahead, so that no start has to.
    pub(super) ahead: Ahead,
    /// What else is in the image, in a layer of its own.
    pub(super) framework: Option<Framework>,
}

/// Google's Functions Framework with a function for it, to measure beside our server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framework {
    /// The folder in this repository: a function, and the list of packages with their hashes.
    pub(super) source: &'static str,
    /// Whose packages they are.
    pub(super) registry: Registry,
}

/// A registry of packages, asked by its own program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Registry {
    /// PyPI, by pip.
    Pypi,
    /// npm's, by npm.
    Npm,
}

/// What is made of an interpreter's own files when its image is packed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ahead {
    /// Python's bytecode.
    Bytecode,
    /// Snapshots of a start of Node, which Debian's is built without.
    Snapshots,
}

const PYTHON: Interpreter = Interpreter {
    name: "python",
    packages: &["python3-minimal", "libpython3-stdlib", "media-types", "tzdata", "ca-certificates"],
    source: "runtimes/python",
    command: &["/usr/bin/python3", "-B", "-I", "-S", "-X", "utf8", "/rouse/python/__main__.py"],
    leaves_out: |path| {
        let parts = [
            "/test/",
            "/idlelib/",
            "/lib2to3/",
            "/ensurepip/",
            "/turtledemo/",
            "/tkinter/",
            "/pydoc_data/",
            "/curses/",
        ];
        path.starts_with("usr/lib/python3") && parts.iter().any(|part| path.contains(part))
            || path.starts_with("usr/bin/") && !path.starts_with("usr/bin/python3")
    },
    ahead: Ahead::Bytecode,
    framework: None,
};

const NODE: Interpreter = Interpreter {
    name: "node",
    packages: &["nodejs", "dash", "ca-certificates"],
    source: "runtimes/node",
    command: &["/usr/bin/dash", "/rouse/node/start.sh"],
    leaves_out: |path| path.starts_with("usr/bin/") && !["usr/bin/node", "usr/bin/dash"].contains(&path),
    ahead: Ahead::Snapshots,
    framework: None,
};

/// The runtime for Python, and functions-framework.
const PYTHON_FRAMEWORK: Interpreter =
    Interpreter { framework: Some(Framework { source: "e2e/frameworks/python", registry: Registry::Pypi }), ..PYTHON };

/// The runtime for Node, @google-cloud/functions-framework, and a newer Node.
const NODE_FRAMEWORK: Interpreter =
    Interpreter { framework: Some(Framework { source: "e2e/frameworks/node", registry: Registry::Npm }), ..NODE };

impl Image {
    /// All images, in the order in which they are built.
    pub fn all() -> Vec<Self> {
        vec![
            Self::operator(),
            Self::activator(),
            Self::interpreter(&PYTHON, "runtime-python", "Python with Rouse's server, for Functions from source"),
            Self::interpreter(&NODE, "runtime-node", "Node.js with Rouse's server, for Functions from source"),
            Self::testapp(1),
            Self::testapp(2),
            Self::pause(),
        ]
    }

    /// Those of the bench of frameworks: for Python, and for Node.
    pub(crate) fn frameworks() -> [Self; 2] {
        let description = "A runtime of Rouse's with Google's Functions Framework beside it";
        [
            Self::interpreter(&PYTHON_FRAMEWORK, "framework-python", description),
            Self::interpreter(&NODE_FRAMEWORK, "framework-node", description),
        ]
    }

    /// What the chart installs.
    pub fn product() -> Vec<Self> {
        vec![Self::operator(), Self::activator()]
    }

    fn operator() -> Self {
        Self::plain("operator", "operator", format!("rouse.local/operator:{VERSION}"), "The Rouse operator")
    }

    fn activator() -> Self {
        Self::plain("activator", "activator", format!("rouse.local/activator:{VERSION}"), "The Rouse activator")
    }

    /// The test application, version 1 or 2.
    fn testapp(version: u8) -> Self {
        let (name, reference) = if version == 1 { ("testapp", TESTAPP) } else { ("testapp-2", TESTAPP_2) };
        let mut image = Self::plain(name, "testapp", reference.into(), "The application of Rouse's end-to-end tests");
        image.environment.push(format!("VERSION={version}"));
        image
    }

    /// The sandbox.
    pub(super) fn pause() -> Self {
        Self::plain("pause", "pause", PAUSE.into(), "The sandbox of a pod on the end-to-end node")
    }

    fn interpreter(interpreter: &'static Interpreter, name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            content: Content::Interpreter(interpreter),
            reference: format!("rouse.local/{name}:{VERSION}"),
            description,
            environment: vec!["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".to_owned()],
        }
    }

    /// The package of its binary, if that is what is in it.
    pub fn package(&self) -> Option<&'static str> {
        match self.content {
            Content::Binary(package) => Some(package),
            Content::Interpreter(_) => None,
        }
    }

    /// What the container runs.
    pub(super) fn command(&self) -> Vec<String> {
        match self.content {
            Content::Binary(package) => vec![format!("/{package}")],
            Content::Interpreter(interpreter) => interpreter.command.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn plain(name: &'static str, package: &'static str, reference: String, description: &'static str) -> Self {
        Self { name, content: Content::Binary(package), reference, description, environment: Vec::new() }
    }
}
