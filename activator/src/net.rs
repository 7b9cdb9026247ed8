//! Connections to pods: the kernel's TCP. In tests, whoever runs on a host of a simulated network has that one's.

#[cfg(not(test))]
pub use tokio::net::TcpStream;

#[cfg(test)]
pub use either::TcpStream;

#[cfg(test)]
mod either {
    use std::io::{self, IoSlice};
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    /// A connection over the network that its maker is on.
    #[derive(Debug)]
    pub enum TcpStream {
        /// The kernel's.
        Kernel(tokio::net::TcpStream),
        /// A simulation's.
        Simulated(turmoil::net::TcpStream),
    }

    impl TcpStream {
        /// Connects.
        pub async fn connect(address: SocketAddr) -> io::Result<Self> {
            Ok(if turmoil::in_simulation() {
                Self::Simulated(turmoil::net::TcpStream::connect(address).await?)
            } else {
                Self::Kernel(tokio::net::TcpStream::connect(address).await?)
            })
        }

        /// See tokio's.
        pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
            match self {
                Self::Kernel(stream) => stream.set_nodelay(nodelay),
                Self::Simulated(stream) => stream.set_nodelay(nodelay),
            }
        }
    }

    impl AsyncRead for TcpStream {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Kernel(stream) => Pin::new(stream).poll_read(cx, buf),
                Self::Simulated(stream) => Pin::new(stream).poll_read(cx, buf),
            }
        }
    }

    impl AsyncWrite for TcpStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Kernel(stream) => Pin::new(stream).poll_write(cx, buf),
                Self::Simulated(stream) => Pin::new(stream).poll_write(cx, buf),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Kernel(stream) => Pin::new(stream).poll_flush(cx),
                Self::Simulated(stream) => Pin::new(stream).poll_flush(cx),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Kernel(stream) => Pin::new(stream).poll_shutdown(cx),
                Self::Simulated(stream) => Pin::new(stream).poll_shutdown(cx),
            }
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Kernel(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
                Self::Simulated(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            }
        }

        fn is_write_vectored(&self) -> bool {
            match self {
                Self::Kernel(stream) => stream.is_write_vectored(),
                Self::Simulated(stream) => stream.is_write_vectored(),
            }
        }
    }
}
