//! Paths that are read alike by everybody, or not at all. Pure.

use super::fault::Fault;

/// Whether this is a method as everybody writes them. Some readers take `get` for `GET`, and others for another one.
pub fn is_method(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// Checks the path of a request, as it came and without its query. A backslash is a slash to some (WHATWG URL), a NUL an
/// end to others, and what stands behind a `%` that is no byte is a guess (RFC 3986, section 2.1).
///
/// # Errors
/// [`Fault::Malformed`].
pub fn path(path: &str) -> Result<(), Fault> {
    let wrong = |why| Err(Fault::Malformed(why));
    if path.bytes().any(|byte| byte == b'\\' || !byte.is_ascii()) {
        return wrong("the path holds a byte that belongs in no path");
    }
    if !path.contains('%') {
        return Ok(());
    }
    for encoded in path.split('%').skip(1) {
        match byte(encoded) {
            None => return wrong("the path holds a `%` that encodes no byte"),
            Some(0) => return wrong("the path holds a NUL"),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether somebody behind us could take the path for another one, and so for one that another Trigger leads elsewhere:
/// empty and dot segments, and encodings of what needs none (RFC 3986, sections 2.3 and 6.2.2) or of a slash.
pub fn is_ambiguous(path: &str) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let empty = segment.is_empty() && segments.peek().is_some();
        if empty || matches!(segment, "." | "..") {
            return true;
        }
    }
    let needless = |byte: u8| byte.is_ascii_alphanumeric() || b"./\\".contains(&byte);
    path.split('%').skip(1).any(|encoded| byte(encoded).is_some_and(needless))
}

/// The byte that the two digits behind a `%` encode.
fn byte(encoded: &str) -> Option<u8> {
    let digits = encoded.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for fine in ["/", "/a/b", "/a%20b", "/a%2Fb", "/%e2%82%ac", "/a//b", "/../a", "/a|b", "*", "/%25", "/a/%2e"] {
            assert_eq!(path(fine), Ok(()), "{fine}");
        }
        for wrong in ["/a\\b", "/%", "/%4", "/%zz", "/%+1", "/%00", "/a%2", "/\u{20ac}", "/%u0041"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ambiguity() {
        for plain in ["/", "/a", "/a/", "/a/b.c/..d/.e", "/a%20b", "/%e2%82%ac", "/...", "/a/b%7e"] {
            assert!(!is_ambiguous(plain), "{plain}");
        }
        for ambiguous in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/%2e%2E/a",
            "/a%2fb",
            "/%5c",
            "/%61",
            "/%41",
            "/%30",
        ] {
            assert!(is_ambiguous(ambiguous), "{ambiguous}");
        }
    }
}
