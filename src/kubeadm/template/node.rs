//! What a template is made of.

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    Branch {
        kind: Branch,
        pipe: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    If,
    Range,
    With,
}

/// Commands, each of which takes the result of the one before as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipe {
    /// Variables that take the result; two only in `range`.
    pub variables: Vec<String>,
    /// Whether they exist already.
    pub assigns: bool,
    pub commands: Vec<Command>,
}

/// A function or value with arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub words: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub kind: Kind,
    /// Place in the template, as Go counts it.
    pub at: usize,
    /// As Go shows it in errors.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Field(Vec<String>),
    /// A variable, `$` is the empty name, and fields of it.
    Variable(String, Vec<String>),
    Function(String),
    /// A pipe in parentheses, and fields of its result.
    Pipe(Box<Pipe>, Vec<String>),
}
