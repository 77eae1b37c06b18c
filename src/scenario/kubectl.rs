//! kubectl command lines that are modelled.

use super::problem::listed;

/// What is modelled, for messages.
pub const MODELLED: [&str; 7] = [
    "get csr [NAME...]",
    "certificate approve NAME...",
    "certificate deny NAME...",
    "delete csr NAME...",
    "create clusterrolebinding NAME --clusterrole=ROLE [--group=GROUP] [--user=USER]",
    "delete clusterrolebinding NAME...",
    "delete pod NAME... -n kube-system",
];

/// A kubectl command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubectlCommand {
    /// `get csr`; all where no name is given.
    GetRequests(Vec<String>),
    /// `certificate approve` or `deny`.
    Decide {
        /// Which requests.
        names: Vec<String>,
        /// `approve`.
        approve: bool,
    },
    /// `delete csr`.
    DeleteRequests(Vec<String>),
    /// `create clusterrolebinding`.
    CreateBinding {
        /// Its name.
        name: String,
        /// `--clusterrole`.
        role: String,
        /// `--group`.
        groups: Vec<String>,
        /// `--user`.
        users: Vec<String>,
    },
    /// `delete clusterrolebinding`.
    DeleteBindings(Vec<String>),
    /// `delete pod`, in the namespace `kube-system`.
    DeletePods(Vec<String>),
}

/// Reads what follows `kubectl`.
///
/// # Errors
/// With a sentence when it is not modelled.
pub fn parse(args: &[String]) -> Result<KubectlCommand, String> {
    let mut words: Vec<&str> = Vec::new();
    let mut flags: Vec<(String, String)> = Vec::new();
    let mut rest = args.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            None => words.push(word),
            Some(flag) => {
                let flag = flag.trim_start_matches('-');
                match flag.split_once('=') {
                    Some((name, value)) => flags.push((name.to_owned(), value.to_owned())),
                    None => {
                        flags.push((flag.to_owned(), rest.next().unwrap_or_default().to_owned()));
                    }
                }
            }
        }
    }
    let unknown = || {
        format!(
            "`kubectl {}` is not modelled; what is: {}",
            args.join(" "),
            listed(MODELLED)
        )
    };
    let named = |names: &[&str]| -> Result<Vec<String>, String> {
        if names.is_empty() {
            return Err(format!("`kubectl {}` names nothing", args.join(" ")));
        }
        Ok(names.iter().map(|&name| name.to_owned()).collect())
    };
    let allowed = |known: &[&str]| flags.iter().all(|(name, _)| known.contains(&name.as_str()));
    let values = |wanted: &str| -> Vec<String> {
        flags
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.clone())
            .collect()
    };
    let is_csr = |word: &str| {
        matches!(
            word,
            "csr" | "certificatesigningrequest" | "certificatesigningrequests"
        )
    };
    let is_binding = |word: &str| matches!(word, "clusterrolebinding" | "clusterrolebindings");
    match words.as_slice() {
        ["get", kind, names @ ..] if is_csr(kind) && allowed(&[]) => Ok(
            KubectlCommand::GetRequests(names.iter().map(|&name| name.to_owned()).collect()),
        ),
        ["certificate", verb @ ("approve" | "deny"), names @ ..] if allowed(&[]) => {
            Ok(KubectlCommand::Decide {
                names: named(names)?,
                approve: *verb == "approve",
            })
        }
        ["delete", kind, names @ ..] if is_csr(kind) && allowed(&[]) => {
            Ok(KubectlCommand::DeleteRequests(named(names)?))
        }
        ["delete", kind, names @ ..] if is_binding(kind) && allowed(&[]) => {
            Ok(KubectlCommand::DeleteBindings(named(names)?))
        }
        ["delete", "pod" | "pods" | "po", names @ ..]
            if allowed(&["n", "namespace"])
                && values("n")
                    .iter()
                    .chain(&values("namespace"))
                    .eq(["kube-system"].iter()) =>
        {
            Ok(KubectlCommand::DeletePods(named(names)?))
        }
        ["create", "clusterrolebinding", name] if allowed(&["clusterrole", "group", "user"]) => {
            let role = values("clusterrole");
            let [role] = role.as_slice() else {
                return Err("`create clusterrolebinding` needs one --clusterrole".to_owned());
            };
            Ok(KubectlCommand::CreateBinding {
                name: (*name).to_owned(),
                role: role.clone(),
                groups: values("group"),
                users: values("user"),
            })
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<KubectlCommand, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&args)
    }

    #[test]
    fn what_is_modelled_is_read() {
        assert_eq!(read("get csr"), Ok(KubectlCommand::GetRequests(Vec::new())));
        assert_eq!(
            read("certificate deny csr-a csr-b"),
            Ok(KubectlCommand::Decide {
                names: vec!["csr-a".to_owned(), "csr-b".to_owned()],
                approve: false
            })
        );
        assert_eq!(
            read("-n kube-system delete pod kube-apiserver-cp1"),
            Ok(KubectlCommand::DeletePods(vec![
                "kube-apiserver-cp1".to_owned()
            ]))
        );
        let made = read("create clusterrolebinding x --clusterrole=r --group g --group=h");
        assert!(matches!(
            made,
            Ok(KubectlCommand::CreateBinding { groups, .. }) if groups == ["g", "h"]
        ));
    }

    #[test]
    fn anything_else_is_refused_with_a_list() {
        for line in [
            "get nodes",
            "get csr -o yaml",
            "delete pod x",
            "certificate approve",
            "create clusterrolebinding x",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(
            read("get nodes")
                .unwrap_err()
                .contains("certificate approve NAME")
        );
    }
}
