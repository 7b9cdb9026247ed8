//! What is odd about a request: in ways that all readers should take alike, and in ways that they do not.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};

use super::draft::{Body, Chunk, Draft, Field, LINE_END, METHOD, TARGET, VERSION};

/// Something done to a request, by name.
pub(crate) type Twist = (&'static str, fn(&mut Draft, &mut StdRng));

/// A request to go over to another protocol, which not all answer and go on.
pub(crate) const PROTOCOL: &str = "a protocol to change to";

fn pick<'a>(rng: &mut StdRng, from: &[&'a str]) -> &'a str {
    from.choose(rng).copied().unwrap_or_default()
}

/// Puts a field somewhere, with one of these names and one of these values.
fn put(draft: &mut Draft, rng: &mut StdRng, names: &[&str], values: &[&str]) {
    let at = rng.random_range(0..=draft.fields.len());
    draft.fields.insert(at, Field::new(pick(rng, names), pick(rng, values)));
}

/// The first chunk of a body that has some; the body becomes one that has.
fn chunk(draft: &mut Draft) -> &mut Chunk {
    if !matches!(draft.body, Body::Chunked(..)) {
        draft.fields.retain(|field| !field.name.eq_ignore_ascii_case(b"content-length"));
        draft.field("Transfer-Encoding", "chunked");
        draft.line[METHOD] = b"POST".to_vec();
    }
    let last = match &draft.body {
        Body::Chunked(_, last) => last.clone(),
        _ => b"0\r\n\r\n".to_vec(),
    };
    let mut chunks = match std::mem::replace(&mut draft.body, Body::None) {
        Body::Chunked(chunks, _) => chunks,
        Body::Plain(bytes) if !bytes.is_empty() => vec![Chunk::new(&bytes)],
        Body::Plain(_) | Body::None => Vec::new(),
    };
    if chunks.is_empty() {
        chunks.push(Chunk::new(b"hello"));
    }
    draft.body = Body::Chunked(chunks, last);
    match &mut draft.body {
        Body::Chunked(chunks, _) => &mut chunks[0],
        _ => unreachable!("set above"),
    }
}

/// The last chunk and what is behind it.
fn last(draft: &mut Draft) -> &mut Vec<u8> {
    chunk(draft);
    match &mut draft.body {
        Body::Chunked(_, last) => last,
        _ => unreachable!("set by chunk"),
    }
}

/// A body with a length.
fn length(draft: &mut Draft) -> &mut Field {
    if !matches!(draft.body, Body::Plain(_)) {
        draft.fields.retain(|field| !field.name.eq_ignore_ascii_case(b"transfer-encoding"));
        draft.line[METHOD] = b"POST".to_vec();
        draft.body = Body::Plain(b"hello".to_vec());
        draft.fields.push(Field::new("Content-Length", "5"));
    }
    draft.field("Content-Length", "5")
}

/// Valid, or so common that it is taken: what is passed on of it must mean the same to all.
pub(crate) const ODD: &[Twist] = &[
    ("an odd path", |d, rng| {
        let paths = [
            "/a%20b",
            "/a%2Fb",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/a/%2e%2e/b",
            "//evil.example/a",
            "/a;b=c",
            "/a%3Fb",
            "/a%23b",
            "/%e2%82%ac",
            "/a|b",
            "/a^b",
            "/a`b",
            "/a{b}",
            "/a[b]",
            "/a:b",
            "/:",
            "/@",
            "/a'b",
            "/a*b",
            "/a%0d%0aX:%20y",
            "/http://other.shop/",
            "/a,b",
            "/a=b&c",
            "/~",
            "/%7E",
            "/.",
            "/a/",
            "/a%25",
            "/a%5cb",
            "/%",
            "/a%2",
            "/a%zz",
            "/a%00",
            "/..",
            "/../a",
        ];
        d.line[TARGET] = pick(rng, &paths).into();
    }),
    ("a query", |d, rng| {
        let queries = [
            "?",
            "?a",
            "?a=b",
            "?a=/../b",
            "?a?b",
            "?a=%zz",
            "?%",
            "?a|b",
            "?a=http://other.shop/",
            "?{}",
            "?a;b",
            "?\\",
        ];
        d.line[TARGET].extend(pick(rng, &queries).bytes());
    }),
    ("a whole URL", |d, rng| {
        let starts = ["http://hello.shop", "HTTP://hello.shop", "http://HELLO.SHOP", "https://hello.shop"];
        d.line[TARGET] = [pick(rng, &starts).as_bytes(), &d.line[TARGET]].concat();
    }),
    ("a whole URL without a path", |d, rng| {
        d.line[TARGET] = pick(rng, &["http://hello.shop", "http://hello.shop?a=b", "http://hello.shop/"]).into();
    }),
    ("a star", |d, _| (d.line[METHOD], d.line[TARGET]) = (b"OPTIONS".to_vec(), b"*".to_vec())),
    ("another method", |d, rng| d.line[METHOD] = pick(rng, &["PURGE", "M-SEARCH", "QUERY", "FOO", "PROPFIND"]).into()),
    ("HTTP/1.0", |d, _| d.line[VERSION] = b"HTTP/1.0".to_vec()),
    ("HTTP/1.0, kept", |d, rng| {
        d.line[VERSION] = b"HTTP/1.0".to_vec();
        put(d, rng, &["Connection"], &["keep-alive"]);
    }),
    ("an empty line before it", |d, _| d.lead = b"\r\n".to_vec()),
    ("another form of the host", |d, rng| {
        let hosts =
            ["HELLO.shop", "hello.shop:8080", "hello.shop.", "hello.shop:", "hello.shop.localhost", "hello.shop.svc"];
        d.field("Host", "").value = pick(rng, &hosts).into();
    }),
    ("names in other letters", |d, rng| {
        for field in &mut d.fields {
            if rng.random() {
                field.name.make_ascii_uppercase();
            } else {
                field.name.make_ascii_lowercase();
            }
        }
    }),
    ("space about values", |d, rng| {
        for field in &mut d.fields {
            field.colon = pick(rng, &[":", ":  ", ":\t", ": \t "]).into();
            field.end = pick(rng, &["\r\n", " \r\n", "\t\r\n"]).into();
        }
    }),
    ("values that are no ASCII", |d, rng| put(d, rng, &["X-Any"], &["\u{e9}", "\u{20ac}", "a\tb"])),
    ("an empty value", |d, rng| put(d, rng, &["X-Any"], &[""])),
    ("a field twice", |d, rng| {
        put(d, rng, &["X-Twice"], &["1"]);
        put(d, rng, &["x-twice"], &["2"]);
    }),
    ("two cookies", |d, rng| {
        put(d, rng, &["Cookie"], &["a=b"]);
        put(d, rng, &["Cookie"], &["c=d"]);
    }),
    ("odd letters in a name", |d, rng| put(d, rng, &["X_Any", "!#$%&'*+.^`|~", "X.Any", "0"], &["a"])),
    ("names that only proxies use", |d, rng| {
        let names =
            ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "X_Forwarded_For", "Rouse-Cold-Start"];
        put(d, rng, &names, &["10.0.0.1"]);
    }),
    ("a field named by Connection", |d, rng| {
        let named = [
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "X-Any",
            "keep-alive",
            "Cookie",
            "Content-Type",
            "X-Any, Content-Length",
            "close, Host",
            "TE",
            "Upgrade",
            "Connection",
            "Expect",
        ];
        put(d, rng, &["Connection"], &named);
        put(d, rng, &["X-Any"], &["a"]);
    }),
    ("the last on its connection", |d, rng| put(d, rng, &["Connection"], &["close", "Close", "x, close"])),
    ("fields between neighbours", |d, rng| {
        let (name, value) = [
            ("TE", "trailers"),
            ("TE", "chunked"),
            ("TE", "trailers, deflate"),
            ("Keep-Alive", "timeout=5"),
            ("Trailer", "Content-Length"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic YTpi"),
        ]
        .choose(rng)
        .copied()
        .unwrap_or_default();
        put(d, rng, &[name], &[value]);
    }),
    (PROTOCOL, |d, rng| {
        put(d, rng, &["Connection"], &["Upgrade"]);
        put(d, rng, &["Upgrade"], &["websocket", "h2c", "HTTP/2.0", "TLS/1.0"]);
    }),
    ("Expect", |d, _| {
        length(d);
        d.field("Expect", "100-continue");
    }),
    ("leading zeros in the length", |d, _| {
        let field = length(d);
        field.value = [b"000", field.value.as_slice()].concat();
    }),
    ("a length of zero", |d, rng| {
        if matches!(d.body, Body::None) {
            put(d, rng, &["Content-Length"], &["0"]);
        }
    }),
    ("a body of a GET", |d, _| {
        length(d);
        d.line[METHOD] = b"GET".to_vec();
    }),
    ("chunks of a GET", |d, _| {
        chunk(d);
        d.line[METHOD] = b"GET".to_vec();
    }),
    ("the encoding in other letters", |d, _| {
        chunk(d);
        d.field("Transfer-Encoding", "").value = b"Chunked".to_vec();
    }),
    ("a chunk's size in other digits", |d, rng| {
        let chunk = chunk(d);
        chunk.size =
            if rng.random() { format!("{:X}", chunk.data.len()) } else { format!("000{:x}", chunk.data.len()) }.into();
    }),
    ("an extension of a chunk", |d, rng| {
        let extensions = [";a", ";a=b", ";a=\"b\"", ";a=\"b;c\"", ";", ";a;b=c", "; a = b", ";5", ";a=\"\r\""];
        chunk(d).size.extend(pick(rng, &extensions).bytes());
    }),
    ("an extension of the last chunk", |d, _| *last(d) = b"0;a=b\r\n\r\n".to_vec()),
    ("zeros as last chunk", |d, _| *last(d) = b"0000\r\n\r\n".to_vec()),
    ("a trailer", |d, rng| {
        let trailers = [
            "X-Sum: 1",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Host: other.shop",
            "X-Forwarded-For: 10.0.0.1",
            "Connection: close",
            "A:",
            "Cookie: a=b",
        ];
        *last(d) = format!("0\r\n{}\r\n\r\n", pick(rng, &trailers)).into();
    }),
];

/// Not valid, or read differently by some.
pub(crate) const WRONG: &[Twist] = &[
    ("a second length", |d, rng| {
        length(d);
        put(d, rng, &["Content-Length"], &["5", "0", "6", "50"]);
    }),
    ("a length that is none", |d, rng| {
        let values = [
            "+5",
            "-5",
            "5,5",
            "5, 5",
            "5, 6",
            "0x5",
            "5 5",
            "5;",
            "5.0",
            "5e0",
            "",
            "\"5\"",
            "\u{665}",
            "5\x0b",
            "\x0b5",
            "5_0",
            "18446744073709551621",
            "5\0",
            "5 x",
        ];
        length(d).value = pick(rng, &values).into();
    }),
    ("a length and chunks", |d, rng| {
        chunk(d);
        put(d, rng, &["Content-Length"], &["0", "5", "3", "15"]);
    }),
    ("an encoding that is none", |d, rng| {
        let values = [
            "identity",
            "identity, chunked",
            "chunked, identity",
            "gzip, chunked",
            "gzip",
            "chunked, chunked",
            "xchunked",
            "chunke",
            "chunked;q=1",
            "\"chunked\"",
            ",chunked",
            "chunked,",
            "\x0bchunked",
            "chunked\x0c",
            "chun\0ked",
            "",
            "x",
            "[chunked]",
        ];
        chunk(d);
        d.field("Transfer-Encoding", "").value = pick(rng, &values).into();
    }),
    ("a second encoding", |d, rng| {
        chunk(d);
        put(d, rng, &["Transfer-Encoding"], &["chunked", "identity", "", "x"]);
    }),
    ("a length, and an encoding that is none", |d, rng| {
        length(d);
        let values = ["xchunked", "identity", "", "chunked\x0b", "chunked, x"];
        put(d, rng, &["Transfer-Encoding"], &values);
    }),
    ("an encoding of HTTP/1.0", |d, _| {
        chunk(d);
        d.line[VERSION] = b"HTTP/1.0".to_vec();
    }),
    ("a name that is not quite the length", |d, rng| {
        let name = pick(
            rng,
            &[
                "Content_Length",
                "Content-Length ",
                "Content-Length\t",
                "Content-Lengt\u{125}",
                "Content-Length\0",
                " Content-Length",
            ],
        );
        length(d).name = name.into();
    }),
    ("a name that is not quite the encoding", |d, rng| {
        chunk(d);
        let names = [
            "Transfer_Encoding",
            "Transfer-Encoding ",
            "Transfer-Encoding\t",
            " Transfer-Encoding",
            "Transfer-Encoding\x0b",
            "Transfer\0-Encoding",
        ];
        d.field("Transfer-Encoding", "").name = pick(rng, &names).into();
    }),
    ("another colon", |d, rng| {
        if let Some(field) = d.fields.last_mut() {
            field.colon = pick(rng, &["", " : ", "\t:", " ", ";", "::", ":\0", ":\r "]).into();
        }
    }),
    ("a folded line", |d, rng| {
        let folds = ["\r\n ", "\r\n\t", "\n ", "\r "];
        let fold = pick(rng, &folds).as_bytes();
        if let Some(field) = d.fields.choose_mut(rng) {
            field.value = [fold, field.value.as_slice()].concat();
        }
    }),
    ("a line of space", |d, rng| {
        let at = rng.random_range(0..=d.fields.len());
        d.fields.insert(at, Field { name: b" ".to_vec(), colon: Vec::new(), value: Vec::new(), end: b"\r\n".to_vec() });
    }),
    ("another end of a line", |d, rng| {
        let end: Vec<u8> = pick(rng, &["\n", "\r", "\r\r\n", "\n\r", "\r\n\n", "\0\r\n", "\x0b\r\n"]).into();
        let at = rng.random_range(0..d.fields.len() + 2);
        match at.checked_sub(2) {
            None if at == 0 => d.line[LINE_END] = end,
            None => d.end = end,
            Some(field) => d.fields[field].end = end,
        }
    }),
    ("lines before it", |d, rng| d.lead = pick(rng, &["\n", "\r", "\r\n\r\n", " ", "\0", "\t\r\n", "x\r\n"]).into()),
    ("no host", |d, _| d.fields.retain(|field| field.name != b"Host")),
    ("a second host", |d, rng| put(d, rng, &["Host", "host", "HOST"], &["hello.shop", "other.shop", ""])),
    ("a host that is none", |d, rng| {
        let hosts = [
            "",
            "hello.shop/a",
            "hello.shop?a",
            "hello.shop#a",
            "a@hello.shop",
            "hello.shop,other.shop",
            "hello.shop other.shop",
            "http://hello.shop",
            "hello.shop:80:80",
            "hello.shop:+80",
            "hello.shop:99999",
            "hello%2eshop",
            "hello.shop\\a",
            "[hello.shop]",
            "hello\0.shop",
            "hello.shop:a",
        ];
        d.field("Host", "").value = pick(rng, &hosts).into();
    }),
    ("a target of another host", |d, rng| {
        let targets = [
            "http://other.shop/",
            "http://hello.shop:81/",
            "http://a@hello.shop/",
            "http:///a",
            "ftp://hello.shop/",
            "http:hello.shop",
            "hello.shop:80",
        ];
        d.line[TARGET] = pick(rng, &targets).into();
    }),
    ("a target that is none", |d, rng| {
        let targets = [
            "", "a", "*", "?a", "/a b", "/a#b", "#", "/a\\b", "\\a", "/a\0b", "/\u{e9}", "/a\x7fb", "/a\x0bb", "/a\tb",
            "/a%00b", "/%u0041", "/<a>", "/\"a\"",
        ];
        d.line[TARGET] = pick(rng, &targets).into();
    }),
    ("a version that is none", |d, rng| {
        let versions = [
            "HTTP/1.2",
            "HTTP/0.9",
            "HTTP/2.0",
            "HTTP/1.10",
            "HTTP/1",
            "http/1.1",
            "HTTP/1,1",
            "HTTP/ 1.1",
            "HTTP/01.1",
            "HTTP/1.1x",
            "",
            "RTSP/1.0",
            "HTTP/1.1\0",
        ];
        d.line[VERSION] = pick(rng, &versions).into();
    }),
    ("a method that is none", |d, rng| {
        d.line[METHOD] =
            pick(rng, &["get", "Get", "G T", "", "GE(T", "GET\0", "\u{e9}", "TRACE", "CONNECT", "GET\t"]).into();
    }),
    ("space in the first line", |d, rng| {
        let at = [1, 3].choose(rng).copied().unwrap_or(1);
        d.line[at] = pick(rng, &["  ", "\t", " \t", "", "\x0b", "\r", "\u{a0}"]).into();
    }),
    ("a chunk's size that is none", |d, rng| {
        let sizes = [
            " 5",
            "5 ",
            "5\t",
            "+5",
            "-5",
            "0x5",
            "",
            "g",
            "5_",
            "0_5",
            "5,",
            "ffffffffffffffff",
            "10000000000000005",
            "5 5",
            "5\x0b",
            "\u{665}",
            "5\0",
            "5.",
            "\t5",
        ];
        chunk(d).size = pick(rng, &sizes).into();
    }),
    ("another end of a chunk's size", |d, rng| {
        chunk(d).size_end = pick(rng, &["\n", "\r", "\r\r\n", ";\n", ";a\n\r\n", ";\0\r\n", " \r\n", ";a\r\r\n"]).into()
    }),
    ("another end of a chunk", |d, rng| {
        chunk(d).end = pick(rng, &["\n", "\r", "", "\n\r\n", "!\r\n", "\r\r\n", "  ", "xx"]).into()
    }),
    ("a chunk of another size", |d, rng| {
        let chunk = chunk(d);
        let len = chunk.data.len();
        let size = [len + 1, len.saturating_sub(1), len + 2, len + 7].choose(rng).copied().unwrap_or(len);
        chunk.size = format!("{size:x}").into();
    }),
    ("another last chunk", |d, rng| {
        let ends = [
            "0\n\n",
            "0\r\n\n",
            "0\n\r\n",
            "0\r\r\n\r\n",
            "0 \r\n\r\n",
            "-0\r\n\r\n",
            "0\r\n \r\n\r\n",
            "0\r\nA\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\nA: b\r\n c\r\n\r\n",
            "0\r\nA: \0\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "00\r\nx\r\n\r\n",
            "0\rx\r\n\r\n",
        ];
        *last(d) = pick(rng, &ends).into();
    }),
];
