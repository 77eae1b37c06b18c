//! Text as Go's libraries lay it out: `text/tabwriter` and `HumanDuration`.

/// Lays out rows as `tabwriter.NewWriter(w, 10, 4, 3, ' ', 0)`: every cell but the last of a row is
/// padded to its column's width, at least ten wide, three blanks between. A column reaches over
/// neighbouring rows that have it.
#[must_use]
pub fn tabulate(rows: &[Vec<String>]) -> String {
    const WIDTH_MIN: usize = 10;
    const PADDING: usize = 3;
    let mut widths: Vec<Vec<usize>> = rows.iter().map(|row| vec![0; row.len()]).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns.saturating_sub(1) {
        let mut start = 0;
        while start < rows.len() {
            // The last cell of a row belongs to no column.
            let has = |row: &Vec<String>| row.len() > column + 1;
            if !has(&rows[start]) {
                start += 1;
                continue;
            }
            let end = rows[start..]
                .iter()
                .position(|row| !has(row))
                .map_or(rows.len(), |length| start + length);
            let block = &rows[start..end];
            let longest = block
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0);
            let width = (longest + PADDING).max(WIDTH_MIN);
            for row in &mut widths[start..end] {
                row[column] = width;
            }
            start = end;
        }
    }
    let mut out = String::new();
    for (row, widths) in rows.iter().zip(&widths) {
        for (index, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if index + 1 < row.len() {
                let pad = widths[index].saturating_sub(cell.chars().count());
                out.push_str(&" ".repeat(pad));
            }
        }
        out.push('\n');
    }
    out
}

/// A residual time as `HumanDuration` prints whole seconds.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds < 0 {
        return "0s".to_owned();
    }
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large}{large_unit}")
        } else {
            format!("{large}{large_unit}{small}{small_unit}")
        }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        two(hours / 24, "d", hours % 24, "h")
    } else if hours < 24 * 365 * 2 {
        format!("{}d", hours / 24)
    } else if hours < 24 * 365 * 8 {
        two(hours / 24 / 365, "y", hours / 24 % 365, "d")
    } else {
        format!("{}y", hours / 24 / 365)
    }
}

/// A residual time as `ShortHumanDuration` prints it.
#[must_use]
pub fn short_human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if seconds < -1 {
        "<invalid>".to_owned()
    } else if seconds < 0 {
        "0s".to_owned()
    } else if seconds < 60 {
        format!("{seconds}s")
    } else if minutes < 60 {
        format!("{minutes}m")
    } else if hours < 24 {
        format!("{hours}h")
    } else if hours < 24 * 365 {
        format!("{}d", hours / 24)
    } else {
        format!("{}y", hours / 24 / 365)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_laid_out_as_gos_tabwriter_does() {
        let rows: Vec<Vec<String>> = [
            vec!["CERTIFICATE", "EXPIRES", "MANAGED"],
            vec!["a", "", "no      "],
            vec![""],
            vec!["second", "x"],
        ]
        .iter()
        .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
        .collect();
        assert_eq!(
            tabulate(&rows),
            "CERTIFICATE   EXPIRES   MANAGED\na                       no      \n\nsecond    x\n"
        );
    }

    #[test]
    fn durations_are_kubernetes() {
        for (seconds, long, short) in [
            (-2, "<invalid>", "<invalid>"),
            (-1, "0s", "0s"),
            (119, "119s", "1m"),
            (130, "2m10s", "2m"),
            (10_799, "179m", "2h"),
            (4 * 3600 + 60, "4h1m", "4h"),
            (3 * 86_400 + 3600, "3d1h", "3d"),
            (364 * 86_400, "364d", "364d"),
            (3 * 365 * 86_400 + 154 * 86_400, "3y154d", "3y"),
            (9 * 365 * 86_400, "9y", "9y"),
        ] {
            assert_eq!(human_duration(seconds), long);
            assert_eq!(short_human_duration(seconds), short);
        }
    }
}
