//! A WebSocket that sends back what it receives. Source: [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::reply::{Reply, whole, with_status};

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const LARGEST: u64 = 1 << 20;

/// Switches the connection over, and echoes on it until either side closes.
pub(crate) fn accept(request: Request<Incoming>) -> Reply {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return with_status(StatusCode::UPGRADE_REQUIRED, "a WebSocket handshake is needed\n");
    };
    let answer = STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(ACCEPT_SUFFIX).finalize());
    let Ok(answer) = HeaderValue::from_str(&answer) else {
        return with_status(StatusCode::BAD_REQUEST, "a strange key\n");
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            // The caller sees how it ended; there is nobody else to tell.
            let _ = echo(TokioIo::new(upgraded)).await;
        }
    });
    let mut reply = Response::new(whole(Bytes::new()));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = reply.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::SEC_WEBSOCKET_ACCEPT, answer);
    reply
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let mut frame = read(&mut stream).await?;
        let opcode = frame.first & 0x0F;
        if opcode == PING {
            frame.first = frame.first & 0xF0 | PONG;
        }
        if opcode != PONG {
            write(&mut stream, &frame).await?;
        }
        if opcode == CLOSE {
            return stream.shutdown().await;
        }
    }
}

/// A frame as it was sent: its first byte (the end flag and the opcode) and its unmasked payload.
struct Frame {
    first: u8,
    payload: Vec<u8>,
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let first = stream.read_u8().await?;
    let second = stream.read_u8().await?;
    let length = match second & 0x7F {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    // Clients must mask (section 5.1).
    if second & 0x80 == 0 || length > LARGEST {
        return Err(io::Error::other("an unmasked or oversized frame"));
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Frame { first, payload })
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let mut head = vec![frame.first];
    match frame.payload.len() {
        short @ 0..126 => head.push(short as u8),
        middle @ 126..0x1_0000 => {
            head.push(126);
            head.extend((middle as u16).to_be_bytes());
        }
        long => {
            head.push(127);
            head.extend((long as u64).to_be_bytes());
        }
    }
    head.extend(&frame.payload);
    stream.write_all(&head).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first, 0x80 | payload.len() as u8];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[tokio::test]
    async fn text_ping_and_close() {
        let (mut client, server) = tokio::io::duplex(1024);
        let echo = tokio::spawn(echo(server));
        for frame in [masked(0x81, b"hello"), masked(0x89, b"p"), masked(0x88, b"")] {
            client.write_all(&frame).await.unwrap();
        }
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, [b"\x81\x05hello".as_slice(), b"\x8a\x01p", b"\x88\x00"].concat());
        echo.await.unwrap().unwrap();
    }
}
