//! Notices about valid settings that have no effect, contradict each other, or may allow more than
//! intended. `serve` logs these notices, and `check` prints them.

use ipnet::IpNet;

use super::options::ServeOptions;
use crate::domain::egress_policy::AllowTarget;
use crate::domain::webhook_url::WebhookUrl;

/// A notice about valid settings: a warning or advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsNotice {
    pub is_warning: bool,
    pub text: String,
}

impl ServeOptions {
    /// Returns the notices about these options, warnings first.
    pub fn notices(&self) -> Vec<SettingsNotice> {
        let mut warnings = Vec::new();
        if let Some(name) = self.alerts.secret_setting_name() {
            match &self.alerts.alert_url {
                None => warnings.push(format!("{name} has no effect without --alert-url")),
                Some(WebhookUrl::Mailto(_)) => warnings.push(format!(
                    "{name} has no effect, because --alert-url is an email, and emails aren't signed"
                )),
                Some(WebhookUrl::Endpoint(_)) => {}
            }
        }
        if self.mail.has_unused_sender() {
            warnings.push("--mail-from has no effect without --smtp-url".to_owned());
        }
        if self.alerts.alert_url.is_some() && self.base_url.is_none() {
            warnings.push(
                "alerts don't link to the deliveries of the webhook; set --base-url".to_owned(),
            );
        }
        warnings.extend(self.plain_http_warning());
        warnings.extend(self.wal.litestream_warning(&self.data.data_dir));
        let allowed = &self.delivery.allow_target;
        if self.delivery.deny_localhost {
            let localhost = allowed.iter().filter(|target| target.allows_localhost());
            warnings.extend(localhost.map(|target| {
                format!(
                    "--allow-target {target} allows webhooks to localhost, which --deny-localhost \
                     blocks; remove one of them"
                )
            }));
        }
        for target in allowed {
            if let AllowTarget::Net(network) = target {
                warnings.extend(host_bits_warning("--allow-target", *network));
            }
        }
        for network in &self.trusted_proxy.0 {
            warnings.extend(host_bits_warning("--trusted-proxy", *network));
        }
        let warnings = warnings.into_iter().map(|text| SettingsNotice {
            is_warning: true,
            text,
        });
        let advice = self.localhost_advice().map(|text| SettingsNotice {
            is_warning: false,
            text: text.to_owned(),
        });
        warnings.chain(advice).collect()
    }

    /// Warns about passwords on the network: other machines can connect, but only over plain HTTP.
    fn plain_http_warning(&self) -> Option<String> {
        let mut listen = self.listener.listen.iter();
        let address = listen.find(|address| address.is_reachable_from_other_machines())?;
        self.base_url.is_none().then(|| {
            format!(
                "--listen {address} is open to other machines, and passwords are sent over plain \
                 HTTP; put a reverse proxy with HTTPS in front of Miniback, and set --base-url"
            )
        })
    }

    /// Recommends `--deny-localhost` if it isn't set and `--base-url` is an HTTPS URL of a host
    /// other than localhost.
    fn localhost_advice(&self) -> Option<&'static str> {
        let is_public = self.base_url.as_ref().is_some_and(|url| {
            url.scheme() == "https"
                && match url.host() {
                    Some(url::Host::Domain(name)) => {
                        name != "localhost" && !name.ends_with(".localhost")
                    }
                    Some(url::Host::Ipv4(ip)) => !ip.is_loopback(),
                    Some(url::Host::Ipv6(ip)) => !ip.is_loopback(),
                    None => false,
                }
        });
        (is_public && !self.delivery.deny_localhost).then_some(
            "webhooks can reach services on this machine; if no endpoint runs here, set \
             --deny-localhost",
        )
    }
}

/// Returns a warning if `network` has host bits, such as `10.0.0.5/8`. The value means the whole
/// network, not only the IP address.
fn host_bits_warning(option: &str, network: IpNet) -> Option<String> {
    let whole = network.trunc();
    (whole != network).then(|| {
        format!(
            "{option} {network} means all of {whole}; for only one IP address, use {}",
            network.addr()
        )
    })
}
