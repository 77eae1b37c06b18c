//! A forecast for people: in a terminal, and as a page.

use std::fmt::Write as _;

use super::outlook::{Outlook, Remedy};
use super::play::Break;
use super::rules::Severity;
use crate::time::Timestamp;

/// A forecast as text.
#[must_use]
pub fn table(outlook: &Outlook, width: usize) -> String {
    let mut page = Page {
        text: String::new(),
        width,
    };
    page.line("", &headline(outlook));
    for planned in &outlook.plan {
        page.line("  ", &format!("planned: {planned}"));
    }
    page.head("What the files show", outlook.findings.is_empty());
    for finding in &outlook.findings {
        let lead = format!("  {:<8} {}  ", severity(finding.severity), finding.node);
        page.hang(
            &lead,
            &format!("{} [{}, {}]", finding.what, finding.rule, finding.from),
        );
    }
    match &outlook.not_played {
        Some(why) => {
            page.head("What will break", false);
            page.line(
                "  ",
                &format!("Not known: this cluster cannot be simulated. {why}."),
            );
        }
        None => {
            page.head("What will break", outlook.breaks.is_empty());
            page.breaks(&outlook.breaks, outlook.from);
            if !outlook.breaks_with_restarts.is_empty() {
                page.head(
                    "What will break besides if every machine restarts once a month",
                    false,
                );
                page.breaks(&outlook.breaks_with_restarts, outlook.from);
            }
        }
    }
    if !outlook.refused.is_empty() {
        page.head("Commands of the plan that fail", false);
        for refused in &outlook.refused {
            page.line("  ", refused);
        }
    }
    if !outlook.remedies.is_empty() {
        page.head("What to do", false);
        page.remedies(&outlook.remedies);
    }
    if let Some(said) = replayed(outlook) {
        page.head("Replayed on the rebuilt cluster", false);
        page.line("  ", &said);
        if let Some(replay) = &outlook.replay {
            for failed in &replay.failed {
                page.line("  ", &format!("fails: {failed}"));
            }
            page.breaks(&replay.left, outlook.from);
        }
    }
    if !outlook.assumptions.is_empty() {
        page.head("Taken for granted", false);
        for assumption in &outlook.assumptions {
            page.hang("  - ", assumption);
        }
    }
    page.text
}

/// A forecast as one self-contained page.
#[must_use]
pub fn html(outlook: &Outlook) -> String {
    let mut body = String::new();
    let mut section = |title: &str, inner: &str| {
        if !inner.is_empty() {
            let _ = writeln!(body, "<section><h2>{}</h2>{inner}</section>", escape(title));
        }
    };
    let list = |items: &[String]| {
        if items.is_empty() {
            return String::new();
        }
        let items: String = items
            .iter()
            .map(|item| format!("<li>{}</li>", escape(item)))
            .collect();
        format!("<ul>{items}</ul>")
    };
    section("Planned", &list(&outlook.plan));
    let rows: String = outlook
        .findings
        .iter()
        .map(|finding| {
            let word = severity(finding.severity);
            format!(
                "<tr class=\"{word}\"><td>{word}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&finding.node),
                escape(&finding.what),
                format_args!("{}, {}", finding.rule, finding.from)
            )
        })
        .collect();
    let findings = if rows.is_empty() {
        "<p>Nothing.</p>".to_owned()
    } else {
        format!(
            "<table><tr><th>how bad</th><th>node</th><th>what</th><th>rule</th></tr>{rows}</table>"
        )
    };
    section("What the files show", &findings);
    match &outlook.not_played {
        Some(why) => section(
            "What will break",
            &format!(
                "<p>Not known: this cluster cannot be simulated. {}.</p>",
                escape(why)
            ),
        ),
        None => {
            section(
                "What will break",
                &break_rows(&outlook.breaks, outlook.from),
            );
            if !outlook.breaks_with_restarts.is_empty() {
                section(
                    "What will break besides if every machine restarts once a month",
                    &break_rows(&outlook.breaks_with_restarts, outlook.from),
                );
            }
        }
    }
    section("Commands of the plan that fail", &list(&outlook.refused));
    let remedies: String = outlook
        .remedies
        .iter()
        .map(|remedy| {
            format!(
                "<h3>{}</h3><pre>{}</pre>",
                escape(&when(remedy)),
                escape(&remedy.commands.join("\n"))
            )
        })
        .collect();
    section("What to do", &remedies);
    if let Some(said) = replayed(outlook) {
        let mut inner = format!("<p>{}</p>", escape(&said));
        if let Some(replay) = &outlook.replay {
            inner += &list(&replay.failed);
            if !replay.left.is_empty() {
                inner += &break_rows(&replay.left, outlook.from);
            }
        }
        section("Replayed on the rebuilt cluster", &inner);
    }
    section("Taken for granted", &list(&outlook.assumptions));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Forecast of {}</title>\n<style>{STYLE}</style></head>\n\
         <body><h1>Forecast</h1><p>{}</p>\n{body}</body></html>\n",
        escape(&outlook.nodes.join(", ")),
        escape(&headline(outlook))
    )
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;\
padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.4rem .6rem;\
border-bottom:1px solid #8886}pre{overflow-x:auto;padding:.8rem;border:1px solid #8886;border-radius:.3rem}\
.error td:first-child{color:#c62828;font-weight:600}.warning td:first-child{color:#b26a00;font-weight:600}\
@media(prefers-color-scheme:dark){.error td:first-child{color:#ff8a80}.warning td:first-child{color:#ffcc80}}\
code{overflow-wrap:anywhere}@media(min-width:40rem){td:first-child{white-space:nowrap}}\
@media(max-width:40rem){td,th{display:block;border:0;padding:.1rem 0}tr{display:block;padding:.6rem 0;border-bottom:1px \
solid #8886}th{display:none}}";

fn headline(outlook: &Outlook) -> String {
    format!(
        "{} of {}: {}. Captured {}, forecast until {}{}.",
        match outlook.nodes.len() {
            1 => "1 node".to_owned(),
            count => format!("{count} nodes"),
        },
        outlook.version,
        outlook.nodes.join(", "),
        minute(outlook.from),
        minute(outlook.until),
        match (outlook.backend.as_str(), outlook.plan.is_empty()) {
            ("sim", true) => ", with nothing planned".to_owned(),
            ("sim", false) => String::new(),
            (backend, _) => format!(", played with the real {backend}"),
        }
    )
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn when(remedy: &Remedy) -> String {
    match remedy.by {
        None => format!("now, on {}", remedy.node),
        Some(by) => format!("by {}, on {}", day(by), remedy.node),
    }
}

fn replayed(outlook: &Outlook) -> Option<String> {
    let replay = outlook.replay.as_ref()?;
    let by_hand = outlook
        .remedies
        .iter()
        .flat_map(|remedy| &remedy.commands)
        .any(|command| command.starts_with('#'));
    let until = minute(outlook.until);
    let restarts = if outlook.plan.is_empty() {
        ", also when every machine restarts once a month"
    } else {
        ""
    };
    let mut said = if replay.cured && outlook.remedies.is_empty() {
        format!("Nothing breaks until {until}{restarts}.")
    } else if replay.cured {
        format!("With these commands nothing breaks until {until}{restarts}.")
    } else if replay.left.is_empty() {
        "With these commands nothing breaks, but some of them fail.".to_owned()
    } else {
        let commands = if outlook.remedies.is_empty() {
            "There is no command that cures this."
        } else {
            "These commands do not cure everything."
        };
        commands.to_owned()
    };
    if by_hand {
        said += " What is to be done by hand (lines with #) was not replayed.";
    }
    if !replay.cured && !replay.left.is_empty() {
        said += " What is left:";
    }
    Some(said)
}

fn minute(at: Timestamp) -> String {
    jiff::fmt::strtime::format("%Y-%m-%d %H:%M UTC", at).unwrap_or_default()
}

fn day(at: Timestamp) -> String {
    jiff::fmt::strtime::format("%Y-%m-%d", at).unwrap_or_default()
}

/// When something breaks, as seen from the capture.
fn distance(at: Timestamp, from: Timestamp) -> String {
    let hours = at.duration_since(from).as_hours();
    match hours {
        ..1 => "now".to_owned(),
        1..48 => format!("in {hours} hours"),
        _ => format!("in {} days", hours / 24),
    }
}

fn break_rows(breaks: &[Break], from: Timestamp) -> String {
    if breaks.is_empty() {
        return "<p>Nothing.</p>".to_owned();
    }
    let rows: String = breaks
        .iter()
        .map(|found| {
            let subjects = found.subjects();
            let mut detail = String::new();
            if !subjects.is_empty() {
                detail += &format!("<br>fails: {}", escape(&subjects));
            }
            if let Some(words) = found.words() {
                detail += &format!("<br>seen as: <code>{}</code>", escape(words));
            }
            let until = found
                .until
                .map_or_else(String::new, |until| format!("<br>until {}", minute(until)));
            format!(
                "<tr><td>{}<br>{}{until}</td><td>{}</td><td>{}{detail}</td></tr>",
                minute(found.at),
                distance(found.at, from),
                escape(&found.node),
                escape(&found.cause)
            )
        })
        .collect();
    format!("<table><tr><th>when</th><th>node</th><th>what</th></tr>{rows}</table>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn head(&mut self, title: &str, empty: bool) {
        let _ = writeln!(
            self.text,
            "\n{title}{}",
            if empty { ": nothing" } else { "" }
        );
    }

    fn line(&mut self, indent: &str, text: &str) {
        self.hang(indent, text);
    }

    /// A text that is wrapped below its own beginning.
    fn hang(&mut self, lead: &str, text: &str) {
        let blank = " ".repeat(lead.chars().count());
        let options = textwrap::Options::new(self.width)
            .initial_indent(lead)
            .subsequent_indent(&blank)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false);
        for line in textwrap::wrap(text, options) {
            let _ = writeln!(self.text, "{line}");
        }
    }

    fn breaks(&mut self, breaks: &[Break], from: Timestamp) {
        for found in breaks {
            let until = found
                .until
                .map_or_else(String::new, |until| format!(", until {}", minute(until)));
            let when = if found.already {
                "  now".to_owned()
            } else {
                format!("  {}, {}", minute(found.at), distance(found.at, from))
            };
            self.hang(
                "  ",
                &format!(
                    "{}{until}, {}: {}",
                    when.trim_start(),
                    found.node,
                    found.cause
                ),
            );
            let subjects = found.subjects();
            if !subjects.is_empty() {
                self.hang("      fails: ", &subjects);
            }
            if let Some(words) = found.words() {
                self.hang("      seen as: ", words);
            }
        }
    }

    fn remedies(&mut self, remedies: &[Remedy]) {
        let mut open: Option<(&Option<Timestamp>, &Vec<String>)> = None;
        for (index, remedy) in remedies.iter().enumerate() {
            // The same commands on several nodes are said once.
            if open == Some((&remedy.by, &remedy.commands)) {
                continue;
            }
            let nodes: Vec<&str> = remedies[index..]
                .iter()
                .take_while(|other| other.by == remedy.by && other.commands == remedy.commands)
                .map(|other| other.node.as_str())
                .collect();
            open = Some((&remedy.by, &remedy.commands));
            let by = remedy
                .by
                .map_or_else(|| "now".to_owned(), |by| format!("by {}", day(by)));
            let turn = if nodes.len() > 1 {
                ", one after the other"
            } else {
                ""
            };
            self.line("  ", &format!("{by}, on {}{turn}:", nodes.join(", ")));
            for command in &remedy.commands {
                // A command is never broken: it is there to be copied.
                let _ = writeln!(self.text, "    {command}");
            }
        }
    }
}
