//! A TLS handshake and one request with a component, as one of its clients would do it.
//!
//! Whatever certificate is shown is taken and written down; whether the client would accept it is judged
//! afterwards with Go's rules. What the server says to the client's certificate is its own answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde::{Deserialize, Serialize};

use super::agent::encode;
use super::wait::Attempts;

/// Wall seconds for connecting and for each read.
const LIMIT: Duration = Duration::from_secs(5);
/// How often a connection that is cut is made.
const CONNECTIONS: Attempts = Attempts {
    max: 3,
    between: Duration::from_millis(300),
    within: Duration::MAX,
};
/// More than any answer that is looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A handshake that is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Address and port.
    pub address: String,
    /// Files of the certificate and the key that are shown.
    pub pair: Option<(String, String)>,
    /// What is asked for afterwards.
    pub path: String,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The server's certificates as DER in base64, leaf first.
    pub chain: Vec<String>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Nothing listens there.
    pub unreachable: Option<String>,
    /// The alert that the server ended the connection with, or another error after it was open.
    pub refused: Option<String>,
    /// The client's own files cannot be used.
    pub unusable: Option<String>,
}

/// Does the handshake and the request. A connection that is cut is tried again: a server on its way out cuts one, and an
/// etcd cuts each one of a peer that it rejects.
#[must_use]
pub fn try_it(wanted: &Handshake) -> Shown {
    CONNECTIONS.of(|| try_once(wanted), |(_, cut)| !cut).0
}

/// What came of one try, and whether the connection was cut.
fn try_once(wanted: &Handshake) -> (Shown, bool) {
    let mut shown = Shown::default();
    let mut cut = false;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = match config(wanted, Arc::clone(&seen)) {
        Ok(config) => config,
        Err(error) => {
            shown.unusable = Some(error.to_string());
            return (shown, cut);
        }
    };
    let stream = match connect(&wanted.address) {
        Ok(stream) => stream,
        Err(error) => {
            shown.unreachable = Some(error.to_string());
            return (shown, cut);
        }
    };
    match converse(config, stream, wanted) {
        Ok(status) => shown.status = Some(status),
        Err(error) => {
            cut = matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            );
            shown.refused = Some(error.to_string());
        }
    }
    if let Ok(chain) = seen.lock() {
        shown.chain.clone_from(&chain);
    }
    (shown, cut)
}

/// A request without TLS: status and body.
///
/// # Errors
/// When there is no answer.
pub fn plain_get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    ask(&mut stream, address, path)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address
        .to_socket_addrs()?
        .next()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn converse(config: ClientConfig, stream: TcpStream, wanted: &Handshake) -> io::Result<u16> {
    let host = wanted.address.rsplit_once(':').map_or("", |(host, _)| host);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    ask(&mut tls, &wanted.address, &wanted.path).map(|(status, _)| status)
}

fn ask(stream: &mut (impl Read + Write), host: &str, path: &str) -> io::Result<(u16, String)> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: certdrill\r\nConnection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A server that closes without a farewell has still answered.
            Err(error) if answer.is_empty() => return Err(error),
            Err(_) => break,
        }
        if answer.len() >= ANSWER_BYTES_MAX || parse(&answer).is_some_and(|found| found.complete) {
            break;
        }
    }
    let found = parse(&answer).ok_or_else(|| io::Error::other("no HTTP answer"))?;
    let body = answer.get(found.body_from..).unwrap_or_default();
    Ok((found.status, String::from_utf8_lossy(body).into_owned()))
}

/// What is known of an answer so far.
struct Found {
    status: u16,
    body_from: usize,
    /// There is as much as its head announces. etcd leaves connections of peers open for seconds after that.
    complete: bool,
}

/// `None` before its head is there.
fn parse(answer: &[u8]) -> Option<Found> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body_from) = response.parse(answer).ok()? else {
        return None;
    };
    let announced = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    Some(Found {
        status: response.code?,
        body_from,
        complete: announced.is_some_and(|length: usize| answer.len() - body_from >= length),
    })
}

fn config(wanted: &Handshake, seen: Arc<Mutex<Vec<String>>>) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakeAny { provider, seen }));
    match &wanted.pair {
        None => Ok(builder.with_no_client_auth()),
        Some((crt, key)) => {
            let chain = CertificateDer::pem_file_iter(crt)
                .map_err(io::Error::other)?
                .collect::<Result<Vec<_>, _>>()
                .map_err(io::Error::other)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(io::Error::other)
        }
    }
}

/// Takes any certificate whose key the server holds, and writes it down.
#[derive(Debug)]
struct TakeAny {
    provider: Arc<CryptoProvider>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = std::iter::once(end_entity)
                .chain(intermediates)
                .map(|der| encode(der))
                .collect();
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that stays open.
    struct Open(io::Cursor<Vec<u8>>);

    impl Read for Open {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            // A byte at a time, then nothing for longer than anybody waits.
            let one = into.len().min(1);
            match self.0.read(&mut into[..one])? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                count => Ok(count),
            }
        }
    }

    impl Write for Open {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answer(text: &str) -> io::Result<(u16, String)> {
        ask(&mut Open(io::Cursor::new(text.into())), "host", "/path")
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let text = "HTTP/1.1 200 OK\r\nContent-length: 4\r\n\r\nbody, and what nobody asked for";
        assert_eq!(answer(text).unwrap(), (200, "body".to_owned()));
        assert_eq!(
            answer("HTTP/1.1 503 Not now\r\n\r\nso far").unwrap(),
            (503, "so far".to_owned())
        );
        let nothing = answer("").unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert!(answer("HTTP/1.1 2").is_err());
    }
}
