//! What an answer to a wake that is not a success means. Pure.

use std::sync::Arc;

use crds::names::RAISE_ONLY;
use runtime::client::CallError;

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The Deployment already has more replicas than asked for: the admission policy only lets it be raised.
    Already,
    /// Somebody wrote at the same time: again, at once if that is the first time.
    Conflict,
    /// Nobody's fault, or the network's: again, later.
    Later,
    /// A refusal, with words for the caller.
    Refused(Arc<str>),
}

/// Reads an error.
pub fn meaning(error: &CallError) -> Meaning {
    let words = error.refusal().unwrap_or_default();
    match error.status() {
        Some(422) if denial(words).is_some_and(|own| own.starts_with(RAISE_ONLY)) => Meaning::Already,
        Some(409) => Meaning::Conflict,
        Some(code @ (400 | 401 | 403 | 422)) => Meaning::Refused(public(code, words).into()),
        // 404: the Deployment was just replaced or is not there yet. 429 and 5xx pass.
        _ => Meaning::Later,
    }
}

/// The words of an admission policy or webhook are meant for the one who asked; the API server's own name the program's
/// account and are kept to ourselves.
fn public(code: u16, words: &str) -> String {
    match denial(words) {
        Some(own) => own.to_owned(),
        None => format!("the API server refuses to scale it ({code})"),
    }
}

/// The own words of an admission policy or webhook, behind the API server's.
fn denial(words: &str) -> Option<&str> {
    let admission = ["denied request: ", "denied the request: "];
    admission.iter().find_map(|mark| words.split_once(mark)).map(|(_, own)| own.trim())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, message: &str) -> Meaning {
        let status = Status::failure(message, "Invalid").with_code(code);
        meaning(&CallError::Kube(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn answers_are_told_apart() {
        let policy =
            "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ";
        assert_eq!(answer(422, &format!("{policy}{RAISE_ONLY} from 3 to 1")), Meaning::Already);
        // Another's policy, or a Deployment of such a name.
        let other = "use a lower number";
        assert_eq!(answer(422, &format!("{policy}{other}")), Meaning::Refused(other.into()));
        let invalid = "Scale \"lower-1\" is invalid: spec.replicas: Invalid value";
        assert_eq!(answer(422, invalid), Meaning::Refused("the API server refuses to scale it (422)".into()));
        assert_eq!(
            answer(422, &format!("{policy}at most 1000 replicas")),
            Meaning::Refused("at most 1000 replicas".into())
        );
        assert_eq!(
            answer(403, "User \"system:serviceaccount:rouse:x\" cannot patch resource"),
            Meaning::Refused("the API server refuses to scale it (403)".into())
        );
        assert_eq!(answer(409, ""), Meaning::Conflict);
        for code in [404, 429, 500, 503] {
            assert_eq!(answer(code, ""), Meaning::Later, "{code}");
        }
        assert_eq!(meaning(&CallError::Deadline(std::time::Duration::from_secs(1))), Meaning::Later);
    }
}
