//! The CEL rules of the schemas, with a manifest that each accepts and one that it refuses.
//!
//! They live in a table and not in attributes so that a test can hold every rule against the API server: each fixture is
//! a JSON merge patch (RFC 7396) on [`FUNCTION_BASE`] or [`TRIGGER_BASE`].

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Where it stands: field names from the root, `[]` for the items of a list; empty for the root.
    pub path: &'static str,
    /// CEL; `self` is the value at `path`.
    pub cel: &'static str,
    /// What a user reads: what must be, and what to write.
    pub message: &'static str,
    /// A merge patch after which the manifest passes.
    pub accepts: &'static str,
    /// A merge patch after which the manifest is refused with `message`.
    pub refuses: &'static str,
}

/// The manifest that the fixtures of [`FUNCTION`] change.
pub const FUNCTION_BASE: &str = r#"{"apiVersion":"rouse.dev/v1alpha1","kind":"Function","metadata":{"name":"fixture"},"spec":{"image":"registry.example/hello:1"}}"#;
/// The manifest that the fixtures of [`TRIGGER`] change.
pub const TRIGGER_BASE: &str = r#"{"apiVersion":"rouse.dev/v1alpha1","kind":"Trigger","metadata":{"name":"fixture"},"spec":{"functionRef":{"name":"hello"},"http":{"hosts":["api.example.com"]}}}"#;

/// Sixteen times a text.
macro_rules! sixteen {
    ($($text:tt)*) => {
        concat!($($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*,
            $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*, $($text)*)
    };
}

/// One byte more than may be.
const LONG_SOURCE: &str = concat!(
    r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"#,
    sixteen!(sixteen!(sixteen!(sixteen!("a")))),
    r#""}}}"#
);

const fn rule(
    path: &'static str,
    cel: &'static str,
    message: &'static str,
    accepts: &'static str,
    refuses: &'static str,
) -> Rule {
    Rule { path, cel, message, accepts, refuses }
}

/// Rules of `Function`.
pub const FUNCTION: &[Rule] = &[
    rule(
        "",
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",
        "metadata.name must be 1 to 50 lower-case letters, digits and '-', beginning with a letter and not ending in '-': it becomes a Service name and part of a host name",
        r#"{"metadata":{"name":"a-1"}}"#,
        r#"{"metadata":{"name":"1.a"}}"#,
    ),
    rule(
        "spec",
        "!has(self.pod) || !has(self.pod.terminationGracePeriodSeconds) || self.pod.terminationGracePeriodSeconds >= self.timeouts.requestSeconds + 2",
        "pod.terminationGracePeriodSeconds must be at least timeouts.requestSeconds + 2, or a running request would be cut off; leave it out for exactly that",
        r#"{"spec":{"timeouts":{"requestSeconds":5},"pod":{"terminationGracePeriodSeconds":7}}}"#,
        r#"{"spec":{"timeouts":{"requestSeconds":5},"pod":{"terminationGracePeriodSeconds":6}}}"#,
    ),
    rule(
        "spec",
        "has(self.image) != has(self.source)",
        "must have exactly one of image and source",
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"def handler(request): return 'hello'"}}}"#,
        r#"{"spec":{"source":{"runtime":"python","inline":"def handler(request): return 'hello'"}}}"#,
    ),
    rule(
        "spec",
        "!has(self.source) || (!has(self.command) && !has(self.args))",
        "command and args must be left out with source, which its runtime runs: they are for image",
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"}}}"#,
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"},"command":["python3"]}}"#,
    ),
    rule(
        "spec",
        "!has(self.source) || !has(self.env) || !self.env.exists(e, e.name == 'FUNCTION_TARGET' || e.name.startsWith('ROUSE_'))",
        "env must not contain FUNCTION_TARGET, which is source.entrypoint, nor names beginning with ROUSE_, where there is a source",
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"},"env":[{"name":"FUNCTION_SIGNATURE_TYPE","value":"cloudevent"}]}}"#,
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"},"env":[{"name":"FUNCTION_TARGET","value":"main"}]}}"#,
    ),
    rule(
        "spec",
        "!has(self.source) || self.protocol == 'HTTP1'",
        "protocol must be HTTP1 with source: that is what the runtimes speak",
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"},"protocol":"HTTP1"}}"#,
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"},"protocol":"H2C"}}"#,
    ),
    rule(
        "spec.source.runtime",
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "must be the name of one of the installation's runtimes, such as python or node",
        r#"{"spec":{"image":null,"source":{"runtime":"python3.13","inline":"a"}}}"#,
        r#"{"spec":{"image":null,"source":{"runtime":"Python","inline":"a"}}}"#,
    ),
    rule(
        "spec.source.inline",
        "size(bytes(self)) <= 65536",
        "must be at most 64 KiB: for more build an image, and name it in spec.image in place of source",
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a"}}}"#,
        LONG_SOURCE,
    ),
    rule(
        "spec.source.entrypoint",
        "self.matches('^[A-Za-z_$][A-Za-z0-9_$.]*$')",
        "must be the name of a function in the code, such as handler",
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a","entrypoint":"main_1"}}}"#,
        r#"{"spec":{"image":null,"source":{"runtime":"python","inline":"a","entrypoint":"../main"}}}"#,
    ),
    rule(
        "spec.image",
        "self.matches('^[^\\\\s]+$')",
        "must be an image reference without spaces, such as registry.example/hello:1",
        r#"{"spec":{"image":"hello@sha256:0000000000000000000000000000000000000000000000000000000000000000"}}"#,
        r#"{"spec":{"image":"hello world"}}"#,
    ),
    rule(
        "spec.env",
        "!self.exists(e, e.name == 'PORT')",
        "must not contain PORT: set spec.port, and the program gets it as $PORT",
        r#"{"spec":{"env":[{"name":"PORTS","value":"1"}]}}"#,
        r#"{"spec":{"env":[{"name":"PORT","value":"1"}]}}"#,
    ),
    rule(
        "spec.env[]",
        "size(self.name) > 0 && !self.name.contains('=')",
        "name must not be empty nor contain '='; the value goes into value",
        r#"{"spec":{"env":[{"name":"a.b","value":"="}]}}"#,
        r#"{"spec":{"env":[{"name":"A=1"}]}}"#,
    ),
    rule(
        "spec.env[]",
        "!has(self.valueFrom) || !has(self.value) || self.value == ''",
        "must have either value or valueFrom, not both",
        r#"{"spec":{"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"a","key":"b"}}}]}}"#,
        r#"{"spec":{"env":[{"name":"A","value":"1","valueFrom":{"configMapKeyRef":{"name":"a","key":"b"}}}]}}"#,
    ),
    rule(
        "spec.env[].valueFrom",
        "[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].exists_one(x, x)",
        "must have exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef",
        r#"{"spec":{"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}}"#,
        r#"{"spec":{"env":[{"name":"A","valueFrom":{}}]}}"#,
    ),
    rule(
        "spec.envFrom[]",
        "has(self.configMapRef) != has(self.secretRef)",
        "must have exactly one of configMapRef and secretRef",
        r#"{"spec":{"envFrom":[{"secretRef":{"name":"a"}}]}}"#,
        r#"{"spec":{"envFrom":[{"prefix":"A_"}]}}"#,
    ),
    rule(
        "spec.mounts[]",
        "[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim)].exists_one(x, x)",
        "must have exactly one of configMap, secret, emptyDir and persistentVolumeClaim",
        r#"{"spec":{"mounts":[{"path":"/tmp","emptyDir":{}}]}}"#,
        r#"{"spec":{"mounts":[{"path":"/tmp","emptyDir":{},"secret":{"name":"a"}}]}}"#,
    ),
    rule(
        "spec.mounts[].path",
        "self.startsWith('/') && !self.contains(':') && !self.split('/').exists(s, s == '..')",
        "must be an absolute path without '..' and ':', such as /var/data",
        r#"{"spec":{"mounts":[{"path":"/a..b","emptyDir":{}}]}}"#,
        r#"{"spec":{"mounts":[{"path":"/a/../b","emptyDir":{}}]}}"#,
    ),
    rule(
        "spec.mounts[].emptyDir",
        "!has(self.sizeLimit) || (type(self.sizeLimit) == int || isQuantity(self.sizeLimit))",
        "sizeLimit must be a quantity of bytes, such as 64Mi",
        r#"{"spec":{"mounts":[{"path":"/tmp","emptyDir":{"sizeLimit":"64Mi"}}]}}"#,
        r#"{"spec":{"mounts":[{"path":"/tmp","emptyDir":{"sizeLimit":"64MB"}}]}}"#,
    ),
    rule(
        "spec.resources.memory",
        "type(self) == int ? self >= 8388608 : isQuantity(self) && quantity(self).compareTo(quantity('8Mi')) >= 0",
        "must be a quantity of at least 8Mi, such as 128Mi",
        r#"{"spec":{"resources":{"memory":"8Mi"}}}"#,
        r#"{"spec":{"resources":{"memory":"128m"}}}"#,
    ),
    rule(
        "spec.resources.cpu",
        "type(self) == int ? self >= 1 : isQuantity(self) && quantity(self).compareTo(quantity('1m')) >= 0",
        "must be a quantity of at least 1m, such as 100m or 1; a fraction of a core needs quotes in YAML, as in \"0.5\", or thousandths: 500m",
        r#"{"spec":{"resources":{"cpu":1}}}"#,
        r#"{"spec":{"resources":{"cpu":"0.5 cores"}}}"#,
    ),
    rule(
        "spec.resources.cpuLimit",
        "type(self) == int ? self >= 1 : isQuantity(self) && quantity(self).compareTo(quantity('2m')) >= 0",
        "must be a quantity of at least 2m, such as 500m or 1",
        r#"{"spec":{"resources":{"cpuLimit":"500m"}}}"#,
        r#"{"spec":{"resources":{"cpuLimit":"0"}}}"#,
    ),
    rule(
        "spec.resources",
        "!has(self.cpuLimit) || (has(self.cpu) ? quantity(string(self.cpuLimit)).compareTo(quantity(string(self.cpu))) > 0 : quantity(string(self.cpuLimit)).asApproximateFloat() > quantity(has(self.memory) ? string(self.memory) : '128Mi').asApproximateFloat() / 1854930944.0)",
        "cpuLimit must exceed the CPU request, which is cpu, or memory / 1769Mi of a core where cpu is not set: raise cpuLimit or set a lower cpu",
        r#"{"spec":{"resources":{"cpu":"100m","cpuLimit":"101m"}}}"#,
        r#"{"spec":{"resources":{"memory":"1769Mi","cpuLimit":"1"}}}"#,
    ),
    rule(
        "spec.scaling",
        "self.minReplicas <= self.maxReplicas",
        "minReplicas must be less than or equal to maxReplicas",
        r#"{"spec":{"scaling":{"minReplicas":2,"maxReplicas":2}}}"#,
        r#"{"spec":{"scaling":{"minReplicas":3,"maxReplicas":2}}}"#,
    ),
    rule(
        "spec.scaling.schedules[].cron",
        "self.matches('^[-0-9A-Za-z*/,?#]+( +[-0-9A-Za-z*/,?#]+){4}$')",
        "must be five fields: minute, hour, day of the month, month, day of the week, such as 0 8 * * MON-FRI; the time zone goes into timeZone",
        r#"{"spec":{"scaling":{"schedules":[{"cron":"*/15  7,8 1-5 * MON-FRI","durationSeconds":60,"minReplicas":1}]}}}"#,
        r#"{"spec":{"scaling":{"schedules":[{"cron":"CRON_TZ=UTC 0 8 * * *","durationSeconds":60,"minReplicas":1}]}}}"#,
    ),
    rule(
        "spec.scaling.schedules[].timeZone",
        "self == '' || self.matches('^[A-Za-z][-A-Za-z0-9_+]*(/[-A-Za-z0-9_+]+)*$')",
        "must be the IANA name of a time zone, such as Europe/Berlin; leave it out for UTC",
        r#"{"spec":{"scaling":{"schedules":[{"cron":"0 8 * * *","timeZone":"America/Argentina/Buenos_Aires","durationSeconds":60,"minReplicas":1}]}}}"#,
        r#"{"spec":{"scaling":{"schedules":[{"cron":"0 8 * * *","timeZone":"+02:00","durationSeconds":60,"minReplicas":1}]}}}"#,
    ),
    rule(
        "spec.readiness.path",
        "self == '' || self.matches('^/[^\\\\s#]*$')",
        "must begin with '/' and contain no spaces, such as /healthz; empty = a TCP connection is enough",
        r#"{"spec":{"readiness":{"path":"/healthz?full=1"}}}"#,
        r#"{"spec":{"readiness":{"path":"healthz"}}}"#,
    ),
    rule(
        "spec.serviceAccountName",
        "self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "must be the name of a ServiceAccount of this namespace; empty = one made for this function",
        r#"{"spec":{"serviceAccountName":"reader"}}"#,
        r#"{"spec":{"serviceAccountName":"default/reader"}}"#,
    ),
    rule(
        "spec.pod.labels",
        "!self.exists(k, k.startsWith('rouse.dev/'))",
        "must not contain keys beginning with rouse.dev/: Rouse sets them itself",
        r#"{"spec":{"pod":{"labels":{"team":"a"}}}}"#,
        r#"{"spec":{"pod":{"labels":{"rouse.dev/function":"other"}}}}"#,
    ),
    rule(
        "spec.pod.labels",
        "self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        "values must be at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
        r#"{"spec":{"pod":{"labels":{"team":""}}}}"#,
        r#"{"spec":{"pod":{"labels":{"team":"a b"}}}}"#,
    ),
    rule(
        "spec.pod.annotations",
        "!self.exists(k, k.startsWith('rouse.dev/'))",
        "must not contain keys beginning with rouse.dev/: Rouse sets them itself",
        r#"{"spec":{"pod":{"annotations":{"team":"a b"}}}}"#,
        r#"{"spec":{"pod":{"annotations":{"rouse.dev/template-epoch":"9"}}}}"#,
    ),
];

/// Rules of `Trigger`.
pub const TRIGGER: &[Rule] = &[
    rule(
        "spec.functionRef.name",
        "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "must be the name of a Function of this namespace, without a namespace",
        r#"{"spec":{"functionRef":{"name":"hello-2"}}}"#,
        r#"{"spec":{"functionRef":{"name":"default/hello"}}}"#,
    ),
    rule(
        "spec.http.hosts[]",
        "self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?\\\\.)+[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "must be a host name in lower case, without scheme, port and path, such as api.example.com",
        r#"{"spec":{"http":{"hosts":["a-1.example.com"]}}}"#,
        r#"{"spec":{"http":{"hosts":["https://api.example.com"]}}}"#,
    ),
    rule(
        "spec.http.path.value",
        "self.matches('^/[^\\\\s?#]*$') && !self.contains('//') && !self.split('/').exists(s, s == '..' || s == '.')",
        "must begin with '/' and contain no spaces, '?', '#', '//', '.' or '..' segments, such as /uploads",
        r#"{"spec":{"http":{"path":{"value":"/a.b/c"}}}}"#,
        r#"{"spec":{"http":{"path":{"value":"/a/../b"}}}}"#,
    ),
];
