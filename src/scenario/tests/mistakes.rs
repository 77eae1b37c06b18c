//! What people read when they get the format wrong.

use super::{errors, with};

#[test]
fn a_step_that_does_not_exist() {
    insta::assert_snapshot!(errors(&with("    - wlak: 300d\n")), @r#"
    error: unknown step `wlak`
      --> mistake.yaml:10:7
       |
    10 |     - wlak: 300d
       |       ^^^^
       |
       = help: did you mean `walk`?
    "#);
}

#[test]
fn lengths_of_time() {
    insta::assert_snapshot!(errors(&with("    - walk: 300\n    - walk: 3fortnights\n    - walk: -3d\n    - walk: until yesterday\n    - walk\n")), @r#"
    error: "300" is not a length of time: write a number and a unit, for example 300d, 20s or 1d12h
      --> mistake.yaml:10:13
       |
    10 |     - walk: 300
       |             ^^^

    error: unknown unit "fortnights": use ms, s, m, h, d, w or y (365 days)
      --> mistake.yaml:11:13
       |
    11 |     - walk: 3fortnights
       |             ^^^^^^^^^^^

    error: `-3d` is not more than nothing
      --> mistake.yaml:12:13
       |
    12 |     - walk: -3d
       |             ^^^
       |
       = help: to set clocks back, use `stepBack: 10m` or `skew: { nodes: "@cp1", by: -10m }`

    error: `yesterday` is not an instant
      --> mistake.yaml:13:13
       |
    13 |     - walk: until yesterday
       |             ^^^^^^^^^^^^^^^
       |
       = help: write it in UTC, as 2026-01-01T00:00:00Z

    error: `walk` says too little
      --> mistake.yaml:14:7
       |
    14 |     - walk
       |       ^^^^
       |
       = help: write `walk: …`, or `walk: {}` where there is nothing to say
    "#);
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(errors(&with("    - renew: { nodes: \"@cp1\", nmae: all }\n")), @r#"
    error: unknown key `nmae` in renew
      --> mistake.yaml:10:31
       |
    10 |     - renew: { nodes: "@cp1", nmae: all }
       |                               ^^^^
       |
       = help: did you mean `name`?
    "#);
}

#[test]
fn processes_and_clients() {
    insta::assert_snapshot!(errors(&with("    - restart: kublet@cp1\n    - restart: kubelet\n    - restart: user@cp1\n")), @r#"
    error: unknown component `kublet`
      --> mistake.yaml:10:16
       |
    10 |     - restart: kublet@cp1
       |                ^^^^^^^^^^
       |
       = help: did you mean `kubelet`?

    error: `kubelet` does not say on which nodes
      --> mistake.yaml:11:16
       |
    11 |     - restart: kubelet
       |                ^^^^^^^
       |
       = help: write for example kubelet@cp1 or kubelet@*

    error: `user` is not a process: it is a client that connects anew for each request
      --> mistake.yaml:12:16
       |
    12 |     - restart: user@cp1
       |                ^^^^^^^^
       |
       = help: processes are etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubelet
    "#);
}

#[test]
fn versions() {
    insta::assert_snapshot!(errors(&with("    - upgrade: v1.37\n    - upgrade: 1.9.0\n    - upgrade: latest\n")), @r#"
    error: `v1.37` is not a Kubernetes version
      --> mistake.yaml:10:16
       |
    10 |     - upgrade: v1.37
       |                ^^^^^
       |
       = help: the patch counts here: write it out, for example v1.37.0

    error: unknown version v1.9.0
      --> mistake.yaml:11:16
       |
    11 |     - upgrade: 1.9.0
       |                ^^^^^
       |
       = help: certdrill knows kubeadm from v1.15.0 on, and a little of it from v1.10.0 on

    error: `latest` is not a Kubernetes version
      --> mistake.yaml:12:16
       |
    12 |     - upgrade: latest
       |                ^^^^^^
       |
       = help: write it as v1.36.3
    "#);
}

#[test]
fn two_actions_in_one_step() {
    insta::assert_snapshot!(errors(&with("    - walk: 1d\n      jump: 2d\n")), @r#"
    error: `walk` and `jump` in one step: write two
      --> mistake.yaml:11:7
       |
    10 |     - walk: 1d
       |       ---- the step is already this
    11 |       jump: 2d
       |       ^^^^
    "#);
}

#[test]
fn edges() {
    insta::assert_snapshot!(errors(&with("    - expect: { edge: \"kubelet@cp1 -> apiserver\", is: OK }\n    - expect: { edge: kubelet@cp1, is: ok }\n    - expect: { edge: \"kubelet -> apiserver\" }\n")), @r#"
    error: `OK` is not a state of an edge
      --> mistake.yaml:10:55
       |
    10 |     - expect: { edge: "kubelet@cp1 -> apiserver", is: OK }
       |                                                       ^^
       |
       = help: did you mean `ok`?

    error: `kubelet@cp1` is not an edge
      --> mistake.yaml:11:23
       |
    11 |     - expect: { edge: kubelet@cp1, is: ok }
       |                       ^^^^^^^^^^^
       |
       = help: write client -> server, for example kubelet@cp1 -> apiserver
    "#);
}

#[test]
fn certificates() {
    insta::assert_snapshot!(errors(&with("    - expect: { certificate: apisever, valid: true }\n    - expect: { certificate: apiserver }\n    - expect: { certficate: apiserver, nodes: \"@cp1\" }\n")), @r#"
    error: unknown certificate `apisever`
      --> mistake.yaml:10:30
       |
    10 |     - expect: { certificate: apisever, valid: true }
       |                              ^^^^^^^^
       |
       = help: did you mean `apiserver`?

    error: unknown expectation `certficate`
      --> mistake.yaml:12:17
       |
    12 |     - expect: { certficate: apiserver, nodes: "@cp1" }
       |                 ^^^^^^^^^^
       |
       = help: did you mean `certificate`?
    "#);
}

#[test]
fn facts_of_the_wrong_type() {
    insta::assert_snapshot!(errors(&with("    - expect: { certificate: apiserver, daysLeft: 300 }\n    - expect: { certificate: apiserver, valid: yes }\n")), @r#"
    error: `300` is not a range
      --> mistake.yaml:10:51
       |
    10 |     - expect: { certificate: apiserver, daysLeft: 300 }
       |                                                   ^^^
       |
       = help: write ">= 300", "<= 30" or "1..30"; days have fractions, so there is no "exactly"

    error: expected true or false, found `yes`
      --> mistake.yaml:11:48
       |
    11 |     - expect: { certificate: apiserver, valid: yes }
       |                                                ^^^
    "#);
}

#[test]
fn the_short_form_of_a_process() {
    insta::assert_snapshot!(errors(&with("    - expect: { kubelet@cp1: { stat: exited } }\n    - expect: { kubelet@cp1: { state: exited }, log: \"x\" }\n")), @r#"
    error: unknown key `stat` in a process
      --> mistake.yaml:10:32
       |
    10 |     - expect: { kubelet@cp1: { stat: exited } }
       |                                ^^^^
       |
       = help: did you mean `state`?

    error: unknown key `log` beside `kubelet@cp1`
      --> mistake.yaml:11:49
       |
    11 |     - expect: { kubelet@cp1: { state: exited }, log: "x" }
       |                                                 ^^^
       |
       = help: what is expected goes into the mapping: kubelet@cp1: { log: … }
    "#);
}

#[test]
fn a_placeholder_without_quotes() {
    insta::assert_snapshot!(errors(&with("    - walk: 1d\n    - walk: {version}\n")), @r#"
    error: expected a length of time (300d), an instant (until 2027-01-01T00:00:00Z) or a day (to day 255.5), found a mapping
      --> mistake.yaml:11:13
       |
    11 |     - walk: {version}
       |             ^
       |
       = help: if `{version}` is a matrix key, put it in quotes: "{version}"
    "#);
}

#[test]
fn conditions() {
    insta::assert_snapshot!(errors(&with("    - expect:\n        when: { versoin: \"<1.17\" }\n        edges: all\n        is: ok\n    - expect:\n        when: { version: \"~1.17\" }\n        edges: all\n        is: ok\n")), @r#"
    error: `versoin` is no key of the matrix
      --> mistake.yaml:11:17
       |
    11 |         when: { versoin: "<1.17" }
       |                 ^^^^^^^
       |
       = help: did you mean `version`?

    error: `~1.17` is not a comparison of versions
      --> mistake.yaml:15:26
       |
    15 |         when: { version: "~1.17" }
       |                          ^^^^^^^
       |
       = help: write "<1.17", ">=1.34.2", ">=1.17 <1.20" or "1.16"
    "#);
}

#[test]
fn edits() {
    insta::assert_snapshot!(errors(&with("    - edit: { nodes: \"@cp1\", path: etc/x, mode: rw }\n    - edit: { nodes: \"@cp1\", path: /etc/x }\n")), @r#"
    error: `etc/x` is not an absolute path
      --> mistake.yaml:10:36
       |
    10 |     - edit: { nodes: "@cp1", path: etc/x, mode: rw }
       |                                    ^^^^^
       |
       = help: paths are those of the node, for example /etc/kubernetes/pki/apiserver.crt

    error: `rw` is not permission bits
      --> mistake.yaml:10:49
       |
    10 |     - edit: { nodes: "@cp1", path: etc/x, mode: rw }
       |                                                 ^^
       |
       = help: write them in octal and in quotes, as "0600"
    "#);
}

#[test]
fn exit_codes() {
    insta::assert_snapshot!(errors(&with("    - kubeadm: { args: \"certs renew all\", exitCode: one }\n    - renew: apisrver\n    - init: {}\n")), @r#"
    error: expected a whole number, found `one`
      --> mistake.yaml:10:53
       |
    10 |     - kubeadm: { args: "certs renew all", exitCode: one }
       |                                                     ^^^
    "#);
}

#[test]
fn rows_of_check_expiration() {
    insta::assert_snapshot!(errors(&with("    - expect: { residual: { \"*\": 364d, apiservr: 1d } }\n")), @r#"
    error: check-expiration has no row `apiservr`
      --> mistake.yaml:10:40
       |
    10 |     - expect: { residual: { "*": 364d, apiservr: 1d } }
       |                                        ^^^^^^^^
       |
       = help: did you mean `apiserver`?
    "#);
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(errors(""), @r#"
    error: the file is empty
     --> mistake.yaml:1:1
      |
    1 |
      | ^
      |
      = help: a scenario begins with `apiVersion: certdrill/v1` and `kind: Scenario`
    "#);
}

#[test]
fn a_line_that_is_not_yaml() {
    insta::assert_snapshot!(errors("a: b: c"), @r#"
    error: this is not readable YAML: mapping values are not allowed in this context
     --> mistake.yaml:1:5
      |
    1 | a: b: c
      |     ^
    "#);
}

#[test]
fn the_head_of_a_file() {
    insta::assert_snapshot!(errors("apiVersion: certdrill/v2\nkind: Scenari\nmetadata: { name: Foo Bar }\nspec: { clustr: {}, steps: [] }\n"), @r#"
    error: `certdrill/v2` is not the format that this certdrill reads
     --> mistake.yaml:1:13
      |
    1 | apiVersion: certdrill/v2
      |             ^^^^^^^^^^^^
      |
      = help: did you mean `certdrill/v1`?

    error: `Scenari` is not a kind of file that certdrill reads
     --> mistake.yaml:2:7
      |
    2 | kind: Scenari
      |       ^^^^^^^
      |
      = help: did you mean `Scenario`?

    error: `title` is missing
     --> mistake.yaml:3:13
      |
    3 | metadata: { name: Foo Bar }
      |             ^^^^ in this mapping

    error: `Foo Bar` is not a name of small letters, digits and dashes
     --> mistake.yaml:3:19
      |
    3 | metadata: { name: Foo Bar }
      |                   ^^^^^^^
      |
      = help: for example kubelet-conf-embedded; it is what --include selects by

    error: unknown key `clustr` in spec
     --> mistake.yaml:4:9
      |
    4 | spec: { clustr: {}, steps: [] }
      |         ^^^^^^
      |
      = help: did you mean `cluster`?
    "#);
}

#[test]
fn a_key_given_twice() {
    insta::assert_snapshot!(errors("apiVersion: certdrill/v1\napiVersion: certdrill/v1\nkind: Scenario\n"), @r#"
    error: `metadata` is missing
     --> mistake.yaml:1:1
      |
    1 | apiVersion: certdrill/v1
      | ^^^^^^^^^^ in this mapping

    error: `spec` is missing
     --> mistake.yaml:1:1
      |
    1 | apiVersion: certdrill/v1
      | ^^^^^^^^^^ in this mapping

    error: `apiVersion` is given twice
     --> mistake.yaml:2:1
      |
    1 | apiVersion: certdrill/v1
      | ---------- first given here
    2 | apiVersion: certdrill/v1
      | ^^^^^^^^^^ given again here
    "#);
}

#[test]
fn an_alias_without_anchor() {
    insta::assert_snapshot!(errors("a: *b\n"), @r#"
    error: this is not readable YAML: reference to unknown value
     --> mistake.yaml:1:4
      |
    1 | a: *b
      |    ^
    "#);
}

#[test]
fn a_matrix_without_values() {
    insta::assert_snapshot!(errors("apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: a, title: b }\nspec:\n  matrix: { version: [], \"1\": 2 }\n  cluster: { version: \"{version}\" }\n  steps: []\n"), @r#"
    error: `version` has no values, so there is nothing to run
     --> mistake.yaml:5:13
      |
    5 |   matrix: { version: [], "1": 2 }
      |             ^^^^^^^

    error: `1` cannot be a matrix key
     --> mistake.yaml:5:26
      |
    5 |   matrix: { version: [], "1": 2 }
      |                          ^^^
      |
      = help: letters, digits, dashes and underscores, beginning with a letter

    error: expected a list, found `2`
     --> mistake.yaml:5:31
      |
    5 |   matrix: { version: [], "1": 2 }
      |                               ^
    "#);
}

#[test]
fn two_documents() {
    insta::assert_snapshot!(errors("a: 1\n---\nb: 2\n"), @r#"
    error: this is not readable YAML: only single YAML document expected but multiple found
     --> mistake.yaml:3:1
      |
    3 | b: 2
      | ^
    "#);
}

#[test]
fn a_quote_left_open() {
    insta::assert_snapshot!(errors("key: \"unterminated\n"), @r#"
    error: this is not readable YAML: unclosed quote
     --> mistake.yaml:1:6
      |
    1 | key: "unterminated
      |      ^
    "#);
}

#[test]
fn steps_for_real_clusters() {
    insta::assert_snapshot!(errors(&with("    - exec: \"true\"\n    - apply: approver.yaml\n    - image: { name: a, archive: b }\n    - apply: { nodes: \"@cp2\" }\n")), @r#"
    error: the simulation cannot run a script
      --> mistake.yaml:10:7
       |
    10 |     - exec: "true"
       |       ^^^^^^^^^^^^
       |
       = help: name the backends that can: `backends: [kubeadm]` under `spec`

    error: the simulation cannot apply objects
      --> mistake.yaml:11:7
       |
    11 |     - apply: approver.yaml
       |       ^^^^^^^^^^^^^^^^^^^^
       |
       = help: name the backends that can: `backends: [kind]` under `spec`

    error: this step takes one thing
      --> mistake.yaml:12:7
       |
    12 |     - image: { name: a, archive: b }
       |       ^^^^^
       |
       = help: give one of `name` and `archive`

    error: this step takes one thing
      --> mistake.yaml:13:7
       |
    13 |     - apply: { nodes: "@cp2" }
       |       ^^^^^
       |
       = help: give one of `file` and `manifest`
    "#);
    let text =
        with("    - image: a:1\n").replace("spec:\n", "spec:\n  backends: [kubeadm, kind]\n");
    insta::assert_snapshot!(errors(&text), @r"
    error: kubeadm alone cannot load images
      --> mistake.yaml:11:7
       |
    11 |     - image: a:1
       |       ^^^^^^^^^^
       |
       = help: name the backends that can: `backends: [kind]` under `spec`
    ");
}

/// What stood under it would never be played, and the run would be green.
#[test]
fn a_condition_on_a_value_that_the_matrix_does_not_have() {
    let text = "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: a, title: b }\nspec:\n  matrix: { fix: [no, yes] }\n  cluster: { version: v1.36.3 }\n  steps:\n    - walk: 1d\n      when: { fix: yess }\n";
    insta::assert_snapshot!(errors(text), @"
    error: `yess` is no value of `fix`
     --> mistake.yaml:9:20
      |
    9 |       when: { fix: yess }
      |                    ^^^^
      |
      = help: did you mean `yes`?
    ");
}

#[test]
fn a_value_from_outside_that_conditions_alone_read_and_none_knows() {
    let with = |value: &str, step: &str| {
        let text = format!(
            "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: a, title: b }}\nspec:\n  matrix: {{ way: [one, two] }}\n  cluster: {{ version: v1.36.3 }}\n  steps:\n    - walk: 1d\n      when: {{ way: one }}\n{step}"
        );
        let values = [("way".to_owned(), vec![value.to_owned()])].into();
        crate::scenario::load_with("a.yaml", &text, &values)
    };
    assert!(with("two", "").is_ok());
    let errors = with("tow", "").unwrap_err().to_string();
    assert!(errors.contains("no value of `way`"), "{errors}");
    // Where it is put in, any value may be meant.
    assert!(with("three", "    - note: \"{way}\"\n").is_ok());
}
