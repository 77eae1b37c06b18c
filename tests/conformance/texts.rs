//! Comparing what was printed, as the recordings want it compared.

use super::corpus::Case;

/// Whether standard output agrees.
pub fn stdout_agrees(case: &Case, ours: &str) -> bool {
    if ours == case.stdout {
        return true;
    }
    if case.has_tag("random-order") {
        // With an error, what was reached before it is chance.
        return case.rc != 0 || blocks(ours) == blocks(&case.stdout);
    }
    let (ours, recorded) = (split_residuals(ours), split_residuals(&case.stdout));
    ours.0 == recorded.0
        && ours.1.len() == recorded.1.len()
        && !ours.1.is_empty()
        && !case.has_tag("exact-second")
        && ours
            .1
            .iter()
            .zip(&recorded.1)
            .all(|(one, other)| (one - other).abs() <= 15)
}

/// Blocks of lines that may come in any order: a line that is not indented begins one.
fn blocks(text: &str) -> Vec<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    let indented = lines.iter().any(|line| line.starts_with("  "));
    if !indented {
        lines.sort_unstable();
        return lines.into_iter().map(str::to_owned).collect();
    }
    let mut block: Vec<&str> = Vec::new();
    for line in lines {
        if !line.starts_with("  ") {
            block.sort_unstable();
            out.push(block.join("\n"));
            block = vec![];
            out.push(line.to_owned());
            continue;
        }
        block.push(line);
    }
    block.sort_unstable();
    out.push(block.join("\n"));
    out
}

/// The text with the numbers of `residualTime` taken out.
fn split_residuals(text: &str) -> (String, Vec<i64>) {
    let mut rest = text;
    let mut frame = String::new();
    let mut numbers = Vec::new();
    for mark in ["residualTime\": ", "residualTime: "] {
        if !rest.contains(mark) {
            continue;
        }
        while let Some(at) = rest.find(mark) {
            let start = at + mark.len();
            let end = rest[start..]
                .find(|c: char| !c.is_ascii_digit() && c != '-')
                .map_or(rest.len(), |length| start + length);
            frame.push_str(&rest[..start]);
            numbers.push(rest[start..end].parse().unwrap_or(0));
            rest = &rest[end..];
        }
        break;
    }
    frame.push_str(rest);
    (frame, numbers)
}

/// Whether standard error agrees in everything that means something.
pub fn stderr_agrees(case: &Case, ours: &str) -> bool {
    if case.has_tag("panic") || case.stderr.starts_with("panic:") {
        let line = |text: &str| {
            text.lines()
                .find(|line| line.starts_with("panic:"))
                .map(str::to_owned)
        };
        return line(ours) == line(&case.stderr);
    }
    let (ours, recorded) = (normal(ours), normal(&case.stderr));
    if ours == recorded {
        return true;
    }
    case.has_tag("random-order")
        && case.rc != 0
        && ours.1.chars().take(25).eq(recorded.1.chars().take(25))
}

/// Log lines, sorted (some come in random order), and the rest with times taken out.
fn normal(text: &str) -> (Vec<String>, String) {
    let mut logs = Vec::new();
    let mut rest = String::new();
    for line in text.lines() {
        match log_line(line) {
            Some((source, text)) => {
                let of_the_machine = matches!(source, "kubelet.go" | "version.go")
                    || source == "initconfiguration.go" && !text.contains("onfiguration");
                if !of_the_machine {
                    logs.push(text.to_owned());
                }
            }
            None => {
                rest.push_str(&without_time(line));
                rest.push('\n');
            }
        }
    }
    logs.sort();
    (logs, rest)
}

/// Source file and text of a klog line.
fn log_line(line: &str) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    if !matches!(bytes.first(), Some(b'W' | b'I' | b'E'))
        || !bytes.get(1..5)?.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let (head, text) = line.split_once("] ")?;
    let source = head.rsplit(' ').next()?.split(':').next()?;
    Some((source, text))
}

fn without_time(line: &str) -> String {
    let mark = "current time ";
    match line.find(mark) {
        Some(at) => {
            let start = at + mark.len();
            let end = (start + 20).min(line.len());
            format!("{}T{}", &line[..start], &line[end..])
        }
        None => line.to_owned(),
    }
}
