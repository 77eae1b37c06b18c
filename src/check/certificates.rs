//! Expectations about certificates on disk.

use super::facts::Conditions;
use super::{Marks, Seen};
use crate::cluster::{KUBELET_CURRENT, SERVING_CURRENT, World};
use crate::fs::{FileType, Tree};
use crate::pki::{Certificate, Kubeconfig, Source, spki_algorithm};
use crate::scenario::{CertificateSays, Matcher};

const DAY_S: f64 = 86_400.0;

/// The file a certificate's name stands for: kubeadm's names, `kubelet`, or a path.
#[must_use]
pub fn certificate_path(name: &str, certificates_dir: &str) -> String {
    match name {
        _ if name.starts_with('/') => name.to_owned(),
        "kubelet" | "kubelet-client-current.pem" => KUBELET_CURRENT.to_owned(),
        "kubelet-server" => SERVING_CURRENT.to_owned(),
        "user" => "/root/.kube/config".to_owned(),
        "etcd-ca" => format!("{certificates_dir}/etcd/ca.crt"),
        _ if name.ends_with(".conf") => format!("/etc/kubernetes/{name}"),
        _ => match name.strip_prefix("etcd-") {
            Some(rest) => format!("{certificates_dir}/etcd/{rest}.crt"),
            None => format!("{certificates_dir}/{name}.crt"),
        },
    }
}

fn path_on(world: &World, node: usize, name: &str) -> String {
    certificate_path(name, &world.nodes[node].certificates_dir)
}

pub(super) fn look(world: &World, matcher: &Matcher, marks: &Marks, node: usize) -> Seen {
    let Matcher::Certificate {
        name,
        exists,
        valid,
        days_left_min,
        days_left_max,
        renewed,
        age_days_max,
        count,
        says,
        ..
    } = matcher
    else {
        unreachable!("only certificates come here");
    };
    let machine = &world.nodes[node];
    let subject = format!("{name}@{}", machine.name);
    let path = path_on(world, node, name);
    // The kubelet's file is a symlink to a dated one.
    let real = machine
        .tree
        .read_link(&path)
        .unwrap_or_else(|_| path.clone());
    let read;
    let found = match machine.on_disk.get(&real) {
        Some(entry) => Some(&entry.certificate),
        // A file elsewhere is not watched, but it can be looked at.
        None => {
            read = world.certificate_in(node, &real);
            read.as_ref()
        }
    };
    let now = world.wall(node);
    let mut conditions = Conditions::default();
    if let Some(wanted) = exists {
        let there = machine.tree.exists(&path);
        let say = |there| if there { "exists" } else { "does not exist" };
        conditions.add(
            there == *wanted,
            say(*wanted).to_owned(),
            say(there).to_owned(),
        );
    }
    let dated_prefix = match name.as_str() {
        "kubelet-server" => "kubelet-server-2",
        _ => "kubelet-client-2",
    };
    if let Some(wanted) = count {
        let dated = machine
            .tree
            .read_dir("/var/lib/kubelet/pki")
            .unwrap_or_default()
            .iter()
            .filter(|entry| {
                entry.file_type == FileType::File && entry.name.starts_with(dated_prefix)
            })
            .count() as u64;
        conditions.add(
            dated == *wanted,
            format!("{wanted} dated files"),
            format!("{dated} dated files"),
        );
    }
    let needs = valid.is_some()
        || days_left_min.is_some()
        || days_left_max.is_some()
        || renewed.is_some()
        || age_days_max.is_some()
        || *says != CertificateSays::default();
    let Some(certificate) = found else {
        if needs {
            conditions.add(
                false,
                "a certificate".to_owned(),
                format!("no certificate in {path}"),
            );
        }
        return conditions.done(subject);
    };
    let not_after = certificate.not_after();
    let until = format!("valid from {} until {not_after}", certificate.not_before());
    if let Some(wanted) = valid {
        let is = now >= certificate.not_before() && now <= not_after;
        let say = |valid| if valid { "valid" } else { "not valid" };
        conditions.add(
            is == *wanted,
            say(*wanted).to_owned(),
            format!("{} ({until})", say(is)),
        );
    }
    let days_left = not_after.duration_since(now).as_secs_f64() / DAY_S;
    if let Some(min) = days_left_min {
        conditions.add(
            days_left >= *min,
            format!("at least {min} days left"),
            format!("{days_left:.1} days left"),
        );
    }
    if let Some(max) = days_left_max {
        conditions.add(
            days_left <= *max,
            format!("at most {max} days left"),
            format!("{days_left:.1} days left"),
        );
    }
    if let Some(max) = age_days_max {
        let age = now.duration_since(certificate.not_before()).as_secs_f64() / DAY_S;
        conditions.add(
            age <= *max,
            format!("at most {max} days old"),
            format!("{age:.1} days old"),
        );
    }
    if let Some(wanted) = renewed {
        let before = marks.serials.get(&(node, real.clone()));
        let is = before != Some(&certificate.serial_hex());
        let say = |renewed| {
            if renewed {
                "renewed"
            } else {
                "as it was before the command"
            }
        };
        conditions.add(
            is == *wanted,
            say(*wanted).to_owned(),
            format!("{} ({until})", say(is)),
        );
    }
    say(world, node, &real, certificate, says, &mut conditions);
    conditions.done(subject)
}

/// What the certificate itself says.
fn say(
    world: &World,
    node: usize,
    path: &str,
    certificate: &Certificate,
    says: &CertificateSays,
    conditions: &mut Conditions,
) {
    let tree = &world.nodes[node].tree;
    if let Some(wanted) = &says.common_name {
        let is = certificate.common_name();
        conditions.add(is == wanted, format!("CN {wanted}"), format!("CN {is}"));
    }
    if let Some(wanted) = &says.organizations {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        let (wanted, is) = (sorted(wanted), sorted(certificate.organizations()));
        let show = |names: &[String]| format!("O [{}]", names.join(", "));
        conditions.add(wanted == is, show(&wanted), show(&is));
    }
    let names: Vec<String> = certificate
        .dns_names()
        .iter()
        .cloned()
        .chain(certificate.ip_addresses().iter().map(ToString::to_string))
        .collect();
    let all = format!("names [{}]", names.join(", "));
    for wanted in &says.names {
        conditions.add(
            names.contains(wanted),
            format!("the name {wanted}"),
            all.clone(),
        );
    }
    for unwanted in &says.names_without {
        conditions.add(
            !names.contains(unwanted),
            format!("no name {unwanted}"),
            all.clone(),
        );
    }
    if let Some(authority) = &says.signed_by {
        let signer = world.certificate_in(node, authority);
        let is = signer.is_some_and(|signer| certificate.is_signed_by(&signer));
        let word = if is { "signed" } else { "not signed" };
        conditions.add(
            is,
            format!("signed by {authority}"),
            format!(
                "{word} by {authority} (its issuer is CN {})",
                certificate.issuer_common_name()
            ),
        );
    }
    if let Some(wanted) = says.key_algorithm {
        let is = spki_algorithm(certificate.spki_der());
        let show = |algorithm| format!("a key of {algorithm:?}");
        conditions.add(
            is == Some(wanted),
            show(wanted),
            is.map_or_else(|| "a key of another kind".to_owned(), show),
        );
    }
    for (wanted, is, what) in [
        (says.not_before, certificate.not_before(), "notBefore"),
        (says.not_after, certificate.not_after(), "notAfter"),
    ] {
        if let Some(wanted) = wanted {
            conditions.add(
                wanted == is,
                format!("{what} {wanted}"),
                format!("{what} {is}"),
            );
        }
    }
    if let Some(wanted) = says.in_file {
        let content = tree.read(path).unwrap_or_default();
        let pem = match Kubeconfig::parse(&content).map(|config| config.certificate_authority()) {
            Ok(Source::Data(data)) => data,
            _ => content,
        };
        let count =
            Certificate::parse_pem_certs(&pem).map_or(0, |certificates| certificates.len() as u64);
        conditions.add(
            count == wanted,
            format!("{wanted} certificates in the file"),
            format!("{count} certificates in the file"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_files() {
        assert_eq!(
            certificate_path("apiserver", "/etc/kubernetes/pki"),
            "/etc/kubernetes/pki/apiserver.crt"
        );
        assert_eq!(
            certificate_path("etcd-peer", "/etc/kubernetes/pki"),
            "/etc/kubernetes/pki/etcd/peer.crt"
        );
        assert_eq!(
            certificate_path("admin.conf", "/etc/kubernetes/pki"),
            "/etc/kubernetes/admin.conf"
        );
        assert_eq!(
            certificate_path("apiserver-etcd-client", "/etc/kubernetes/pki"),
            "/etc/kubernetes/pki/apiserver-etcd-client.crt"
        );
    }
}
