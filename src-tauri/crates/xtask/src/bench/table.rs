//! Puts what was measured into `src-tauri/ARCHITECTURE.md`, from the JSON of the last run of each bench.
//!
//! Nothing is typed by hand. Rows of a bench that was not run in this checkout stay as they are, with their commit and the
//! machine.

use crate::run::Failure;
use crate::workspace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

const BEGIN: &str = "<!-- figures: written by `cargo xtask bench table` -->\n";
const END: &str = "<!-- end of figures -->\n";

pub fn main() -> Result<(), Failure> {
    let folder = workspace::root().join("target/bench");
    let mut records = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "json") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let record = serde_json::from_str(&text)
                .map_err(|error| Failure::Work(format!("{} cannot be read: {error}", path.display())))?;
            records.push(record);
        }
    }
    if records.is_empty() {
        return Err(Failure::Work("nothing was measured yet; run `cargo xtask bench NAME` first".to_owned()));
    }
    records.sort_by_key(|record: &Value| record["bench"].as_str().unwrap_or_default().to_owned());
    let page = workspace::root().join("src-tauri/ARCHITECTURE.md");
    let text = std::fs::read_to_string(&page).map_err(|error| Failure::Work(error.to_string()))?;
    let changed = replaced(&text, &records)
        .ok_or_else(|| Failure::Work(format!("{} has no place for figures", page.display())))?;
    std::fs::write(&page, changed).map_err(|error| Failure::Work(error.to_string()))?;
    println!("wrote {} measurements into src-tauri/ARCHITECTURE.md", records.len());
    Ok(())
}

/// The page with these records in its table; `None` where it has none.
fn replaced(page: &str, records: &[Value]) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", table(old, records)))
}

fn table(old: &str, records: &[Value]) -> String {
    let bench = |row: &str| row.split('|').nth(1).unwrap_or_default().trim().to_owned();
    let measured: Vec<&str> = records.iter().map(|record| record["bench"].as_str().unwrap_or("?")).collect();
    let kept = old.lines().skip(2).filter(|line| line.starts_with("| ") && !measured.contains(&bench(line).as_str()));
    let mut rows: Vec<String> = kept.map(str::to_owned).chain(records.iter().flat_map(rows)).collect();
    rows.sort_by_key(|row| bench(row));
    let mut text = String::from("| bench | figure | value | at commit |\n|---|---|---|---|\n");
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
    for (machine, benches) in machines(old, records) {
        let _ = writeln!(text, "\nMeasured on {machine}: {}.", benches.join(", "));
    }
    text
}

/// The machines, and what was measured last on each.
fn machines(old: &str, records: &[Value]) -> BTreeMap<String, Vec<String>> {
    let lines = old.lines().filter_map(|line| line.strip_prefix("Measured on ")?.strip_suffix('.')?.rsplit_once(": "));
    let known = lines.flat_map(|(machine, benches)| benches.split(", ").map(|bench| (bench.into(), machine.into())));
    let new = records.iter().map(|record| (record["bench"].as_str().unwrap_or("?").into(), machine(record)));
    let of_bench: BTreeMap<String, String> = known.chain(new).collect();
    let mut machines = BTreeMap::<_, Vec<_>>::new();
    for (bench, machine) in of_bench {
        machines.entry(machine).or_default().push(bench);
    }
    machines
}

fn machine(record: &Value) -> String {
    let machine = &record["machine"];
    let part = |name: &str| machine[name].as_str().unwrap_or("?");
    let [cpu, memory, kernel, rustc] = ["cpu", "memory", "kernel", "rustc"].map(part);
    format!("{} cores ({cpu}), {memory}, Linux {kernel}, {rustc}", machine["cores"])
}

/// What was measured, a line each.
fn rows(record: &Value) -> Vec<String> {
    let name = record["bench"].as_str().unwrap_or("?");
    let commit = record["commit"].as_str().unwrap_or("?");
    let mut figures = Vec::new();
    flatten("", &record["figures"], &mut figures);
    flatten("", &record["baseline"], &mut figures);
    figures.into_iter().map(|(figure, value)| format!("| {name} | {figure} | {value} | {commit} |")).collect()
}

/// The numbers in a value, each with the names that lead to it.
fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if fields.contains_key("median") => {
            let number = |name: &str| fields.get(name).map(rounded).unwrap_or_default();
            let runs = fields.get("runs").cloned().unwrap_or_default();
            rows.push((
                path.to_owned(),
                format!("{} (of {runs} runs: {} to {})", number("median"), number("least"), number("most")),
            ));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let longer = if path.is_empty() { name.clone() } else { format!("{path}, {name}") };
                flatten(&longer, field, rows);
            }
        }
        Value::Number(_) => rows.push((path.to_owned(), rounded(value))),
        Value::String(text) => rows.push((path.to_owned(), text.clone())),
        Value::Null | Value::Bool(_) | Value::Array(_) => {}
    }
}

fn rounded(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number >= 100.0 || number.fract() == 0.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.1}"),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_bench_stands_with_the_machine_it_was_measured_on_last() {
        let of =
            |bench: &str, cpu: &str| json!({"bench": bench, "machine": {"cores": 2, "cpu": cpu, "memory": "1 kB"}});
        let before = table("", &[of("runs", "A"), of("size", "A"), of("window", "A")]);
        let after = table(&before, &[of("size", "B"), of("steps", "B")]);
        let lines: Vec<&str> = after.lines().filter(|line| line.starts_with("Measured")).collect();
        assert_eq!(
            lines,
            [
                "Measured on 2 cores (A), 1 kB, Linux ?, ?: runs, window.",
                "Measured on 2 cores (B), 1 kB, Linux ?, ?: size, steps.",
            ]
        );
    }

    #[test]
    fn figures_and_baselines_become_rows_and_take_the_old_ones_place() {
        let record = json!({
            "bench": "window", "commit": "abc", "machine": {"cores": 2},
            "baseline": {"empty_ms": {"median": 300.25, "least": 290.0, "most": 310.0, "runs": 3}},
            "figures": {"usable_ms": {"median": 512.0, "least": 500.0, "most": 530.0, "runs": 3}, "size": {"mb": 1.26}},
        });
        let old = "| bench |\n|---|\n| size | bytes | 7 | def |\n| window | usable_ms | 9 | def |\n\nMeasured on it.\n";
        let table = table(old, std::slice::from_ref(&record));
        assert!(table.contains("| window | usable_ms | 512 (of 3 runs: 500 to 530) | abc |"), "{table}");
        assert!(table.contains("| window | size, mb | 1.3 | abc |"), "{table}");
        assert!(table.contains("| window | empty_ms | 300 (of 3 runs: 290 to 310) | abc |"), "{table}");
        assert!(table.contains("| size | bytes | 7 | def |\n| window |"), "what was not measured anew stays: {table}");
        assert!(!table.contains("| 9 |"), "{table}");
        let page = format!("a\n{BEGIN}{old}{END}b\n");
        assert_eq!(replaced(&page, &[record]), Some(format!("a\n{BEGIN}{table}{END}b\n")));
        assert_eq!(replaced("no place", &[]), None);
    }
}
