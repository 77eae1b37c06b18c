//! The simulated cluster: nodes, kubelets, static Pods, etcd, the CSR API, and the edges between them.
//!
//! A [`World`] is a discrete-event simulation. Steps change it or let time pass; after every change and
//! every event it *settles*: processes take in what they reload by themselves, every edge is judged
//! anew from certificate bytes, and what follows from that is scheduled.

mod bootstrap;
mod clock;
mod command;
mod config_maps;
mod configuration;
mod connections;
pub mod csr;
mod edge;
mod engine;
mod etcd_edges;
mod events;
mod external_etcd;
mod files;
mod health;
mod issuer;
mod join;
pub mod kubectl;
mod kubelet;
mod leader;
mod ledger;
mod load_balancer;
mod loopback;
mod managers;
mod mechanism;
mod node;
mod picture;
mod pods;
mod port10250;
mod random;
mod rbac;
mod real_nodes;
mod real_processes;
mod reality;
mod rebuild;
mod redate;
mod reset;
mod settle;
mod shared_certs;
mod shown;
mod spec;
mod surroundings;
pub(crate) mod texts;
mod topology;
mod upgrade;
mod upgrade_pods;
mod world;

pub use bootstrap::ClusterError;
pub use clock::Clock;
pub use command::directory_of;
pub use csr::{Condition, ConditionKind, Request, RequestState};
pub use edge::{Edge, EdgeId, Failure, FailureClass, Held, Outcome};
pub use engine::{Call, Engine, EngineError, Model};
pub use external_etcd::{
    CERTIFICATES as ETCD_CERTIFICATES, FOR_CONTROL_PLANES as ETCD_FOR_CONTROL_PLANES,
};
pub use files::Credential;
pub use issuer::IssuerError;
pub use join::TOKEN as BOOTSTRAP_TOKEN;
pub use kubelet::Manager;
pub use mechanism::Mechanism;
pub use node::{
    ADMIN_CONF, BOOTSTRAP_CONF, DiskCertificate, KUBELET_CONF, KUBELET_CURRENT, KUBELET_PKI,
    Kubelet, KubeletState, LOOPBACK, Loaded, Node, PKI, Pod, PodState, Process, Rotation,
    SERVING_CURRENT, STATIC_PODS, USER_CONF,
};
pub(crate) use pods::APISERVER_PATIENCE_S;
pub use pods::PodPhase;
pub use rbac::{Permission, Requestor, RoleBinding, Subject};
pub use reality::{
    Answer, ApiPicture, FileChange, Look, NodePicture, NodePlan, Picture, Reality,
    Seen as ProcessSeen,
};
pub use rebuild::Found;
pub use spec::Spec;
pub use surroundings::{ApiServer, Identity, MachineFacts, Surroundings};
pub use upgrade::{UpgradeOptions, upgrade_line};
pub use world::World;
