//! Templates as client-go's `util/jsonpath/parser.go` reads them.

use super::super::gofmt;

/// What is wrong with a template, in client-go's words.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Nodes that are applied one after the other: an action.
    List(Vec<Node>),
    Text(String),
    Field(String),
    Identifier(String),
    /// First, end and step.
    Array([Param; 3]),
    Filter {
        left: Vec<Node>,
        right: Vec<Node>,
        operator: String,
    },
    Int(i64),
    Float(f64),
    Bool(bool),
    Wildcard,
    Recursive,
    Union(Vec<Vec<Node>>),
}

/// One number of `[first:end:step]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Param {
    pub value: i64,
    pub known: bool,
    /// That it follows from the first number.
    pub derived: bool,
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>> {
    let mut rest = text;
    let mut out = Vec::new();
    while let Some(open) = rest.find('{') {
        if open > 0 {
            out.push(Node::Text(rest[..open].to_owned()));
        }
        let mut parser = Parser {
            rest: &rest[open + 1..],
            nodes: Vec::new(),
        };
        parser.action()?;
        rest = parser.rest;
        out.push(Node::List(parser.nodes));
    }
    if !rest.is_empty() {
        out.push(Node::Text(rest.to_owned()));
    }
    Ok(out)
}

/// Reads the inside of an action that is part of another one.
fn parse_inside(text: &str) -> Result<Vec<Node>> {
    match parse(&format!("{{{text}}}"))?.into_iter().next() {
        Some(Node::List(nodes)) => Ok(nodes),
        _ => Ok(Vec::new()),
    }
}

struct Parser<'a> {
    rest: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Parser<'a> {
    /// Takes a prefix of so many bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Everything up to the brace that closes the action.
    fn action(&mut self) -> Result<()> {
        loop {
            if let Some(rest) = self.rest.strip_prefix('}') {
                self.rest = rest;
                return Ok(());
            }
            if self.rest.starts_with("[?(") {
                self.filter()?;
                continue;
            }
            if self.rest.starts_with("..") {
                self.recursive()?;
                continue;
            }
            let Some(c) = self.rest.chars().next().filter(|c| !is_end_of_line(*c)) else {
                return Err("unclosed action".to_owned());
            };
            match c {
                ' ' | '@' | '$' => {
                    self.take(1);
                }
                '[' => self.array()?,
                '"' | '\'' => self.quote(c)?,
                '.' => {
                    self.take(1);
                    self.field();
                }
                '+' | '-' => self.number()?,
                c if is_digit(c) => self.number()?,
                c if is_alphanumeric(c) => self.identifier(),
                c => {
                    let shown = if c.is_control() {
                        String::new()
                    } else {
                        format!(" '{c}'")
                    };
                    return Err(format!(
                        "unrecognized character in action: U+{:04X}{shown}",
                        u32::from(c)
                    ));
                }
            }
        }
    }

    fn identifier(&mut self) {
        let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
        let node = match self.take(end) {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            name => Node::Identifier(name.to_owned()),
        };
        self.nodes.push(node);
    }

    fn recursive(&mut self) -> Result<()> {
        if self.nodes.last() == Some(&Node::Recursive) {
            return Err("invalid multiple recursive descent".to_owned());
        }
        self.take(2);
        self.nodes.push(Node::Recursive);
        if self.rest.starts_with(is_alphanumeric) {
            self.field();
        }
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let end = self.rest[sign..]
            .find(|c| c != '.' && !is_digit(c))
            .map_or(self.rest.len(), |end| sign + end);
        let text = self.take(end);
        if let Ok(number) = text.parse() {
            self.nodes.push(Node::Int(number));
            return Ok(());
        }
        match text.parse() {
            Ok(number) if text.contains(|c: char| c.is_ascii_digit()) => {
                self.nodes.push(Node::Float(number));
                Ok(())
            }
            _ => Err(format!("cannot parse number {text}")),
        }
    }

    fn array(&mut self) -> Result<()> {
        let end = self.rest.find(']').ok_or("unterminated array")?;
        if self.rest[..end].contains('\n') {
            return Err("unterminated array".to_owned());
        }
        let text = &self.take(end + 1)[1..end];
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let parts = text
                .split(',')
                .map(|part| parse_inside(&format!("[{}]", part.trim_matches(' '))))
                .collect::<Result<Vec<_>>>()?;
            self.nodes.push(Node::Union(parts));
            return Ok(());
        }
        let key = text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
            .filter(|key| !key.contains('\''));
        if let Some(key) = key {
            self.nodes.extend(parse_inside(&format!(".{key}"))?);
            return Ok(());
        }
        self.nodes.push(Node::Array(slice(text)?));
        Ok(())
    }

    fn filter(&mut self) -> Result<()> {
        self.take(3);
        let end = filter_end(self.rest)?;
        if !self.rest[end + 1..].starts_with(']') {
            return Err("unclosed array expect ]".to_owned());
        }
        let text = &self.take(end + 2)[..end];
        let is_operator = |c| matches!(c, '!' | '<' | '>' | '=');
        let compared = text.find(is_operator).filter(|at| *at > 0).and_then(|at| {
            let right = at + text[at..].find(|c| !is_operator(c))?;
            Some((&text[..at], &text[at..right], &text[right..]))
        });
        self.nodes.push(match compared {
            Some((left, operator, right)) => Node::Filter {
                left: parse_inside(left)?,
                right: parse_inside(right)?,
                operator: operator.to_owned(),
            },
            None => Node::Filter {
                left: parse_inside(text)?,
                right: Vec::new(),
                operator: "exists".to_owned(),
            },
        });
        Ok(())
    }

    fn quote(&mut self, quote: char) -> Result<()> {
        let unterminated = || "unterminated quoted string".to_owned();
        let mut before = ' ';
        let mut end = None;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == '\n' {
                return Err(unterminated());
            }
            if c == quote && before != '\\' {
                end = Some(at);
                break;
            }
            before = c;
        }
        let text = self.take(end.ok_or_else(unterminated)? + 1);
        let value = gofmt::unquote(&text[1..text.len() - 1], quote)
            .ok_or_else(|| format!("unquote string {text} error invalid syntax"))?;
        self.nodes.push(Node::Text(value));
        Ok(())
    }

    /// A name after its dot.
    fn field(&mut self) {
        let mut escaped = false;
        let end = self
            .rest
            .find(|c| {
                if escaped {
                    escaped = false;
                    return false;
                }
                escaped = c == '\\';
                is_terminator(c)
            })
            .unwrap_or(self.rest.len());
        let node = match self.take(end) {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "")),
        };
        self.nodes.push(node);
    }
}

/// Where the parenthesis of a filter is closed; one quoted text may hold others.
fn filter_end(text: &str) -> Result<usize> {
    let mut quote = None;
    let mut closed = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('\n', _) => break,
            ('"' | '\'', None) => quote = Some(c),
            ('"' | '\'', Some(open)) if before != '\\' && c == open => closed = true,
            (')', _) if quote.is_some() == closed => return Ok(at),
            _ => {}
        }
        before = c;
    }
    Err("unterminated filter".to_owned())
}

/// `first:end:step`, of which any may be missing.
fn slice(text: &str) -> Result<[Param; 3]> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number = |part: &&str| {
        part.strip_prefix('-')
            .unwrap_or(part)
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    };
    if parts.len() > 3 || !parts.iter().all(is_number) {
        return Err(format!("invalid array index {text}"));
    }
    let mut out = [Param::default(); 3];
    for (at, part) in parts
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
    {
        out[at].known = true;
        out[at].value = part
            .parse()
            .map_err(|_| format!("array index {part} is not a number"))?;
    }
    if parts.len() == 1 {
        out[1] = Param {
            value: out[0].value.wrapping_add(1),
            known: true,
            derived: true,
        };
    }
    Ok(out)
}

fn is_terminator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'
    )
}

fn is_end_of_line(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}
