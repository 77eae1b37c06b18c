//! A difference in words.

use crate::run::parity::Difference;

/// A value that differs, as text: where it was seen, and what each side says.
#[must_use]
pub fn difference(difference: &Difference, sides: [&str; 2]) -> String {
    format!(
        "step {} ({}): {} {} {}\n{}",
        difference.step,
        difference.step_text,
        difference.kind,
        difference.subject,
        difference.aspect,
        values([&difference.first, &difference.second], names(sides))
    )
}

/// Two builds of one backend are told apart by their order.
fn names(sides: [&str; 2]) -> [String; 2] {
    let [first, second] = sides;
    if first == second {
        [format!("{first} (first)"), format!("{second} (second)")]
    } else {
        [first.to_owned(), second.to_owned()]
    }
}

fn values(values: [&str; 2], names: [String; 2]) -> String {
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let [first, second] = values.map(|value| value.lines().collect::<Vec<&str>>());
    if first.len().max(second.len()) <= 1 {
        let lines = names.iter().zip(values);
        return lines
            .map(|(name, value)| format!("  {name:width$} {value}\n"))
            .collect();
    }
    // Of long texts only the lines that differ.
    let only = |of: &[&str], other: &[&str], name: &str| -> String {
        let lines = of.iter().filter(|line| !other.contains(line));
        lines
            .map(|line| format!("  {name:width$} {line}\n"))
            .collect()
    };
    let text = only(&first, &second, &names[0]) + &only(&second, &first, &names[1]);
    if text.is_empty() {
        return "  the same lines in another order or number\n".to_owned();
    }
    text
}
