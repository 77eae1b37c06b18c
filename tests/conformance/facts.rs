//! What became of a tree, compared with what was recorded.

use certdrill::fs::{FileType, MemoryTree, Tree as _};
use certdrill::pki::{
    Certificate, ExtKeyUsage, KeyUsage, Kubeconfig, PrivateKey, PublicKey, Request, Source, pem,
    spki_algorithm,
};
use serde_json::{Value, json};

const TOLERANCE: i64 = 15;

/// Differences between a tree and a recorded one.
pub fn differences(
    before: &MemoryTree,
    after: &MemoryTree,
    recorded: &std::collections::BTreeMap<String, Value>,
    at: i64,
) -> Vec<String> {
    let mut out = Vec::new();
    let mut paths = before.paths();
    paths.extend(after.paths());
    paths.sort();
    paths.dedup();
    for path in paths {
        let relative = path.trim_start_matches('/');
        match recorded.get(relative) {
            None => {
                if !unchanged(before, after, &path) {
                    out.push(format!("{path}: changed, should not have"));
                }
            }
            Some(facts) => {
                if let Some(problem) = check(before, after, &path, facts, at) {
                    out.push(format!("{path}: {problem}"));
                }
            }
        }
    }
    for path in recorded.keys() {
        if after.symlink_metadata(&format!("/{path}")).is_err() && recorded[path]["type"] != "gone"
        {
            out.push(format!("/{path}: was not created"));
        }
    }
    out
}

fn unchanged(before: &MemoryTree, after: &MemoryTree, path: &str) -> bool {
    let (Ok(old), Ok(new)) = (before.symlink_metadata(path), after.symlink_metadata(path)) else {
        return false;
    };
    if old.file_type != new.file_type || old.mode != new.mode {
        return false;
    }
    match old.file_type {
        FileType::File => before.read(path).ok() == after.read(path).ok(),
        FileType::Symlink => before.read_link(path).ok() == after.read_link(path).ok(),
        _ => true,
    }
}

fn check(
    before: &MemoryTree,
    after: &MemoryTree,
    path: &str,
    facts: &Value,
    at: i64,
) -> Option<String> {
    let found = match after.symlink_metadata(path) {
        Ok(found) => found,
        Err(_) => return (facts["type"] != "gone").then(|| "is gone".to_owned()),
    };
    let kind = match found.file_type {
        FileType::File => "file",
        FileType::Dir => "dir",
        FileType::Symlink => "symlink",
        FileType::Other => "other",
    };
    if facts["type"] != kind {
        return Some(format!("is a {kind}, not a {}", facts["type"]));
    }
    if let Some(mode) = facts["mode"].as_str() {
        let shown = format!("{:04o}", found.mode);
        if mode != shown {
            return Some(format!("mode {shown}, not {mode}"));
        }
    }
    if kind == "file" && facts["changed"] == true {
        let same = before.read(path).ok() == after.read(path).ok();
        if same && facts["created"] != true {
            return Some("did not change, should have".to_owned());
        }
        let content = after.read(path).ok()?;
        return content_problem(before, after, path, &content, facts, at);
    }
    None
}

fn content_problem(
    before: &MemoryTree,
    after: &MemoryTree,
    path: &str,
    content: &[u8],
    facts: &Value,
    at: i64,
) -> Option<String> {
    if let Some(list) = facts["certificates"].as_array() {
        let certificates = match Certificate::parse_pem_certs(content) {
            Ok(certificates) => certificates,
            Err(error) => return Some(error.to_string()),
        };
        if list.len() != certificates.len() {
            return Some(format!("{} certificates", certificates.len()));
        }
        for (certificate, facts) in certificates.iter().zip(list) {
            if let Some(problem) = certificate_problem(before, after, path, certificate, facts, at)
            {
                return Some(problem);
            }
        }
    }
    if facts["privateKey"].is_object() {
        return private_key_problem(content, &facts["privateKey"]);
    }
    if facts["publicKey"].is_object() {
        let key = PublicKey::parse_pem(content).ok()?.remove(0);
        let facts = &facts["publicKey"];
        if facts["algorithm"] != algorithm(key.spki_der()) {
            return Some("other kind of public key".to_owned());
        }
        return match_problem(after, key.spki_der(), &facts["matchesKey"]);
    }
    if facts["csr"].is_object() {
        return request_problem(after, content, &facts["csr"]);
    }
    if facts["kubeconfig"].is_object() {
        return kubeconfig_problem(before, after, path, content, &facts["kubeconfig"], at);
    }
    None
}

fn algorithm(spki: &[u8]) -> String {
    spki_algorithm(spki).map_or("unknown".to_owned(), |found| found.to_string())
}

fn private_key_problem(content: &[u8], facts: &Value) -> Option<String> {
    let Ok(key) = PrivateKey::from_pem(content) else {
        return Some("no private key".to_owned());
    };
    let kind = pem::decode(content).map(|(block, _)| block.kind)?;
    let ours = json!({"pemType": kind, "algorithm": key.algorithm().to_string()});
    (ours != *facts).then(|| format!("key {ours}, not {facts}"))
}

fn match_problem(after: &MemoryTree, spki: &[u8], facts: &Value) -> Option<String> {
    let path = facts["key"].as_str()?;
    let content = after.read(&format!("/{path}")).unwrap_or_default();
    let key = PrivateKey::from_pem(&content).ok().or_else(|| {
        match Kubeconfig::parse(&content).ok()?.client_key() {
            Source::Data(data) => PrivateKey::from_pem(&data).ok(),
            _ => None,
        }
    });
    let matches = key.is_some_and(|key| key.spki_der() == spki);
    (facts["ok"] != matches).then(|| format!("matches {path}: {matches}"))
}

fn escape(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| {
            let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}

fn subject(organizations: &[String], common_name: &str) -> String {
    let mut parts = Vec::new();
    if !organizations.is_empty() {
        let values: Vec<String> = organizations
            .iter()
            .map(|value| format!("O={}", escape(value)))
            .collect();
        parts.push(values.join("+"));
    }
    if !common_name.is_empty() {
        parts.push(format!("CN={}", escape(common_name)));
    }
    parts.join(",")
}

fn usage_name(usage: ExtKeyUsage) -> String {
    let name = format!("{usage:?}");
    match name.as_str() {
        "OcspSigning" => "OCSPSigning".to_owned(),
        _ => name[..1].to_lowercase() + &name[1..],
    }
}

fn key_usages(usage: KeyUsage) -> Vec<&'static str> {
    [
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "certSign",
        "crlSign",
        "encipherOnly",
        "decipherOnly",
    ]
    .into_iter()
    .enumerate()
    .filter(|(bit, _)| usage.0 & (1 << bit) != 0)
    .map(|(_, name)| name)
    .collect()
}

fn certificate_problem(
    before: &MemoryTree,
    after: &MemoryTree,
    path: &str,
    certificate: &Certificate,
    facts: &Value,
    at: i64,
) -> Option<String> {
    let ips: Vec<String> = certificate
        .ip_addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let usages: Vec<String> = certificate
        .ext_key_usages()
        .iter()
        .map(|usage| usage_name(*usage))
        .collect();
    let exact = json!({
        "subject": subject(certificate.organizations(), certificate.common_name()),
        "cn": certificate.common_name(),
        "o": certificate.organizations(),
        "issuerCn": certificate.issuer_common_name(),
        "dns": certificate.dns_names(),
        "ip": ips,
        "uri": certificate.uris(),
        "email": certificate.email_addresses(),
        "eku": usages,
        "keyUsage": key_usages(certificate.key_usage()),
        "isCA": certificate.is_ca(),
        "keyAlgorithm": algorithm(certificate.spki_der()),
        "skiPresent": !certificate.subject_key_id().is_empty(),
        "akiPresent": !certificate.authority_key_id().is_empty(),
    });
    for (name, value) in exact.as_object()? {
        if &facts[name] != value {
            let recorded = &facts[name];
            // The recorder may name what it calls certSign otherwise.
            if name == "keyUsage"
                && recorded.to_string().replace("keyCertSign", "certSign") == format!("{value}")
            {
                continue;
            }
            return Some(format!("{name} {value}, not {recorded}"));
        }
    }
    for (name, value) in [
        ("notBeforeOffset", certificate.not_before_unix() - at),
        ("notAfterOffset", certificate.not_after_unix() - at),
    ] {
        let recorded = facts[name].as_i64().unwrap_or(i64::MAX);
        if (value - recorded).abs() > TOLERANCE {
            return Some(format!("{name} {value}, not {recorded}"));
        }
    }
    if certificate.serial_bits() > 63 {
        return Some("serial number too long".to_owned());
    }
    if let Some(problem) = signer_problem(after, certificate, &facts["signedBy"]) {
        return Some(problem);
    }
    if facts["sameSerialAsBefore"] == true {
        let old = before.read(path).unwrap_or_default();
        let same = Certificate::parse_pem_certs(&old)
            .is_ok_and(|old| old[0].serial_hex() == certificate.serial_hex());
        if !same {
            return Some("another serial number".to_owned());
        }
    }
    match_problem(after, certificate.spki_der(), &facts["matchesKey"])
}

fn signer_problem(after: &MemoryTree, certificate: &Certificate, facts: &Value) -> Option<String> {
    let path = facts.as_str()?;
    if path == "self" {
        return (!certificate.is_signed_by(certificate)).then(|| "not self-signed".to_owned());
    }
    let (path, index) = match path.split_once('#') {
        Some((path, index)) => (path, index.parse().unwrap_or(0)),
        None => (path, 0),
    };
    let content = after.read(&format!("/{path}")).unwrap_or_default();
    let authority = Certificate::parse_pem_certs(&content).ok()?;
    let signed = authority
        .get(index)
        .is_some_and(|authority| certificate.is_signed_by(authority));
    (!signed).then(|| format!("not signed by {path}"))
}

fn request_problem(after: &MemoryTree, content: &[u8], facts: &Value) -> Option<String> {
    let request = match Request::from_pem(content) {
        Ok(request) => request,
        Err(error) => return Some(error.to_string()),
    };
    let ips: Vec<String> = request
        .ip_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let ours = json!({
        "subject": subject(&request.subject.organizations, &request.subject.common_name),
        "dns": request.dns_names,
        "ip": ips,
        "keyAlgorithm": algorithm(&request.spki),
    });
    for (name, value) in ours.as_object()? {
        if &facts[name] != value {
            return Some(format!("{name} {value}, not {}", facts[name]));
        }
    }
    let names = !request.dns_names.is_empty() || !request.ip_addresses.is_empty();
    let asked = facts["extensions"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if names != asked {
        return Some(format!("asks for extensions: {names}"));
    }
    match_problem(after, &request.spki, &facts["matchesKey"])
}

fn kubeconfig_problem(
    before: &MemoryTree,
    after: &MemoryTree,
    path: &str,
    content: &[u8],
    facts: &Value,
    at: i64,
) -> Option<String> {
    let config = match Kubeconfig::parse(content) {
        Ok(config) => config,
        Err(error) => return Some(error.to_string()),
    };
    let sorted = |value: &Value| {
        let mut names: Vec<String> = value
            .as_array()
            .map(|names| {
                names
                    .iter()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    };
    let fields = config.user().map(|user| user.fields()).unwrap_or_default();
    let ours = json!({
        "currentContext": config.current_context,
        "clusters": config.clusters.keys().collect::<Vec<_>>(),
        "contexts": config.contexts.keys().collect::<Vec<_>>(),
        "users": config.users.keys().collect::<Vec<_>>(),
        "server": config.server(),
        "userFields": fields,
    });
    for (name, value) in ours.as_object()? {
        let same = match value {
            Value::Array(_) => sorted(&facts[name]) == sorted(value),
            _ => &facts[name] == value,
        };
        if !same {
            return Some(format!("{name} {value}, not {}", facts[name]));
        }
    }
    if let Some(count) = facts["caDataCertCount"].as_u64() {
        let found = match config.certificate_authority() {
            Source::Data(data) => Certificate::parse_pem_certs(&data).map_or(0, |list| list.len()),
            _ => 0,
        };
        if found as u64 != count {
            return Some(format!("{found} CA certificates, not {count}"));
        }
    }
    if let Some(equal) = facts["caDataEqualsFirstCertOfCaFile"].as_bool() {
        let embedded = match config.certificate_authority() {
            Source::Data(data) => Certificate::parse_pem_certs(&data).ok(),
            _ => None,
        };
        let equals_a_ca = embedded.is_some_and(|embedded| {
            ["/etc/kubernetes/pki/ca.crt", "/srv/pki/ca.crt"]
                .iter()
                .filter_map(|path| Certificate::parse_pem_certs(&after.read(path).ok()?).ok())
                .any(|list| embedded.first() == list.first())
        });
        if equal != equals_a_ca {
            return Some(format!("CA data is the CA file's: {equals_a_ca}"));
        }
    }
    if facts["clientKey"].is_object()
        && let Source::Data(data) = config.client_key()
        && let Some(problem) = private_key_problem(&data, &facts["clientKey"])
    {
        return Some(problem);
    }
    let list = facts["clientCertificates"].as_array()?;
    let certificates = match config.client_certificate() {
        Source::Data(data) => Certificate::parse_pem_certs(&data).unwrap_or_default(),
        _ => Vec::new(),
    };
    if certificates.len() != list.len() {
        return Some(format!("{} client certificates", certificates.len()));
    }
    for (certificate, facts) in certificates.iter().zip(list) {
        if let Some(problem) = certificate_problem(before, after, path, certificate, facts, at) {
            return Some(problem);
        }
    }
    let key = match config.client_key() {
        Source::Data(data) => PrivateKey::from_pem(&data).ok(),
        _ => None,
    };
    let matches = key.map(|key| key.spki_der() == certificates[0].spki_der());
    (list[0]["matchesKey"] != json!(matches)).then(|| format!("client key matches: {matches:?}"))
}
