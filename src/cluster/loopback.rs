//! kube-apiserver's connection to itself: a self-signed certificate that is made at its start and is in no
//! file, so that nothing but a restart renews it.
//!
//! After `apiserver/pkg/server/options/serving_with_loopback.go` and `client-go/util/cert/cert.go`.

use std::sync::Arc;

use super::edge::{ClientSide, Failure, ServerSide, connect};
use super::events::Timer;
use super::files::{Credential, KeyText, Roots};
use super::node::{Loaded, Process};
use super::world::World;
use crate::kubeadm::profile::components::{LOOPBACK_DAYS, LOOPBACK_LIVENESS, Slot};
use crate::pki::{ExtKeyUsage, KeyAlgorithm, KeySource, KeyUsage, issue, self_made_name};
use crate::scenario::Component;
use crate::time::{SignedDuration, shift, x509_second};

/// The name that kube-apiserver calls itself by.
const NAME: &str = "apiserver-loopback-client";
/// How far the beginning is set back, and the end with it.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

impl World {
    /// Makes the pair that a starting kube-apiserver talks to itself with.
    pub(super) fn make_loopback(&mut self, node: usize, process: &mut Process) {
        let life = SignedDuration::from_hours(24 * *LOOPBACK_DAYS.at(process.version));
        let from = shift(self.wall(node), -BACKDATE);
        let stream = format!("loopback/{}", self.nodes[node].name);
        let mut key = |what: &str| {
            self.keys
                .key(&format!("{stream}/{what}"), KeyAlgorithm::EcdsaP256)
        };
        let (ca_key, leaf_key) = (key("ca"), key("leaf"));
        let mut template = issue::Template {
            common_name: self_made_name(NAME, process.started.as_second()),
            key_usage: KeyUsage::DIGITAL_SIGNATURE
                .and(KeyUsage::KEY_ENCIPHERMENT)
                .and(KeyUsage::CERT_SIGN),
            not_before: x509_second(from),
            not_after: x509_second(shift(from, life)),
            serial: 1,
            is_ca: true,
            ..issue::Template::default()
        };
        let made = issue::self_signed(&template, &ca_key).and_then(|ca| {
            template.common_name = format!("{NAME}@{}", process.started.as_second());
            template.dns_names = vec![NAME.to_owned()];
            template.ext_key_usages = vec![ExtKeyUsage::ServerAuth];
            template.key_usage = issue::Template::default().key_usage;
            template.is_ca = false;
            template.serial = 2;
            issue::sign(&template, leaf_key.spki_der(), &ca, &ca_key).map(|leaf| (ca, leaf))
        });
        // Only a date beyond the year 9999 cannot be written.
        let Ok((ca, leaf)) = made else {
            return;
        };
        let pair = Credential {
            certificate: leaf,
            intermediates: vec![ca.clone()],
            file: "in memory".to_owned(),
            key: KeyText(leaf_key.to_pem().into_bytes().into()),
        };
        process
            .loaded
            .insert(Slot::Loopback, Loaded::Pair(Arc::new(pair)));
        let roots = Roots {
            certificates: vec![ca],
        };
        process
            .loaded
            .insert(Slot::LoopbackCa, Loaded::Roots(Arc::new(roots)));
        if *LOOPBACK_LIVENESS.at(process.version) {
            // Go compares by the monotonic clock here: a step of the wall clock does not matter.
            let timer = Timer::LoopbackEnds {
                node,
                process: process.id,
            };
            self.after(life, timer);
        }
    }

    /// What a new connection of kube-apiserver to itself gives.
    pub(super) fn loopback(&self, node: usize) -> Option<Result<(), Failure>> {
        let process = self.nodes[node].process(Component::ApiServer)?;
        let at = self.wall(node);
        Some(connect(
            &self.verifications,
            &ClientSide {
                component: Component::ApiServer,
                version: self.nodes[node].version,
                roots: process.roots(Slot::LoopbackCa).cloned(),
                credential: None,
                name: NAME.to_owned(),
                at,
            },
            &ServerSide {
                component: Component::ApiServer,
                version: self.nodes[node].version,
                credential: process.pair(Slot::Loopback).cloned(),
                // It shows itself a token.
                client_roots: None,
                client_name: None,
                at,
            },
        ))
    }

    /// It is at its end: from now on the health check fails.
    pub(super) fn loopback_ends(&mut self, node: usize, process: u64) {
        if self.nodes[node].process_id(Component::ApiServer) == Some(process) {
            self.loopback_over.insert(node, process);
        }
    }
}
