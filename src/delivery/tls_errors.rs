//! Maps errors of the TLS library to outcomes.

use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::response_head::first_line_excerpt;
use super::tls::CertificateRejection;
use crate::clock::Timestamp;
use crate::domain::delivery::Outcome;
use crate::domain::tls_problem::{CertificateProblem, TlsProblem};

/// Maps a TLS error to an outcome. `received` contains the first bytes that the endpoint sent, if
/// they are known. `certificate_requested` is true if the endpoint requested a client certificate.
pub(super) fn tls_error_outcome(
    error: &Error,
    received: &[u8],
    certificate_requested: bool,
) -> Outcome {
    let problem = match error {
        Error::InvalidCertificate(error) => {
            return Outcome::Certificate(certificate_problem(error));
        }
        Error::NoCertificatesPresented => return Outcome::Tls(TlsProblem::UnknownName),
        Error::AlertReceived(alert) => tls_alert_problem(*alert, certificate_requested),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => TlsProblem::OldVersion,
        Error::PeerIncompatible(_) => TlsProblem::NoCommonAlgorithm,
        Error::InvalidMessage(_) => detect_non_tls_protocol(received),
        _ => TlsProblem::Other,
    };
    if problem == TlsProblem::Other {
        tracing::warn!(%error, "TLS handshake failed");
    }
    Outcome::Tls(problem)
}

/// Returns the outcome for a connection that the endpoint closed during the handshake. `received`
/// contains the first bytes that the endpoint sent.
pub(super) fn closed_connection_outcome(received: &[u8]) -> Outcome {
    match detect_non_tls_protocol(received) {
        TlsProblem::Other => Outcome::Tls(TlsProblem::Closed),
        other => Outcome::Tls(other),
    }
}

/// Returns the TLS error inside an I/O error, if the I/O error contains one.
pub(super) fn inner_tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Recognizes a protocol other than TLS by the first bytes that the endpoint sent. Returns
/// [`TlsProblem::Other`] if there are no bytes or if they start a TLS record.
fn detect_non_tls_protocol(received: &[u8]) -> TlsProblem {
    match received {
        // TLS records: change cipher spec, alert, handshake, and application data.
        [] | [0x14..=0x17, ..] => TlsProblem::Other,
        _ if received.starts_with(b"HTTP/") => TlsProblem::PlainHttp,
        _ => TlsProblem::NotTls(first_line_excerpt(received)),
    }
}

/// Maps a TLS alert to a problem. The names of alerts come from RFC 8446, section 6.
fn tls_alert_problem(alert: AlertDescription, certificate_requested: bool) -> TlsProblem {
    use AlertDescription as Alert;
    TlsProblem::Alert(match alert {
        Alert::CertificateRequired => return TlsProblem::ClientCertificate,
        // Before TLS 1.3, there is no alert for a missing client certificate.
        Alert::HandshakeFailure | Alert::BadCertificate | Alert::AccessDenied
            if certificate_requested =>
        {
            return TlsProblem::ClientCertificate;
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            return TlsProblem::NoCommonAlgorithm;
        }
        Alert::ProtocolVersion => return TlsProblem::OldVersion,
        Alert::UnrecognisedName => return TlsProblem::UnknownName,
        Alert::CloseNotify => return TlsProblem::Closed,
        Alert::InternalError => "internal error",
        Alert::NoApplicationProtocol => "no application protocol",
        Alert::UnexpectedMessage => "unexpected message",
        Alert::BadRecordMac => "bad record MAC",
        Alert::RecordOverflow => "record overflow",
        Alert::BadCertificate => "bad certificate",
        Alert::UnsupportedCertificate => "unsupported certificate",
        Alert::CertificateRevoked => "certificate revoked",
        Alert::CertificateExpired => "certificate expired",
        Alert::CertificateUnknown => "certificate unknown",
        Alert::IllegalParameter => "illegal parameter",
        Alert::UnknownCA => "unknown CA",
        Alert::AccessDenied => "access denied",
        Alert::DecodeError => "decode error",
        Alert::DecryptError => "decrypt error",
        Alert::InappropriateFallback => "inappropriate fallback",
        Alert::UserCanceled => "user canceled",
        Alert::MissingExtension => "missing extension",
        Alert::UnsupportedExtension => "unsupported extension",
        _ => return TlsProblem::Other,
    })
}

fn certificate_problem(error: &CertificateError) -> CertificateProblem {
    use CertificateProblem as Problem;
    let problem = match error {
        CertificateError::Expired => Problem::Expired {
            at: None,
            now: None,
        },
        CertificateError::ExpiredContext { time, not_after } => Problem::Expired {
            at: to_timestamp(not_after),
            now: to_timestamp(time),
        },
        CertificateError::NotValidYet => Problem::NotYetValid {
            at: None,
            now: None,
        },
        CertificateError::NotValidYetContext { time, not_before } => Problem::NotYetValid {
            at: to_timestamp(not_before),
            now: to_timestamp(time),
        },
        CertificateError::NotValidForName => Problem::WrongName(vec![]),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            Problem::NoAlternativeName
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            Problem::WrongName(presented.iter().map(|name| presented_name(name)).collect())
        }
        CertificateError::UnknownIssuer => Problem::UnknownIssuer,
        CertificateError::BadSignature => Problem::InvalidSignature,
        CertificateError::BadEncoding => Problem::Unreadable,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Problem::WrongPurpose
        }
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id,
            ..
        }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            ..
        } => weak_hash_function(signature_algorithm_id)
            .map_or(Problem::UnsupportedSignature, Problem::WeakSignature),
        CertificateError::Other(other) => other_certificate_problem(&*other.0),
        _ => Problem::Other,
    };
    if problem == Problem::Other {
        tracing::warn!(%error, "certificate rejected");
    }
    problem
}

fn other_certificate_problem(error: &(dyn std::error::Error + 'static)) -> CertificateProblem {
    use CertificateProblem as Problem;
    match error.downcast_ref::<CertificateRejection>() {
        Some(CertificateRejection::SelfSigned) => return Problem::SelfSigned,
        Some(CertificateRejection::ShortKey) => return Problem::ShortKey,
        Some(CertificateRejection::OtherIssuerKey) => return Problem::OtherIssuerKey,
        Some(CertificateRejection::KeyMismatch) => return Problem::KeyMismatch,
        None => {}
    }
    match error.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::CaUsedAsEndEntity) => Problem::IsCa,
        Some(webpki::Error::EndEntityUsedAsCa) => Problem::IssuerIsNotCa,
        Some(webpki::Error::UnsupportedCertVersion) => Problem::OldVersion,
        Some(
            webpki::Error::NameConstraintViolation
            | webpki::Error::PathLenConstraintViolated
            | webpki::Error::MaximumPathDepthExceeded,
        ) => Problem::NotPermittedByIssuer,
        Some(
            webpki::Error::MalformedExtensions
            | webpki::Error::ExtensionValueInvalid
            | webpki::Error::InvalidSerialNumber,
        ) => Problem::Unreadable,
        _ => Problem::Other,
    }
}

/// Returns the hash function of a signature algorithm if the hash function is insecure. `id`
/// contains the algorithm's object identifier in DER.
fn weak_hash_function(id: &[u8]) -> Option<&'static str> {
    const RSA_MD5_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04];
    const RSA_SHA1_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
    const ECDSA_SHA1_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    let is = |algorithm: &[u8]| id.windows(algorithm.len()).any(|part| part == algorithm);
    if is(RSA_SHA1_OID) || is(ECDSA_SHA1_OID) {
        Some("SHA-1")
    } else {
        is(RSA_MD5_OID).then_some("MD5")
    }
}

/// Extracts the name from the TLS library's notation, such as `DnsName("a.example")`.
fn presented_name(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"').to_owned()
}

fn to_timestamp(time: &UnixTime) -> Option<Timestamp> {
    let seconds = i64::try_from(time.as_secs()).ok()?;
    seconds.checked_mul(1000).map(Timestamp::from_millis)
}
