//! Names, ports and fixed durations that more than one program must agree on.

/// API group of `Function` and `Trigger`.
pub const GROUP: &str = "rouse.dev";
/// Version of the API.
pub const VERSION: &str = "v1alpha1";
/// Name of the one container in a function's pod.
pub const CONTAINER: &str = "function";
/// Key of the code in the ConfigMap of a revision, which has the revision's name.
pub const SOURCE_KEY: &str = "source";
/// Exit code of a runtime whose source cannot be loaded (`EX_CONFIG` of sysexits.h). Why is in the container's termination
/// message: one sentence that tells no code, then the last lines of the traceback.
pub const SOURCE_EXIT: i32 = 78;
/// Name of that container's port where the program speaks HTTP/1.1.
pub const PORT_HTTP1: &str = "http1";
/// Name of that container's port where it speaks HTTP/2 without TLS. The activator goes by the pod, not by the Function,
/// whose spec may already be the next revision's.
pub const PORT_H2C: &str = "h2c";

/// Field manager of objects created by POST (see [`OPERATOR_MANAGER`]).
pub const CREATE_MANAGER: &str = "rouse-create";
/// Field manager of the operator's server-side applies. It never names `replicas`: a field that a manager applied once
/// and then leaves out is reset to its default, which for `replicas` is 1.
pub const OPERATOR_MANAGER: &str = "rouse-operator";
/// Field manager of the activator's wakes.
pub const ACTIVATOR_MANAGER: &str = "rouse-activator";
/// How the admission policy's refusal of a lower number of replicas begins. The activator takes it for a success: the
/// Deployment has more already. The chart says the same words, and a test holds the two together.
pub const RAISE_ONLY: &str = "An activator may raise the replicas, not lower them";
/// Field manager of the leader's writes to `/scale`.
pub const AUTOSCALER_MANAGER: &str = "rouse-autoscaler";

/// The activator's data port, in its pods and on its Service's pods.
pub const ACTIVATOR_PORT: u16 = 8080;
/// Health and metrics of both programs.
pub const ADMIN_PORT: u16 = 9090;
/// The operator's port for the activators' streams.
pub const LINK_PORT: u16 = 9443;

/// Lease of the operator's leader, in Rouse's own namespace.
pub const LEASE: &str = "rouse-operator";
/// Audience of the token with which an activator proves itself to the leader.
pub const LINK_AUDIENCE: &str = "rouse-link";

/// Seconds a deleted function pod goes on serving before it is told to stop, so that every activator has seen the
/// deletion by then. It also is the least grace period beyond `requestSeconds`.
pub const PRE_STOP_SECONDS: i64 = 2;

/// Longest name of a Function: a revision is `NAME-HASH8` and a label value holds 63 characters; the rest is room for
/// what controllers append to pod names.
pub const MAX_FUNCTION_NAME: usize = 50;

/// Name of the ServiceAccount made for a function that names none.
pub fn service_account(function: &str) -> String {
    format!("rfn-{function}")
}
