//! `UpgradeConfiguration`, which stands for the flags of `kubeadm upgrade` (`K/util/config/upgradeconfiguration.go`).

use serde_json::{Map, Value};

use super::super::failure::{Context as _, Failure, Result};
use super::super::process::Process;
use super::super::profile::upgrade_config::{
    CONFIG_PULLS_IMAGES, CONFIG_WARNINGS, CONFIG_WITHOUT_KIND, WithoutKind,
};
use super::documents::{Document, split};
use super::fields::Fields;
use super::load::{GROUP, is_component};

const KIND: &str = "UpgradeConfiguration";

/// What a file says about upgrades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpgradeConfiguration {
    /// For `upgrade apply`.
    pub apply: UpgradePart,
    /// For `upgrade node`.
    pub node: UpgradePart,
}

/// What it says about one of the two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradePart {
    /// Whether certificates are renewed; they are where nothing is said.
    pub certificate_renewal: bool,
    /// Whether etcd is upgraded; it is where nothing is said.
    pub etcd_upgrade: bool,
    /// A field that asks for what only the real kubeadm does.
    pub beyond: Option<&'static str>,
}

impl Default for UpgradePart {
    fn default() -> Self {
        Self {
            certificate_renewal: true,
            etcd_upgrade: true,
            beyond: None,
        }
    }
}

/// A part of the document with the fields that it may have.
struct Part {
    name: &'static str,
    fields: &'static [&'static str],
    /// Fields that came with 1.31.
    newer: &'static [&'static str],
}

const PARTS: [Part; 5] = [
    Part {
        name: "apply",
        fields: &[
            "allowExperimentalUpgrades",
            "allowRCUpgrades",
            "certificateRenewal",
            "dryRun",
            "etcdUpgrade",
            "forceUpgrade",
            "ignorePreflightErrors",
            "kubernetesVersion",
            "patches",
            "printConfig",
        ],
        newer: &["imagePullPolicy", "imagePullSerial", "skipPhases"],
    },
    Part {
        name: "diff",
        fields: &["contextLines", "kubernetesVersion"],
        newer: &[],
    },
    Part {
        name: "node",
        fields: &[
            "certificateRenewal",
            "dryRun",
            "etcdUpgrade",
            "ignorePreflightErrors",
            "patches",
            "skipPhases",
        ],
        newer: &["imagePullPolicy", "imagePullSerial"],
    },
    Part {
        name: "plan",
        fields: &[
            "allowExperimentalUpgrades",
            "allowRCUpgrades",
            "dryRun",
            "etcdUpgrade",
            "ignorePreflightErrors",
            "kubernetesVersion",
            "printConfig",
        ],
        newer: &[],
    },
    Part {
        name: "timeouts",
        fields: &[
            "controlPlaneComponentHealthCheck",
            "discovery",
            "etcdAPICall",
            "kubeletHealthCheck",
            "kubernetesAPICall",
            "tlsBootstrap",
            "upgradeManifests",
        ],
        newer: &[],
    },
];

impl Process<'_, '_> {
    /// Loads `--config` of an upgrade.
    ///
    /// # Errors
    /// When the file cannot be read, or is no valid configuration of an upgrade.
    pub fn load_upgrade_configuration(&mut self, path: &str) -> Result<UpgradeConfiguration> {
        let text = self
            .tree()
            .read(path)
            .context(format!("unable to load config from file {path:?}"))?;
        let documents = split(&text, &self.profile)?;
        let without = *CONFIG_WITHOUT_KIND.at(self.profile.version);
        let lenient = without == WithoutKind::Defaults;
        let any_of_kubeadm = documents.iter().any(|document| document.group == GROUP);
        let mut found = None;
        if any_of_kubeadm || !lenient {
            for document in &documents {
                if lenient {
                    self.refuse_old_version(document)?;
                }
                if document.kind == KIND {
                    found = Some(self.read_upgrade(document)?);
                } else {
                    self.ignore(document, lenient);
                }
            }
        }
        if lenient {
            for document in documents.iter().filter(|one| is_component(&one.group)) {
                let group = &document.group;
                self.warn(
                    "upgradeconfiguration.go:135",
                    &format!(
                        "[config] WARNING: YAML document with Component Configs {group} is deprecated for upgrade and will be ignored "
                    ),
                );
            }
        }
        match (found, without) {
            (Some(found), _) => Ok(found),
            (None, WithoutKind::Defaults) if any_of_kubeadm => Ok(UpgradeConfiguration::default()),
            (None, WithoutKind::Defaults) => Err(Failure::nil_pointer()),
            (None, WithoutKind::Refused) => Err(Failure::new(format!(
                "no {KIND} found in the supplied config"
            ))),
        }
    }

    fn ignore(&mut self, document: &Document, lenient: bool) {
        let warnings = *CONFIG_WARNINGS.at(self.profile.version);
        let once_read = matches!(
            document.kind.as_str(),
            "InitConfiguration" | "ClusterConfiguration"
        );
        let component = is_component(&document.group);
        let (line, text) = match warnings.deprecated {
            // Those have a warning of their own.
            Some(_) if lenient && component => return,
            Some(deprecated) if once_read || component => deprecated,
            _ => warnings.ignored,
        };
        self.warn(line, &text.replace("{}", &document.display()));
    }

    fn read_upgrade(&mut self, document: &Document) -> Result<UpgradeConfiguration> {
        self.refuse_old_version(document)?;
        if document.version == "v1beta3" && document.group == GROUP && self.profile.v1beta4 {
            self.warn_of_old_version(document);
        }
        let strict = CONFIG_WARNINGS.at(self.profile.version).strict;
        let kind = document.go_syntax();
        if document.group != GROUP || document.version != "v1beta4" {
            self.warn(strict, &format!("unknown configuration {kind}"));
            return Err(Failure::new(format!(
                "no kind {KIND:?} is registered for version {:?} in scheme \"{}\"",
                document.group_version(),
                self.profile.scheme_line
            )));
        }
        let images = *CONFIG_PULLS_IMAGES.at(self.profile.version);
        let read = decode(&document.value, images);
        let problem = match &read {
            Err(failure) => Some(failure.text.clone()),
            Ok(_) => not_strict(document, images),
        };
        if let Some(problem) = problem {
            self.warn(
                strict,
                &format!("error unmarshaling configuration {kind}: {problem}"),
            );
        }
        let (configuration, invalid) = read?;
        match invalid.as_slice() {
            [] => Ok(configuration),
            [one] => Err(Failure::new(one.clone())),
            many => Err(Failure::new(format!("[{}]", many.join(", ")))),
        }
    }
}

/// Reads a document. What validation refuses comes beside it.
fn decode(value: &Value, images: bool) -> Result<(UpgradeConfiguration, Vec<String>)> {
    let top = Fields::top(value, KIND);
    let mut paths = Vec::new();
    let mut policies = Vec::new();
    let mut out = UpgradeConfiguration::default();
    for (name, go_type, part) in [
        ("apply", "UpgradeApplyConfiguration", &mut out.apply),
        ("node", "UpgradeNodeConfiguration", &mut out.node),
    ] {
        let Some(fields) = top.part(name, go_type)? else {
            continue;
        };
        let apply = name == "apply";
        // Sorted, as JSON that was YAML is: the first wrong one is told.
        if apply {
            fields.flag("allowExperimentalUpgrades")?;
            fields.flag("allowRCUpgrades")?;
        }
        let renewal = fields.flag("certificateRenewal")?;
        let dry_run = fields.flag("dryRun")?;
        let etcd = fields.flag("etcdUpgrade")?;
        let force = apply && fields.flag("forceUpgrade")? == Some(true);
        fields.texts("ignorePreflightErrors")?;
        let policy = fields.text("imagePullPolicy")?.filter(|_| images);
        let patches = fields.part("patches", "Patches")?;
        let prints = apply && fields.flag("printConfig")? == Some(true);
        let skipped = !fields.texts("skipPhases")?.is_empty() && (images || !apply);
        part.certificate_renewal = renewal.unwrap_or(true);
        part.etcd_upgrade = etcd.unwrap_or(true);
        part.beyond = [
            ("dryRun", dry_run == Some(true)),
            ("forceUpgrade", force),
            ("patches", patches.is_some()),
            ("printConfig", prints),
            ("skipPhases", skipped),
        ]
        .into_iter()
        .find_map(|(field, asked)| asked.then_some(field));
        if let Some(patches) = patches {
            let directory = patches.text("directory")?.unwrap_or_default();
            if !directory.starts_with('/') {
                paths.push(format!(
                    "{name}.patches.directory: Invalid value: {directory:?}: path is not absolute"
                ));
            }
        }
        if let Some(policy) = policy
            && !["Always", "IfNotPresent", "Never"].contains(&policy.as_str())
        {
            policies.push(format!(
                "{name}.imagePullPolicy: Invalid value: {policy:?}: invalid pull policy"
            ));
        }
    }
    if let Some(timeouts) = top.part("timeouts", "Timeouts")?
        && timeouts.duration("upgradeManifests")?.is_some()
    {
        for part in [&mut out.apply, &mut out.node] {
            part.beyond = part.beyond.or(Some("timeouts.upgradeManifests"));
        }
    }
    paths.append(&mut policies);
    Ok((out, paths))
}

/// What strict decoding complains about although the document is taken.
fn not_strict(document: &Document, images: bool) -> Option<String> {
    let twice = (!document.duplicates.is_empty()).then(|| {
        let lines: String = document
            .duplicates
            .iter()
            .map(|(line, key)| format!("\n  line {line}: key {key:?} already set in map"))
            .collect();
        format!("yaml: unmarshal errors:{lines}")
    });
    let mut unknown = Vec::new();
    let top = document.value.as_object()?;
    for key in sorted(top) {
        let part = PARTS.iter().find(|part| part.name == key);
        match (part, top.get(key)) {
            (Some(part), Some(Value::Object(fields))) => {
                for field in sorted(fields) {
                    let known =
                        part.fields.contains(&field) || (images && part.newer.contains(&field));
                    if !known {
                        unknown.push(format!("{key}.{field}"));
                    }
                }
            }
            (None, _) if !["apiVersion", "kind"].contains(&key) => unknown.push(key.to_owned()),
            _ => {}
        }
    }
    let complaints: Vec<String> = twice
        .into_iter()
        .chain(
            unknown
                .into_iter()
                .map(|path| format!("unknown field {path:?}")),
        )
        .collect();
    (!complaints.is_empty()).then(|| format!("strict decoding error: {}", complaints.join(", ")))
}

/// The keys of an object in the order of JSON that was YAML.
fn sorted(object: &Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
