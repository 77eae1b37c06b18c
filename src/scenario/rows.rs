//! The rows a library of scenarios must cover: what the documentation promises, and reported incidents.
//!
//! A scenario claims a row by a tag: `D7`, `S12`.

/// Something that at least one scenario must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The tag: `D1` to `D23` of the documentation, `S1` to `S39` of the incidents.
    pub id: &'static str,
    /// What is shown, in a few words.
    pub what: &'static str,
    /// The issue or pull request, for an incident: `kubeadm#1753`.
    pub reference: &'static str,
}

const fn row(id: &'static str, what: &'static str) -> Row {
    Row {
        id,
        what,
        reference: "",
    }
}

const fn incident(id: &'static str, reference: &'static str, what: &'static str) -> Row {
    Row {
        id,
        what,
        reference,
    }
}

/// Every row, the documentation first.
pub const ROWS: &[Row] = &[
    row(
        "D1",
        "client certificates end after one year, CAs after ten",
    ),
    row(
        "D2",
        "custom certificates: a given pair is never overwritten, a given CA signs the rest",
    ),
    row(
        "D3",
        "external CA: recognised without ca.key; the signer runs elsewhere",
    ),
    row("D4", "check-expiration prints both tables at any time"),
    row(
        "D5",
        "certificates of an external CA are reported, and not renewed",
    ),
    row("D6", "the kubelet rotates its own client certificate"),
    row("D7", "repair of an expired kubelet client certificate"),
    row(
        "D8",
        "kubelet.conf of a pre-1.17 init keeps its first certificate",
    ),
    row(
        "D9",
        "an upgrade of the control plane renews its certificates",
    ),
    row("D10", "--certificate-renewal=false renews nothing"),
    row("D11", "upgrade node before 1.17 does not renew by default"),
    row("D12", "certs renew: all or one name, with the CA on disk"),
    row("D13", "renewed on disk, stale in memory until a restart"),
    row("D14", "restart of a static Pod by moving its manifest"),
    row(
        "D15",
        "with several control planes the renewal runs on each",
    ),
    row(
        "D16",
        "renewal copies names from the certificate, not from the ConfigMap",
    ),
    row(
        "D17",
        "requests for an external CA: --csr-only, generate-csr",
    ),
    row("D18", "the certificates API and the built-in signer"),
    row("D19", "manual rotation of a CA"),
    row(
        "D20",
        "serverTLSBootstrap at init: serving requests stay Pending",
    ),
    row(
        "D21",
        "serverTLSBootstrap later: ConfigMap, config.yaml of every node, restart",
    ),
    row(
        "D22",
        "serving certificates are approved, and due again after a year",
    ),
    row("D23", "an approver must check IPs and DNS names too"),
    incident(
        "S1",
        "kubeadm#1753",
        "kubelet.conf of the first node keeps its first certificate",
    ),
    incident(
        "S2",
        "kubeadm#1317",
        "kubelet.conf names a static pair that nobody rotates",
    ),
    incident(
        "S3",
        "kubeadm#1818",
        "upgrade node does not renew before 1.17",
    ),
    incident(
        "S4",
        "kubeadm#1361",
        "renew all leaves the kubeconfigs before 1.15",
    ),
    incident(
        "S5",
        "kubeadm#2989",
        "an equal etcd manifest: etcd certificates are not renewed",
    ),
    incident(
        "S6",
        "kubeadm#2752",
        "an upgrade to the same version renews almost nothing",
    ),
    incident(
        "S7",
        "kubernetes#63128",
        "kubectl delete pod of a mirror Pod restarts nothing",
    ),
    incident(
        "S8",
        "kubesphere#3900",
        "all valid on disk, logs and exec fail",
    ),
    incident(
        "S9",
        "kubernetes#103575",
        "documentation followed, components never restarted",
    ),
    incident(
        "S10",
        "kubernetes#120890",
        "one client keeps polling with its old certificate",
    ),
    incident(
        "S11",
        "kubeadm#2054",
        "the date moved past a year, renew all does not reach the kubelet",
    ),
    incident(
        "S12",
        "website#42944",
        "machines powered off for more than a year",
    ),
    incident(
        "S13",
        "kubernetes#102556",
        "finalize does not find its user in kubelet.conf",
    ),
    incident(
        "S14",
        "kubernetes#99645",
        "a node made without the finalize phase",
    ),
    incident(
        "S15",
        "kubernetes#92676",
        "a restarted kubelet believes the server unresponsive",
    ),
    incident(
        "S16",
        "kubernetes#65991",
        "certificates of 24 h and nodes switched off at night",
    ),
    incident(
        "S17",
        "kubeadm#2852",
        "ca.key is gone and the API server's certificate has ended",
    ),
    incident(
        "S18",
        "kubeadm#2618",
        "check-expiration needed ca.key for kubeconfigs",
    ),
    incident(
        "S19",
        "kubeadm#1518",
        "renew with an external CA fails in 1.14",
    ),
    incident(
        "S20",
        "kubeadm#2027",
        "kubeconfigs keep the old CA after a renewal",
    ),
    incident(
        "S21",
        "kubeadm#1350",
        "a CA bundle in ca.crt stops the signer",
    ),
    incident(
        "S22",
        "kubernetes#110708",
        "--cert-dir against the cluster's certificatesDir",
    ),
    incident(
        "S23",
        "kubernetes#86864",
        "external etcd and a list that does not match",
    ),
    incident(
        "S24",
        "etcd#15949",
        "certificates copied from one master to the others",
    ),
    incident(
        "S25",
        "kubernetes#86552",
        "the in-memory loopback certificate ends after a year",
    ),
    incident(
        "S26",
        "kubeadm#3310",
        "apiserver-kubelet-client without group and without binding",
    ),
    incident(
        "S27",
        "kubeadm#3308",
        "the binding of kubeadm:cluster-admins is missing",
    ),
    incident(
        "S28",
        "kubespray#13414",
        "a missing super-admin.conf looks like 0 s left",
    ),
    incident(
        "S29",
        "kubespray#12836",
        "components crash after a periodic renewal",
    ),
    incident(
        "S30",
        "kubernetes#73356",
        "serving requests are never approved",
    ),
    incident(
        "S31",
        "kubeadm#3055",
        "an upgrade with an external CA fails at super-admin.conf",
    ),
    incident(
        "S32",
        "kubernetes#94175",
        "a user's kubeconfig that nobody renews",
    ),
    incident(
        "S33",
        "kubernetes#113618",
        "leaves begin when their CA began",
    ),
    incident(
        "S34",
        "kubernetes#76714",
        "the clock steps back after the CA was made",
    ),
    incident(
        "S35",
        "kubeadm#1651",
        "an upgrade with an ended certificate fails hard",
    ),
    incident(
        "S36",
        "kubernetes#118944",
        "ca.crt replaced by a new CA, then renew all",
    ),
    incident(
        "S37",
        "cloudstack#9418",
        "etcd certificates end before the others",
    ),
    incident(
        "S38",
        "gardener#3684",
        "without its binding a rotation request stays Pending",
    ),
    incident(
        "S39",
        "kind#3492",
        "a cluster on a laptop, older than a year",
    ),
];
