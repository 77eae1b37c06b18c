//! Reading a template: the part of Go's `text/template/parse` that has to do with one object.
//!
//! Not read are `define`, `template` and `block`, which only make sense with several templates, and complex
//! numbers and character constants; a template that uses them is refused.

use super::node::{Branch, Command, Kind, Node, Pipe, Word};

/// What is wrong with a template, in Go's words.
pub(super) type Result<T> = std::result::Result<T, String>;

const FUNCTIONS: [&str; 22] = [
    "and",
    "base64decode",
    "call",
    "eq",
    "exists",
    "ge",
    "gt",
    "html",
    "index",
    "js",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "slice",
    "urlquery",
    "break",
];

/// Reads a template.
pub(super) fn parse(template: &str) -> Result<Vec<Node>> {
    let mut parser = Parser {
        template,
        at: 0,
        trims: false,
        depth: 0,
        ranges: 0,
        variables: vec![String::new()],
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Close::Template => Ok(nodes),
        Close::End => Err(parser.error("unexpected {{end}}")),
        Close::Else(_) => Err(parser.error("unexpected {{else}}")),
    }
}

/// How deep parentheses and branches may be nested.
const DEPTH_MAX: usize = 100;

struct Parser<'a> {
    template: &'a str,
    at: usize,
    /// Whether white space before the next text is dropped.
    trims: bool,
    depth: usize,
    ranges: usize,
    variables: Vec<String>,
}

/// What ended a list of nodes.
enum Close {
    Template,
    End,
    /// With what follows in the same action: `if` or `with`.
    Else(Option<Branch>),
}

impl<'a> Parser<'a> {
    fn error(&self, text: &str) -> String {
        let line = self.template[..self.at].matches('\n').count() + 1;
        format!("template: output:{line}: {text}")
    }

    fn rest(&self) -> &'a str {
        &self.template[self.at..]
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("nested too deeply for certdrill"));
        }
        Ok(())
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Close)> {
        let mut nodes = Vec::new();
        loop {
            let rest = self.rest();
            let open = rest.find("{{");
            let mut text = &rest[..open.unwrap_or(rest.len())];
            if self.trims {
                text = text.trim_start_matches(is_space);
            }
            let Some(open) = open else {
                push_text(&mut nodes, text);
                self.at = self.template.len();
                return Ok((nodes, Close::Template));
            };
            self.at += open + 2;
            let mut inside = self.rest().chars();
            if inside.next() == Some('-') && inside.next().is_some_and(is_space) {
                text = text.trim_end_matches(is_space);
                self.at += 2;
            }
            push_text(&mut nodes, text);
            if self.rest().starts_with("/*") {
                let end = self
                    .rest()
                    .find("*/")
                    .ok_or_else(|| self.error("unclosed comment"))?;
                self.at += end + 2;
                if !self.closes() {
                    return Err(self.error("comment ends before closing delimiter"));
                }
                continue;
            }
            self.skip_space();
            if let Some(end) = self.action(&mut nodes)? {
                return Ok((nodes, end));
            }
        }
    }

    /// One action after its braces.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<Close>> {
        let word: String = self
            .rest()
            .chars()
            .take_while(|c| is_alphanumeric(*c))
            .collect();
        let branch = match word.as_str() {
            "if" => Some(Branch::If),
            "range" => Some(Branch::Range),
            "with" => Some(Branch::With),
            _ => None,
        };
        if let Some(kind) = branch {
            self.at += word.len();
            nodes.push(self.branch(kind, &word)?);
            return Ok(None);
        }
        match word.as_str() {
            "end" => {
                self.at += word.len();
                self.close("end")?;
                return Ok(Some(Close::End));
            }
            "else" => {
                self.at += word.len();
                self.skip_space();
                for (follows, kind) in [("if", Branch::If), ("with", Branch::With)] {
                    let rest = self.rest();
                    if rest
                        .strip_prefix(follows)
                        .is_some_and(|rest| rest.starts_with(is_space))
                    {
                        self.at += follows.len();
                        return Ok(Some(Close::Else(Some(kind))));
                    }
                }
                self.close("else")?;
                return Ok(Some(Close::Else(None)));
            }
            "break" | "continue" => {
                self.at += word.len();
                self.close(&word)?;
                if self.ranges == 0 {
                    return Err(self.error(&format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                nodes.push(if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                });
            }
            "define" | "template" | "block" => {
                return Err(self.error(&format!("{word} is not supported by certdrill")));
            }
            _ => {
                let pipe = self.pipe("command", false, None)?;
                nodes.push(Node::Action(pipe));
            }
        }
        Ok(None)
    }

    fn branch(&mut self, kind: Branch, context: &str) -> Result<Node> {
        self.deeper()?;
        let known = self.variables.len();
        let pipe = self.pipe(context, kind == Branch::Range, None)?;
        self.ranges += usize::from(kind == Branch::Range);
        let (body, end) = self.nodes()?;
        self.ranges -= usize::from(kind == Branch::Range);
        let otherwise = match end {
            Close::Template => return Err(self.error("unexpected EOF")),
            Close::End => Vec::new(),
            Close::Else(Some(follows)) => {
                if kind == Branch::Range || kind != follows {
                    let word = if follows == Branch::If { "if" } else { "with" };
                    return Err(self.error(&format!("unexpected <{word}> in else")));
                }
                vec![self.branch(follows, context)?]
            }
            Close::Else(None) => match self.nodes()? {
                (otherwise, Close::End) => otherwise,
                (_, Close::Else(_)) => return Err(self.error("expected end; found {{else}}")),
                (_, Close::Template) => return Err(self.error("unexpected EOF")),
            },
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Branch {
            kind,
            pipe,
            body,
            otherwise,
        })
    }

    fn close(&mut self, context: &str) -> Result<()> {
        self.skip_space();
        if self.closes() {
            return Ok(());
        }
        let found = self
            .rest()
            .chars()
            .next()
            .map(String::from)
            .unwrap_or_default();
        Err(self.error(&format!("unexpected {found:?} in {context}")))
    }

    /// Takes the braces that close an action, if they are next.
    fn closes(&mut self) -> bool {
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start_matches(is_space).len();
        if spaces > 0 && rest[spaces..].starts_with("-}}") {
            self.at += spaces + 3;
            self.trims = true;
            return true;
        }
        if rest[spaces..].starts_with("}}") {
            self.at += spaces + 2;
            self.trims = false;
            return true;
        }
        false
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches(is_space);
        // White space before a dash belongs to the end of the action.
        if !trimmed.starts_with("-}}") {
            self.at += rest.len() - trimmed.len();
        }
    }

    /// A pipe up to the end of the action, or to a closing parenthesis.
    fn pipe(&mut self, context: &str, ranges: bool, close: Option<char>) -> Result<Pipe> {
        self.skip_space();
        let (variables, assigns) = self.declaration(ranges)?;
        let mut commands = Vec::new();
        loop {
            let words = self.words()?;
            let ended = match close {
                Some(close) if self.rest().starts_with(close) => {
                    self.at += 1;
                    true
                }
                Some(_) => false,
                None => self.closes(),
            };
            let piped = !ended && self.rest().starts_with('|');
            if words.is_empty() {
                if commands.is_empty() && ended {
                    return Err(self.error(&format!("missing value for {context}")));
                }
                if self.rest().is_empty() {
                    return Err(self.error("unclosed action"));
                }
                return Err(self.error("missing value for command"));
            }
            commands.push(Command { words });
            if ended {
                break;
            }
            if !piped {
                let found = self.rest().chars().next();
                return Err(match found {
                    None | Some('\n') => self.error("unclosed action"),
                    Some(found) => {
                        self.error(&format!("unexpected {:?} in operand", found.to_string()))
                    }
                });
            }
            self.at += 1;
            self.skip_space();
        }
        for (at, command) in commands.iter().enumerate().skip(1) {
            let first = &command.words[0];
            if matches!(
                first.kind,
                Kind::Dot
                    | Kind::Nil
                    | Kind::Bool(_)
                    | Kind::Int(_)
                    | Kind::Float(_)
                    | Kind::Text(_)
            ) {
                return Err(self.error(&format!(
                    "non executable command in pipeline stage {}",
                    at + 1
                )));
            }
        }
        self.variables
            .extend(variables.iter().filter(|_| !assigns).cloned());
        Ok(Pipe {
            variables,
            assigns,
            commands,
        })
    }

    /// `$x :=`, `$x =`, and `$i, $x :=` in a range.
    fn declaration(&mut self, ranges: bool) -> Result<(Vec<String>, bool)> {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(rest) = self.rest().strip_prefix('$') {
            let name: String = rest.chars().take_while(|c| is_alphanumeric(*c)).collect();
            self.at += 1 + name.len();
            self.skip_space();
            names.push(name);
            let rest = self.rest();
            if rest.starts_with(":=") || rest.starts_with('=') && !rest.starts_with("==") {
                let declares = rest.starts_with(":=");
                self.at += 1 + usize::from(declares);
                self.skip_space();
                return Ok((names, !declares));
            }
            if !(ranges && rest.starts_with(',') && names.len() == 1) {
                break;
            }
            self.at += 1;
            self.skip_space();
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn words(&mut self) -> Result<Vec<Word>> {
        let mut words = Vec::new();
        while let Some(word) = self.word()? {
            words.push(word);
            let rest = self.rest();
            if !rest.starts_with(is_space) {
                break;
            }
            self.skip_space();
        }
        self.skip_space();
        Ok(words)
    }

    fn word(&mut self) -> Result<Option<Word>> {
        let start = self.at;
        let Some(c) = self.rest().chars().next() else {
            return Ok(None);
        };
        let kind = match c {
            '"' => Kind::Text(self.quoted()?),
            '`' => {
                let rest = &self.rest()[1..];
                let end = rest
                    .find('`')
                    .ok_or_else(|| self.error("unterminated raw quoted string"))?;
                self.at += end + 2;
                Kind::Text(rest[..end].to_owned())
            }
            '(' => {
                self.at += 1;
                self.deeper()?;
                let pipe = self.pipe("parenthesized pipeline", false, Some(')'))?;
                self.depth -= 1;
                let fields = self.fields();
                Kind::Pipe(Box::new(pipe), fields)
            }
            '$' => {
                let rest = &self.rest()[1..];
                let name: String = rest.chars().take_while(|c| is_alphanumeric(*c)).collect();
                self.at += 1 + name.len();
                if !self.variables.contains(&name) {
                    return Err(self.error(&format!("undefined variable {:?}", format!("${name}"))));
                }
                let fields = self.fields();
                Kind::Variable(name, fields)
            }
            '.' => {
                let fields = self.fields();
                if fields.is_empty() {
                    self.at += 1;
                    Kind::Dot
                } else {
                    Kind::Field(fields)
                }
            }
            '+' | '-' | '0'..='9' => {
                if self.rest().starts_with("-}}") {
                    return Ok(None);
                }
                let text: String = self
                    .rest()
                    .chars()
                    .take_while(|c| is_alphanumeric(*c) || "+-.".contains(*c))
                    .collect();
                self.at += text.len();
                let bad = || self.error(&format!("bad number syntax: {text:?}"));
                match text.parse() {
                    Ok(number) => Kind::Int(number),
                    Err(_) => Kind::Float(text.parse().map_err(|_| bad())?),
                }
            }
            c if is_alphanumeric(c) => {
                let name: String = self
                    .rest()
                    .chars()
                    .take_while(|c| is_alphanumeric(*c))
                    .collect();
                self.at += name.len();
                match name.as_str() {
                    "true" => Kind::Bool(true),
                    "false" => Kind::Bool(false),
                    "nil" => Kind::Nil,
                    name if FUNCTIONS.contains(&name) => Kind::Function(name.to_owned()),
                    name => {
                        return Err(self.error(&format!("function {name:?} not defined")));
                    }
                }
            }
            _ => return Ok(None),
        };
        let text = &self.template[start..self.at];
        // Go counts from the last field of several.
        let at = match &kind {
            Kind::Field(fields) if fields.len() > 1 => start + 1 + fields[0].len(),
            Kind::Variable(name, fields) if !fields.is_empty() => start + 1 + name.len(),
            _ => start,
        };
        Ok(Some(Word {
            kind,
            at,
            text: text.to_owned(),
        }))
    }

    /// `.a.b`, as far as there is such.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(rest) = self.rest().strip_prefix('.') {
            let name: String = rest.chars().take_while(|c| is_alphanumeric(*c)).collect();
            if name.is_empty() {
                break;
            }
            self.at += 1 + name.len();
            fields.push(name);
        }
        fields
    }

    fn quoted(&mut self) -> Result<String> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let value = super::super::gofmt::unquote(&rest[1..at], '"');
                    self.at += at + 1;
                    return value.ok_or_else(|| self.error("invalid syntax"));
                }
                _ => {}
            }
        }
        Err(self.error("unterminated quoted string"))
    }
}

fn push_text(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        nodes.push(Node::Text(text.to_owned()));
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
