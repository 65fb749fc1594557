//! Numbers of TLS, and of the certificates that are watched.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use penstock_core::close::Side;
use penstock_core::metrics::HANDSHAKES;
use prometheus_client::metrics::MetricType;

use super::{Labels, Sheet, counter, each};
use crate::certificates::Watched;

impl Sheet<'_, '_> {
    pub(super) fn tls(&mut self) -> fmt::Result {
        let state = self.state;
        let help = "TLS handshakes, by side and what became of them";
        let mut family = self.family("tls_handshakes", help, MetricType::Counter)?;
        for side in [Side::Client, Side::Target] {
            for (kind, name) in HANDSHAKES.iter().enumerate() {
                let labels: Labels<'_> = &[("side", side.label()), ("kind", name)];
                each(&mut family, state, labels, |c| &c.handshakes[side as usize][kind])?;
            }
        }
        let help = "Records that were copied since there was no room around them";
        let mut family = self.family("tls_apart", help, MetricType::Counter)?;
        for (index, direction) in ["opened", "sealed"].iter().enumerate() {
            each(&mut family, state, &[("direction", direction)], |c| &c.tls_apart[index])?;
        }
        self.certificates()
    }

    fn certificates(&mut self) -> fmt::Result {
        let watched = &*self.state.certificates;
        let help = "Certificates and lists loaded anew after they had changed";
        let mut family = self.family("tls_reloads", help, MetricType::Counter)?;
        for one in watched {
            for (result, count) in ["ok", "failed"].iter().zip(&one.reloads) {
                let [listener, side] = labels(one);
                counter(&mut family, &[listener, side, ("result", result)], count.load(Relaxed))?;
            }
        }
        let help = "Days until the certificate that is shown ceases to be valid";
        let mut family = self.family("tls_certificate_expiry_days", help, MetricType::Gauge)?;
        let now = SystemTime::now();
        for one in watched {
            if let Some(days) = one.days_left(now) {
                family.encode_family(&labels(one))?.encode_gauge(&days)?;
            }
        }
        let help = "Days until the first revocation list is out of date";
        let mut family = self.family("tls_crl_expiry_days", help, MetricType::Gauge)?;
        for one in watched {
            if let Some(days) = one.days_left_of_lists(now) {
                family.encode_family(&labels(one))?.encode_gauge(&days)?;
            }
        }
        let help = "Targets judged by their common name, having no other in their certificates";
        let mut family = self.family("tls_by_common_name", help, MetricType::Counter)?;
        for one in watched {
            if let Some(count) = one.by_common_name() {
                counter(&mut family, &[("listener", one.listener())], count)?;
            }
        }
        let mut family = self.family("tls_info", "Whose ciphers are used", MetricType::Gauge)?;
        for one in watched {
            if let Some(implementation) = one.implementation() {
                let [listener, side] = labels(one);
                let labels: Labels<'_> =
                    &[listener, side, ("implementation", implementation.label())];
                family.encode_family(&labels)?.encode_gauge(&1u64)?;
            }
        }
        Ok(())
    }
}

fn labels(one: &Watched) -> [(&str, &str); 2] {
    [("listener", one.listener()), ("side", one.side().label())]
}
