//! kubectl on a node, with its `admin.conf`: the commands that `scenario::kubectl` reads.

use super::csr::ConditionKind;
use super::edge::Failure;
use super::node::{ADMIN_CONF, STATIC_PODS};
use super::rbac::{Permission, Requestor, RoleBinding, Subject};
use super::topology::ApiClient;
use super::world::World;
use crate::kubeadm::profile::signing::{
    DELETED_FROM_NAMESPACE, FAILED_CONDITION, REQUESTED_DURATION, SIGNER_NAMES,
};
use crate::kubeadm::{CommandOutput, human_duration};
use crate::scenario::{Component, KubectlCommand};

/// kubectl's error: what it prints to standard error.
type Refusal = String;

impl World {
    /// Runs a kubectl command on a node, and lets its second pass.
    pub fn kubectl(&mut self, node: usize, command: &KubectlCommand, line: &str) -> CommandOutput {
        if self.is_real() {
            let script = format!("kubectl --kubeconfig /etc/kubernetes/admin.conf {line}");
            let words = ["sh".to_owned(), "-c".to_owned(), script];
            let output = self.run_really(|reality| reality.run(node, &words, &[]));
            self.command_ran(node, "kubectl", line, &output);
            return output;
        }
        let mut stdout = String::new();
        let result = self.run_kubectl(node, command, &mut stdout);
        let output = CommandOutput {
            exit_code: i32::from(result.is_err()),
            stdout,
            stderr: match result {
                Ok(note) => note,
                Err(text) => text + "\n",
            },
        };
        self.command_ran(node, "kubectl", line, &output);
        output
    }

    /// kubectl with `admin.conf` of a real node, and with something on its standard input.
    pub(super) fn kubectl_really(
        &mut self,
        node: usize,
        args: &[&str],
        input: &[u8],
    ) -> CommandOutput {
        let words: Vec<String> = ["kubectl", "--kubeconfig", ADMIN_CONF]
            .iter()
            .chain(args)
            .map(|&word| word.to_owned())
            .collect();
        self.run_really(|reality| reality.run(node, &words, input))
    }

    /// Who a client is to the API server it reaches.
    ///
    /// # Errors
    /// With the failure of the request.
    pub(super) fn authenticated(&self, client: &ApiClient) -> Result<Requestor, Failure> {
        let backends = self.backends(&client.config.host, client.node);
        let mut failure = None;
        for backend in backends {
            match self.reach(client, backend) {
                Ok(()) => {
                    let shown = client.side.credential.as_ref();
                    return Ok(shown
                        .map_or_else(Requestor::default, |pair| Requestor::of(&pair.certificate)));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            let authority = format!("{}:{}", client.config.host, super::topology::API_PORT);
            let text = super::texts::unreachable(
                client.side.component,
                client.side.version,
                &authority,
                true,
            );
            Failure::new(super::FailureClass::Unreachable, text)
        }))
    }

    fn run_kubectl(
        &mut self,
        node: usize,
        command: &KubectlCommand,
        stdout: &mut String,
    ) -> Result<String, Refusal> {
        let who = match self.api_client(Component::Admin, node) {
            Ok(Some(client)) => self
                .authenticated(&client)
                .map_err(|failure| failure.text)?,
            // Without a kubeconfig kubectl tries its default server.
            Ok(None) | Err(_) => {
                return Err(super::texts::unreachable(
                    Component::Admin,
                    self.nodes[node].version,
                    "localhost:8080",
                    true,
                ));
            }
        };
        let may = |world: &Self, verb: &str, resource: &str, group: &str| {
            if world.allows(&who, Permission::Everything) {
                return Ok(());
            }
            // What is in no group here is a Pod.
            let scope = if group.is_empty() {
                "in the namespace \"kube-system\""
            } else {
                "at the cluster scope"
            };
            Err(super::texts::kubectl_forbidden(
                &who.username,
                verb,
                resource,
                group,
                scope,
            ))
        };
        match command {
            KubectlCommand::GetRequests(names) => {
                may(self, "list", CSRS, CSR_GROUP)?;
                for name in names {
                    self.request_named(name)
                        .ok_or_else(|| not_found(CSRS_FULL, name))?;
                }
                let table = self.request_table(node, names);
                if table.is_empty() {
                    return Ok("No resources found\n".to_owned());
                }
                stdout.push_str(&table);
            }
            KubectlCommand::Decide { names, approve } => {
                may(self, "get", CSRS, CSR_GROUP)?;
                for name in names {
                    self.decide_by_hand(node, name, *approve)?;
                    let word = if *approve { "approved" } else { "denied" };
                    *stdout +=
                        &format!("certificatesigningrequest.certificates.k8s.io/{name} {word}\n");
                }
            }
            KubectlCommand::DeleteRequests(names) => {
                may(self, "delete", CSRS, CSR_GROUP)?;
                for name in names {
                    let request = self
                        .request_named(name)
                        .ok_or_else(|| not_found(CSRS_FULL, name))?;
                    self.delete_request(request);
                    self.request_changed(request, "deleted", crate::run::trace::Weight::Normal);
                    self.settled_request(request);
                    *stdout += &format!(
                        "certificatesigningrequest.certificates.k8s.io {name:?} deleted\n"
                    );
                }
            }
            KubectlCommand::DeleteBindings(names) => {
                may(self, "delete", "clusterrolebindings", RBAC_GROUP)?;
                for name in names {
                    if self.role_bindings.remove(name).is_none() {
                        let full = format!("clusterrolebindings.{RBAC_GROUP}");
                        return Err(not_found(&full, name));
                    }
                    self.approval_changed();
                    *stdout += &format!("clusterrolebinding.{RBAC_GROUP} {name:?} deleted\n");
                }
            }
            KubectlCommand::CreateBinding {
                name,
                role,
                groups,
                users,
            } => {
                may(self, "create", "clusterrolebindings", RBAC_GROUP)?;
                if self.role_bindings.contains_key(name) {
                    return Err(format!(
                        "error: failed to create clusterrolebinding: clusterrolebindings.{RBAC_GROUP} {name:?} already exists"
                    ));
                }
                let subjects = groups
                    .iter()
                    .map(|group| Subject::Group(group.clone()))
                    .chain(users.iter().map(|user| Subject::User(user.clone())))
                    .collect();
                let role = role.clone();
                self.role_bindings
                    .insert(name.clone(), RoleBinding { role, subjects });
                self.approval_changed();
                *stdout += &format!("clusterrolebinding.{RBAC_GROUP}/{name} created\n");
            }
            KubectlCommand::DeletePods(names) => {
                may(self, "delete", "pods", "")?;
                for name in names {
                    self.delete_mirror_pod(name)
                        .ok_or_else(|| not_found("pods", name))?;
                    let from = if *DELETED_FROM_NAMESPACE.at(self.nodes[node].version) {
                        " from kube-system namespace"
                    } else {
                        ""
                    };
                    *stdout += &format!("pod {name:?} deleted{from}\n");
                }
            }
        }
        Ok(String::new())
    }

    /// `kubectl certificate approve` or `deny` (`kubectl/pkg/cmd/certificates`).
    fn decide_by_hand(&mut self, node: usize, name: &str, approve: bool) -> Result<(), Refusal> {
        let request = self
            .request_named(name)
            .ok_or_else(|| not_found(CSRS_FULL, name))?;
        let (kind, other, word) = if approve {
            (ConditionKind::Approved, ConditionKind::Denied, "approve")
        } else {
            (ConditionKind::Denied, ConditionKind::Approved, "deny")
        };
        if self.requests[request].has(other) && *FAILED_CONDITION.at(self.nodes[node].version) {
            return Err(format!(
                "error: certificate signing request {name:?} is already {}",
                other.word()
            ));
        }
        if self.requests[request].has(kind) {
            return Ok(());
        }
        let (reason, done) = if approve {
            ("KubectlApprove", "approved")
        } else {
            ("KubectlDeny", "denied")
        };
        let message = format!("This CSR was {done} by kubectl certificate {word}.");
        self.condition(request, kind, reason, &message);
        Ok(())
    }

    /// The Pod that stands for a static Pod: deleting it does nothing to the process (kubernetes#103575).
    fn delete_mirror_pod(&mut self, name: &str) -> Option<()> {
        let (node, component) = (0..self.nodes.len()).find_map(|node| {
            let component = STATIC_PODS.into_iter().find(|component| {
                format!("{}-{}", component.name(), self.nodes[node].name) == name
            })?;
            self.nodes[node].process(component)?;
            Some((node, component))
        })?;
        let text = format!(
            "the mirror Pod {name} is deleted and made again; the process of {} goes on",
            component.name()
        );
        self.record(
            crate::run::trace::EventKind::Note,
            crate::run::trace::Weight::Normal,
            Some(node),
            name,
            text,
            None,
        );
        Some(())
    }

    /// `kubectl get csr` as the API server of a version has it printed; empty where there is none.
    #[must_use]
    pub fn request_table(&self, node: usize, names: &[String]) -> String {
        let version = self.nodes[node].version;
        let signer = *SIGNER_NAMES.at(version);
        let duration = *REQUESTED_DURATION.at(version);
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut header = vec!["NAME", "AGE"];
        if signer {
            header.push("SIGNERNAME");
        }
        header.push("REQUESTOR");
        if duration {
            header.push("REQUESTEDDURATION");
        }
        header.push("CONDITION");
        rows.push(header.into_iter().map(str::to_owned).collect());
        for request in self.listed_requests() {
            if !names.is_empty() && !names.contains(&request.name) {
                continue;
            }
            let age = self.now().duration_since(request.created).as_secs();
            let mut row = vec![request.name.clone(), human_duration(age)];
            if signer {
                row.push(request.signer.clone());
            }
            row.push(request.requestor.username.clone());
            if duration {
                row.push(
                    request
                        .expiration_seconds
                        .map_or_else(|| "<none>".to_owned(), human_duration),
                );
            }
            row.push(request.column());
            rows.push(row);
        }
        if rows.len() == 1 {
            return String::new();
        }
        table(&rows)
    }
}

const CSR_GROUP: &str = "certificates.k8s.io";
const CSRS: &str = "certificatesigningrequests";
const CSRS_FULL: &str = "certificatesigningrequests.certificates.k8s.io";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

fn not_found(resource: &str, name: &str) -> Refusal {
    format!("Error from server (NotFound): {resource} {name:?} not found")
}

/// Columns at least six wide with three blanks between (`cli-runtime/pkg/printers/tabwriter.go`).
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let longest = rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0);
            (longest + 3).max(6)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            if column + 1 == columns {
                out += cell;
            } else {
                out += &format!("{cell:<width$}", width = widths[column]);
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_laid_out_as_kubectl_does() {
        let rows = [
            ["NAME", "AGE", "CONDITION"],
            ["csr-2bc4d", "5m", "Pending"],
            ["csr-x", "119s", "Approved,Issued"],
        ]
        .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&rows),
            "NAME        AGE    CONDITION\ncsr-2bc4d   5m     Pending\ncsr-x       119s   Approved,Issued\n"
        );
    }
}
