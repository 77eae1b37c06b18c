//! Version differences as data: behaviours, each with the versions that have it and the evidence.
//!
//! Any version from 1.15 on is composed from these facts, never from a "nearest" version. Of 1.10 to 1.14 only what [`historic`]
//! lists is known, and everything else is refused.

pub mod bindings;
pub mod components;
pub mod etcd;
pub mod historic;
pub mod joining;
pub mod kubelet;
pub mod signing;
pub mod upgrade;
pub mod upgrade_config;

use super::Version;

mod table;

/// One behaviour that differs between versions.
#[derive(Debug)]
pub struct Behaviour<T: 'static> {
    /// What differs, in a few words.
    pub name: &'static str,
    /// The first rule whose range holds a version decides.
    pub rules: &'static [Rule<T>],
}

/// What a range of versions does.
#[derive(Debug)]
pub struct Rule<T: 'static> {
    /// First version of the range.
    pub from: Version,
    /// First version after the range; `None` for "and later".
    pub until: Option<Version>,
    /// What these versions do.
    pub value: T,
    /// Where this is known from: a recorded run, a source file, an issue.
    pub evidence: &'static str,
    /// Last version before `from` that is known to behave otherwise, where versions in between
    /// were never looked at.
    pub not_checked_after: Option<Version>,
}

/// A rule without doubt about its lower boundary.
const fn rule<T>(
    from: Version,
    until: Option<Version>,
    value: T,
    evidence: &'static str,
) -> Rule<T> {
    Rule {
        from,
        until,
        value,
        evidence,
        not_checked_after: None,
    }
}

impl<T> Behaviour<T> {
    /// What a version does.
    ///
    /// # Panics
    /// Never for versions from 1.15 on: a test holds every table to covering them.
    #[must_use]
    pub fn at(&self, version: Version) -> &T {
        &self.rule(version).value
    }

    /// The rule that decides for a version: the first that holds it, else the oldest.
    ///
    /// # Panics
    /// When the table is empty.
    #[must_use]
    pub fn rule(&self, version: Version) -> &Rule<T> {
        self.rules
            .iter()
            .find(|rule| rule.holds(version))
            .or_else(|| self.rules.last())
            .expect("a behaviour has at least one rule")
    }

    /// A sentence when it is not known which side of a boundary a version is on.
    #[must_use]
    pub fn uncertainty(&self, version: Version) -> Option<String> {
        self.rules.iter().find_map(|rule| {
            let known = rule.not_checked_after?;
            (version > known && version < rule.from).then(|| {
                format!(
                    "{}: it changed after {known} and by {}; which side {version} is on was not checked",
                    self.name, rule.from
                )
            })
        })
    }
}

impl<T> Rule<T> {
    fn holds(&self, version: Version) -> bool {
        self.from <= version && self.until.is_none_or(|until| version < until)
    }
}

/// Modes of a written request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestModes {
    /// Of the file.
    pub file: u32,
    /// Of a directory made for it.
    pub dir: u32,
}

/// What a command group does that is called without a known sub-command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupStyle {
    /// Shows its help and succeeds (`renew` complains).
    Help,
    /// Shows its help, or names the unknown sub-command, and exits with 1.
    Exits,
    /// Shows its help and fails.
    Required,
}

/// Which flags for logging there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFlags {
    /// 1.15.
    Plain,
    /// With `--add-dir-header`.
    AddDirHeader,
    /// With `--one-output`.
    OneOutput,
    /// Only `-v` and `--vmodule`.
    Few,
}

/// What new certificates of etcd say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdNames {
    /// CN of server and peer; `None` for the node's name.
    pub common_names: Option<(&'static str, &'static str)>,
    /// The server's certificate has the node's name and `::1`, besides localhost and 127.0.0.1.
    pub server_has_node: bool,
    /// The server's certificate has the advertise address.
    pub server_has_address: bool,
    /// The peer's certificate has localhost and its addresses.
    pub peer_has_localhost: bool,
    /// The server's certificate is good for a client, too.
    pub server_is_client: bool,
}

/// What is said when the cluster's configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterWords {
    /// That it is read.
    pub reading: &'static str,
    /// Where to look at it, or how to change it.
    pub hint: &'static str,
}

macro_rules! profile {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $table:expr $(, $map:expr)?;)*) => {
        /// What one version does: the table of behaviours, looked up once.
        #[derive(Debug, Clone)]
        pub struct Profile {
            /// The version.
            pub version: Version,
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Profile {
            /// The profile of a version.
            #[must_use]
            pub fn of(version: Version) -> Self {
                Self {
                    version,
                    $($field: profile!(@value $table.at(version) $(, $map)?),)*
                }
            }
        }

        /// Sentences about boundaries that were not looked at and that a version lies between.
        #[must_use]
        pub fn uncertainties(version: Version) -> Vec<String> {
            [$($table.uncertainty(version),)*].into_iter().flatten().collect()
        }

        /// Every behaviour with its name, ranges and evidence, for `--explain` and documentation.
        #[must_use]
        pub fn behaviours() -> Vec<(&'static str, Vec<(Version, &'static str)>)> {
            vec![$((
                $table.name,
                $table.rules.iter().map(|rule| (rule.from, rule.evidence)).collect(),
            ),)*]
        }
    };
    (@value $value:expr) => { *$value };
    (@value $value:expr, $map:expr) => { $map(*$value) };
}

fn not(value: bool) -> bool {
    !value
}

profile! {
    /// `certs` exists at the top.
    certs_group: bool = table::CERTS_GROUP;
    /// `alpha certs` exists.
    alpha_group: bool = table::ALPHA_GROUP_GONE, not;
    /// A missing certificate is reported instead of an error; CAs have a table; the cluster is read.
    missing_is_reported: bool = table::MISSING_IS_REPORTED;
    /// Kubeconfig rows name their CA.
    config_rows_name_ca: bool = table::CONFIG_ROWS_NAME_CA;
    /// `-o`, and no table at all after an error.
    structured_output: bool = table::STRUCTURED_OUTPUT;
    /// `-o kyaml`.
    kyaml: bool = table::KYAML;
    /// `4d3h` instead of `4d`.
    long_durations: bool = table::LONG_DURATIONS;
    /// A certificate outside its validity cannot be loaded.
    outside_validity_is_fatal: bool = table::PERIOD_IS_WARNING, not;
    /// The etcd CA's key may be kept elsewhere.
    etcd_ca_may_be_external: bool = table::ETCD_CA_EXTERNAL;
    /// Leaves are verified along their chain, at the current time.
    verifies_whole_chain: bool = table::VERIFIES_CHAIN;
    /// SANs are sorted, duplicates dropped.
    deduplicates_sans: bool = table::DEDUPLICATES_SANS;
    /// Leaves begin five minutes ago instead of with their CA.
    leaf_backdate: bool = table::LEAF_BACKDATE;
    /// CAs begin five minutes ago.
    ca_backdate: bool = table::CA_BACKDATE;
    /// Renewal refreshes the CA data of a kubeconfig.
    refreshes_config_ca: bool = table::REFRESHES_CONFIG_CA;
    /// The first of several certificates in a file counts.
    first_of_several: bool = table::FIRST_OF_SEVERAL;
    /// Superfluous arguments are refused.
    refuses_arguments: bool = table::REFUSES_ARGUMENTS;
    /// `error: `, always exit status 1.
    error_prefix: bool = table::ERROR_PREFIX;
    /// The hint about stack traces.
    stack_trace_hint: bool = table::STACK_TRACE_HINT;
    /// super-admin.conf.
    super_admin: bool = table::SUPER_ADMIN;
    /// etcd clients have no O.
    etcd_clients_without_o: bool = table::ETCD_CLIENTS_WITHOUT_O;
    /// Leaves have basic constraints.
    leaf_basic_constraints: bool = table::LEAF_BASIC_CONSTRAINTS;
    /// CAs have their CN as DNS name.
    ca_has_san: bool = table::CA_HAS_SAN;
    /// The hint at the end of `renew all`.
    done_message: bool = table::DONE_MESSAGE;
    /// `renew --csr-only`.
    renew_csr: bool = table::RENEW_CSR_GONE, not;
    /// `init phase certs --csr-only`.
    init_csr: bool = table::INIT_CSR_GONE, not;
    /// `generate-csr`.
    generate_csr: bool = table::GENERATE_CSR;
    /// What messages call the etcd health-check client.
    healthcheck_long_name: &'static str = table::HEALTHCHECK_NAME;
    /// Modes of requests.
    request_modes: RequestModes = table::REQUEST_MODES;
    /// `preferences: {}` is written.
    kubeconfig_preferences: bool = table::NO_PREFERENCES, not;
    /// `an embedded` or `and embedded`.
    embedded_article: &'static str = table::EMBEDDED_SPELLING;
    /// Another server URL in an existing kubeconfig is a warning.
    other_server_is_warning: bool = table::OTHER_SERVER_IS_WARNING;
    /// Keys of new kubeconfigs are of the configured kind.
    config_keys_configured: bool = table::CONFIG_KEYS_CONFIGURED;
    /// CA data of existing kubeconfigs is compared certificate by certificate.
    config_ca_by_certificate: bool = table::CONFIG_CA_BY_CERTIFICATE;
    /// Words about unreadable kinds.
    kind_words: bool = table::KIND_WORDS;
    /// v1beta4.
    v1beta4: bool = table::V1BETA4;
    /// v1beta3.
    v1beta3: bool = table::V1BETA3;
    /// v1beta3 is refused.
    v1beta3_gone: bool = table::V1BETA3_GONE;
    /// v1beta2 is refused.
    v1beta2_gone: bool = table::V1BETA2_GONE;
    /// v1beta1 is refused.
    v1beta1_gone: bool = table::V1BETA1_GONE;
    /// `kubeconfig user` at the top.
    kubeconfig_group: bool = table::KUBECONFIG_GROUP;
    /// Source line that the decoder of kubeconfigs names.
    scheme_line: &'static str = table::SCHEME_LINE;
    /// Two warnings about component configurations at every load.
    component_warnings: bool = table::COMPONENT_WARNINGS;
    /// The warning about the endpoint's port is logged.
    port_warning_in_log: bool = table::PORT_WARNING_IN_LOG;
    /// Fields of kubeconfigs that client-go does not know yet.
    unknown_fields: &'static [&'static str] = table::UNKNOWN_FIELDS;
    /// Kubeconfigs are decoded by a JSON parser that shows the surroundings of an error.
    old_json_words: bool = table::OLD_JSON_WORDS;
    /// `kubeconfig user` takes `--config`.
    user_config_flag: bool = table::USER_CONFIG_FLAG;
    /// Phases take `--dry-run`.
    dry_run_phases: bool = table::DRY_RUN_PHASES;
    /// What a command group without its own work does.
    group_style: GroupStyle = table::GROUP_STYLE;
    /// An error in the command line prints its usage.
    usage_after_error: bool = table::USAGE_AFTER_ERROR;
    /// Flags for logging.
    log_flags: LogFlags = table::LOG_FLAGS;
    /// kubelet.conf points to the node's own API server.
    kubelet_local_endpoint: bool = table::KUBELET_LOCAL_ENDPOINT;
    /// Phases take `--kubernetes-version` and `--control-plane-endpoint`.
    phase_version_flag: bool = table::PHASE_VERSION_FLAG;
    /// `init phase certs sa --config`.
    sa_config_flag: bool = table::SA_CONFIG_FLAG;
    /// `init phase certs all` has a fixed order.
    fixed_phase_order: bool = table::FIXED_PHASE_ORDER;
    /// kubelet-finalize.
    kubelet_finalize: bool = table::KUBELET_FINALIZE;
    /// kubelet-finalize goes by the current context.
    finalize_by_context: bool = table::FINALIZE_BY_CONTEXT;
    /// Words about the cluster's configuration.
    cluster_words: ClusterWords = table::CLUSTER_WORDS;
    /// Missing CA files are told from unreadable ones.
    ca_missing_words: bool = table::CA_MISSING_WORDS;
    /// Reading a kubeconfig for renewal loads the CA with its key.
    config_needs_ca_key: bool = table::CONFIG_NEEDS_CA_KEY;
    /// Component kubeconfigs point to the node's own API server.
    local_endpoints: bool = table::LOCAL_ENDPOINTS;
    /// An existing kubeconfig without context or cluster is an error instead of a crash.
    context_checked: bool = table::CONTEXT_CHECKED;
    /// With an external etcd the etcd phases skip without looking at files.
    external_etcd_first: bool = table::EXTERNAL_ETCD_FIRST;
    /// CA data of an existing kubeconfig may be in a file.
    config_ca_from_file: bool = table::CONFIG_CA_FROM_FILE;
    /// White space around CA data does not count.
    config_ca_trimmed: bool = table::CONFIG_CA_TRIMMED;
    /// Invalid names are warned about in the log.
    san_warning_in_log: bool = table::SAN_WARNING_IN_LOG;
    /// What a file without configuration is called.
    configuration_file_words: &'static str = table::CONFIGURATION_FILE_WORDS;
    /// All certificates of ca.crt are trusted in user-provided kubeconfigs.
    whole_ca_chain: bool = table::WHOLE_CA_CHAIN;
    /// What is said when the kubelet cannot be restarted.
    no_init_system: &'static str = table::NO_INIT_SYSTEM;
    /// Name of the sub-phase of kubelet-finalize.
    finalize_name: &'static str = table::FINALIZE_NAME;
    /// `--cert-dir` goes before the cluster's certificatesDir.
    cert_dir_overrides: bool = table::CERT_DIR_OVERRIDES;
    /// `renew --use-api`.
    use_api: bool = table::USE_API, not;
    /// A failing `stat` crashes.
    stat_failure_is_panic: bool = table::STAT_FAILURE_PANICS;
    /// Missing usages are noticed before anything else.
    usages_checked_first: bool = table::USAGES_CHECKED_FIRST;
    /// The feature gate PublicKeysECDSA.
    ecdsa_gate: bool = table::ECDSA_GATE;
    /// O of apiserver-kubelet-client at creation.
    kubelet_client_o: Option<&'static str> = table::KUBELET_CLIENT_O;
    /// Names in new certificates of etcd.
    etcd_names: EtcdNames = table::ETCD_NAMES;
    /// Which half of a pair could not be loaded is said.
    pair_words: bool = table::PAIR_WORDS;
    /// A renewal takes the API server's clients out of `system:masters`.
    renewal_moves_groups: bool = table::RENEWAL_MOVES_GROUPS;
}

/// Name of the ConfigMap that a cluster of a version keeps the kubelet's configuration in.
#[must_use]
pub fn kubelet_config_name(version: Version) -> String {
    if *table::KUBELET_CONFIG_UNVERSIONED.at(version) {
        "kubelet-config".to_owned()
    } else {
        format!("kubelet-config-1.{}", version.minor)
    }
}
