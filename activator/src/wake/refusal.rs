//! What an answer to a wake that is not a success means. Pure.

use std::sync::Arc;

use runtime::client::CallError;

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The Deployment already has more replicas than asked for: the admission policy only lets it be raised.
    Already,
    /// Somebody wrote at the same time: again, at once.
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
        Some(422) if words.to_ascii_lowercase().contains("lower") => Meaning::Already,
        Some(409) => Meaning::Conflict,
        Some(code @ (400 | 401 | 403 | 422)) => Meaning::Refused(public(code, words).into()),
        // 404: the Deployment was just replaced or is not there yet. 429 and 5xx pass.
        _ => Meaning::Later,
    }
}

/// The words of an admission policy or webhook are meant for the one who asked; the API server's own name the program's
/// account and are kept to ourselves.
fn public(code: u16, words: &str) -> String {
    let admission = ["denied request: ", "denied the request: "];
    match admission.iter().find_map(|mark| words.split_once(mark)) {
        Some((_, own)) => own.trim().to_owned(),
        None => format!("the API server refuses to scale it ({code})"),
    }
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
        assert_eq!(answer(422, &format!("{policy}an activator may not lower replicas")), Meaning::Already);
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
