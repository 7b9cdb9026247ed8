//! Manifests that people write, and what the API server must say about each.
//!
//! Each is a JSON merge patch on the base of the rules' fixtures. The words must name the field and say what to write.

/// A patch, and what the refusal must contain.
pub(crate) type Wrong = (&'static str, &'static [&'static str]);

/// On `rules::FUNCTION_BASE`.
pub(crate) const FUNCTIONS: &[Wrong] = &[
    // Missing and empty.
    (r#"{"spec":null}"#, &["spec: Required value"]),
    (r#"{"spec":{"image":null}}"#, &["must have exactly one of image and source"]),
    (r#"{"spec":{"image":""}}"#, &["spec.image", "should be at least 1 chars long"]),
    (r#"{"spec":{"env":[{"value":"1"}]}}"#, &["spec.env[0].name: Required value"]),
    (r#"{"spec":{"mounts":[{"emptyDir":{}}]}}"#, &["spec.mounts[0].path: Required value"]),
    (r#"{"spec":{"mounts":[{"path":"/a","configMap":{}}]}}"#, &["spec.mounts[0].configMap.name: Required value"]),
    // Unknown, among it what other tools or Kubernetes' own pods call so.
    (r#"{"spec":{"imge":"a"}}"#, &[r#"unknown field "spec.imge""#]),
    (r#"{"spec":{"replicas":3}}"#, &[r#"unknown field "spec.replicas""#]),
    (r#"{"spec":{"scaling":{"maxScale":3}}}"#, &[r#"unknown field "spec.scaling.maxScale""#]),
    (r#"{"spec":{"resources":{"limits":{"memory":"1Gi"}}}}"#, &[r#"unknown field "spec.resources.limits""#]),
    (r#"{"spec":{"pod":{"hostNetwork":true}}}"#, &[r#"unknown field "spec.pod.hostNetwork""#]),
    (r#"{"spec":{"mounts":[{"path":"/a","hostPath":{"path":"/"}}]}}"#, &[r#"unknown field "spec.mounts[0].hostPath""#]),
    // Wrong types.
    (r#"{"spec":{"image":["a"]}}"#, &["spec.image in body must be of type string"]),
    (r#"{"spec":{"port":"8080"}}"#, &["spec.port in body must be of type integer"]),
    (
        r#"{"spec":{"timeouts":{"requestSeconds":"30s"}}}"#,
        &["spec.timeouts.requestSeconds in body must be of type integer"],
    ),
    (r#"{"spec":{"command":"sleep 1"}}"#, &["spec.command in body must be of type array"]),
    (r#"{"spec":{"args":[1]}}"#, &["spec.args[0] in body must be of type string"]),
    (r#"{"spec":{"env":"A=1"}}"#, &["spec.env in body must be of type array"]),
    (r#"{"spec":{"env":[{"name":"A","value":1}]}}"#, &["spec.env[0].value in body must be of type string"]),
    (r#"{"spec":{"resources":{"cpu":0.5}}}"#, &["spec.resources.cpu in body must be of type integer,string"]),
    (r#"{"spec":{"resources":{"memory":true}}}"#, &["spec.resources.memory in body must be of type integer,string"]),
    (r#"{"spec":{"pod":{"nodeSelector":{"disk":1}}}}"#, &["spec.pod.nodeSelector.disk in body must be of type string"]),
    (r#"{"spec":{"readiness":"/healthz"}}"#, &["spec.readiness in body must be of type object"]),
    // Wrong words.
    (r#"{"spec":{"protocol":"http2"}}"#, &["spec.protocol", r#"supported values: "HTTP1", "H2C""#]),
    (
        r#"{"spec":{"scaling":{"mode":"Off"}}}"#,
        &["spec.scaling.mode", r#"supported values: "Auto", "Manual", "Paused""#],
    ),
    (
        r#"{"spec":{"scaling":{"mode":"Manual","replicas":1001}}}"#,
        &["spec.scaling.replicas", "less than or equal to 1000"],
    ),
    (
        r#"{"spec":{"imagePullPolicy":"never"}}"#,
        &["spec.imagePullPolicy", r#"supported values: "Always", "IfNotPresent", "Never""#],
    ),
    // Out of range.
    (r#"{"spec":{"port":0}}"#, &["spec.port", "greater than or equal to 1"]),
    (r#"{"spec":{"port":65536}}"#, &["spec.port", "less than or equal to 65535"]),
    (r#"{"spec":{"scaling":{"minReplicas":-1}}}"#, &["spec.scaling.minReplicas", "greater than or equal to 0"]),
    (r#"{"spec":{"scaling":{"maxReplicas":0}}}"#, &["spec.scaling.maxReplicas", "greater than or equal to 1"]),
    (r#"{"spec":{"scaling":{"maxReplicas":1001}}}"#, &["spec.scaling.maxReplicas", "less than or equal to 1000"]),
    (r#"{"spec":{"scaling":{"target":0}}}"#, &["spec.scaling.target", "greater than or equal to 1"]),
    (
        r#"{"spec":{"scaling":{"targetUtilizationPercent":101}}}"#,
        &["targetUtilizationPercent", "less than or equal to 100"],
    ),
    (r#"{"spec":{"scaling":{"windowSeconds":5}}}"#, &["spec.scaling.windowSeconds", "greater than or equal to 6"]),
    (
        r#"{"spec":{"scaling":{"schedules":[{"cron":"0 8 * * *","durationSeconds":59,"minReplicas":1}]}}}"#,
        &["spec.scaling.schedules[0].durationSeconds", "greater than or equal to 60"],
    ),
    (
        r#"{"spec":{"scaling":{"schedules":[{"cron":"0 8 * * *","durationSeconds":60}]}}}"#,
        &["spec.scaling.schedules[0].minReplicas", "Required value"],
    ),
    (r#"{"spec":{"timeouts":{"requestSeconds":0}}}"#, &["spec.timeouts.requestSeconds", "greater than or equal to 1"]),
    (
        r#"{"spec":{"timeouts":{"coldStartSeconds":3601}}}"#,
        &["spec.timeouts.coldStartSeconds", "less than or equal to 3600"],
    ),
    (r#"{"spec":{"queue":{"maxRequests":0}}}"#, &["spec.queue.maxRequests", "greater than or equal to 1"]),
    (r#"{"spec":{"pod":{"runAsUser":0}}}"#, &["spec.pod.runAsUser", "greater than or equal to 1"]),
    (
        r#"{"spec":{"pod":{"terminationGracePeriodSeconds":1}}}"#,
        &["terminationGracePeriodSeconds", "greater than or equal to 3"],
    ),
    // Twice.
    (r#"{"spec":{"env":[{"name":"A"},{"name":"A"}]}}"#, &["spec.env[1]: Duplicate value"]),
    (
        r#"{"spec":{"mounts":[{"path":"/a","emptyDir":{}},{"path":"/a","emptyDir":{}}]}}"#,
        &["spec.mounts[1]: Duplicate value"],
    ),
    // What the rules' own fixtures leave out.
    (
        r#"{"metadata":{"name":"a23456789b123456789c123456789d123456789e123456789f1"}}"#,
        &["metadata.name must be 1 to 50"],
    ),
    (r#"{"metadata":{"name":"Hello"}}"#, &["metadata.name", "must consist of lower case alphanumeric characters"]),
    (
        r#"{"spec":{"resources":{"memory":"lots"}}}"#,
        &["spec.resources.memory", "must be a quantity of at least 8Mi, such as 128Mi"],
    ),
    (
        r#"{"spec":{"resources":{"memory":1}}}"#,
        &["spec.resources.memory", "must be a quantity of at least 8Mi, such as 128Mi"],
    ),
    (r#"{"spec":{"resources":{"cpu":"-1"}}}"#, &["spec.resources.cpu", "must be a quantity of at least 1m"]),
    (
        r#"{"spec":{"resources":{"cpu":"100m","cpuLimit":"100m"}}}"#,
        &["spec.resources", "cpuLimit must exceed the CPU request"],
    ),
    (
        r#"{"spec":{"resources":{"cpu":"nonsense","cpuLimit":"1"}}}"#,
        &["spec.resources.cpu", "must be a quantity of at least 1m"],
    ),
    (
        r#"{"spec":{"mounts":[{"path":"/a"}]}}"#,
        &["spec.mounts[0]", "must have exactly one of configMap, secret, emptyDir"],
    ),
    (
        r#"{"spec":{"pod":{"labels":{"team":"a23456789b123456789c123456789d123456789e123456789f123456789g1234"}}}}"#,
        &["spec.pod.labels.team", "63"],
    ),
];

/// On `rules::TRIGGER_BASE`.
pub(crate) const TRIGGERS: &[Wrong] = &[
    (r#"{"spec":{"http":null}}"#, &["spec.http: Required value"]),
    (r#"{"spec":{"functionRef":null}}"#, &["spec.functionRef: Required value"]),
    (r#"{"spec":{"http":{"hosts":null}}}"#, &["spec.http.hosts: Required value"]),
    (r#"{"spec":{"http":{"hosts":[]}}}"#, &["spec.http.hosts", "should have at least 1 items"]),
    (r#"{"spec":{"functionRef":{"namespace":"other"}}}"#, &[r#"unknown field "spec.functionRef.namespace""#]),
    (r#"{"spec":{"functionRef":"hello"}}"#, &["spec.functionRef in body must be of type object"]),
    (r#"{"spec":{"http":{"path":"/uploads"}}}"#, &["spec.http.path in body must be of type object"]),
    (
        r#"{"spec":{"http":{"path":{"type":"Regex"}}}}"#,
        &["spec.http.path.type", r#"supported values: "Exact", "Prefix""#],
    ),
    (r#"{"spec":{"http":{"path":{"value":"uploads"}}}}"#, &["spec.http.path.value", "must begin with '/'"]),
    (
        r#"{"spec":{"http":{"path":{"value":"/a?b=c"}}}}"#,
        &["spec.http.path.value", "must begin with '/' and contain no spaces, '?'"],
    ),
    (
        r#"{"spec":{"http":{"methods":["post"]}}}"#,
        &["spec.http.methods[0]", r#"supported values: "GET", "HEAD", "POST""#],
    ),
    (r#"{"spec":{"http":{"methods":["GET","GET"]}}}"#, &["spec.http.methods[1]: Duplicate value"]),
    (r#"{"spec":{"http":{"hosts":["a.b.example","a.b.example"]}}}"#, &["spec.http.hosts[1]: Duplicate value"]),
    (
        r#"{"spec":{"http":{"hosts":["API.example.com"]}}}"#,
        &["spec.http.hosts[0]", "must be a host name in lower case"],
    ),
    (
        r#"{"spec":{"http":{"hosts":["api.example.com:8080"]}}}"#,
        &["spec.http.hosts[0]", "without scheme, port and path"],
    ),
    (r#"{"spec":{"http":{"hosts":["*.example.com"]}}}"#, &["spec.http.hosts[0]", "must be a host name in lower case"]),
    (r#"{"spec":{"http":{"hosts":["localhost"]}}}"#, &["spec.http.hosts[0]", "must be a host name in lower case"]),
];
