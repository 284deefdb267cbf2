//! Tests of the list of error codes.

use std::collections::BTreeSet;

use super::*;
use crate::domain::egress_policy::EgressDenied;
use crate::domain::mail_failure::{MailFailure, MailStep};

fn status(status: u16) -> Outcome {
    Outcome::Status {
        status,
        location: None,
    }
}

fn timeout(phase: AttemptPhase) -> Outcome {
    Outcome::Timeout(Timeout {
        after: Duration::from_secs(1),
        phase,
        timings: AttemptTimings::default(),
    })
}

/// Returns a failure with each error code that isn't about TLS or an unreachable host.
fn basic_failures() -> Vec<Outcome> {
    vec![
        status(302),
        status(500),
        timeout(AttemptPhase::Lookup),
        timeout(AttemptPhase::Connect),
        timeout(AttemptPhase::Tls),
        timeout(AttemptPhase::Send),
        timeout(AttemptPhase::Wait),
        Outcome::NameNotFound,
        Outcome::NameWithoutAddress,
        Outcome::LookupFailed(DnsProblem::Other),
        Outcome::ConnectionRefused,
        Outcome::ConnectionClosed,
        Outcome::TlsExpected,
        Outcome::InvalidResponse(String::new()),
        Outcome::Internal,
        Outcome::FormatChanged,
        Outcome::TargetNotAllowed(EgressDenied::PlainHttp {
            host: String::new(),
        }),
    ]
}

/// Returns a failure of an email with each error code.
fn mail_failures() -> Vec<MailFailure> {
    let reply = |step, code| MailFailure::Reply { step, code };
    vec![
        MailFailure::NotConfigured,
        MailFailure::Connection(Box::new(Outcome::Tls(TlsProblem::Closed))),
        reply(MailStep::Greeting, 554),
        reply(MailStep::SignIn, 535),
        reply(MailStep::Sender, 530),
        reply(MailStep::Sender, 553),
        reply(MailStep::Recipient, 550),
        reply(MailStep::Content, 451),
        reply(MailStep::Content, 552),
        reply(MailStep::Content, 554),
        MailFailure::Closed(MailStep::Hello),
        MailFailure::Timeout {
            after: Duration::from_secs(1),
            step: MailStep::Hello,
        },
        MailFailure::InvalidReply(MailStep::Hello),
        MailFailure::NoStartTls,
        MailFailure::NoSignIn,
        MailFailure::NoInternationalEmail,
    ]
}

#[test]
fn the_list_contains_exactly_the_error_codes() {
    use CertificateProblem as Cert;
    use UnreachableCause as Cause;
    let (at, now) = (None, None);
    let unreachable = [
        Cause::NoRoute,
        Cause::NoIpv6,
        Cause::Forbidden,
        Cause::NoLocalPort,
        Cause::TooManyFiles,
    ];
    let tls = [
        TlsProblem::PlainHttp,
        TlsProblem::NotTls(String::new()),
        TlsProblem::Closed,
        TlsProblem::OldVersion,
        TlsProblem::NoCommonAlgorithm,
        TlsProblem::UnknownName,
        TlsProblem::ClientCertificate,
        TlsProblem::Alert(""),
        TlsProblem::Other,
    ];
    let certificate = [
        Cert::Expired { at, now },
        Cert::NotYetValid { at, now },
        Cert::WrongName(Vec::new()),
        Cert::NoAlternativeName,
        Cert::UnknownIssuer,
        Cert::SelfSigned,
        Cert::IsCa,
        Cert::IssuerIsNotCa,
        Cert::OldVersion,
        Cert::UnsupportedSignature,
        Cert::ShortKey,
        Cert::OtherIssuerKey,
        Cert::KeyMismatch,
        Cert::WrongPurpose,
        Cert::NotPermittedByIssuer,
        Cert::Other,
    ];
    let failures = basic_failures()
        .into_iter()
        .chain(unreachable.map(Outcome::Unreachable))
        .chain(tls.map(Outcome::Tls))
        .chain(certificate.map(Outcome::Certificate))
        .chain(mail_failures().into_iter().map(Outcome::Mail));
    let codes: BTreeSet<_> = failures.filter_map(|o| o.error_code()).collect();
    assert_eq!(codes, BTreeSet::from(Outcome::ERROR_CODES));
}
