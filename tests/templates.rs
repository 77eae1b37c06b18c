//! What `-o` prints for templates, beside a real kubeadm (`ci/build-kubeadm.sh`).

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs the real kubeadm on a real tree and stops where something is missing"
)]

#[path = "beside/engine.rs"]
mod engine;

use std::process::Command;

use engine::{engine, missing};

/// One is built by `ci/engines.sh`; the others are used where they are.
const ALWAYS: &str = "v1.35.4";
const VERSIONS: [&str; 4] = ["v1.34.4", ALWAYS, "v1.36.3", "v1.37.2"];

const JSONPATHS: [&str; 56] = [
    "{.kind}",
    "{.certificates[*].name}",
    "{$.certificates[*].name}",
    "{.certificates[0]}",
    "{.certificates[0].residualTime}",
    "{.certificates[*].expirationDate}",
    "{.certificates[?(@.name==\"apiserver\")]}",
    "{.certificates[?(@.name=='apiserver')].residualTime}",
    "{.certificates[?(@.missing==true)].name}",
    "{.certificates[?(@.caName!=\"ca\")].name}",
    "{.certificates[?(@.residualTime<604800)].name}",
    "{.certificates[?(@.residualTime<604800.0)].name}",
    "{.certificates[?(@.residualTime>=604800.5)].name}",
    "{.certificates[?(@.caName)].name}",
    "{.certificates[?(@.name>\"e\")].name}",
    "{.certificates[?(@.missing<true)].name}",
    "{.certificates[?(@.expirationDate==\"x\")].name}",
    "{.certificates[?(@.name=~\"x\")].name}",
    "{.certificates[-1].name}",
    "{.certificates[-3:].name}",
    "{.certificates[1:3].name}",
    "{.certificates[:2].name}",
    "{.certificates[0:9:4].name}",
    "{.certificates[0:9:0].name}",
    "{.certificates[3:1].name}",
    "{.certificates[2:2].name}",
    "{.certificates[0,2].name}",
    "{.certificates[0]['name','caName']}",
    "{.certificates[0]['name']}",
    "{['kind']}",
    "{.certificates[99].name}",
    "{.certificates[x].name}",
    "{.certificates.name}",
    "{.kind[0]}",
    "{.kind.x}",
    "{.nosuch}",
    "{.nosuch[0].x}",
    "{..caName}",
    "{.certificates[0].*.x}",
    "{range .certificates[*]}{.name}{\"\\t\"}{.caName}{\"\\n\"}{end}",
    "{range .certificates[*]}{.name} {end}{range .certificateAuthorities[*]}{.name} {end}",
    "a{range .certificates[?(@.name==\"nosuch\")]}{.name}{end}b",
    "{range .certificates[*]}{.name}",
    "{end}",
    "{foo}",
    "{.kind",
    "{}",
    "{ }text",
    "{'single'}{\"dou\\\"ble\\n\"}",
    "{\"open}",
    "{.certificates[0",
    "{.certificates[?(@.name=='x'].name}",
    "{.certificates[?(@.name=='a)b')].name}",
    "{3}{-2.5}{true}",
    "{#}",
    "plain text",
];

const GO_TEMPLATES: [&str; 50] = [
    "{{.kind}}",
    "{{len .certificates}}",
    "{{range .certificates}}{{.name}} {{.residualTime}}{{\"\\n\"}}{{end}}",
    "{{range $i, $c := .certificates}}{{$i}}: {{$c.name}}, {{end}}",
    "{{range $c := .certificates}}{{$c.name}}, {{end}}",
    "{{range $k, $v := index .certificates 0}}{{$k}}={{$v}} {{end}}",
    "{{(index .certificates 0).name}}",
    "{{index .certificates 0 \"name\"}}",
    "{{index .certificates 99}}",
    "before {{index .certificates 99}}",
    "{{index .nosuch 0}}",
    "{{index .certificates \"x\"}}",
    "{{.nosuch}}",
    "{{.nosuch.x}}",
    "{{.kind.x}}",
    "{{.certificates.x}}",
    "line\n{{ .kind.x.y.z.and.so.on.and.on }}",
    "{{range .certificates}}{{if .missing}}{{.name}}{{end}}{{end}}",
    "{{range .certificates}}{{if eq .name \"apiserver\"}}A{{else if .missing}}M{{else}}.{{end}}{{end}}",
    "{{range .certificates}}{{if and (lt .residualTime 604800) (not .missing)}}{{.name}}{{end}}{{end}}",
    "{{range .certificates}}{{if or .missing (eq .caName \"etcd-ca\")}}{{.name}} {{end}}{{end}}",
    "{{range .certificates}}{{if .missing}}{{continue}}{{end}}{{.name}} {{end}}",
    "{{range .certificates}}{{if eq .name \"etcd-peer\"}}{{break}}{{end}}{{.name}} {{end}}",
    "{{range .nosuch}}x{{else}}none{{end}}",
    "{{range .kind}}x{{end}}",
    "{{with .certificates}}{{len .}}{{end}}{{with .nosuch}}x{{else}}no{{end}}",
    "{{$n := len .certificates}}{{$n}} {{$n = 3}}{{$n}}",
    "{{range .certificates}}{{$.kind}} {{end}}",
    "{{printf \"%-30s|%5d|%t|%v|%q\" (index .certificates 1).name (index .certificates 1).residualTime (index .certificates 1).missing .kind .kind}}",
    "{{printf \"%s %d\" .nosuch .kind}}",
    "{{printf \"%s\" .kind .kind}}{{printf \"%s\"}}",
    "{{printf \"%012d|%12d\" (index .certificates 1).residualTime -3}}",
    "{{print 1 2 \"x\" 3 true}}{{println .kind 1}}",
    "{{.kind | printf \"%s-%s\" \"a\" | len}}",
    "{{- .kind -}}  x  {{- /* c */ -}}  y",
    "{{\"a\\tb\"}}{{`raw\\n`}}",
    "{{true}} {{3}} {{3.5}} {{1e6}}",
    "{{.}}",
    "{{index .certificates 10}}",
    "{{base64decode \"aGVsbG8=\"}}{{exists . \"kind\"}}{{exists . \"nosuch\"}}",
    "{{eq .kind true}}{{lt 1 .kind}}",
    "{{lt true false}}",
    "{{eq .kind \"a\" \"CertificateExpirationInfo\"}}{{ne 1 2}}{{ge 2 2}}{{gt 1 2}}{{le 1 2}}",
    "{{len (index .certificates 0).residualTime}}",
    "{{.kind",
    "{{range .certificates}}",
    "{{end}}",
    "{{nosuch .x}}",
    "{{$x}}",
    "{{if}}x{{end}}",
];

fn words<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let mut out = vec!["certs", "check-expiration", "--config", "/kubeadm.yaml"];
    out.extend(options);
    out
}

fn configuration(version: &str) -> String {
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: 10.0.0.10, bindPort: 6443}}
nodeRegistration: {{name: cp1, criSocket: 'unix:///x'}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: {version}
"
    )
}

fn compare(templates: &[Vec<String>]) {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for version in VERSIONS {
        let Some(binary) = engine(version) else {
            if version == ALWAYS {
                missing("kubeadm", "build one with ci/build-kubeadm.sh v1.35.4");
            }
            continue;
        };
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::write(root.join("kubeadm.yaml"), configuration(version)).unwrap();
        let ours = |words: &[&str]| {
            Command::new(env!("CARGO_BIN_EXE_certdrill"))
                .args(["kubeadm", "--as", version, "--seed", "1", "--rootfs"])
                .arg(root)
                .arg("--")
                .args(words)
                .output()
                .unwrap()
        };
        for phase in ["certs", "kubeconfig"] {
            let made = ours(&["init", "phase", phase, "all", "--config", "/kubeadm.yaml"]);
            assert!(made.status.success(), "{made:?}");
        }
        std::fs::remove_file(root.join("etc/kubernetes/super-admin.conf")).unwrap();
        for options in templates {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let words = words(&options);
            compared += 1;
            let real = || {
                let mut command = Command::new(&binary);
                command
                    .arg("--rootfs")
                    .arg(root)
                    .args(&words)
                    .output()
                    .unwrap()
            };
            // A second may pass between the two.
            let agree = (0..5).any(|_| ours(&words) == real());
            if !agree {
                let (ours, real) = (ours(&words), real());
                wrong.push(format!(
                    "## {version} {options:?}\n{ours:#?}\n-- not {real:#?}"
                ));
            }
        }
    }
    eprintln!("{compared} templates compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn options(format: &str, template: &str, more: &[&str]) -> Vec<String> {
    let format = format!("{format}={template}");
    [&["-o", &format], more]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn jsonpaths_print_what_the_real_kubeadm_prints() {
    let mut templates: Vec<Vec<String>> = JSONPATHS
        .iter()
        .map(|template| options("jsonpath", template, &[]))
        .collect();
    for template in [
        "{.kind}",
        "{.certificates[0:2].name}{.nosuch}",
        "{.certificates[0]}{.certificateAuthorities}",
        "x{range .certificates[*]}{.residualTime}{end}",
    ] {
        templates.push(options("jsonpath-as-json", template, &[]));
    }
    for template in [
        "{.nosuch}",
        "{.certificates[*].caName}",
        "{.certificates[?(@.caName==\"ca\")].name}",
    ] {
        templates.push(options(
            "jsonpath",
            template,
            &["--allow-missing-template-keys=false"],
        ));
    }
    for bad in [
        ["-o", "jsonpath"],
        ["-o", "jsonpath="],
        ["-o", "jsonpath-file=/nosuch"],
    ] {
        templates.push(bad.iter().map(|&word| word.to_owned()).collect());
    }
    compare(&templates);
}

#[test]
fn go_templates_print_what_the_real_kubeadm_prints() {
    let mut templates: Vec<Vec<String>> = GO_TEMPLATES
        .iter()
        .map(|template| options("go-template", template, &[]))
        .collect();
    for template in [
        "{{.nosuch}}",
        "{{range .certificates}}{{.caName}}{{end}}",
        "{{.kind}}",
    ] {
        templates.push(options(
            "template",
            template,
            &["--allow-missing-template-keys=false"],
        ));
    }
    for bad in [
        ["-o", "go-template"],
        ["-o", "template="],
        ["-o", "go-template-file=/nosuch"],
    ] {
        templates.push(bad.iter().map(|&word| word.to_owned()).collect());
    }
    compare(&templates);
}
