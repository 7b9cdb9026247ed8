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
    /// The package and binary in it.
    pub package: &'static str,
    /// The name that a pod asks for.
    pub reference: String,
    /// What it is, for people who inspect it.
    pub description: &'static str,
    /// Environment variables beyond none.
    pub environment: Vec<String>,
}

impl Image {
    /// All images, in the order in which they are built.
    pub fn all() -> Vec<Self> {
        vec![Self::operator(), Self::activator(), Self::testapp(1), Self::testapp(2), Self::pause()]
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

    fn plain(name: &'static str, package: &'static str, reference: String, description: &'static str) -> Self {
        Self { name, package, reference, description, environment: Vec::new() }
    }
}
