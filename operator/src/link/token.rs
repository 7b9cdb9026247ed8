//! Who is at the other end: a token of the activator's ServiceAccount, for this audience, bound to one pod.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};
use runtime::client::{CallError, within};
use tokio::sync::Semaphore;

use super::limits;

/// Where a bound token's review names its pod.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// An activator's pod, as its token proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Name of the pod.
    pub pod_name: String,
    /// UID of the pod.
    pub pod_uid: String,
}

/// Why a caller is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no `authorization: Bearer TOKEN`, or it is too long.
    #[error("a bearer token is needed")]
    NoToken,
    /// The API server does not know the token, or not for this audience.
    #[error("the token is not valid for the audience {}", crds::names::LINK_AUDIENCE)]
    NotAuthenticated,
    /// It is somebody else's.
    #[error("the token is not the activator's")]
    OtherUser,
    /// It is bound to no pod.
    #[error("the token is bound to no pod")]
    NotBound,
    /// The API server cannot be asked.
    #[error("the token cannot be reviewed: {0}")]
    Unavailable(#[from] CallError),
}

/// Asks the API server about tokens; a few at a time.
pub struct Tokens {
    api: Api<TokenReview>,
    user: String,
    gate: Semaphore,
}

impl Tokens {
    /// Accepts the ServiceAccount of that namespace and name.
    pub fn new(client: Client, namespace: &str, service_account: &str) -> Self {
        let user = format!("system:serviceaccount:{namespace}:{service_account}");
        Self { api: Api::all(client), user, gate: Semaphore::new(limits::REVIEWS) }
    }

    /// Whose token it is, by a TokenReview with the audience `rouse-link`. Takes at most [`limits::REVIEW`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn review(&self, token: &str) -> Result<Bearer, Refusal> {
        if token.is_empty() || token.len() > limits::TOKEN_BYTES {
            return Err(Refusal::NoToken);
        }
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![crds::names::LINK_AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        let ask = async {
            // The semaphore is never closed.
            let _permit = self.gate.acquire().await.ok();
            self.api.create(&PostParams::default(), &review).await
        };
        let answer = within(limits::REVIEW, ask).await?;
        judge(&answer.status.unwrap_or_default(), &self.user)
    }
}

/// Reads a review's answer. The audience is checked here as well: an authenticator that knows nothing of audiences
/// leaves the list empty (Kubernetes API reference, `TokenReviewStatus.audiences`).
fn judge(status: &TokenReviewStatus, user: &str) -> Result<Bearer, Refusal> {
    let audience = status.audiences.iter().flatten().any(|audience| audience == crds::names::LINK_AUDIENCE);
    if status.authenticated != Some(true) || !audience {
        return Err(Refusal::NotAuthenticated);
    }
    let info = status.user.as_ref().ok_or(Refusal::NotAuthenticated)?;
    if info.username.as_deref() != Some(user) {
        return Err(Refusal::OtherUser);
    }
    let one = |key: &str| match info.extra.as_ref()?.get(key)?.as_slice() {
        [value] if !value.is_empty() => Some(value.clone()),
        _ => None,
    };
    match (one(POD_NAME), one(POD_UID)) {
        (Some(pod_name), Some(pod_uid)) => Ok(Bearer { pod_name, pod_uid }),
        _ => Err(Refusal::NotBound),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "system:serviceaccount:rouse-system:rouse-activator";

    fn judged(change: impl FnOnce(&mut serde_json::Value)) -> Result<Bearer, Refusal> {
        let mut status = json!({
            "authenticated": true,
            "audiences": ["rouse-link"],
            "user": {"username": USER, "extra": {POD_NAME: ["activator-1"], POD_UID: ["uid-1"]}},
        });
        change(&mut status);
        judge(&serde_json::from_value(status).unwrap(), USER)
    }

    #[test]
    fn only_a_bound_token_of_the_activator_for_this_audience_passes() {
        let bearer = judged(|_| {}).unwrap();
        assert_eq!((bearer.pod_name.as_str(), bearer.pod_uid.as_str()), ("activator-1", "uid-1"));
        assert!(matches!(judged(|s| s["authenticated"] = json!(false)), Err(Refusal::NotAuthenticated)));
        assert!(matches!(
            judged(|s| s["audiences"] = json!(["https://kubernetes.default.svc"])),
            Err(Refusal::NotAuthenticated)
        ));
        assert!(matches!(judged(|s| s["audiences"] = json!([])), Err(Refusal::NotAuthenticated)));
        assert!(matches!(judged(|s| s["user"] = json!(null)), Err(Refusal::NotAuthenticated)));
        let other = json!("system:serviceaccount:other:rouse-activator");
        assert!(matches!(judged(|s| s["user"]["username"] = other), Err(Refusal::OtherUser)));
        assert!(matches!(judged(|s| s["user"]["extra"] = json!({})), Err(Refusal::NotBound)));
        assert!(matches!(judged(|s| s["user"]["extra"][POD_UID] = json!(["a", "b"])), Err(Refusal::NotBound)));
    }

    #[tokio::test]
    async fn an_absent_or_huge_token_is_never_sent_to_the_api_server() {
        let (service, _handle) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        let tokens = Tokens::new(Client::new(service, "default"), "rouse-system", "rouse-activator");
        assert!(matches!(tokens.review("").await, Err(Refusal::NoToken)));
        assert!(matches!(tokens.review(&"a".repeat(limits::TOKEN_BYTES + 1)).await, Err(Refusal::NoToken)));
    }
}
