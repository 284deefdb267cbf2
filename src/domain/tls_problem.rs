//! The reasons for failed TLS connections: codes, and explanations for people.

use crate::clock::Timestamp;

/// The reason a TLS connection couldn't be established, other than a rejected certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsProblem {
    /// The port responded with plain HTTP.
    PlainHttp,
    /// The port responded in another protocol. Contains the first bytes of the response, with
    /// unprintable bytes replaced.
    NotTls(String),
    /// The connection was closed during the handshake.
    Closed,
    /// The endpoint supports only versions before TLS 1.2.
    OldVersion,
    /// The endpoint and Miniback have no common cipher suite, curve, or signature algorithm.
    NoCommonAlgorithm,
    /// The endpoint has no certificate for the host name.
    UnknownName,
    /// The endpoint requires a client certificate.
    ClientCertificate,
    /// The endpoint ended the handshake with another alert. Contains the alert's name from the
    /// TLS standard.
    Alert(&'static str),
    /// Any other failure. The details are in the log.
    Other,
}

/// The reason a certificate was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// The certificate has expired. `at` is the end of the validity period, and `now` is the time
    /// on this machine.
    Expired {
        at: Option<Timestamp>,
        now: Option<Timestamp>,
    },
    NotYetValid {
        at: Option<Timestamp>,
        now: Option<Timestamp>,
    },
    /// The certificate doesn't cover the host. Contains the names and IP addresses that it covers.
    WrongName(Vec<String>),
    /// The certificate has no subject alternative name. The common name is ignored.
    NoAlternativeName,
    UnknownIssuer,
    SelfSigned,
    /// The certificate is a CA certificate.
    IsCa,
    /// The issuer's certificate isn't a CA certificate.
    IssuerIsNotCa,
    /// The certificate isn't an X.509 version 3 certificate.
    OldVersion,
    /// The certificate was signed with an insecure hash function, such as SHA-1. Contains the name
    /// of the hash function.
    WeakSignature(&'static str),
    UnsupportedSignature,
    /// An RSA key in the chain has fewer than 2,048 bits.
    ShortKey,
    InvalidSignature,
    /// The issuer has the name of a trusted CA, but a different key.
    OtherIssuerKey,
    /// The endpoint doesn't use the private key of the certificate.
    KeyMismatch,
    /// The extended key usage of the certificate excludes servers.
    WrongPurpose,
    /// The certificate violates a restriction in its issuer's certificate.
    NotPermittedByIssuer,
    Unreadable,
    /// Any other reason. The details are in the log.
    Other,
}

impl TlsProblem {
    pub const fn error_code(&self) -> &'static str {
        match self {
            Self::PlainHttp => "tls_plain_http",
            Self::NotTls(_) => "tls_not_spoken",
            Self::Closed => "tls_closed",
            Self::OldVersion => "tls_version",
            Self::NoCommonAlgorithm => "tls_no_common_algorithm",
            Self::UnknownName => "tls_unknown_name",
            Self::ClientCertificate => "tls_client_certificate",
            Self::Alert(_) => "tls_alert",
            Self::Other => "tls",
        }
    }

    pub fn summary(&self) -> String {
        match self {
            Self::PlainHttp => "The port responded with plain HTTP instead of TLS.".into(),
            Self::NotTls(start) => {
                format!("The port responded with “{start}” instead of TLS.")
            }
            Self::Closed => "The endpoint closed the connection during the TLS handshake.".into(),
            Self::OldVersion => {
                "The endpoint supports only TLS versions before 1.2, which are insecure.".into()
            }
            Self::NoCommonAlgorithm => {
                "The endpoint rejected the TLS handshake (alert “handshake failure”).".into()
            }
            Self::UnknownName => {
                "The endpoint has no certificate for this host name (TLS alert “unrecognized name”)."
                    .into()
            }
            Self::ClientCertificate => "The endpoint requires a client certificate.".into(),
            Self::Alert(name) => {
                format!("The endpoint ended the TLS connection with the alert “{name}”.")
            }
            Self::Other => "The TLS handshake failed.".into(),
        }
    }
}

impl CertificateProblem {
    pub const fn error_code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "certificate_expired",
            Self::NotYetValid { .. } => "certificate_not_yet_valid",
            Self::WrongName(_) => "certificate_wrong_name",
            Self::NoAlternativeName => "certificate_no_alternative_name",
            Self::UnknownIssuer => "certificate_unknown_issuer",
            Self::SelfSigned => "certificate_self_signed",
            Self::IsCa => "certificate_is_ca",
            Self::IssuerIsNotCa => "certificate_issuer_not_ca",
            Self::OldVersion => "certificate_version",
            Self::WeakSignature(_) | Self::UnsupportedSignature => "certificate_signature",
            Self::ShortKey => "certificate_short_key",
            Self::OtherIssuerKey => "certificate_issuer_key",
            Self::KeyMismatch => "certificate_key",
            Self::WrongPurpose => "certificate_purpose",
            Self::NotPermittedByIssuer => "certificate_not_permitted",
            Self::InvalidSignature | Self::Unreadable | Self::Other => "certificate",
        }
    }

    pub fn summary(&self) -> String {
        let text = match self {
            Self::Expired { at, now } => {
                return match at {
                    Some(at) => format!(
                        "The endpoint’s certificate expired on {}.{}",
                        at.format_date(),
                        describe_machine_date(*now)
                    ),
                    None => "The endpoint’s certificate has expired.".into(),
                };
            }
            Self::NotYetValid { at, now } => {
                return match at {
                    Some(at) => format!(
                        "The endpoint’s certificate isn’t valid until {}.{}",
                        at.format_date(),
                        describe_machine_date(*now)
                    ),
                    None => "The endpoint’s certificate isn’t valid yet.".into(),
                };
            }
            Self::WrongName(names) => {
                return format!(
                    "The endpoint’s certificate doesn’t cover this host name. It covers {}.",
                    list_names(names)
                );
            }
            Self::WeakSignature(algorithm) => {
                return format!(
                    "The endpoint’s certificate is signed with {algorithm}, which is insecure."
                );
            }
            Self::NoAlternativeName => {
                "The endpoint’s certificate has no subject alternative name (SAN). Its common name isn’t used."
            }
            Self::UnknownIssuer => "The endpoint’s certificate was issued by an unknown authority.",
            Self::SelfSigned => {
                "The endpoint’s certificate is self-signed, and Miniback doesn’t trust it."
            }
            Self::IsCa => {
                "The endpoint’s certificate is a CA certificate (CA:TRUE), not a server certificate."
            }
            Self::IssuerIsNotCa => {
                "The endpoint’s certificate was issued by a certificate that isn’t a CA certificate."
            }
            Self::OldVersion => {
                "The endpoint’s certificate isn’t an X.509 version 3 certificate, so it can’t contain the host name."
            }
            Self::UnsupportedSignature => {
                "The endpoint’s certificate is signed with an algorithm that Miniback doesn’t support."
            }
            Self::ShortKey => {
                "The endpoint’s certificate, or its issuer’s, has an RSA key with fewer than 2,048 bits."
            }
            Self::InvalidSignature => {
                "The endpoint’s certificate isn’t signed by the issuer certificate that the endpoint sends."
            }
            Self::OtherIssuerKey => {
                "The endpoint’s certificate lists a trusted CA as its issuer, but isn’t signed with that CA’s key."
            }
            Self::KeyMismatch => {
                "The endpoint’s TLS handshake isn’t signed with the private key of its certificate."
            }
            Self::WrongPurpose => {
                "The endpoint’s certificate isn’t meant for servers (its extended key usage lacks serverAuth)."
            }
            Self::NotPermittedByIssuer => {
                "The endpoint’s certificate violates a restriction in its issuer’s certificate."
            }
            Self::Unreadable => "The endpoint’s certificate can’t be decoded.",
            Self::Other => "The endpoint’s certificate was rejected.",
        };
        text.into()
    }
}

fn describe_machine_date(now: Option<Timestamp>) -> String {
    now.map_or_else(String::new, |now| {
        let today = now.format_date();
        format!(" On Miniback’s machine, the date is {today}.")
    })
}

/// Joins names: `a.example and b.example`. Lists at most 5 names, and the number of the others.
fn list_names(names: &[String]) -> String {
    const NAMES_SHOWN_MAX: usize = 5;
    let (shown, rest) = names.split_at(names.len().min(NAMES_SHOWN_MAX));
    match (shown, rest.len()) {
        ([first @ .., last], 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (_, 0) => shown.join(""),
        (_, more) => format!("{}, and {more} more", shown.join(", ")),
    }
}

/// Returns the cause of a TLS failure with this code, and how to fix it. Returns `None` for an
/// unknown code.
pub fn advice_for_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "tls_plain_http" => {
            "Use the port on which your server offers HTTPS. For plain HTTP on localhost, use http:// in the URL."
        }
        "tls_not_spoken" => "Check the port. An HTTPS server doesn’t start with these bytes.",
        "tls_closed" => {
            "Check the endpoint’s log. Make sure that this port offers HTTPS. A proxy or firewall might have closed the connection."
        }
        "tls_version" => "Enable TLS 1.2 or 1.3 on the endpoint.",
        "tls_no_common_algorithm" => {
            "Miniback offers TLS 1.2 and 1.3 with ECDHE, and with AES-GCM or ChaCha20-Poly1305. Keys can be RSA with at least 2,048 bits, ECDSA with P-256 or P-384, or Ed25519. Check the endpoint’s cipher list and the key of its certificate. Make sure that the endpoint has a certificate for this host name."
        }
        "tls_unknown_name" => {
            "Check the host name in the URL, and add a certificate for it to the server."
        }
        "tls_client_certificate" => {
            "Miniback doesn’t send client certificates. Don’t require them for this path, and verify the signature instead."
        }
        "tls_alert" => {
            "The endpoint’s log should contain the reason. Check that the server has a certificate for this host name."
        }
        "tls" => "Nothing was sent. Miniback’s log contains the details.",
        "certificate_expired" => {
            "Nothing was sent. If the clock of Miniback’s machine is right, renew the endpoint’s certificate. Otherwise, set the clock."
        }
        "certificate_not_yet_valid" => {
            "Nothing was sent. If the clock of Miniback’s machine is wrong, set it. Otherwise, install a certificate that is valid now."
        }
        "certificate_wrong_name" => {
            "Nothing was sent. Use a host name that the certificate covers, or get a certificate for the host name in the URL."
        }
        "certificate_no_alternative_name" | "certificate_version" => {
            "Nothing was sent. Issue the certificate again with a subject alternative name (SAN). For a certificate of your own CA: openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -out server.pem -extfile <(echo subjectAltName=DNS:HOST). Replace HOST with the host name. For an IP address, write IP: instead of DNS:."
        }
        "certificate_unknown_issuer" => {
            "Nothing was sent. The endpoint might not send its intermediate certificate. For a private CA, start Miniback with --ca-file and the CA’s certificate."
        }
        "certificate_self_signed" => {
            "Nothing was sent. Start Miniback with --ca-file and this certificate, or get a certificate from a public CA."
        }
        "certificate_is_ca" => {
            "Nothing was sent. Create the certificate again with CA:FALSE: openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 365 -subj /CN=HOST -addext subjectAltName=DNS:HOST -addext basicConstraints=critical,CA:FALSE. Replace HOST with the host name (for an IP address, write IP: instead of DNS:). Then start Miniback with --ca-file cert.pem."
        }
        "certificate_issuer_not_ca" => {
            "Nothing was sent. Create the issuer’s certificate again with CA:TRUE, and then issue the endpoint’s certificate again."
        }
        "certificate_signature" => {
            "Nothing was sent. Issue the certificate again with SHA-256 (openssl: -sha256) and a key that is RSA, ECDSA P-256 or P-384, or Ed25519."
        }
        "certificate_short_key" => {
            "Nothing was sent. Create a key with at least 2,048 bits (openssl: -newkey rsa:2048), and issue the certificate again."
        }
        "certificate_issuer_key" => {
            "Nothing was sent. If the CA has a new certificate, the CA certificate in --ca-file is out of date. Otherwise, the endpoint has a wrong certificate. To find out, get the CA’s current certificate and run: openssl verify -CAfile ca.pem server.pem. If the result is OK, put ca.pem into --ca-file and restart Miniback. If not, issue the endpoint’s certificate again."
        }
        "certificate_key" => {
            "Nothing was sent. Configure the endpoint with a certificate and a private key that belong together."
        }
        "certificate_purpose" => {
            "Nothing was sent. Issue the certificate again with extendedKeyUsage=serverAuth, or without this extension."
        }
        "certificate_not_permitted" => {
            "Nothing was sent. Check the name constraints and the path length in the issuer’s certificate."
        }
        "certificate" => {
            "Nothing was sent. Issue the certificate again. Miniback’s log contains the details."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_long_lists_of_names() {
        let names = |count: usize| -> Vec<String> { (1..=count).map(|n| n.to_string()).collect() };
        assert_eq!(list_names(&names(1)), "1");
        assert_eq!(list_names(&names(2)), "1 and 2");
        assert_eq!(list_names(&names(5)), "1, 2, 3, 4 and 5");
        assert_eq!(list_names(&names(7)), "1, 2, 3, 4, 5, and 2 more");
    }
}
