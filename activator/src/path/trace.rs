//! W3C Trace Context (Recommendation of 23 November 2021): the caller's trace is kept, or one is begun.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::headers;

/// The trace, and the span in it that calls.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems add for themselves; of no meaning without the other.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace; not 0.
    pub trace: u128,
    /// The span that calls; not 0.
    pub span: u64,
    /// Whether that is recorded, perhaps.
    pub sampled: bool,
}

impl Parent {
    /// Reads a value (section 3.2.2). Of a version that is not known, what is like version 00 is read, and more may follow
    /// behind a dash (section 4.3).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let part = |from: usize, to: usize| value.get(from..to).and_then(hex);
        let dash = |at: usize| value.get(at) == Some(&b'-');
        let version = part(0, 2).filter(|version| *version != 0xff)?;
        let whole = match value.len() {
            55 => true,
            longer => longer > 55 && version > 0 && dash(55),
        };
        if !whole || !dash(2) || !dash(35) || !dash(52) {
            return None;
        }
        let trace = part(3, 35).filter(|trace| *trace != 0)?;
        let span = part(36, 52).and_then(|span| u64::try_from(span).ok()).filter(|span| *span != 0)?;
        Some(Self { trace, span, sampled: part(53, 55)? & 1 == 1 })
    }

    /// The caller's, if it names one and only one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { Self::parse(first.as_bytes()) }
    }

    /// Puts it in the place of what is there, in the version that is known here.
    pub fn set(&self, into: &mut HeaderMap) {
        let Self { trace, span, sampled } = self;
        let mut value = *b"00-................................-................-00";
        value[3..35].copy_from_slice(&headers::hex::<32>(*trace));
        value[36..52].copy_from_slice(&headers::hex::<16>((*span).into()));
        value[54] += u8::from(*sampled);
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            into.insert(TRACEPARENT, value);
        }
    }
}

/// Digits in lower case, as the recommendation has them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// Keeps the caller's trace as it came, or begins one, without what came for another.
///
/// What is begun is marked as sampled, though nobody has recorded anything yet: samplers that follow their parent, as those
/// of OpenTelemetry do unless told otherwise, would record nothing of a function whose callers do not trace.
pub fn ensure(headers: &mut HeaderMap) {
    if Parent::of(headers).is_some() {
        return;
    }
    headers.remove(TRACESTATE);
    Parent { trace: rand::random::<u128>().max(1), span: rand::random::<u64>().max(1), sampled: true }.set(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_no_parent_is_told_apart() {
        let with = |from: &str, to: &str| GOOD.replacen(from, to, 1);
        let rows = [
            (GOOD.to_owned(), Some(true)),
            (with("-01", "-00"), Some(false)),
            (with("-01", "-02"), Some(false)),
            (with("-01", "-ff"), Some(true)),
            // Version 00 ends here, later ones may go on behind a dash.
            (with("-01", "-01-"), None),
            (with("-01", "-01-more"), None),
            (with("00-", "01-"), Some(true)),
            (with("00-", "cc-") + "-more", Some(true)),
            (with("00-", "cc-") + "-", Some(true)),
            (with("00-", "cc-") + ".more", None),
            (with("00-", "cc-") + "0", None),
            (with("00-", "ff-"), None),
            (with("00-", "0-"), None),
            (with("00-", "0x-"), None),
            (GOOD.to_uppercase(), None),
            (with("0af7", "0Af7"), None),
            (with("0af7", "0gf7"), None),
            (with("-01", "-0"), None),
            (with("-01", "-0A"), None),
            (with("-01", ""), None),
            (with("-b7", "_b7"), None),
            (with("-0a", ".0a"), None),
            (with("-01", ".01"), None),
            (with("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)), None),
            (with("b7ad6b7169203331", &"0".repeat(16)), None),
            (String::new(), None),
            (format!(" {GOOD}"), None),
        ];
        for (value, sampled) in rows {
            let parent = Parent::parse(value.as_bytes());
            assert_eq!(parent.map(|parent| parent.sampled), sampled, "{value}");
            if let Some(parent) = parent {
                assert_eq!(parent.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
                assert_eq!(parent.span, 0xb7ad_6b71_6920_3331);
            }
        }
    }

    #[test]
    fn a_trace_is_kept_or_begun_and_its_state_goes_with_it() {
        let given = |parents: &[&str]| {
            let mut headers = HeaderMap::new();
            for parent in parents {
                headers.append(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
            }
            headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
            headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
            ensure(&mut headers);
            headers
        };
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        for kept in [GOOD, later] {
            let headers = given(&[kept]);
            assert_eq!(headers[TRACEPARENT], kept);
            assert_eq!(headers.get_all(TRACESTATE).iter().count(), 2);
        }
        for wrong in [&[][..], &["nonsense"], &[GOOD, GOOD], &[later, "nonsense"]] {
            let headers = given(wrong);
            let begun = Parent::of(&headers).unwrap();
            assert!(begun.sampled && !wrong.iter().any(|wrong| headers[TRACEPARENT] == *wrong), "{headers:?}");
            assert!(!headers.contains_key(TRACESTATE), "{headers:?}");
        }
        assert_ne!(given(&[])[TRACEPARENT], given(&[])[TRACEPARENT]);
    }
}
